"""Administrators of the appliance: names, permissions, API keys (`reference/loadmaster-api/09`, 9.2 and 01, 1.3)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings

ADMINISTRATOR = "bal"
MAX_API_KEYS = 16
#: stands for what no permission gives
ONLY_ADMINISTRATOR = "administrator"

PERMISSIONS = {
    "real": "Real Servers",
    "vs": "Virtual Services",
    "rules": "Rules",
    "backup": "System Backup",
    "certs": "Certificate Creation",
    "cert3": "Intermediate Certificates",
    "certbackup": "Certificate Backup",
    "users": "User Administration",
    "root": "All Permissions",
    "geo": "Geo Control",
    "addvs": "Add Virtual Services",
}


class User(Settings):
    """One administrator. `bal` may do everything; others what `permissions` say, and read the rest."""

    noun: ClassVar[str] = "user"

    name: Annotated[
        str,
        Setting(
            "user",
            "user",
            "User",
            "Login name.",
            max_length=64,
            pattern=r"[A-Za-z0-9][A-Za-z0-9@._-]{2,63}",
            pattern_says="3 to 64 letters, digits and @ . _ -",
            filled=True,
        ),
    ]
    password_hash: Annotated[str, Setting(None, "user", "Password", "Salted scrypt hash.", secret=True)]
    permissions: Annotated[
        tuple[str, ...], Setting("perms", "user", "Permissions", "What the user may change.", separator=",")
    ] = ()
    one_time_password: Annotated[
        bool,
        Setting(None, "user", "One-time password", "The web interface asks for a new password at the next sign-in."),
    ] = False
    api_keys: Annotated[
        tuple[str, ...], Setting(None, "user", "API keys", "Digests of the user's keys, oldest first.", secret=True)
    ] = ()

    @field_validator("permissions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for permission in value:
            if permission not in PERMISSIONS:
                raise PydanticCustomError(
                    "setting",
                    "{why}",
                    {"why": f"names {permission!r}, which is no permission", "allowed": ", ".join(PERMISSIONS)},
                )
        return tuple(p for p in PERMISSIONS if p in value)

    def may(self, permission: str) -> bool:
        """Whether the user may do what needs `permission`. `root` covers all but the administration of users."""
        if self.name == ADMINISTRATOR or permission in self.permissions:
            return True
        return "root" in self.permissions and permission not in ("users", ONLY_ADMINISTRATOR)
