"""The HTTP and HTTPS check.

The answer is read by h11, bounded in size, and never followed to another place. HTTPS asks for the name given (SNI)
and verifies the certificate only where the service does, as in LoadMaster. An answer that is not HTTP is an answer all
the same: final for its cycle.
"""

from __future__ import annotations

import re
from functools import lru_cache

import h11

from steelyard.health.attempt import Line, attempt
from steelyard.health.conversation import Conversation
from steelyard.health.http_request import http_request
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, printable
from steelyard.health.verdict import PATTERN_BYTES, answered, wants_body
from steelyard.health.verification import context_of
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check

#: Most bytes read of one answer: headers, interim answers and the part of the body a pattern sees.
ANSWER_BYTES = 65_536


@lru_cache(maxsize=8)
def _asked(method: str) -> h11.Request:
    """Tells h11 which method it reads the answer of; these bytes are never sent."""
    return h11.Request(method=method, target="/", headers=[("Host", "x")])


def compiled(pattern: str) -> re.Pattern[bytes]:
    """A check's pattern. Raises `OperatorError` when it is no regular expression."""
    try:
        return re.compile(pattern.encode())
    except re.error as failure:
        raise OperatorError(
            f"The health check's pattern is no regular expression: {failure}", field="pattern", value=pattern
        ) from failure


class HttpCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_pattern", "_port", "_request")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._request = http_request(check, address)
        self._pattern = None if check.pattern is None else compiled(check.pattern)

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._request.text, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            if self._check.kind == "https":
                await talk.secure(self._check.sni, context_of(self._check))
            await talk.send(self._request.data)
            return await self._read(talk)
        finally:
            talk.close()

    async def _read(self, talk: Conversation) -> Answer:
        """Read up to the first final answer, and its body if the pattern needs it."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(_asked(self._check.method))
        connection.send(h11.EndOfMessage())
        first, total = b"", 0
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                return Answer(Outcome.BAD, printable(first), f"not an HTTP answer: {printable(first)}")
            if isinstance(event, h11.Response):
                return await self._judge(event, connection, talk)
            if event is not h11.NEED_DATA:
                continue
            data = await talk.receive()
            if not data and not total:
                where = endpoint(self._address, self._port)
                return Answer(Outcome.FAILED, "", f"connection closed by {where} without an answer")
            first = first or data
            total += len(data)
            if total > ANSWER_BYTES:
                return Answer(Outcome.BAD, printable(first), f"no final answer within {ANSWER_BYTES} bytes")
            connection.receive_data(data)

    async def _judge(self, response: h11.Response, connection: h11.Connection, talk: Conversation) -> Answer:
        status, phrase = response.status_code, printable(response.reason)
        outcome, reason = answered(status, phrase, self._check.codes)
        received = _status_line(response.http_version, status, phrase)
        if self._pattern is None or not wants_body(self._check, status):
            return Answer(outcome, received, reason)
        if self._pattern.search(await _body(connection, talk)):
            return Answer(outcome, received, reason)
        words = f"{reason}; the first {PATTERN_BYTES} bytes of its body do not match {printable(self._pattern.pattern)}"
        return Answer(Outcome.BAD, received, words)


@lru_cache(maxsize=4096)
def _status_line(version: bytes, status: int, phrase: str) -> str:
    return f"HTTP/{version.decode('latin-1')} {status} {phrase}".rstrip()


async def _body(connection: h11.Connection, talk: Conversation) -> bytes:
    """The start of the body; a body that breaks off counts as far as it came."""
    body, total = b"", 0
    while len(body) < PATTERN_BYTES and total < ANSWER_BYTES:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            break
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            break
        elif event is h11.NEED_DATA:
            data = await talk.receive()
            total += len(data)
            connection.receive_data(data)
        else:
            break
    return body[:PATTERN_BYTES]
