"""`steelyard ldap`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Program


def test_an_endpoint_is_made_shown_changed_and_removed(steelyard: Program, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    words = ("user=cn=probe,dc=example", "servers=192.0.2.1 192.0.2.2")
    said = steelyard.ok("ldap", "add", "office", *words, "--user-password-file", str(password))
    assert said.startswith("LDAP endpoint office made: revision")
    found = steelyard.json("ldap", "show", "office")
    assert (found["user"], found["servers"], found["has_password"]) == (
        "cn=probe,dc=example",
        ["192.0.2.1", "192.0.2.2"],
        True,
    )
    listed = steelyard.ok("ldap", "list")
    assert "cn=probe" in listed and "hunter2" not in listed
    steelyard.ok("ldap", "set", "office", "security=2")
    assert steelyard.json("ldap", "list")[0]["security"] == 2
    refused = steelyard("ldap", "set", "office", "timeout=1")
    assert refused.exit_code == 1 and "timeout" in refused.stderr
    steelyard.ok("ldap", "remove", "office")
    assert steelyard.json("ldap", "list") == []
