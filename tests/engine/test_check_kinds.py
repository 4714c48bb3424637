"""Check kinds through a running appliance: what HAProxy does, what people see, and where passwords go."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.rig import Rig, eventually, member
from tests.support.listener import Listener
from tests.support.origin import Origin

from steelyard.model.commands import AddLdapEndpoint, ChangeLdapEndpoint, RemoveLdapEndpoint
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.errors import ConflictError, OperatorError

pytestmark = pytest.mark.engine

#: a bind that succeeded, and one with invalid credentials
_BOUND, _REFUSED = bytes.fromhex("300c02010261070a010004000400"), bytes.fromhex("300c02010261070a013104000400")


class Greeter(Listener):
    """Says its greeting and keeps what it hears."""

    def __init__(self, name: str, greeting: bytes) -> None:
        self.greeting = greeting
        self.heard: list[bytes] = []
        super().__init__(name, "127.0.0.1", None)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        self.heard.append(await reader.read(512))


class DirectoryServer(Listener):
    """Lets in whoever says the right password."""

    def __init__(self, name: str) -> None:
        self.password = b"opens-1"
        self.heard: list[bytes] = []
        super().__init__(name, "127.0.0.1", None)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bind = await reader.read(512)
        self.heard.append(bind)
        writer.write(_BOUND if self.password in bind else _REFUSED)
        await reader.read(512)


@pytest.fixture
def mail() -> Iterator[Greeter]:
    with Greeter("mail", b"220 mail.example ESMTP\r\n") as found:
        yield found


@pytest.fixture
def directory() -> Iterator[DirectoryServer]:
    with DirectoryServer("directory") as found:
        yield found


def test_a_mail_server_that_refuses_clients_is_taken_out_and_comes_back(rig: Rig, mail: Greeter) -> None:
    service = rig.tcp(mail, check_type="smtp")
    (server,) = service.servers
    assert server.status == "Up"
    with rig.without_reload():
        mail.greeting = b"421 too many connections\r\n"
        server.wait_until("down")
        newest = rig.transcripts(service.index, server.index)[0]
        assert newest["outcome"] == "bad"
        assert newest["reason"] == "greeted with 421 too many connections; good is 220"
        assert newest["received"] == "421 too many connections"
        assert newest["sent"] == f"connect to 127.0.0.1:{mail.port}, QUIT"
        mail.greeting = b"220 mail.example ESMTP\r\n"
        server.wait_until("up")


def test_a_service_goes_from_one_kind_of_check_to_another_without_a_reload(rig: Rig, mail: Greeter) -> None:
    service = rig.tcp(mail, check_type="tcp")
    (server,) = service.servers
    with rig.without_reload():
        service.change(check_type="pop3")
        server.wait_until("down")
        assert "not a greeting of POP3" in rig.transcripts(service.index, server.index)[0]["reason"]
        service.change(check_type="bdata", check_pattern="32323020", match_length=8)
        server.wait_until("up")
        assert service.change(check_type="http").configuration.service(service.index).check_pattern == ""
        server.wait_until("down")


def test_a_server_may_be_checked_on_a_port_of_its_own(rig: Rig, one: Origin, two: Origin, mail: Greeter) -> None:
    service = rig.http(one, two, check_type="smtp", servers=[member(o, check_port=mail.port) for o in (one, two)])
    assert sorted(service.names(6))[0] == "one"
    first, second = service.servers
    with rig.without_reload():
        first.change(check_port=0)
        first.wait_until("down")
        service.change(check_port=mail.port)
        first.wait_until("up")
        second.change(check_port=one.port)
        second.wait_until("down")
        assert set(service.names(4)) == {"one"}


def test_a_password_reaches_the_check_and_nothing_else(rig: Rig, directory: DirectoryServer) -> None:
    made = AddLdapEndpoint({"name": "office", "user": "cn=probe,dc=example"}, Password("k1", "opens-1"))
    outcome = rig.do(made)
    assert "opens-1" not in repr(made) + repr(outcome)
    service = rig.tcp(directory, check_type="ldap", ldap_endpoint="office")
    (server,) = service.servers
    with rig.without_reload():
        directory.password = b"opens-2"
        server.wait_until("down")
        newest = rig.transcripts(service.index, server.index)[0]
        assert newest["reason"] == "refused the bind: invalid credentials (49)"
        assert newest["sent"] == "bind cn=probe,dc=example"
        rig.do(ChangeLdapEndpoint("office", {}, Password("k2", "opens-2")))
        server.wait_until("up")
    assert b"opens-2" in directory.heard[-1]
    with pytest.raises(ConflictError):
        rig.do(RemoveLdapEndpoint("office"))
    plan = rig.directory / "health" / "plan.json"
    eventually(lambda: "opens-2" in plan.read_text(), "the plan of the checking process is written")
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert "opens-2" not in str(rig.started.appliance.snapshot())
    logs = "".join(path.read_text("utf-8", "replace") for path in _files(rig.directory / "log"))
    assert "opens-2" not in logs
    assert "opens-1" not in logs
    rig.let_go()
    rig.start()
    binds = len(directory.heard)
    eventually(lambda: len(directory.heard) > binds + 1, "a check after the control plane has come back")
    assert b"opens-2" in directory.heard[-1]
    assert server.status == "Up"
    service.change(check_type="tcp", ldap_endpoint="")
    rig.do(RemoveLdapEndpoint("office"))


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_what_makes_no_sense_is_refused_by_name(rig: Rig, mail: Greeter) -> None:
    service = rig.tcp(mail, check_type="smtp")
    for changes, field in (
        ({"check_type": "bdata", "check_url": "/health"}, "check_url"),
        ({"check_type": "bdata", "check_pattern": "abc"}, "check_pattern"),
        ({"check_type": "bdata", "check_pattern": "0102", "match_length": 1}, "match_length"),
        ({"check_url": "0d0a"}, "check_url"),
        ({"check_type": "dns", "check_host": "10.0.0.1:53"}, "check_host"),
        ({"check_type": "ldap", "ldap_endpoint": "nowhere"}, "ldap_endpoint"),
        ({"match_length": 8001}, "match_length"),
        ({"check_type": "gopher"}, "check_type"),
    ):
        with pytest.raises(OperatorError) as refused:
            service.change(**changes)
        assert refused.value.field == field, changes
