"""ACME accounts: registered with their authorities, or taken over by their keys."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from steelyard.appliance.acme_talking import Surroundings, library, opened, require_permission
from steelyard.model.acme_account import URL_SAYS, AcmeAccount
from steelyard.model.certificate import plain_key_pem
from steelyard.model.commands.acme import AcmeSecret, KeepRegistration, account_named
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.store.contract import SecretMissing

if TYPE_CHECKING:
    from steelyard.appliance.contract import Actor


class AcmeAccounts:
    """The accounts of one appliance."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def register(self, name: str, actor: Actor, *, email: str | None = None, agree: bool = False) -> None:
        """Register an account with its authority, or find it there. Raises the errors of `model.errors`."""
        require_permission(actor)
        account = account_named(self._configuration, name)
        if email is not None:
            account = account.changed({"email": email})
        _require_directory(account)
        key = self.key_of(account)
        if key is None:
            key = await asyncio.to_thread(new_account_key)
        binding = self.binding(account)
        async with await opened(self._around, account, key) as talk:
            terms = await talk(lambda authority: authority.terms())
            if terms and not agree:
                raise OperatorError(
                    "The authority asks you to agree to its terms of service",
                    field="agree_terms",
                    value=terms,
                    allowed="true",
                    remedy=f"Read {terms} and say that you agree",
                )
            made = await talk(lambda authority: authority.register(account.email, binding))
        await self._keep(account, made.uri, key, account.email, actor)

    async def fetch(self, name: str, upload: bytes, password: str | None, actor: Actor) -> None:
        """Take over an account by its key. Raises the errors of `model.errors`."""
        require_permission(actor)
        account = account_named(self._configuration, name)
        _require_directory(account)
        key = await asyncio.to_thread(_account_key, upload, password)
        async with await opened(self._around, account, key) as talk:
            found = await talk(lambda authority: authority.find())
        await self._keep(account, found.uri, key, found.email or account.email, actor)

    async def _keep(self, account: AcmeAccount, uri: str, key: bytes, email: str, actor: Actor) -> None:
        secret = AcmeSecret(secrets.token_hex(16), key)
        kept = KeepRegistration(account.name, account.directory_url, uri, secret, email)
        await self._around.execute(kept, actor)

    def key_of(self, account: AcmeAccount) -> bytes | None:
        """The private key of an account; None when there is none."""
        if not account.key_place:
            return None
        try:
            return self._around.secret(account.key_place)
        except SecretMissing:
            return None

    def binding(self, account: AcmeAccount) -> tuple[str, str] | None:
        """Its kid and HMAC key, if it is to be bound. Raises `OperatorError` when one of them is missing."""
        if not account.kid and not account.hmac_place:
            return None
        if not account.kid or not account.hmac_place:
            raise OperatorError(
                "An external account binding has a kid and an hmac",
                field="hmac" if account.kid else "kid",
                allowed="both, as the authority gave them to you, or neither",
                remedy="Set the other one too",
            )
        return account.kid, self._around.secret(account.hmac_place).decode()

    @property
    def _configuration(self) -> Configuration:
        return self._around.snapshot().configuration


def _account_key(upload: bytes, password: str | None) -> bytes:
    if upload.lstrip().startswith(b"{"):
        return plain_key_pem(library().key_from_jwk(upload))
    try:
        key = load_pem_private_key(upload, password.encode() if password and b"ENCRYPTED" in upload else None)
    except TypeError as failure:
        raise OperatorError("The account key is encrypted", field="password", remedy="Give its password") from failure
    except (ValueError, UnsupportedAlgorithm) as failure:
        wrong = bool(password) and b"ENCRYPTED" in upload
        raise OperatorError(
            "The password does not open the account key" if wrong else "The upload is no account key",
            field="password" if wrong else "data",
            allowed=None if wrong else "a private key in PEM, or a JSON Web Key",
            remedy="Give the key's password" if wrong else "Send the account's private key",
        ) from failure
    return plain_key_pem(key)


def new_account_key() -> bytes:
    """P-256: the one algorithm that every authority must take (RFC 8555, 6.2)."""
    return plain_key_pem(ec.generate_private_key(ec.SECP256R1()))


def _require_directory(account: AcmeAccount) -> None:
    if not account.directory_url:
        raise OperatorError(
            f"ACME account {account.name} has no directory",
            field="directory_url",
            allowed=URL_SAYS,
            remedy="Set the URL of the authority's directory first",
        )
