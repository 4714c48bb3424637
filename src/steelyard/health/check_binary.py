"""The binary check: send some bytes, and find some in what comes back."""

from __future__ import annotations

from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint
from steelyard.plan.health import Check

#: How far an answer is searched when the check does not say: LoadMaster's largest match length.
SEARCHED_BYTES = 8000
_SHOWN = 16


class BinaryCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_address", "_check", "_data", "_find", "_port", "_sent", "_within")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._port = port
        self._data, self._find = bytes.fromhex(check.send), bytes.fromhex(check.find)
        self._within = check.within or SEARCHED_BYTES
        self._sent = f"{len(self._data)} bytes: {_hex(self._data)}"
        if not self._data:
            self._sent = f"connect to {endpoint(address, port)}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        line = Line(self._address, self._port)
        return await attempt(
            line, self._check.timeout, self._sent, self._exchange, number=number, attempts=self._check.attempts
        )

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            if self._data:
                await talk.send(self._data)
            heard = b""
            while len(heard) < self._within:
                data = await talk.receive(self._within - len(heard))
                if not data and not heard:
                    return closed(line)
                heard += data
                if data and self._find in heard:
                    return self._found(heard)
                if not data:
                    break
            wanted = f"{_hex(self._find)} is not within the {len(heard)} bytes of its answer"
            if len(heard) == self._within:
                wanted = f"{_hex(self._find)} is not within the first {self._within} bytes of its answer"
            return Answer(Outcome.BAD, _hex(heard), wanted)
        finally:
            talk.close()

    def _found(self, heard: bytes) -> Answer:
        if not self._find:
            return Answer(Outcome.GOOD, _hex(heard), f"answered {len(heard)} bytes")
        return Answer(Outcome.GOOD, _hex(heard), f"{_hex(self._find)} found at byte {heard.index(self._find)}")


def _hex(data: bytes) -> str:
    return data[:_SHOWN].hex(" ") + ("..." if len(data) > _SHOWN else "")
