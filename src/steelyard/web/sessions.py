"""Who is signed in: sessions, known by the digest of a random token that only the browser has.

The time is an argument. A session ends when nobody used it for a while, when it is too old, when somebody signs out,
or when the password it was made with is not the user's any more. With a file they outlast the control plane. What is
of a page alone does not: notices, and secrets that were typed and not applied.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from steelyard.model.user import User
from steelyard.web.session_file import KeptSession, SessionFile

#: more than these are never kept; the one that was used longest ago goes first
MOST_SESSIONS = 500
_TOKEN_BYTES = 32
#: seconds of use that a crash may make a session forget
_WRITTEN_EVERY = 15.0

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
    #: a digest of the hash of the password it was made with
    password_mark: str = field(repr=False)
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
    """Every session of this control plane; those of the one before it, too, where there is a file."""

    def __init__(self, file: SessionFile | None = None) -> None:
        self._file = file
        self._sessions: dict[str, Session] = {}
        #: when a session was last used, as the file has it
        self._written: dict[str, float] = {}
        for kept in file.read() if file is not None else ():
            self._written[kept.key] = kept.seen
            # what its pages are signed with comes with the token
            self._sessions[kept.key] = Session(
                kept.user, kept.password_mark, kept.address, kept.began, kept.seen, csrf=""
            )

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user: User, address: str, now: float, *, most_of_user: int = 0) -> tuple[str, Session]:
        """A new session: the token for the browser's cookie, and the session. `most_of_user` 0 is no limit."""
        if most_of_user:
            of_user = sorted((one.seen, key) for key, one in self._of(user.name))
            self._remove([key for _, key in of_user[: max(0, len(of_user) - most_of_user + 1)]])
        if len(self._sessions) >= MOST_SESSIONS:
            self._remove([min(self._sessions, key=lambda key: self._sessions[key].seen)])
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = Session(user.name, _password_mark(user), address, now, now, _csrf(token))
        key = _key(token)
        self._sessions[key] = session
        self._write(key, session)
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
            self._remove([key])
            return None
        session.csrf = session.csrf or _csrf(token)
        if touch:
            session.seen = now
            if now - self._written.get(key, now) >= _WRITTEN_EVERY:
                self._write(key, session)
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        self._remove([_key(token)])

    def end_all_of(self, user: str) -> int:
        """End every session of a user; says how many there were."""
        keys = [key for key, _ in self._of(user)]
        self._remove(keys)
        return len(keys)

    def _remove(self, keys: Iterable[str]) -> None:
        there = [key for key in keys if self._sessions.pop(key, None) is not None]
        for key in there:
            self._written.pop(key, None)
        if there and self._file is not None:
            self._file.forget(there)

    def _write(self, key: str, session: Session) -> None:
        if self._file is not None:
            self._written[key] = session.seen
            self._file.keep(
                KeptSession(key, session.user, session.password_mark, session.address, session.began, session.seen)
            )

    def _of(self, user: str) -> Iterator[tuple[str, Session]]:
        return ((key, one) for key, one in self._sessions.items() if one.user == user)


def made_with(session: Session, user: User) -> bool:
    """Whether the user's password is still the one the session was made with."""
    return hmac.compare_digest(session.password_mark, _password_mark(user))


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _csrf(token: str) -> str:
    """What the forms of a session carry. It follows from the token, which alone is not kept, and does not reveal it."""
    return hmac.digest(token.encode("utf-8", "surrogatepass"), b"forms of this session", "sha256").hex()


def _password_mark(user: User) -> str:
    """Salted and slow already, a password's hash needs no more than a digest that leads to nothing."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()
