"""`steelyard backup`, `restore` and `reset`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Bridge, Program

from steelyard.cli.backups import SEALED
from steelyard.model.user import ADMINISTRATOR
from steelyard.store.backup_file import KIND

PHRASE = "a pass phrase of the file"


@pytest.fixture
def phrase(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "phrase").write_text(PHRASE + "\n")
    return "--pass-phrase-file", str(tmp_path / "phrase")


def test_it_knows_a_sealed_file_as_the_reader_does() -> None:
    assert KIND.magic == SEALED


def test_a_backup_is_for_its_owner_alone_and_is_restored(
    steelyard: Program, tmp_path: Path, phrase: tuple[str, str]
) -> None:
    file = tmp_path / "saved"
    steelyard.ok("vs", "add", "192.0.2.1:80", "name=shop")
    assert "with all its secrets" in steelyard.ok("backup", str(file), *phrase)
    assert file.stat().st_mode & 0o777 == 0o600
    again = steelyard("backup", str(file), *phrase)
    assert again.exit_code == 2, "a backup is never written over another one"
    steelyard.ok("vs", "remove", "shop", "--yes")
    assert "shop" in steelyard.ok("restore", str(file), "--dry-run", *phrase)
    assert "[]" in steelyard.ok("vs", "list", "--json")
    assert "Restored: revision" in steelyard.ok("restore", str(file), "--yes", *phrase)
    assert "shop" in steelyard.ok("vs", "list")
    assert "Nothing to do" in steelyard.ok("restore", str(file), "--yes", *phrase)


def test_a_plain_one_says_what_it_leaves_out(steelyard: Program, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    steelyard.ok("vs", "add", "192.0.2.1:80", "name=shop")
    steelyard.ok("backup", str(file), "--without-secrets")
    assert file.read_bytes()[:2] == b"\x1f\x8b"
    found = json.loads(steelyard.ok("restore", str(file), "--parts", "base,vs", "--json", "--dry-run"))
    assert found["object"]["restored"] == ["base", "vs"]
    assert found["object"]["left_out"][0].startswith("Users, passwords and API keys stay")
    told = steelyard("restore", str(file), "--dry-run")
    assert "Left out: Users" in told.output


def test_what_is_wrong_is_said(steelyard: Program, tmp_path: Path, phrase: tuple[str, str]) -> None:
    file = tmp_path / "saved"
    for arguments in (("backup", str(file)), ("backup", str(file), "--without-secrets", *phrase), ("restore", "gone")):
        assert steelyard(*arguments).exit_code == 2, arguments
    assert not file.exists()
    steelyard.ok("backup", str(file), *phrase)
    assert steelyard("restore", str(file), STEELYARD_BACKUP_PASS_PHRASE="not the one").exit_code == 1
    assert steelyard("restore", str(file), "--parts", "geo", *phrase).exit_code == 1
    file.write_bytes(b"something else")
    refused = steelyard("restore", str(file))
    assert refused.exit_code == 1
    assert "no backup made by Steelyard" in refused.output


def test_a_reset_wants_to_be_meant(appliance: MemoryAppliance, tmp_path: Path) -> None:
    steelyard = Program(Bridge(appliance))
    assert steelyard("reset").exit_code == 2, "nobody can be asked"
    person = Program(Bridge(appliance), interactive=True)
    assert person("reset", stdin="yes\n").exit_code == 2
    assert appliance.resets == []
    assert "made-up-password" in person("reset", stdin="reset\n").output
    done = steelyard("reset", "--yes", "--forget-network", STEELYARD_NEW_PASSWORD="a new one 1")
    assert f"Sign in as {ADMINISTRATOR} with the password you gave" in done.output
    assert "a new one 1" not in done.output
    assert appliance.resets == [(None, True), ("a new one 1", False)]
