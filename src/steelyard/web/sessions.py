"""Who is signed in: sessions in memory, known by the digest of a random token that only the browser has.

Pure but for the token: the time is an argument. A session ends when nobody used it for a while, when it is too old,
when the password it was made with is not the user's any more, or when the control plane ends.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from steelyard.model.user import User

#: more than these are never kept; the one that was used longest ago goes first
MOST_SESSIONS = 500
_TOKEN_BYTES = 32

NoticeKind = Literal["up", "warn", "down", "info"]


@dataclass(frozen=True)
class Notice:
    """One line a page shows above its content, once."""

    kind: NoticeKind
    text: str
    remedy: str = ""


@dataclass
class Session:
    """One browser that is signed in. Times in seconds since the epoch."""

    user: str
    password_hash: str = field(repr=False)
    address: str
    began: float
    seen: float
    csrf: str = field(repr=False)
    notices: list[Notice] = field(default_factory=list)
    #: what the sign-in page knew of the sign-ins before
    before: str = ""
    #: secrets that were typed into a form that is not applied yet: path -> field -> text
    typed: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    def say(self, text: str, kind: NoticeKind = "up", remedy: str = "") -> None:
        """Have the next page show that."""
        self.notices.append(Notice(kind, text, remedy))

    def said(self) -> list[Notice]:
        """What is to be shown; each is given once."""
        found, self.notices = self.notices, []
        return found


class Sessions:
    """Every session of this control plane."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user: User, address: str, now: float, *, most_of_user: int = 0) -> tuple[str, Session]:
        """A new session: the token for the browser's cookie, and the session. `most_of_user` 0 is no limit."""
        if most_of_user:
            of_user = sorted((one.seen, key) for key, one in self._of(user.name))
            for _, key in of_user[: max(0, len(of_user) - most_of_user + 1)]:
                del self._sessions[key]
        if len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen)]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = Session(user.name, user.password_hash, address, now, now, secrets.token_urlsafe(_TOKEN_BYTES))
        self._sessions[_key(token)] = session
        return token, session

    def find(self, token: str, now: float, *, idle: float, longest: float, touch: bool = True) -> Session | None:
        """The session of a token unless it has ended. `idle` and `longest` are seconds.

        `touch` says that a person did something: what a page asks by itself keeps no session alive.
        """
        key = _key(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        if now - session.seen > idle or now - session.began > longest:
            del self._sessions[key]
            return None
        if touch:
            session.seen = now
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        self._sessions.pop(_key(token), None)

    def end_all_of(self, user: str) -> int:
        """End every session of a user; says how many there were."""
        keys = [key for key, _ in self._of(user)]
        for key in keys:
            del self._sessions[key]
        return len(keys)

    def _of(self, user: str) -> Iterator[tuple[str, Session]]:
        return ((key, one) for key, one in self._sessions.items() if one.user == user)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
