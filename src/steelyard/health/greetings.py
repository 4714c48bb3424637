"""What servers of line protocols say first, and whether it is good. Pure.

Each protocol greets as soon as a client connects: SMTP (RFC 5321, 3.1), FTP (RFC 959, 4.2), NNTP (RFC 3977, 5.1), POP3
(RFC 1939, 4) and IMAP (RFC 3501, 7.1). SMTP and FTP may greet in several lines: `220-` begins all but the last, `220 `
that one. Telnet has no greeting of its own: whatever a server sends, its negotiation of options included, shows that it
serves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steelyard.health.transcript import Answer, Outcome, printable

#: Most bytes of a greeting; RFC 5321 (4.5.3.1.5) gives a line 512.
GREETING_BYTES = 8192

_CODED = re.compile(rb"([0-9]{3})([ -])(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One line protocol. `judge` says what a greeting means, or None while it is not complete."""

    title: str
    farewell: bytes
    tls_port: int
    judge: Callable[[bytes], Answer | None]


def _lines(greeting: bytes) -> list[bytes]:
    """The lines that have come whole."""
    return [line.rstrip(b"\r") for line in greeting.split(b"\n")[:-1]]


def _foreign(title: str, line: bytes) -> Answer:
    said = printable(line)
    return Answer(Outcome.BAD, said, f"not a greeting of {title}: {said or 'an empty line'}")


def _coded(title: str, good: frozenset[bytes], *, several: bool) -> Callable[[bytes], Answer | None]:
    """A greeting with a three-digit code; `several` lines of it may follow each other."""
    allowed = " or ".join(sorted(code.decode() for code in good))

    def judge(greeting: bytes) -> Answer | None:
        lines = _lines(greeting)
        for line in lines:
            found = _CODED.fullmatch(line + b" " if len(line) == 3 else line)
            if found is None:
                return _foreign(title, line)
            said = printable(lines[0])
            if found[1] not in good:
                return Answer(Outcome.BAD, said, f"greeted with {printable(line)}; good is {allowed}")
            if found[2] == b" " or not several:
                return Answer(Outcome.GOOD, said, f"greeted with {said}")
        return None

    return judge


def _worded(title: str, good: tuple[bytes, ...], bad: tuple[bytes, ...]) -> Callable[[bytes], Answer | None]:
    """A greeting of one line that begins with a word."""

    def judge(greeting: bytes) -> Answer | None:
        lines = _lines(greeting)
        if not lines:
            return None
        start, said = lines[0].upper(), printable(lines[0])
        if start.startswith(good):
            return Answer(Outcome.GOOD, said, f"greeted with {said}")
        if start.startswith(bad):
            allowed = " or ".join(word.decode() for word in good)
            return Answer(Outcome.BAD, said, f"greeted with {said}; good is {allowed}")
        return _foreign(title, lines[0])

    return judge


def _anything(greeting: bytes) -> Answer | None:
    said = printable(greeting)
    return Answer(Outcome.GOOD, said, f"greeted with {len(greeting)} bytes") if greeting else None


#: by the kind of check; `tls_port` is the port of the same protocol under TLS from its first byte (IANA)
PROTOCOLS: Mapping[str, Protocol] = {
    "smtp": Protocol("SMTP", b"QUIT\r\n", 465, _coded("SMTP", frozenset({b"220"}), several=True)),
    "ftp": Protocol("FTP", b"QUIT\r\n", 990, _coded("FTP", frozenset({b"220"}), several=True)),
    "nntp": Protocol("NNTP", b"QUIT\r\n", 563, _coded("NNTP", frozenset({b"200", b"201"}), several=False)),
    "pop3": Protocol("POP3", b"QUIT\r\n", 995, _worded("POP3", (b"+OK",), (b"-ERR",))),
    "imap": Protocol("IMAP", b"a LOGOUT\r\n", 993, _worded("IMAP", (b"* OK", b"* PREAUTH"), (b"* BYE",))),
    "telnet": Protocol("Telnet", b"", 992, _anything),
}
