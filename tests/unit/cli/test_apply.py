"""`steelyard apply`, `diff`, `export`, `history`, `rollback`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import certificates
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Bridge, Program

FILE = """
services:
  - address: 127.0.0.1
    port: 8080
    name: web
    schedule: wrr
    servers: [{address: 127.0.0.1, port: 9001, weight: 500}]
  - {address: 127.0.0.1, port: 8443, ssl_acceleration: true, certificates: [shop]}
certificates: [{name: shop, pem_file: shop.pem}]
parameters: {checks: {interval: 15}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "shop.pem").write_bytes(certificates.leaf("shop.test").bundle())
    found = tmp_path / "adc.yaml"
    found.write_text(FILE)
    return found


def test_a_file_is_applied_and_the_second_time_there_is_nothing_to_do(
    steelyard: Program, appliance: MemoryAppliance, file: Path
) -> None:
    said = steelyard.ok("apply", "-f", str(file))
    assert "+ web (tcp/127.0.0.1:8080)" in said and "Operations:" in said and "One hitless reload" in said
    assert "Applied: revision 4" in said
    assert steelyard.ok("apply", "-f", str(file)) == "Nothing to do\n"
    assert appliance.revision_number == 4
    assert appliance.configuration.checks.interval == 15


def test_a_dry_run_changes_nothing(steelyard: Program, appliance: MemoryAppliance, file: Path) -> None:
    assert "+ web" in steelyard.ok("apply", "-f", str(file), "--dry-run")
    assert steelyard.json("apply", "-f", str(file), "--dry-run")["applied"] == "no"
    assert "+ web" in steelyard.ok("diff", "-f", str(file))
    assert appliance.revision_number == 3


def test_a_person_is_asked_and_may_say_no(steelyard: Program, appliance: MemoryAppliance, file: Path) -> None:
    steelyard.interactive = True
    refused = steelyard("apply", "-f", str(file), stdin="n\n")
    assert (refused.exit_code, "+ web" in refused.stdout) == (1, True)
    assert appliance.revision_number == 3
    steelyard.ok("apply", "-f", str(file), "--yes")
    assert appliance.revision_number == 4


def test_what_was_shown_is_what_is_applied(
    steelyard: Program, bridge: Bridge, appliance: MemoryAppliance, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Program(Bridge(appliance))

    def meanwhile(*_: Any, **__: Any) -> bool:
        other.ok("vs", "add", "127.0.0.1:1")
        return True

    steelyard.interactive = True
    monkeypatch.setattr("typer.confirm", meanwhile)
    late = steelyard("apply", "-f", str(file))
    assert late.exit_code == 1
    assert "add virtual service 127.0.0.1:1" in late.stderr and "run it again" in late.stderr
    assert [request.headers.get("if-match") for request in bridge.requests] == [None, '"3"']


def test_json_files_and_standard_input_work_too(steelyard: Program, tmp_path: Path) -> None:
    document = {"services": [{"address": "127.0.0.1", "port": 80}]}
    (tmp_path / "adc.json").write_text(json.dumps(document))
    steelyard.ok("apply", "-f", str(tmp_path / "adc.json"))
    assert steelyard.ok("apply", "-f", "-", stdin=yaml.safe_dump(document)) == "Nothing to do\n"


def test_what_is_exported_is_applied_without_a_change(steelyard: Program, file: Path, tmp_path: Path) -> None:
    steelyard.ok("apply", "-f", str(file))
    exported = steelyard.ok("export")
    assert "PRIVATE" not in exported
    assert yaml.safe_load(exported) == steelyard.json("export")
    (tmp_path / "again.yaml").write_text(exported)
    assert steelyard.ok("apply", "-f", str(tmp_path / "again.yaml")) == "Nothing to do\n"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("services: [", 2, "is not YAML"),
        ("", 2, "holds no configuration"),
        ("- a", 2, "holds no configuration"),
        ("services: []\nservices: []", 2, "stands twice"),
        ("services: [{address: 127.0.0.1, port: 80, name: 2024-01-01}]", 2, "plain data"),
        ("certificates: [{name: a, pem_file: nowhere.pem}]", 2, "nowhere.pem"),
        ("certificates: [{name: a, pem_file: 7}]", 2, "must be the name of a file"),
        ("certificates: [{name: a, pem_file: a, pkcs12_file: b}]", 2, "two files"),
        ("!!python/object/apply:os.system [true]", 2, "is not YAML"),
        ("services: [{address: 127.0.0.1, port: 80, shedule: lc}]", 1, "services[0]: 'shedule' is not a setting"),
        ("services: [{address: 127.0.0.1, port: -1}]", 1, "services[0]: port '-1' is out of range"),
        ("services:", 1, "'services' must be a list. Write [] for none"),
        ("servises: []", 1, "'servises' is no member of the configuration"),
        ("parameters: {checks: {interval: 0}}", 1, "parameters.checks: interval '0'"),
    ],
)
def test_a_bad_file_says_what_is_wrong_where(
    steelyard: Program, appliance: MemoryAppliance, tmp_path: Path, text: str, code: int, says: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    result = steelyard("apply", "-f", str(tmp_path / "bad.yaml"))
    assert (result.exit_code, appliance.revision_number) == (code, 3)
    assert says in result.stderr


def test_a_missing_or_broken_file_is_misuse(steelyard: Program, tmp_path: Path) -> None:
    assert steelyard("apply", "-f", str(tmp_path / "nothing.yaml")).exit_code == 2
    (tmp_path / "half.json").write_text('{"services": [')
    assert steelyard("apply", "-f", str(tmp_path / "half.json")).exit_code == 2
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x00\x00")
    assert steelyard("apply", "-f", str(tmp_path / "binary.yaml")).exit_code == 2


def test_history_and_differences_are_shown(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "--name", "web")
    steelyard.ok("vs", "set", "web", "name=shop", "--reason", "new brand")
    said = steelyard.ok("history")
    assert said.index("change virtual service 1: name") < said.index("add virtual service 127.0.0.1:80")
    assert "new brand" in said
    assert "name: web -> shop" in steelyard.ok("history", "5")
    assert "name: web -> shop" in steelyard.ok("diff")
    assert "name: web -> shop" in steelyard.ok("diff", "4", "5")
    assert steelyard.ok("diff", "5") == "No difference\n"
    assert steelyard.json("diff", "4")["differences"][0]["action"] == "change"
    assert [entry["number"] for entry in steelyard.json("history", "--limit", "2")] == [5, 4]
    assert steelyard("history", "99").exit_code == 1
    assert steelyard("diff", "1", "-f", "x.yaml").exit_code == 2


def test_a_rollback_is_shown_asked_for_and_done(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "--name", "web")
    steelyard.ok("vs", "set", "web", "name=wrong")
    assert "name: wrong -> web" in steelyard.ok("rollback", "4", "--dry-run")
    steelyard.interactive = True
    assert steelyard("rollback", "4", stdin="n\n").exit_code == 1
    assert appliance.revision_number == 5
    assert "Rolled back to revision 4: revision 6" in steelyard.ok("rollback", "4", "--yes", "--reason", "it was wrong")
    assert appliance.history(1)[0].reason == "it was wrong"
    assert steelyard.ok("rollback", "4", "--yes") == "Nothing to do\n"
    assert steelyard("rollback", "99").exit_code == 1
