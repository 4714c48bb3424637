"""Backups that earlier versions have made are restored for ever: each file here is one, never written again.

A version whose schema is new adds a file of its own, made by that version.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.strategies import compiler, with_certificates

from steelyard.appliance.access import Verifier
from steelyard.model.backup import PARTS
from steelyard.model.commands import RestoreBackup
from steelyard.store.backup_file import read_backup

HERE = Path(__file__).parent
PASSWORD = "golden pass phrase"


def test_everything_of_version_1_comes_back() -> None:
    saved = read_backup((HERE / "version-1.steelyard").read_bytes(), PASSWORD)
    command = RestoreBackup(saved, frozenset(PARTS))
    change = command.apply(with_certificates())
    found = change.configuration
    assert command.left_out(with_certificates()) == ()
    assert [(one.index, one.name, one.port) for one in found.services.values()] == [
        (1, "plain", 8080),
        (2, "tls", 8443),
        (3, "", 0),
        (4, "", 5353),
    ]
    assert [(one.index, one.port, one.weight) for one in found.services[1].servers] == [(1, 9001, 500), (2, 9002, 1000)]
    assert (found.services[1].persistence, found.services[1].cookie) == ("active-cookie", "shop")
    assert found.services[2].certificates == ("shop",)
    assert found.services[2].slots[0].service == 3
    assert found.counters.next_server == 5
    assert (found.checks.interval, found.email.server) == (10, "mail.example")
    assert sorted(found.access_lists) == [0, 1]
    assert (list(found.rules), list(found.cipher_sets)) == (["redirect"], ["ours"])
    assert Verifier().verify(found.users["bal"], "golden password")
    assert Verifier().verify(found.users["deputy"], "deputy password")
    assert found.users["deputy"].permissions == ("vs", "backup")
    assert change.secrets["ldap/golden"] == b"ldap password"
    assert change.secrets["email/password/golden"] == b"mail password"
    assert b"PRIVATE KEY" in change.secrets[f"key/{found.certificates['shop'].key_id}"]
    assert b"GoldenKey0123456789GoldenKey0123456789Golden" in change.secrets.values()
    compiler().compile(found)


def test_a_plain_one_of_version_1_brings_what_is_no_secret() -> None:
    saved = read_backup((HERE / "version-1.tar.gz").read_bytes(), None)
    command = RestoreBackup(saved, frozenset(PARTS), incomplete=True)
    found = command.apply(with_certificates()).configuration
    assert list(found.services) == [1, 2, 3, 4]
    assert found.services[2].certificates == ()
    assert len(command.left_out(with_certificates())) == 4
    compiler().compile(found)
