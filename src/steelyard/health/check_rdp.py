"""The Remote Desktop check: the first exchange of RDP, in which client and server agree on security.

The X.224 connection request (MS-RDPBCGR, 2.2.1.1) offers TLS and network level authentication (CredSSP); a server that
confirms (2.2.1.2) says which it takes. What comes after needs an account. A server that has standard RDP security alone
refuses both by name, which is an answer of a server that works.
"""

from __future__ import annotations

import struct

from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.conversation import Conversation
from steelyard.health.transcript import Answer, Outcome, Transcript, printable
from steelyard.plan.health import Check

_TLS, _NLA, _NLA_EARLY = 0x01, 0x02, 0x08
_CHOSEN = {
    0: "standard RDP security",
    _TLS: "TLS",
    _NLA: "network level authentication",
    _NLA_EARLY: "network level authentication",
}
_ONLY_STANDARD = 2
#: MS-RDPBCGR, 2.2.1.2.2
_REFUSALS = {
    1: "it demands TLS",
    3: "it has no certificate for TLS",
    4: "it cannot follow the request",
    5: "it demands network level authentication",
    6: "it demands TLS with a client's certificate",
}
_CONFIRM, _RESPONSE, _FAILURE = 0xD0, 2, 3
#: TPKT header (4), X.224 (7), negotiation request (8)
REQUEST = struct.pack(">BBH", 3, 0, 19) + bytes((14, 0xE0, 0, 0, 0, 0, 0)) + struct.pack("<BBHL", 1, 0, 8, _TLS | _NLA)
#: Most bytes of the answer; a confirmation has 19.
_ANSWER_BYTES = 512


class RdpCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_port")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        sent = "RDP connection request, TLS or network level authentication"
        return await attempt(
            line, self._check.timeout, sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            await talk.send(REQUEST)
            return await _confirmation(line, talk)
        finally:
            talk.close()


async def _confirmation(line: Line, talk: Conversation) -> Answer:
    heard = b""
    while True:
        if len(heard) >= 4:
            version, _, length = struct.unpack(">BBH", heard[:4])
            if version != 3 or not 11 <= length <= _ANSWER_BYTES:
                break
            if len(heard) >= length:
                return judge(heard[:length])
        data = await talk.receive(_ANSWER_BYTES)
        if not data:
            return closed(line)
        heard += data
    return Answer(Outcome.BAD, printable(heard), f"not an answer of RDP: {printable(heard)}")


def judge(packet: bytes) -> Answer:
    """What a whole packet means: a TPKT header and an X.224 unit of at least seven bytes."""
    said = packet[:19].hex(" ")
    if packet[5] & 0xF0 != _CONFIRM:
        return Answer(Outcome.BAD, said, f"not an RDP connection confirmation: X.224 type {packet[5]:#04x}")
    if len(packet) < 19:
        return Answer(Outcome.GOOD, said, "confirmed the connection, with standard RDP security")
    kind, _, _, value = struct.unpack("<BBHL", packet[11:19])
    if kind == _RESPONSE:
        return Answer(Outcome.GOOD, said, f"confirmed the connection, with {_CHOSEN.get(value, f'protocol {value}')}")
    if kind == _FAILURE and value == _ONLY_STANDARD:
        return Answer(Outcome.GOOD, said, "answered that it takes standard RDP security only")
    if kind == _FAILURE:
        return Answer(Outcome.BAD, said, f"refused the connection: {_REFUSALS.get(value, f'failure {value}')}")
    return Answer(Outcome.BAD, said, f"not an RDP negotiation: type {kind}")
