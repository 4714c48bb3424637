"""What every check kind makes of good, bad, broken and hostile answers, against scripted servers."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.unit.health.scripted import answers, ask, check, greets, last, server

from steelyard.health import check_greeting, check_icmp, conversation
from steelyard.health.check_agent import read_line
from steelyard.health.check_rdp import REQUEST
from steelyard.health.transcript import Outcome, Transcript
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Directory

GOOD, BAD, SILENT, FAILED, UNASKED = Outcome.GOOD, Outcome.BAD, Outcome.SILENT, Outcome.FAILED, Outcome.UNASKED


@pytest.mark.parametrize(
    ("kind", "greeting", "reason"),
    [
        ("smtp", b"220 mail.example.com ESMTP\r\n", "greeted with 220 mail.example.com ESMTP"),
        ("smtp", b"220-mail.example.com\r\n220-no spam\r\n220 ready\r\n", "greeted with 220-mail.example.com"),
        ("smtp", b"220\r\n", "greeted with 220"),
        ("ftp", b"220-Welcome\r\n220 Ready\r\n", "greeted with 220-Welcome"),
        ("nntp", b"201 no posting\r\n", "greeted with 201 no posting"),
        ("nntp", b"200 welcome\n", "greeted with 200 welcome"),
        ("pop3", b"+OK POP3 ready <1@x>\r\n", "greeted with +OK POP3 ready <1@x>"),
        ("imap", b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "greeted with * OK [CAPABILITY IMAP4rev1] ready"),
        ("imap", b"* PREAUTH hello\r\n", "greeted with * PREAUTH hello"),
        ("telnet", b"\xff\xfd\x18\xff\xfd\x20", "greeted with 6 bytes"),
        ("telnet", b"login: ", "greeted with 7 bytes"),
    ],
)
async def test_a_greeting_is_good(kind: str, greeting: bytes, reason: str) -> None:
    one = await last(greets(greeting), kind)
    assert one.outcome is GOOD, one.reason
    assert one.reason == reason
    assert one.received
    assert one.sent.startswith("connect to 127.0.0.1:")


@pytest.mark.parametrize(
    ("kind", "greeting", "reason"),
    [
        ("smtp", b"554 no service for you\r\n", "greeted with 554 no service for you; good is 220"),
        ("smtp", b"421 too busy\r\n", "greeted with 421 too busy; good is 220"),
        ("smtp", b"220-mail\r\n554 changed my mind\r\n", "greeted with 554 changed my mind; good is 220"),
        ("smtp", b"SSH-2.0-OpenSSH_9.2\r\n", "not a greeting of SMTP: SSH-2.0-OpenSSH_9.2"),
        ("smtp", b"\r\n", "not a greeting of SMTP: an empty line"),
        ("ftp", b"120 back in 5 minutes\r\n", "greeted with 120 back in 5 minutes; good is 220"),
        ("ftp", b"421 closing\r\n", "greeted with 421 closing; good is 220"),
        ("nntp", b"502 go away\r\n", "greeted with 502 go away; good is 200 or 201"),
        ("pop3", b"-ERR locked\r\n", "greeted with -ERR locked; good is +OK"),
        ("pop3", b"220 ftp here\r\n", "not a greeting of POP3: 220 ftp here"),
        ("imap", b"* BYE overloaded\r\n", "greeted with * BYE overloaded; good is * OK or * PREAUTH"),
        ("imap", b"+OK pop here\x1b[2J\r\n", "not a greeting of IMAP: +OK pop here\\x1b[2J"),
    ],
)
async def test_a_bad_greeting_is_down_at_once(kind: str, greeting: bytes, reason: str) -> None:
    async with server(greets(greeting)) as port:
        said = await ask(check(kind, attempts=4), port)
    assert [one.outcome for one in said] == [BAD]
    assert said[0].reason == reason


@pytest.mark.parametrize(("kind", "farewell"), [("smtp", b"QUIT\r\n"), ("imap", b"a LOGOUT\r\n"), ("ftp", b"QUIT\r\n")])
async def test_the_check_takes_leave(kind: str, farewell: bytes) -> None:
    heard: list[bytes] = []
    greeting = b"* OK hi\r\n" if kind == "imap" else b"220 hi\r\n"
    one = await last(greets(greeting, heard), kind)
    assert heard == [farewell]
    assert one.sent.endswith(farewell.decode().strip())


async def test_a_server_that_never_says_good_bye_is_up_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_greeting, "_FAREWELL_SECONDS", 0.05)

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.read()

    assert (await last(rude, "smtp")).outcome is GOOD


async def test_a_greeting_without_end_is_bounded() -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-" + b"x" * 1000)
            await writer.drain()

    one = await last(endless, "smtp", attempts=1)
    assert one.outcome is BAD
    assert one.reason.startswith("no end of the greeting within 8192 bytes: 220-xxx")
    assert len(one.reason) < 200


_SLOW: list[tuple[str, dict[str, Any]]] = [
    ("smtp", {}),
    ("pop3", {}),
    ("imap", {}),
    ("nntp", {}),
    ("ftp", {}),
    ("ldap", {}),
    ("rdp", {}),
    ("http", {}),
    ("https", {}),
    ("dns", {"name": "a.example"}),
    ("bdata", {"find": "ffff"}),
    ("agent", {}),
]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_one_byte_at_a_time_is_cut_by_the_time_out() -> None:
    """Each byte is one that may begin an answer of its kind, and none ends it. All kinds at the same time."""
    first = {"ldap": b"\x30\x84\x00\x00\x10\x00", "rdp": b"\x03\x00\x01\x00", "dns": b"\x10\x00", "pop3": b"+OK"}
    first |= {"https": b"\x16\x03\x03\x10\x00", "http": b"HTTP/1.1 200 ", "imap": b"* OK"}

    async def dripped_on(kind: str, more: dict[str, Any]) -> Transcript:
        async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for byte in first.get(kind, b"") + b"2" * 100:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.1)

        return await last(dripping, kind, attempts=1, **more)

    before = _open_files()
    said = await asyncio.gather(*(dripped_on(kind, more) for kind, more in _SLOW))
    for (kind, _), one in zip(_SLOW, said, strict=True):
        assert one.outcome is SILENT, (kind, one.reason)
        assert 950 <= one.duration_ms < 1900, kind
    assert _open_files() <= before + 2 * len(_SLOW)


@pytest.mark.parametrize(
    "kind", ["smtp", "pop3", "imap", "nntp", "ftp", "telnet", "ldap", "rdp", "dns", "bdata", "agent"]
)
async def test_silence_and_a_close_without_a_word_are_repeated(kind: str) -> None:
    async def closing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        return

    more = {"name": "a.example"} if kind == "dns" else {"send": "00"} if kind == "bdata" else {}
    async with server(closing) as port:
        said = await ask(check(kind, **more), port)
    assert [one.outcome for one in said] == [FAILED, FAILED]
    assert said[-1].reason.startswith(("connection closed by 127.0.0.1:", "connection reset by 127.0.0.1:"))


async def test_what_began_is_shown_when_it_never_ends() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 half a gree")
        await reader.read()

    one = await last(half, "smtp", attempts=1)
    assert one.reason == "no whole answer within 1 s; it began with 220 half a gree"
    assert one.received == "220 half a gree"


async def test_the_port_of_tls_is_spoken_to_in_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    context = certificates.leaf("mail.example.org", issuer=certificates.authority()).server_context()
    async with server(greets(b"* OK secret\r\n"), context) as port:
        protocol = check_greeting.PROTOCOLS["imap"]
        moved = type(protocol)(protocol.title, protocol.farewell, port, protocol.judge)
        monkeypatch.setattr(check_greeting, "PROTOCOLS", {"imap": moved})
        (one,) = await ask(check("imap", timeout=4), port)
    assert one.outcome is GOOD, one.reason
    assert one.sent.endswith("with TLS, a LOGOUT")


# --- LDAP


def _ldap(tag: int, code: int, number: int = 2, words: bytes = b"", more: bytes = b"") -> bytes:
    result = bytes((0x0A, 1, code, 4, 0, 4, len(words))) + words + more
    operation = bytes((tag, len(result))) + result
    message = bytes((2, 1, number)) + operation
    return bytes((0x30, len(message))) + message


async def test_an_anonymous_bind_and_its_bytes() -> None:
    heard: list[bytes] = []
    one = await last(answers(_ldap(0x61, 0), heard), "ldap")
    assert (one.outcome, one.reason, one.received, one.sent) == (GOOD, "bound", "success (0)", "bind anonymously")
    assert heard[0] == bytes.fromhex("30 0c 02 01 02 60 07 02 01 03 04 00 80 00")


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (48, GOOD, "answered that it wants more than anonymous"),
        (13, GOOD, "answered that it wants more than anonymous"),
        (52, BAD, "refused the bind: unavailable (52): maintenance"),
        (77, BAD, "refused the bind: result (77): maintenance"),
    ],
)
async def test_results_of_an_anonymous_bind(code: int, outcome: Outcome, reason: str) -> None:
    one = await last(answers(_ldap(0x61, code, words=b"maintenance")), "ldap")
    assert (one.outcome, one.reason) == (outcome, reason)


async def test_an_account_must_be_able_to_bind_and_its_password_is_not_in_the_transcript() -> None:
    heard: list[bytes] = []
    who = Directory(user="cn=probe,dc=example", password="s3cret", password_key="k")
    one = await last(answers(_ldap(0x61, 49, words=b"80090308: data 52e"), heard), "ldap", directory=who)
    assert one.outcome is BAD
    assert one.reason == "refused the bind: invalid credentials (49): 80090308: data 52e"
    assert b"s3cret" in heard[0]
    assert "s3cret" not in str(one) + str(one.as_json())
    assert "s3cret" not in repr(check("ldap", directory=who))
    assert one.sent == "bind cn=probe,dc=example"


@pytest.mark.parametrize(
    ("found", "code", "outcome", "reason"),
    [
        (True, 0, GOOD, "bound, found ou=people,dc=example"),
        (False, 0, BAD, "bound, but found no entry ou=people,dc=example"),
        (False, 32, BAD, "bound, but refused the search: no such object (32)"),
    ],
)
async def test_an_entry_is_looked_for(found: bool, code: int, outcome: Outcome, reason: str) -> None:
    entry = bytes.fromhex("30 09 02 01 03 64 04 04 00 30 00") if found else b""

    async def directory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.write(_ldap(0x61, 0))
        await reader.read(512)
        writer.write(entry + _ldap(0x65, code, number=3))
        await reader.read(512)

    one = await last(directory, "ldap", directory=Directory(base="ou=people,dc=example"))
    assert (one.outcome, one.reason) == (outcome, reason)
    assert one.sent == "bind anonymously, search ou=people,dc=example"


async def test_of_several_servers_one_that_answers_well_is_enough() -> None:
    async with server(answers(_ldap(0x61, 52))) as busy, server(answers(_ldap(0x61, 0))) as well:
        several = Directory(servers=(("127.0.0.1", busy), ("127.0.0.1", well)))
        (one,) = await ask(check("ldap", directory=several), 1)
        assert one.outcome is GOOD
        assert one.sent.endswith(f"at 127.0.0.1:{well}")
        several = Directory(servers=(("127.0.0.1", busy), ("127.0.0.1", busy)))
        (one,) = await ask(check("ldap", directory=several), well)
        assert one.outcome is BAD


@pytest.mark.parametrize(
    "noise",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x80\x00",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x02\x02\x05",
        b"\x30\x00",
    ],
)
async def test_noise_is_no_answer_of_ldap(noise: bytes) -> None:
    async with server(answers(noise)) as port:
        said = await ask(check("ldap", attempts=3), port)
    assert [one.outcome for one in said] == [BAD]
    assert said[0].reason.startswith("not an answer of LDAP (")


# --- RDP


def _rdp(kind: int | None, value: int = 0, unit: int = 0xD0) -> bytes:
    more = b"" if kind is None else struct.pack("<BBHL", kind, 0, 8, value)
    return struct.pack(">BBHB", 3, 0, 11 + len(more), 6 + len(more)) + bytes((unit, 0, 0, 0x12, 0x34, 0)) + more


@pytest.mark.parametrize(
    ("packet", "outcome", "reason"),
    [
        (_rdp(2, 2), GOOD, "confirmed the connection, with network level authentication"),
        (_rdp(2, 1), GOOD, "confirmed the connection, with TLS"),
        (_rdp(None), GOOD, "confirmed the connection, with standard RDP security"),
        (_rdp(3, 2), GOOD, "answered that it takes standard RDP security only"),
        (_rdp(3, 3), BAD, "refused the connection: it has no certificate for TLS"),
        (_rdp(3, 99), BAD, "refused the connection: failure 99"),
        (_rdp(2, 2, unit=0x80), BAD, "not an RDP connection confirmation: X.224 type 0x80"),
        (b"220 ftp here\r\n", BAD, "not an answer of RDP: 220 ftp here\\r\\n"),
        (b"\x03\x00\xff\xff" + b"x" * 40, BAD, None),
    ],
)
async def test_rdp_answers(packet: bytes, outcome: Outcome, reason: str | None) -> None:
    heard: list[bytes] = []
    async with server(answers(packet, heard)) as port:
        said = await ask(check("rdp"), port)
    assert [one.outcome for one in said] == [outcome]
    assert reason is None or said[0].reason == reason
    assert heard == [REQUEST]
    assert REQUEST.hex() == "030000130ee000000000000100080003000000"


# --- DNS


def _dns(query: bytes, code: int = 0, addresses: int = 1, flags: int = 0x8180, broken: bytes = b"") -> bytes:
    record = b"\xc0\x0c" + struct.pack(">HHLH", 1, 1, 60, 4) + bytes((192, 0, 2, 7))
    alias = b"\xc0\x0c" + struct.pack(">HHLH", 5, 1, 60, 4) + b"\x01b\xc0\x0c"
    head = query[:2] + struct.pack(">HHHHH", flags | code, 1, addresses + 1, 0, 0)
    return head + query[12:] + alias + (broken or record * addresses)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.answer = answer

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        for packet in self.answer(data):
            self.transport.sendto(packet, address)


async def _dns_by_udp(answer: Callable[[bytes], list[bytes]], **more: Any) -> Any:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        port = transport.get_extra_info("sockname")[1]
        return (await ask(check("dns", transport="udp", attempts=1, **{"name": "www.example", **more}), port))[-1]
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (lambda q: [_dns(q)], GOOD, "www.example is 192.0.2.7"),
        (lambda q: [b"\0\0" + _dns(q)[2:], _dns(q)], GOOD, "www.example is 192.0.2.7"),
        (lambda q: [_dns(q, code=3, addresses=0)], BAD, "answered NXDOMAIN for www.example"),
        (lambda q: [_dns(q, code=2, addresses=0)], BAD, "answered SERVFAIL for www.example"),
        (lambda q: [_dns(q, addresses=0)], BAD, "answered without an address of www.example"),
        (lambda q: [_dns(q, broken=b"\x3f")], BAD, "not an answer of DNS: broken off"),
        (lambda q: [q], BAD, "not an answer of DNS: not the answer to this query"),
        (lambda q: [q[:2]], BAD, "not an answer of DNS: too short"),
        (lambda q: [], SILENT, "no answer within 1 s"),
    ],
)
async def test_dns_answers(answer: Callable[[bytes], list[bytes]], outcome: Outcome, reason: str) -> None:
    one = await _dns_by_udp(answer)
    assert (one.outcome, one.reason) == (outcome, reason)
    assert one.sent == "query www.example A by UDP"


async def test_without_a_name_any_sign_of_life_will_do() -> None:
    assert (await _dns_by_udp(lambda q: [_dns(q, code=5, addresses=0)], name="")).reason == "answered REFUSED"
    assert (await _dns_by_udp(lambda q: [_dns(q, code=2, addresses=0)], name="")).outcome is BAD


async def test_a_closed_udp_port_is_refused() -> None:
    (one,) = await ask(check("dns", name="a.example", transport="udp", attempts=1), 9)
    assert (one.outcome, one.reason) == (FAILED, "connection refused by 127.0.0.1:9")


async def test_a_truncated_answer_is_asked_for_by_tcp() -> None:
    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = (await reader.read(512))[2:]
        whole = _dns(query)
        writer.write(len(whole).to_bytes(2, "big") + whole)

    async with server(tcp) as port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Udp(lambda query: [_dns(query, flags=0x8380)]), local_addr=("127.0.0.1", port)
        )
        (one,) = await ask(check("dns", name="www.example", transport="udp"), port)
        transport.close()
    assert one.reason == "www.example is 192.0.2.7"


# --- binary and agent


@pytest.mark.parametrize(
    ("answer", "more", "outcome", "reason"),
    [
        (b"\x00\x01\x02\x03", {"find": "0102"}, GOOD, "01 02 found at byte 1"),
        (b"\x00\x01\x02\x03", {"find": "0202"}, BAD, "02 02 is not within the 4 bytes of its answer"),
        (b"\x00" * 90, {"find": "01", "within": 8}, BAD, "01 is not within the first 8 bytes of its answer"),
        (b"\x00" * 7 + b"\x01\x02", {"find": "0102", "within": 8}, BAD, None),
        (b"\x00" * 7 + b"\x01\x02", {"find": "0102", "within": 9}, GOOD, "01 02 found at byte 7"),
        (b"anything", {}, GOOD, "answered 8 bytes"),
        (b"x" * 20_000 + b"\x01\x02", {"find": "0102"}, BAD, "01 02 is not within the first 8000 bytes of its answer"),
    ],
)
async def test_binary_answers(answer: bytes, more: dict[str, Any], outcome: Outcome, reason: str | None) -> None:
    heard: list[bytes] = []
    one = await last(answers(answer, heard), "bdata", send="0d0aff", **more)
    assert one.outcome is outcome, one.reason
    assert reason is None or one.reason == reason
    assert heard == [b"\r\n\xff"]
    assert one.sent == "3 bytes: 0d 0a ff"


async def test_a_pattern_in_two_pieces_is_found_and_nothing_need_be_sent() -> None:
    async def pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"\x01", b"\x02"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    assert (await last(pieces, "bdata", find="0102")).outcome is GOOD


@pytest.mark.parametrize(
    ("line", "outcome", "reason"),
    [
        (b"up", GOOD, "the agent says up"),
        (b"up 80%\n", GOOD, "the agent says up 80%"),
        (b"75%\n", GOOD, "the agent says 75%"),
        (b"READY,100%,maxconn:20\n", GOOD, "the agent says READY,100%,maxconn:20"),
        (b"0%\n", BAD, "the agent says 0%: no new clients"),
        (b"drain\n", BAD, "the agent says drain: no new clients"),
        (b"up maint\n", BAD, "the agent says maint: no new clients"),
        (b"up down #disk full\x1b[1m\n", BAD, "the agent says down (disk full\\x1b[1m)"),
        (b"fine\n", BAD, "not a word of an agent: fine; good are up, ready and N%"),
        (b"maxconn:3\n", BAD, "the agent does not say whether the server is up; good are up, ready and N%"),
        (b"\n", BAD, "the agent does not say whether the server is up; good are up, ready and N%"),
        (b"u" * 600, BAD, "the agent's line is longer than 512 bytes"),
    ],
)
async def test_agent_lines(line: bytes, outcome: Outcome, reason: str) -> None:
    async def says(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        await writer.drain()

    async with server(says) as port:
        said = await ask(check("agent"), port)
    assert [(one.outcome, one.reason) for one in said] == [(outcome, reason)]


def test_an_agents_line_never_fails_to_be_read() -> None:
    for noise in (b"\xff\x00%", b"%", b"#", b",,,", b"up" * 90):
        assert read_line(noise).outcome is BAD


# --- ping


async def test_a_host_that_may_not_ping_says_so_and_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket", refused)
    (one,) = await ask(check("icmp"), 0)
    assert (one.outcome, one.reason) == (UNASKED, check_icmp.NOT_ALLOWED)


# --- all


def test_a_name_that_cannot_be_asked_is_refused() -> None:
    from steelyard.health.probe import prepared

    with pytest.raises(OperatorError):
        prepared(check("dns", name="a..b"), "127.0.0.1", 53)


async def test_tls_after_the_connection_has_begun() -> None:
    """StartTLS: what was said in plain text before is not taken as said under TLS."""
    context = certificates.leaf("dir.example.org", issuer=certificates.authority()).server_context()

    async def directory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.write(_ldap(0x78, 0, number=1) + _ldap(0x61, 0))
        await writer.drain()
        await writer.start_tls(context)
        await reader.read(512)
        writer.write(_ldap(0x61, 49))
        await reader.read(512)

    one = await last(directory, "ldap", timeout=4, attempts=1, directory=Directory(security="starttls"))
    assert (one.outcome, one.reason) == (BAD, "refused the bind: invalid credentials (49)")


async def test_one_context_serves_every_check() -> None:
    assert conversation.unverified() is conversation.unverified()
    assert conversation.unverified().verify_mode is ssl.CERT_NONE


async def test_no_way_an_attempt_ends_leaves_a_descriptor_behind() -> None:
    async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(b"\x00\x01")
        writer.transport.abort()

    more: dict[str, dict[str, Any]] = {"dns": {"name": "a.example"}, "bdata": {"send": "00", "find": "ff"}}
    more["ldap"] = {"directory": Directory(security="starttls")}
    kinds = ("http", "https", "smtp", "ldap", "rdp", "dns", "bdata", "agent", "tcp")
    async with server(cutting) as port:
        await ask(check("tcp"), port)
        before = _open_files()
        await asyncio.gather(*(ask(check(kind, attempts=1, **more.get(kind, {})), port) for kind in kinds))
        await asyncio.gather(*(ask(check(kind, **more.get(kind, {})), 9) for kind in kinds))
        cancelled = [asyncio.create_task(ask(check(kind, **more.get(kind, {})), port)) for kind in kinds]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert _open_files() <= before
