"""Events as SNMP traps of version 1, 2c (RFC 1157, RFC 3416) and 3 (RFC 3414), without an answer: nobody knows whether
one arrived.

Below the enterprise E a trap has the number E.0.<place of its kind>, and carries E.1.1.0 the event's number, E.1.2.0
its kind, E.1.3.0 its level, E.1.4.0 its text, E.1.5.0 its time, E.1.6.0 and E.1.7.0 the indexes of service and real
server, 0 for none. Many events at once are one trap a kind.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from steelyard.observe.events.channel import Undelivered
from steelyard.observe.events.event import KINDS, Event, moment
from steelyard.observe.events.gathering import Batch
from steelyard.observe.events.trust import why_not

#: traps of a batch; more events than that are summed up
MOST_TRAPS = 20
#: what fits a datagram on any path, with everything around it
_LONGEST_TEXT = 400
#: net-snmp's number, whose playpen is the default enterprise; format 4 is text (RFC 3411, SnmpEngineID)
_ENGINE_HEAD = bytes.fromhex("80001f8804")
#: boots must grow with each start, and need no file when they are the time: seconds since 2020, good until 2088
_BOOTS_EPOCH = 1_577_836_800
_STARTED = time.monotonic()


@dataclass(frozen=True)
class TrapUser:
    """A user of version 3."""

    name: str
    password: str = ""
    authentication: Literal["SHA", "MD5"] = "SHA"
    privacy_password: str = ""
    privacy: Literal["AES", "DES"] = "AES"


@dataclass(frozen=True)
class Sink:
    """Where traps go, and as what. `user` is for version 3."""

    host: str
    port: int
    version: Literal[1, 2, 3]
    enterprise: str
    community: str = "public"
    user: TrapUser | None = None
    engine: bytes = b""


def engine_id(given: str, host: str) -> bytes:
    """What version 3 calls this sender."""
    return bytes.fromhex(given) if given else _ENGINE_HEAD + (host.encode("ascii", "replace")[:27] or b"steelyard")


def summed_up(events: Sequence[Event]) -> Iterator[Event]:
    """The events themselves when they are few, otherwise one a kind that counts the others."""
    if len(events) <= MOST_TRAPS:
        yield from events
        return
    for _, group in groupby(sorted(events, key=lambda event: KINDS.index(event.kind)), lambda event: event.kind):
        found = list(group)
        gravest = min(found, key=lambda event: event.severity)
        if len(found) > 1:
            gravest = replace(gravest, text=f"{len(found)} events of this kind; one of them: {gravest.text}")
        yield gravest


def bindings(event: Event, enterprise: str) -> list[tuple[str, str | int]]:
    """What a trap carries."""
    text = event.text if len(event.text) <= _LONGEST_TEXT else event.text[: _LONGEST_TEXT - 3] + "..."
    values: tuple[str | int, ...] = (
        event.number, event.kind, event.severity.word, text, moment(event.at), event.service, event.server
    )  # fmt: skip
    return [(f"{enterprise}.1.{place}.0", value) for place, value in enumerate(values, start=1)]


def _uptime() -> int:
    return int((time.monotonic() - _STARTED) * 100) % 2**32


class TrapSender:
    """Sends to one sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._runner: asyncio.Runner | None = None
        self._engine: Any = None

    def deliver(self, batch: Batch) -> None:
        """Send the traps of a batch. Raises `Undelivered`."""
        sink = self._sink
        try:
            family, _, _, _, address = socket.getaddrinfo(sink.host, sink.port, type=socket.SOCK_DGRAM)[0]
            if sink.version == 3:
                self._send_v3(family, address, batch)
                return
            with socket.socket(family, socket.SOCK_DGRAM) as to:
                to.connect(address)
                here = to.getsockname()[0]
                for event in summed_up(batch.events):
                    to.send(_v1(event, sink, here) if sink.version == 1 else _v2(event, sink))
        except OSError as failure:
            raise Undelivered(f"{sink.host}:{sink.port} (SNMP): {why_not(failure)}") from failure

    def close(self) -> None:
        """Let go of what version 3 keeps."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _send_v3(self, family: int, address: Any, batch: Batch) -> None:
        user = self._sink.user
        if user is None or not user.name or not user.password:
            raise Undelivered("version 3 needs snmpv3user and snmpv3userpasswd")
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._engine = None
        self._runner.run(self._notify(family, address, user, list(summed_up(batch.events))))

    async def _notify(self, family: int, address: Any, user: TrapUser, events: Sequence[Event]) -> None:
        # takes a moment to import, and few use it
        from pysnmp.hlapi.v3arch import asyncio as hlapi
        from pysnmp.proto import rfc1902

        if self._engine is None:
            self._engine = _engine(self._sink.engine)
        kind = hlapi.Udp6TransportTarget if family == socket.AF_INET6 else hlapi.UdpTransportTarget
        target = await kind.create((address[0], address[1]))
        protocols = {"SHA": hlapi.usmHMACSHAAuthProtocol, "MD5": hlapi.usmHMACMD5AuthProtocol}
        ciphers = {"AES": hlapi.usmAesCfb128Protocol, "DES": hlapi.usmDESPrivProtocol}
        account = hlapi.UsmUserData(
            user.name,
            user.password,
            user.privacy_password or None,
            authProtocol=protocols[user.authentication],
            privProtocol=ciphers[user.privacy] if user.privacy_password else hlapi.usmNoPrivProtocol,
        )
        for event in events:
            carried = [
                hlapi.ObjectType(hlapi.ObjectIdentity(name), _value(value, rfc1902))
                for name, value in bindings(event, self._sink.enterprise)
            ]
            number = f"{self._sink.enterprise}.0.{KINDS.index(event.kind) + 1}"
            notification = hlapi.NotificationType(hlapi.ObjectIdentity(number)).add_varbinds(*carried)
            error, *_ = await hlapi.send_notification(
                self._engine, account, target, hlapi.ContextData(), "trap", notification
            )
            if error:
                raise Undelivered(f"{self._sink.host} (SNMP version 3): {error}")


def _engine(identity: bytes) -> Any:
    """The library's engine. Told its name at once, it would keep its boots below /tmp, where anybody can write."""
    from pysnmp.entity.engine import SnmpEngine

    made = SnmpEngine()
    builder = made.get_mib_builder()
    (name,) = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID")
    name.syntax = name.syntax.clone(identity)
    made.snmpEngineID = name.syntax
    (boots,) = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineBoots")
    boots.syntax = boots.syntax.clone(int(time.time()) - _BOOTS_EPOCH)
    return made


