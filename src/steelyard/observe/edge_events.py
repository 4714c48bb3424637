r"""What the edge filter logs: HAProxy's lines (`compile.haproxy.edge_log`) as events, and events as lines of the files.

A line is the time and then `name=value`. A value of letters, digits and `._:/+-[]` stands as it is, any other in double
quotes, with `\"`, `\\` and `\xNN` for each byte that is no visible ASCII. So nothing that a client sends can end a
line, look like another field, or reach a terminal as a control character.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from steelyard.compile.haproxy.edge_log import CONNECTION, FAILURE_MARK, REQUEST_MARK, SECURITY, USER
from steelyard.model.edge_filter import REASONS

Kind = Literal["connection", "security", "user"]
KINDS: tuple[Kind, ...] = ("connection", "security", "user")

_ALLOWED = "allowed"
_OTHER = {
    "malformed": "the request is malformed or incomplete",
    "elsewhere": "refused by another rule of the service",
    "handshake": "the connection failed",
}
_PLAIN = re.compile(r"[A-Za-z0-9._:/+\[\]-]+")
_TIME_LENGTH = len("2026-01-31T12:00:00.000Z")
_NOBODY = "<NOSRV>"
#: an empty value
NOTHING = '""'

#: the name of the service of an index, "" when it has none
NameOf = Callable[[int], str]


class Event(NamedTuple):
    """One line of HAProxy's. Sizes in bytes, `duration` in milliseconds; absent texts are empty.

    `url_length` is that of the whole URL, of which `url` may be the beginning. `logs` are the kinds the service logs.
    """

    at: float
    service: int
    logs: int
    client: str
    address: str
    refused: str = ""
    detail: str = ""
    first: bool = False
    host: bytes = b""
    method: str = ""
    url: bytes = b""
    url_length: int = 0
    agent: bytes = b""
    status: int = 0
    server: str = ""
    received: int = 0
    sent: int = 0
    duration: int = 0

    @property
    def kinds(self) -> Iterator[Kind]:
        """The logs it belongs to."""
        if self.logs & CONNECTION and self.first:
            yield "connection"
        if self.logs & SECURITY and self.refused:
            yield "security"
        if self.logs & USER and self.method:
            yield "user"


def _endpoint(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _number(text: str) -> int:
    return max(0, int(text)) if text.lstrip("-").isdigit() else 0


def _bytes(text: str) -> bytes:
    return b"" if text == "-" else base64.b64decode(text, validate=True)


def read_line(line: str) -> Event | None:
    """The event of one line; None for a line of another kind, such as HAProxy's own messages."""
    words = line.split(" ")
    try:
        if words[0] == REQUEST_MARK and len(words) == 26:
            return _request(words)
        if words[0] == FAILURE_MARK and len(words) == 13:
            return _failure(words)
    except (ValueError, binascii.Error):
        # one that was cut or mixed up is nothing to go by
        return None
    return None


def _failure(words: list[str]) -> Event:
    _, service, logs, seconds, milliseconds, client, port, address, own_port, status, seen, error, detail = words
    failed = error not in ("-", "0")
    return Event(
        at=int(seconds) + int(milliseconds) / 1000,
        service=int(service),
        logs=int(logs),
        client=_endpoint(client, port),
        address=_endpoint(address, own_port),
        refused="handshake" if failed else "malformed",
        detail=_bytes(detail).decode("latin-1") if failed else "",
        first=seen == "-",
        status=_number(status),
    )


def _request(words: list[str]) -> Event | None:
    service, logs, entered, refused, seconds, milliseconds, handshake, idle, active = words[1:10]
    client, port, address, own_port, first, method, status, server, to, to_port = words[10:20]
    received, sent, length, host, url, agent = words[20:26]
    known = entered != "-"
    if known:
        service, _, logs = entered.partition(".")
        refused = "" if refused == "-" else refused
    else:
        refused = "elsewhere"
    return Event(
        at=int(seconds) + (int(milliseconds) + _number(handshake) + _number(idle)) / 1000,
        service=int(service),
        logs=int(logs),
        client=_endpoint(client, port),
        address=_endpoint(address, own_port),
        refused=refused,
        first=first == "1" or not known,
        host=_bytes(host),
        method=method,
        url=_bytes(url),
        url_length=_number(length),
        agent=_bytes(agent),
        status=_number(status),
        server="" if server == _NOBODY else f"{server.removeprefix('rs')}/{_endpoint(to, to_port)}",
        received=_number(received),
        sent=_number(sent),
        duration=_number(active),
    )


@lru_cache(maxsize=4096)
def _quoted(value: bytes) -> str:
    text = value.decode("latin-1")
    if _PLAIN.fullmatch(text):
        return text
    shown = "".join(
        f"\\{sign}" if sign in '"\\' else sign if " " <= sign <= "~" else f"\\x{ord(sign):02x}" for sign in text
    )
    return f'"{shown}"'


def moment(at: float) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reason_of(event: Event) -> str:
    """Why it was refused, in words, or that it was allowed."""
    reason = REASONS.get(event.refused) or _OTHER.get(event.refused) or event.refused or _ALLOWED
    return f"{reason}: {event.detail}" if event.detail else reason


def shown_url(event: Event) -> bytes:
    """The URL, with `...` behind one that was cut."""
    return event.url if len(event.url) >= event.url_length else event.url + b"..."


def written(event: Event, name: str) -> str:
    """An event as a line of the files, without its end."""
    agent = f" agent={_quoted(event.agent)}" if event.agent else ""
    return (
        f"{moment(event.at)} service={event.service} name={_quoted(name.encode())} client={event.client}"
        f" address={event.address} host={_quoted(event.host)} method={_quoted(event.method.encode())}"
        f" url={_quoted(shown_url(event))} status={event.status} server={event.server or NOTHING}"
        f" received={event.received} sent={event.sent} ms={event.duration}"
        f" action={'refused' if event.refused else _ALLOWED}"
        f" reason={_quoted(reason_of(event).encode())}{agent}"
    )


def time_of(line: str) -> str:
    """The time a line of the files begins with; times compare as texts."""
    return line[:_TIME_LENGTH]
