"""SMTP, IMAP and POP3 as far as a balancer, its checks and a mail program's sign-in go: greeting, sign-in, goodbye."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass

from steelyard.lab.connection import Connection
from steelyard.lab.organisation import Organisation

#: what to say to a line; None ends the connection without a word
Answer = Callable[[str, Connection], str | None]
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class LineServer:
    """A server that greets, and answers line by line until it is told to end by a line of `goodbyes`."""

    greeting: str
    answer: Answer
    goodbyes: tuple[str, ...]

    async def __call__(self, connection: Connection) -> None:
        connection.writer.write(self.greeting.format(name=connection.server).encode() + b"\r\n")
        while True:
            try:
                line = (await connection.reader.readuntil(b"\n")).decode("utf-8", "replace").strip()
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                return
            said = self.answer(line, connection) if len(line) <= _LONGEST_LINE else None
            if said is None:
                return
            connection.writer.write(said.encode() + b"\r\n")
            await connection.writer.drain()
            if line.upper().split(" ")[-1] in self.goodbyes:
                return


def smtp(organisation: Organisation) -> LineServer:
    """Takes mail for the organisation's users and forgets it."""

    def answer(line: str, connection: Connection) -> str:
        word = line.partition(" ")[0].upper()
        if word in ("EHLO", "HELO"):
            return f"250-{connection.server} Hello [{connection.peer[0]}]\r\n250-SIZE 37748736\r\n250 8BITMIME"
        if word == "RCPT":
            address = line.partition(":")[2].strip(" <>").lower()
            return "250 2.1.5 Recipient OK" if organisation.known(address) else "550 5.1.1 User unknown"
        return {
            "MAIL": "250 2.1.0 Sender OK",
            "NOOP": "250 2.0.0 OK",
            "RSET": "250 2.0.0 Resetting",
            "QUIT": "221 2.0.0 Service closing transmission channel",
        }.get(word, "500 5.3.3 Unrecognized command")

    return LineServer("220 {name} Microsoft ESMTP MAIL Service ready", answer, ("QUIT",))


def imap(organisation: Organisation) -> LineServer:
    """A mailbox without mail."""

    def answer(line: str, connection: Connection) -> str | None:
        tag, _, rest = line.partition(" ")
        word, _, given = rest.partition(" ")
        if word.upper() == "LOGIN":
            user, _, password = (one.strip('"') for one in given.partition(" "))
            known = organisation.account(user, password)
            return f"{tag} OK LOGIN completed." if known else f"{tag} NO LOGIN failed."
        known_words = {
            "CAPABILITY": f"* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN\r\n{tag} OK CAPABILITY completed.",
            "NOOP": f"{tag} OK NOOP completed.",
            "LOGOUT": f"* BYE {connection.server} signing off.\r\n{tag} OK LOGOUT completed.",
        }
        return known_words.get(word.upper(), f"{tag} BAD Command Error.")

    return LineServer("* OK The Microsoft Exchange IMAP4 service is ready. [{name}]", answer, ("LOGOUT",))


def pop3(organisation: Organisation) -> LineServer:
    """A mailbox without mail."""
    users: dict[Connection, str] = {}

    def answer(line: str, connection: Connection) -> str:
        word, _, given = line.partition(" ")
        if word.upper() == "USER":
            users[connection] = given
            return "+OK"
        if word.upper() == "PASS":
            known = organisation.account(users.pop(connection, ""), given)
            return "+OK User successfully logged on." if known else "-ERR Logon failure"
        return {
            "QUIT": f"+OK {connection.server} signing off.",
            "STAT": "+OK 0 0",
            "NOOP": "+OK",
        }.get(word.upper(), "-ERR Command is not valid in this state.")

    return LineServer("+OK The Microsoft Exchange POP3 service is ready. [{name}]", answer, ("QUIT",))


def basic(user: str, password: str) -> str:
    """The Authorization header of a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
