"""The generated settings reference: committed as it is made, whole, and true to what the model accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelyard.cli.reference_docs import catalogue_pages, reference_pages, write_reference
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.certificate import Certificate
from steelyard.model.cipher_set import CipherSet
from steelyard.model.content_rule import ContentRule
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.limits import LimitRule
from steelyard.model.network import HostsEntry, Interface, StaticRoute
from steelyard.model.parameters import SECTIONS
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck

COMMITTED = Path(__file__).parents[3] / "docs" / "reference"
MODELS: tuple[type[Settings], ...] = (
    VirtualService,
    RealServer,
    FurtherCheck,
    *SECTIONS.values(),
    ContentRule,
    Slot,
    LimitRule,
    User,
    Certificate,
    CipherSet,
    LdapEndpoint,
    AcmeCertificate,
    AcmeAccount,
    DnsProvider,
    Interface,
    StaticRoute,
    HostsEntry,
)


def test_the_committed_reference_is_what_the_catalogue_says_now() -> None:
    committed = {path.name: path.read_text("utf-8") for path in COMMITTED.glob("*.md")}
    assert committed == reference_pages(), "run: python -m steelyard.cli.reference_docs docs/reference"


def test_every_setting_people_see_is_listed_once() -> None:
    listed = [declared for page in catalogue_pages() for declared in page.settings]
    declared = [d for model in MODELS for d in model.declared().values() if not d.setting.secret]
    assert sorted(map(id, listed)) == sorted(map(id, declared))


def test_what_is_not_built_is_listed_as_such() -> None:
    missing = reference_pages()["not-built.md"]
    for model in MODELS:
        for name, declared in model.declared().items():
            if not declared.setting.secret and (not declared.setting.built or declared.setting.unbuilt):
                assert f"| `{name}` |" in missing


@pytest.mark.parametrize("name", sorted(reference_pages()))
def test_every_row_of_a_table_has_as_many_cells_as_its_head(name: str) -> None:
    cells = None
    for line in reference_pages()[name].splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        count = line.replace(r"\|", "").count("|")
        cells = count if cells is None else cells
        assert count == cells, line


def test_pages_that_are_no_longer_made_are_removed_and_others_kept(tmp_path: Path) -> None:
    write_reference(tmp_path)
    generated = (tmp_path / "real-server.md").read_text("utf-8")
    (tmp_path / "old.md").write_text(generated, "utf-8")
    (tmp_path / "by-hand.md").write_text("# By hand\n", "utf-8")
    write_reference(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*reference_pages(), "by-hand.md"}
