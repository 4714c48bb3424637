"""packaging/requirements.lock is what pyproject.toml asks for: in versions it allows, with checksums."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [Requirement(one) for one in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["acme"])]


def _locked() -> dict[str, tuple[Version, int]]:
    """The version of each package, and how many checksums it has."""
    text = (ROOT / "packaging" / "requirements.lock").read_text()
    entries = re.split(r"^(?=[a-z0-9])", re.sub(r"^#.*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    found = {}
    for entry in filter(str.strip, entries):
        requirement = Requirement(entry.split("\\")[0].strip())
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", entry
        found[canonicalize_name(requirement.name)] = Version(specifier.version), entry.count("--hash=sha256:")
    return found


@pytest.mark.parametrize("wanted", WANTED, ids=lambda one: one.name)
def test_every_dependency_is_locked_in_a_version_that_is_allowed(wanted: Requirement) -> None:
    version, _ = _locked()[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(version), (
        f"run packaging/requirements.lock's own command: {wanted} is at {version}"
    )


def test_every_locked_package_has_checksums() -> None:
    assert not [name for name, (_, checksums) in _locked().items() if not checksums]


def test_no_index_is_named() -> None:
    assert "://" not in (ROOT / "packaging" / "requirements.lock").read_text()
