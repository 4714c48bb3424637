"""Who may administer, for how long: sessions of the web interface (`reference/loadmaster-api/08`, 8.4).

LoadMaster has session management as an option (`sessioncontrol`); here the web interface always works with sessions.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.setting import Setting, Settings

_SECTION = "administration"


class AdministrationParameters(Settings):
    """Sessions of the web interface. A change counts for the sessions there are, too."""

    noun: ClassVar[str] = "administration parameter"

    session_management: Annotated[
        bool,
        Setting(
            "sessioncontrol",
            _SECTION,
            "Enable Session Management",
            "People sign in to the web interface with a session that ends.",
            built=False,
            why_unbuilt="the web interface always works with sessions",
        ),
    ] = True
    idle_seconds: Annotated[
        int,
        Setting(
            "sessionidletime",
            _SECTION,
            "Idle Session Timeout",
            "How long a session lasts in which nobody does anything.",
            unit="seconds",
            ge=60,
            le=86_400,
        ),
    ] = 600
    longest_seconds: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Longest Session",
            "How long a session lasts in any case.",
            unit="seconds",
            ge=300,
            le=604_800,
        ),
    ] = 43_200
    failed_sign_ins: Annotated[
        int,
        Setting(
            "sessionmaxfailattempts",
            _SECTION,
            "Failed Login Attempts",
            "How many wrong passwords a user may give from one address until nobody is let in for ten minutes.",
            ge=1,
            le=999,
        ),
    ] = 3
    concurrent_sessions: Annotated[
        int,
        Setting(
            "sessionconcurrent",
            _SECTION,
            "Limit Concurrent Logins",
            "How many sessions a user may have at once; a new one ends the one idle for longest. 0 is no limit.",
            ge=0,
            le=9,
        ),
    ] = 0
    banner: Annotated[
        str,
        Setting(
            "WUIPreAuth",
            _SECTION,
            "Pre-Auth Click Through Banner",
            "Text that people accept before they can sign in; empty shows none. HTML is shown as it is written.",
            max_length=5000,
        ),
    ] = ""
