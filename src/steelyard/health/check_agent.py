"""The remote agent: a program on the real server that says in one line how it is.

The line is HAProxy's (2.6 manual, `agent-check`), so its agents serve here too: words separated by blanks or commas and
ended by a line feed or the close.

| Word | Meaning |
|---|---|
| `up`, `ready`, or a percentage above 0 | up |
| `down`, `failed`, `stopped`, with an optional `#reason` | down |
| `drain`, `maint`, `0%` | takes no new clients: down for scheduling, with this word as the reason |
| `maxconn:N` | read and passed over |

The worst word decides. Nothing is sent: an agent speaks as soon as it is connected to.
"""

from __future__ import annotations

import re

from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, printable
from steelyard.plan.health import Check

#: Most bytes of a line.
LINE_BYTES = 512
_UP, _DOWN, _AWAY = frozenset({"up", "ready"}), frozenset({"down", "failed", "stopped"}), frozenset({"drain", "maint"})
_PERCENTAGE = re.compile(r"([0-9]{1,5})%")
_LIMIT = re.compile(r"maxconn:[0-9]+")


class AgentCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_port", "_sent")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._sent = f"connect to the agent at {endpoint(address, port)}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            heard = b""
            while b"\n" not in heard and len(heard) <= LINE_BYTES:
                data = await talk.receive(LINE_BYTES)
                if not data:
                    break
                heard += data
        finally:
            talk.close()
        if not heard:
            return closed(line)
        if len(heard.partition(b"\n")[0]) > LINE_BYTES:
            return Answer(Outcome.BAD, printable(heard), f"the agent's line is longer than {LINE_BYTES} bytes")
        return read_line(heard.partition(b"\n")[0])


def read_line(line: bytes) -> Answer:
    """What an agent's line means."""
    said = printable(line.strip())
    text, _, why = line.decode("latin-1").strip().partition("#")
    words = text.lower().replace(",", " ").split()
    because = f" ({printable(why.strip())})" if why.strip() else ""
    good = False
    away = ""
    for word in words:
        share = _PERCENTAGE.fullmatch(word)
        if word in _DOWN:
            return Answer(Outcome.BAD, said, f"the agent says {word}{because}")
        if word in _AWAY or (share is not None and int(share[1]) == 0):
            away = word
        elif word in _UP or share is not None:
            good = True
        elif _LIMIT.fullmatch(word) is None:
            return Answer(
                Outcome.BAD, said, f"not a word of an agent: {printable(word, 40)}; good are up, ready and N%"
            )
    if away:
        return Answer(Outcome.BAD, said, f"the agent says {away}: no new clients{because}")
    if good:
        return Answer(Outcome.GOOD, said, f"the agent says {said}")
    return Answer(Outcome.BAD, said, "the agent does not say whether the server is up; good are up, ready and N%")
