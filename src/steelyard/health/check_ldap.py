"""The LDAP check: sign in, and find an entry if one is named.

Without an endpoint the bind is anonymous, to the real server itself, under TLS on port 636. A server that wants more
than an anonymous bind (results 8, 13, 48) has answered and works. With an endpoint its account must be able to bind,
and where it names servers these are asked in place of the real server, one after the other, as LoadMaster does: one
that answers well is enough.
"""

from __future__ import annotations

import asyncio

from steelyard.health.attempt import Line, attempt, closed
from steelyard.health.conversation import Conversation
from steelyard.health.ldap_messages import (
    BIND_ANSWER,
    EXTENDED_ANSWER,
    SEARCH_DONE,
    SEARCH_ENTRY,
    Message,
    NotLdap,
    bind,
    length,
    read,
    search_entry,
    start_tls,
    unbind,
)
from steelyard.health.transcript import Answer, Outcome, Transcript, endpoint, printable
from steelyard.plan.health import Check, Directory

_LDAPS_PORT = 636
#: what a server answers to an anonymous bind it does not allow
_WANTS_MORE = frozenset({8, 13, 48})


class LdapCheck:
    """A prepared check of one address and port."""

    __slots__ = ("_check", "_directory", "_places", "_sent")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._directory = check.directory or Directory(security="ldaps" if port == _LDAPS_PORT else "plain")
        self._places = self._directory.servers or ((address, port),)
        how = {"plain": "", "starttls": "StartTLS, ", "ldaps": "TLS, "}[self._directory.security]
        who = printable(self._directory.user) if self._directory.user else "anonymously"
        self._sent = f"{how}bind {who}"
        if self._directory.base:
            self._sent += f", search {printable(self._directory.base)}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle: of the servers, the first that answers well decides."""
        left = float(self._check.timeout)
        for count, (address, port) in enumerate(self._places, start=1):
            line = Line(address, port)
            last = count == len(self._places)
            share = left if last else left / (len(self._places) - count + 1)
            sent = f"{self._sent} at {endpoint(address, port)}" if self._directory.servers else self._sent
            said = await attempt(
                line,
                min(share, self._directory.timeout),
                sent,
                self._exchange,
                number=number,
                attempts=self._check.attempts,
            )
            left = max(0.1, left - said.duration_ms / 1000)
            if last or said.outcome is Outcome.GOOD:
                break
        return said

    async def _exchange(self, line: Line) -> Answer:
        talk = await line.open()
        try:
            if self._directory.security == "ldaps":
                await talk.secure(None)
            return await _Session(line, talk, self._directory).run()
        except NotLdap as failure:
            said = printable(line.heard)
            return Answer(Outcome.BAD, said, f"not an answer of LDAP ({failure}): {said}")
        except asyncio.IncompleteReadError:
            return closed(line)
        finally:
            talk.close()


class _Session:
    """The messages of one attempt, numbered from 1."""

    def __init__(self, line: Line, talk: Conversation, directory: Directory) -> None:
        self._line = line
        self._talk = talk
        self._directory = directory
        self._rest = b""

    async def run(self) -> Answer:
        directory, talk = self._directory, self._talk
        if directory.security == "starttls":
            await talk.send(start_tls(1))
            begun = await self._answer(EXTENDED_ANSWER)
            if begun.code != 0:
                return _bad("refused StartTLS", begun)
            # What came in plain text before TLS could have been put there by anybody.
            self._rest = b""
            await talk.secure(None)
        await talk.send(bind(2, directory.user, directory.password))
        bound = await self._answer(BIND_ANSWER)
        if bound.code != 0:
            if not directory.user and bound.code in _WANTS_MORE:
                return Answer(Outcome.GOOD, printable(bound.result()), "answered that it wants more than anonymous")
            return _bad("refused the bind", bound)
        answer = Answer(Outcome.GOOD, bound.result(), "bound")
        if directory.base:
            await talk.send(search_entry(3, directory.base))
            answer = await self._found()
        await talk.send(unbind(4))
        return answer

    async def _found(self) -> Answer:
        entries = 0
        while (message := await self._answer()).kind != SEARCH_DONE:
            entries += message.kind == SEARCH_ENTRY
        if message.code != 0:
            return _bad("bound, but refused the search", message)
        said = printable(message.result())
        if not entries:
            return Answer(Outcome.BAD, said, f"bound, but found no entry {printable(self._directory.base)}")
        return Answer(Outcome.GOOD, said, f"bound, found {printable(self._directory.base)}")

    async def _answer(self, kind: int | None = None) -> Message:
        """The next message, of this kind. Raises `NotLdap`, and `IncompleteReadError` when the server hangs up."""
        while True:
            size = length(self._rest)
            if size is not None and len(self._rest) >= size:
                message, self._rest = read(self._rest[:size]), self._rest[size:]
                if kind is not None and message.kind != kind:
                    # A notice of disconnection (RFC 4511, 4.4.1) comes unasked, in place of an answer.
                    raise NotLdap(f"another answer than expected, {message.result()}")
                return message
            data = await self._talk.receive()
            if not data:
                raise asyncio.IncompleteReadError(self._rest, size)
            self._rest += data


def _bad(what: str, message: Message) -> Answer:
    said = printable(message.result())
    return Answer(Outcome.BAD, said, f"{what}: {said}")
