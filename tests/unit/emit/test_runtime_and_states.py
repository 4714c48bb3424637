"""Runtime commands and the server-state file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelyard.emit.haproxy.configuration import ConfigurationEmitter, EnginePaths
from steelyard.emit.haproxy.runtime import commands, lookup_lines, lookup_text
from steelyard.emit.haproxy.server import server_words
from steelyard.emit.haproxy.server_state import ServerState, server_state_text
from steelyard.model.errors import InternalError
from steelyard.plan.haproxy import Backend, Globals, HaproxyPlan, Server, ServerTls, ServicePlan, directive
from steelyard.plan.operations import (
    AddServer,
    DropSessions,
    Release,
    RemoveServer,
    ReplaceCertificate,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
)
from steelyard.plan.trust import TrustNeed

SERVER = Server("rs1", 1, "10.0.0.1", 80, weight=100, limit=0, enabled=True)
PATHS = EnginePaths("/b", "/r", "/c", "/l", ("/lua",), "/s", "/k", "/p")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (AddServer("vs1", SERVER), ["add server vs1/rs1 10.0.0.1:80 id 1 weight 100"]),
        (
            RemoveServer("vs1", "rs1"),
            ["set server vs1/rs1 state maint", "shutdown sessions server vs1/rs1", "del server vs1/rs1"],
        ),
        (SetState("vs1", "rs1", "drain"), ["set server vs1/rs1 state drain"]),
        (Release("vs1", "rs1"), ["set server vs1/rs1 state ready"]),
        (SetHealth("vs1", "rs1", up=False), ["set server vs1/rs1 health down"]),
        (SetHealth("vs1", "rs1", up=True), ["set server vs1/rs1 health up"]),
        (SetWeight("vs1", "rs1", 7), ["set server vs1/rs1 weight 7"]),
        (SetAddress("vs1", "rs1", "2001:db8::1", 80), ["set server vs1/rs1 addr 2001:db8::1 port 80"]),
        (SetAddress("vs1", "rs1", "10.0.0.2", None), ["set server vs1/rs1 addr 10.0.0.2"]),
        (SetMaxConnections("vs1", "rs1", 9), ["set maxconn server vs1/rs1 9"]),
        (DropSessions("vs1", "rs1"), ["shutdown sessions server vs1/rs1"]),
    ],
)
def test_every_operation_has_its_commands(operation: object, expected: list[str]) -> None:
    assert list(commands(operation)) == expected  # type: ignore[arg-type]


def test_a_certificate_is_no_command_line() -> None:
    with pytest.raises(InternalError):
        commands(ReplaceCertificate("shop"))


def test_names_that_would_start_another_command_are_escaped() -> None:
    """None such can be made; the printer does not rely on it."""
    assert commands(SetWeight("vs1;x", "rs 1", 7)) == (r"set server vs1\;x/rs\ 1 weight 7",)
    with pytest.raises(InternalError):
        commands(SetWeight("vs1\ndel server vs1/rs1", "rs1", 7))


def test_the_words_of_a_server() -> None:
    whole = Server("rs1", 1, "2001:db8::1", None, 5, 9, True, ServerTls("str(a.example)"))
    assert server_words(whole) == (
        *("[2001:db8::1]", "id", "1", "weight", "5", "maxconn", "9"),
        *("ssl", "verify", "none", "sni", "str(a.example)"),
    )
    verified = replace(whole, tls=ServerTls("str(a.example)", TrustNeed(name="servers-all.pem")))
    assert server_words(verified)[7:] == (
        *("ssl", "verify", "required", "ca-file", "trust/servers-all.pem", "no-ssl-reuse"),
        *("sni", "str(a.example)"),
    )


def test_the_state_file_says_up_weight_and_administrative_state() -> None:
    states = [
        ServerState("vs1", SERVER, True, "ready", 50),
        ServerState("vs1", SERVER, False, "drain", 100),
        ServerState("vs2", Server("rs2", 2, "::1", None, 1, 0, False, ServerTls(None)), True, "maint", 0),
    ]
    version, header, *lines = server_state_text(states).splitlines()
    columns = header.removeprefix("# ").split()
    rows = [dict(zip(columns, line.split(), strict=True)) for line in lines]
    assert version == "1"
    seen = [(r["be_name"], r["srv_name"], r["srv_op_state"], r["srv_admin_state"], r["srv_uweight"]) for r in rows]
    assert seen == [("vs1", "rs1", "2", "0", "50"), ("vs1", "rs1", "0", "8", "100"), ("vs2", "rs2", "2", "1", "0")]
    assert [(r["srv_addr"], r["srv_port"], r["srv_use_ssl"], r["srv_iweight"]) for r in rows] == [
        ("10.0.0.1", "80", "0", "100"),
        ("10.0.0.1", "80", "0", "100"),
        ("::1", "0", "1", "1"),
    ]


def test_the_printer_keeps_the_text_of_what_did_not_change_and_forgets_what_is_gone() -> None:
    def service(name: str, *words: str) -> ServicePlan:
        rules = (directive(*words),) if words else ()
        return ServicePlan(name, None, Backend(name, "tcp", ("roundrobin",), (SERVER,), 60, directives=rules))

    printer, one, two = ConfigurationEmitter(PATHS), service("vs1"), service("vs2")
    settings = Globals(100, 1)
    both = printer.text(HaproxyPlan(settings, {"vs1": one, "vs2": two}))
    alone = printer.text(HaproxyPlan(settings, {"vs2": two}))
    assert both.endswith(alone[alone.index("backend vs2 ") :])
    assert "vs1" not in alone
    changed = service("vs1", "option", "a b")
    text = printer.text(HaproxyPlan(settings, {"vs1": changed, "vs2": two}))
    assert "  option 'a b'\n" in text
    assert text == ConfigurationEmitter(PATHS).text(HaproxyPlan(settings, {"vs1": changed, "vs2": two}))


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (("10.0.0.0/8", "block"), ("::/0", "allow")),
        (("key", ""), ("other", "value")),
        (("käse", "wert"), ("a#b", "c")),
    ],
)
def test_the_text_of_a_lookup_is_its_lines(entries: tuple[tuple[str, str], ...]) -> None:
    assert lookup_text(entries) == "".join(f"{line}\n" for line in lookup_lines(entries))


@pytest.mark.parametrize(
    "entry",
    [("", ""), ("", "value"), ("a b", ""), ("a", "b c"), ("#a", "b"), ("a\nb", "c"), ("a", "b\n"), ("a\x7f", "")],
)
def test_what_cannot_stand_in_a_lookup_is_refused_wherever_it_stands(entry: tuple[str, str]) -> None:
    for entries in ((entry,), (("x", "y"), entry), (entry, ("x", "y"))):
        with pytest.raises(InternalError):
            lookup_text(entries)
