"""What one server knows of its clients, and no other server: lost when it stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex


@dataclass
class Memory:
    """Sessions by their identifiers, which say nothing of the server."""

    #: mobility sessions: whose
    mobility: dict[str, str] = field(default_factory=dict)
    #: signed-in browsers of the dial-in and scheduler pages: whose
    pages: dict[str, str] = field(default_factory=dict)
    #: presentations of Office Web Apps: slides seen so far
    presentations: dict[str, int] = field(default_factory=dict)
    #: SIP dialogs by Call-ID: whose
    registrations: dict[str, str] = field(default_factory=dict)
    #: nonces of challenges that wait for an answer, by Call-ID
    challenges: dict[str, str] = field(default_factory=dict)
    #: conversations a server has of its own: A/V sessions, mail
    other: dict[str, str] = field(default_factory=dict)


def new_identifier() -> str:
    """An identifier nobody can guess, and which says nothing of who made it."""
    return token_hex(12)
