"""One poll of a load agent: an HTTP GET whose answer says in its first line how busy the real server is.

The line is a number in ASCII, 0 (idle) to 100 (overloaded), or 101 or 102, which LoadMaster's documents give other
meanings. Anything else is garbage, and is told with what was read. Redirects are not followed: the agent speaks for
the server it runs on. One time-out covers the whole poll, so an agent that hangs or sends a byte a second is cut.
"""

from __future__ import annotations

import re

import h11

from steelyard.health.attempt import Line, attempt
from steelyard.health.conversation import Conversation
from steelyard.health.http_request import http_request
from steelyard.health.transcript import Answer, Outcome, endpoint, printable
from steelyard.health.weigher import Reading
from steelyard.health.weights import BEYOND
from steelyard.plan.health import Check
from steelyard.plan.weighting import Weighting

#: Most bytes read of one answer, and of its first line.
ANSWER_BYTES, LINE_BYTES = 16_384, 64
#: Tells h11 which method it reads the answer of; these bytes are never sent.
_ASKED = h11.Request(method="GET", target="/", headers=[("Host", "x")])
_LOAD = re.compile(rb"[ \t]*([0-9]{1,3})[ \t]*\r?")


class AgentPoll:
    """A prepared poll of one agent. Raises `OperatorError` for a URL that cannot be sent."""

    __slots__ = ("_address", "_request", "_weighting")

    def __init__(self, weighting: Weighting, address: str) -> None:
        self._weighting = weighting
        self._address = address
        check = Check(
            kind="http",
            interval=weighting.interval,
            timeout=weighting.timeout,
            attempts=1,
            method="GET",
            url=weighting.url,
            host=None if weighting.port == 80 else endpoint(address, weighting.port),
        )
        self._request = http_request(check, address)

    async def ask(self) -> Reading | None:
        """The load; None when this host could not ask, which says nothing of the agent."""
        line = Line(self._address, self._weighting.port)
        said = await attempt(line, self._weighting.timeout, self._request.text, self._exchange, number=1, attempts=1)
        if said.outcome is Outcome.UNASKED:
            return None
        if said.outcome is Outcome.GOOD:
            return Reading(int(said.received), said.reason)
        return Reading(None, f"no load from {line.where}{self._weighting.url}: {said.reason}")

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            await talk.send(self._request.data)
            return await _read(talk)
        finally:
            talk.close()


async def _read(talk: Conversation) -> Answer:
    """Read as far as the first line of the body."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(_ASKED)
    connection.send(h11.EndOfMessage())
    body, total, heard = b"", 0, b""
    while b"\n" not in body and len(body) <= LINE_BYTES:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            if body:
                # what came before the answer broke off is its first line
                break
            return Answer(Outcome.BAD, "", f"not an HTTP answer: {printable(heard)}")
        if isinstance(event, h11.Response):
            if event.status_code != 200:
                words = f"answered {event.status_code} {printable(event.reason)}".rstrip()
                follows = "; redirects are not followed" if 300 <= event.status_code < 400 else ""
                return Answer(Outcome.BAD, "", f"{words}; a load comes with 200{follows}")
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            break
        elif event is h11.NEED_DATA:
            data = await talk.receive()
            total += len(data)
            if not data and not total:
                return Answer(Outcome.FAILED, "", "connection closed without an answer")
            if total > ANSWER_BYTES:
                return Answer(Outcome.BAD, "", f"no load within {ANSWER_BYTES} bytes")
            heard = heard or data
            connection.receive_data(data)
    return read_load(body)


def read_load(body: bytes) -> Answer:
    """What the body of an agent's answer means."""
    first = body.partition(b"\n")[0]
    found = _LOAD.fullmatch(first)
    load = int(found[1]) if found is not None else -1
    if load in BEYOND:
        return Answer(Outcome.GOOD, str(load), f"the agent says {load} ({BEYOND[load]}), which counts as 100 %")
    if 0 <= load <= 100:
        return Answer(Outcome.GOOD, str(load), f"the agent says {load} %")
    said = printable(first) if first.strip() else "nothing" if not body else "an empty line"
    return Answer(Outcome.BAD, "", f"its first line is no load but {said}; a load is 0 to 100")
