"""How TLS sessions are resumed, for every service: session cache and session tickets.

A ticket lets its holder skip the full handshake. Whoever has the key it was encrypted with can read the sessions it
resumes (with TLS 1.2 all of their traffic), so keys are made at random, kept outside the database, and replaced.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.setting import Setting, Settings

_SECTION = "tls"


class SessionParameters(Settings):
    """Resumption of TLS sessions. LoadMaster has no such parameters."""

    noun: ClassVar[str] = "TLS parameter"

    session_tickets: Annotated[
        bool,
        Setting(
            None,
            _SECTION,
            "Session Tickets",
            "Clients resume sessions by tickets, also after a reload. Off: by the session cache alone, which each"
            " process has for itself.",
        ),
    ] = True
    ticket_key_hours: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Ticket Key Lifetime",
            "How long a ticket key encrypts. It is made this long before, and decrypts for as long after.",
            unit="hours",
            ge=1,
            le=24,
        ),
    ] = 8
    session_lifetime: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Session Lifetime",
            "How long a session can be resumed.",
            unit="seconds",
            ge=60,
            le=3600,
        ),
    ] = 300
    session_cache_size: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Session Cache Size",
            "Blocks of 200 bytes for sessions of clients that use no tickets; a session takes one or more. 0 is no"
            " cache.",
            unit="blocks",
            ge=1000,
            le=10_000_000,
            or_zero=True,
        ),
    ] = 20_000