def _value(value: str | int, types: Any) -> Any:
    return types.Integer32(value % 2**31) if isinstance(value, int) else types.OctetString(value.encode())


def _v1(event: Event, sink: Sink, here: str) -> bytes:
    from pyasn1.codec.ber import encoder
    from pysnmp.proto.api import v1

    trap = v1.TrapPDU()
    v1.apiTrapPDU.set_defaults(trap)
    v1.apiTrapPDU.set_enterprise(trap, sink.enterprise)
    # version 1 knows addresses of IPv4 alone
    v1.apiTrapPDU.set_agent_address(trap, "0.0.0.0" if ":" in here else here)
    v1.apiTrapPDU.set_generic_trap(trap, 6)
    v1.apiTrapPDU.set_specific_trap(trap, KINDS.index(event.kind) + 1)
    v1.apiTrapPDU.set_timestamp(trap, _uptime())
    v1.apiTrapPDU.set_varbinds(
        trap,
        [
            (
                v1.ObjectIdentifier(name),
                v1.Integer(value % 2**31) if isinstance(value, int) else v1.OctetString(value.encode()),
            )
            for name, value in bindings(event, sink.enterprise)
        ],
    )
    return _message(v1, trap, sink.community, encoder)


def _v2(event: Event, sink: Sink) -> bytes:
    from pyasn1.codec.ber import encoder
    from pysnmp.proto.api import v2c

    trap = v2c.TrapPDU()
    v2c.apiTrapPDU.set_defaults(trap)
    number = v2c.ObjectIdentifier(f"{sink.enterprise}.0.{KINDS.index(event.kind) + 1}")
    carried = [(v2c.ObjectIdentifier(name), _value(value, v2c)) for name, value in bindings(event, sink.enterprise)]
    v2c.apiTrapPDU.set_varbinds(
        trap,
        [
            (v2c.ObjectIdentifier("1.3.6.1.2.1.1.3.0"), v2c.TimeTicks(_uptime())),
            (v2c.ObjectIdentifier("1.3.6.1.6.3.1.1.4.1.0"), number),
            *carried,
        ],
    )
    return _message(v2c, trap, sink.community, encoder)


def _message(api: Any, trap: Any, community: str, encoder: Any) -> bytes:
    made = api.Message()
    api.apiMessage.set_defaults(made)
    api.apiMessage.set_community(made, community)
    api.apiMessage.set_pdu(made, trap)
    return bytes(encoder.encode(made))
