"""Every golden case of layer 4, compared byte for byte and taken by the real nftables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cases.haproxy.golden import command_of
from tests.support.namespaces import Lab

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.compile.layer4.program import program
from steelyard.diff.nft import transaction
from steelyard.emit.nft.table import clear_text, table_text
from steelyard.emit.nft.transaction import transaction_text
from steelyard.engines.nft.library import Nftables
from steelyard.model.commands import AddService
from steelyard.model.configuration import Configuration
from steelyard.plan.layer4 import Layer4Service, ServerName, Standing
from steelyard.plan.nft import AddNetworks, DeleteNetworks, NftCommand, Program

ROOT = Path(__file__).parent
CASES = sorted(path.parent for path in ROOT.glob("*/configuration.yaml"))


class Course:
    """A case on its way: what is configured, what the checks say, and what nftables has."""

    def __init__(self) -> None:
        self._compiler = Compiler(EngineFacts(threads=2, lua=True, open_files=20_000))
        self._configuration = Configuration()
        self._standings: dict[ServerName, Standing] = {}
        self._has: dict[str, Program] = {}

    def begin(self, data: Mapping[str, Any]) -> str:
        for settings in data["services"]:
            self._configuration = AddService(settings).apply(self._configuration).configuration
        for settings in data.get("access_lists", ()):
            made = command_of({"command": "AddEntries", **settings})
            self._configuration = made.apply(self._configuration).configuration
        self._tell(data)
        return self._text()

    def change(self, data: Mapping[str, Any]) -> str:
        if "command" in data:
            self._configuration = command_of(data).apply(self._configuration).configuration
        self._tell(data)
        return self._text()

    def _tell(self, data: Mapping[str, Any]) -> None:
        for name, told in data.get("standings", {}).items():
            service, _, server = name.partition("/")
            self._standings[service, server] = Standing(**told)

    def _text(self) -> str:
        services: Mapping[str, Layer4Service] = self._compiler.compile(self._configuration).kernel.layer4
        programs = {key: program(one, self._standings) for key, one in services.items()}
        changes = [(self._has.get(key, Program()), one) for key, one in programs.items()]
        changes += [(one, Program()) for key, one in self._has.items() if key not in programs]
        had = {one.name: one for each in self._has.values() for one in each.networks}
        wanted = {one.name: one for each in programs.values() for one in each.networks}
        commands: list[NftCommand] = [AddNetworks(one) for name, one in wanted.items() if name not in had]
        commands += transaction(changes)
        commands += [DeleteNetworks(name) for name in had if name not in wanted]
        self._has = programs
        return transaction_text(commands)


def texts(case: Path) -> Iterator[tuple[str, str]]:
    """File name and content, in the order of the changes."""
    course = Course()
    yield "nft.txt", course.begin(yaml.safe_load((case / "configuration.yaml").read_text()))
    number = 2
    while (path := case / f"{number}-change.yaml").exists():
        yield f"{number}-nft.txt", course.change(yaml.safe_load(path.read_text()))
        number += 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_configuration_and_its_changes_give_these_texts(case: Path, update_goldens: bool) -> None:
    for name, text in texts(case):
        if update_goldens:
            (case / name).write_text(text)
        assert (case / name).read_text() == text, f"{case.name}/{name} differs"


@pytest.fixture(scope="module")
def nftables() -> Iterator[Nftables]:
    with Lab() as lab, lab.host("nft").inside():
        made = Nftables()
        yield made
        made.close()


@pytest.mark.network
@pytest.mark.needs("ip", "nft", "net_admin")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nftables_takes_them(case: Path, nftables: Nftables) -> None:
    nftables.run(clear_text())
    nftables.run(table_text())
    for _, text in texts(case):
        nftables.run(text)
