"""Whom a lab's servers serve: the domain's names, its users, and the tickets every server of it believes.

A web ticket is signed with a key all servers share, as those of a Lync deployment are, so it is good at any of them. A
session is not: that is in the memory of the server it began at.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass, field
from secrets import token_bytes

from steelyard.lab.ports import Ports

#: seconds a web ticket is good for; Lync's last eight hours
TICKET_SECONDS = 8 * 3600


_USUAL = Ports()


@dataclass(frozen=True)
class Account:
    """A user. `extension` and `pin` are what a telephone's keypad can say."""

    user: str
    password: str
    extension: str = ""
    pin: str = ""


@dataclass(frozen=True)
class Organisation:
    """A SIP domain. The names are those of Lync's deployment guides, below `domain`; `ports` are those of its URLs."""

    domain: str = "lync.example"
    accounts: tuple[Account, ...] = (
        Account("alice", "Wonderland1", "1001", "24680"),
        Account("bob", "Builder2", "1002", "13579"),
    )
    ports: Ports = _USUAL
    #: the root certificate in DER that telephones download
    root_certificate: bytes = b""
    #: shared by all its servers
    key: bytes = field(default_factory=lambda: token_bytes(32), repr=False)

    def name(self, host: str) -> str:
        """A host of the domain."""
        return f"{host}.{self.domain}"

    @property
    def pool(self) -> str:
        """Where users have their home: SIP of the Front End pool."""
        return self.name("pool")

    @property
    def internal_web(self) -> str:
        return self.name("lyncwebint")

    @property
    def external_web(self) -> str:
        return self.name("lyncweb")

    @property
    def access_edge(self) -> str:
        return self.name("sip")

    @property
    def office_web_apps(self) -> str:
        return self.name("wac")

    def account(self, user: str, password: str) -> Account | None:
        """Who signs in as `user` or `user@domain` with that password; None for nobody."""
        known = self.known(user)
        if known is None or not hmac.compare_digest(known.password.encode(), password.encode()):
            return None
        return known

    def known(self, user: str) -> Account | None:
        """The account of `user`, `user@domain` or `sip:user@domain`."""
        plain = user.removeprefix("sip:").removesuffix(f"@{self.domain}").lower()
        return next((one for one in self.accounts if one.user == plain), None)

    def ticket(self, account: Account) -> str:
        """A web ticket for an account."""
        claim = json.dumps({"user": account.user, "until": int(time.time()) + TICKET_SECONDS}).encode()
        return f"{_text(claim)}.{_text(self._signed(claim))}"

    def holder(self, ticket: str) -> str | None:
        """Whose ticket it is; None when it is forged, of another organisation or past its time."""
        claim, _, signature = ticket.partition(".")
        try:
            said = base64.urlsafe_b64decode(claim)
            genuine = hmac.compare_digest(base64.urlsafe_b64decode(signature), self._signed(said))
            if not genuine:
                return None
            found = json.loads(said)
        except ValueError:
            return None
        return str(found["user"]) if found["until"] > time.time() else None

    def _signed(self, claim: bytes) -> bytes:
        return hmac.digest(self.key, claim, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
