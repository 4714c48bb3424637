"""ACME accounts: who this appliance is to an authority that issues certificates by itself (RFC 8555).

An account keeps where its private key and its external account binding are among the secrets, never these themselves.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS

_SECTION = "acme account"

LETS_ENCRYPT, DIGICERT = "letsencrypt", "digicert"
#: directories that need no operator to name them
DIRECTORIES = {LETS_ENCRYPT: "https://acme-v02.api.letsencrypt.org/directory"}
#: directories whose certificates nobody believes, to try an order out without using up the authority's limits
STAGING = {DIRECTORIES[LETS_ENCRYPT]: "https://acme-staging-v02.api.letsencrypt.org/directory"}

URL = r"https://[A-Za-z0-9.\[\]:_-]+(/[!-~]*)?"
URL_SAYS = "an https:// URL"


class AcmeAccount(Settings):
    """An account at one authority, registered once it has a `uri`."""

    noun: ClassVar[str] = "ACME account"

    name: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Account",
            "Name it is referred to by. letsencrypt and digicert are those that LoadMaster knows.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    directory_url: Annotated[
        str,
        Setting(
            "directoryurl",
            _SECTION,
            "Directory URL",
            "Where the authority says what it offers. Another one makes the account unregistered.",
            max_length=1024,
            pattern=URL,
            pattern_says=URL_SAYS,
        ),
    ] = ""
    email: Annotated[
        str,
        Setting(
            "email",
            _SECTION,
            "Email address",
            "Whom the authority writes to; may be left out.",
            max_length=254,
            pattern=r"[!#-+\--;=?-~]+@[A-Za-z0-9.-]+",
            pattern_says="one e-mail address",
        ),
    ] = ""
    kid: Annotated[
        str,
        Setting(
            "kid",
            _SECTION,
            "Key ID",
            "External account binding: what the authority calls the key it gave you.",
            max_length=512,
        ),
    ] = ""
    #: certificates in PEM that the directory's own TLS certificate is verified with; empty for those of this host
    authority_pem: str = ""
    hmac_place: str = ""
    key_place: str = ""
    uri: str = ""

    @property
    def registered(self) -> bool:
        """Whether the authority knows it."""
        return bool(self.uri and self.key_place)


def standing(name: str) -> AcmeAccount:
    """The account of that name before anything was said of it."""
    return AcmeAccount.make({"name": name, "directory_url": DIRECTORIES.get(name, "")})
