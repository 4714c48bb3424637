"""ACME: accounts registered, certificates ordered and renewed.

A task looks at what is due and orders it: key and signing request are made, each name is proved (`acme_proofs`), and
what the authority issues is imported by an ordinary command of the author "acme". What came of it is kept, so that a
failure is tried again after a while, also across restarts, and nothing is lost but the attempt when this process is
killed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from steelyard.appliance.acme_proofs import Proofs
from steelyard.appliance.acme_state import AcmeState, read_state
from steelyard.appliance.blocking import in_own_thread
from steelyard.appliance.signing import signing_request
from steelyard.model.acme_account import STAGING, URL_SAYS, AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_renewal import names_of, renewal_at
from steelyard.model.certificate import plain_key_pem, read_upload
from steelyard.model.commands.acme import (
    AcmeSecret,
    KeepRegistration,
    account_named,
    check_order,
    state_place,
)
from steelyard.model.commands.certificates import PutCertificate
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError, SteelyardError
from steelyard.model.setting import Settings
from steelyard.model.user import ADMINISTRATOR, PERMISSIONS, User
from steelyard.store.contract import SecretMissing

if TYPE_CHECKING:
    from steelyard.appliance.contract import Actor
    from steelyard.engines.acme.authority import Authority

log = logging.getLogger("steelyard.acme")

#: how often a look is taken at what is due
_LOOK_SECONDS = 1.0
#: orders at the same time
_AT_ONCE = 4
#: the longest of one question to an authority, with all its answers; the library's own limit is one of silence
_STEP_SECONDS = 180.0
_CLOSE_SECONDS = 3.0
PERMISSION = "certs"


class Committed(Protocol):
    """What the orders are taken from."""

    @property
    def configuration(self) -> Configuration: ...


class Execute(Protocol):
    """The road of a change."""

    async def __call__(self, command: Command, actor: Actor, *, reason: str = ..., wait: bool | None = ...) -> Any: ...


@dataclass(frozen=True)
class Surroundings:
    """What the orders are made with: the appliance's road, its secrets, HAProxy, the directory of hooks.

    `show` makes HAProxy answer exactly these challenges, path to answer; `keep` stores a secret; `told` makes an event
    of what goes wrong, or is well again (None).
    """

    snapshot: Callable[[], Committed]
    execute: Execute
    actor: Callable[[User], Actor]
    secret: Callable[[str], bytes]
    keep: Callable[[str, bytes], Awaitable[None]]
    show: Callable[[Mapping[str, str]], Awaitable[None]]
    hooks: Path
    told: Callable[[str, str | None], None] = lambda concern, words: None
    open: Callable[..., Authority] | None = None


class Acme:
    """Everything ACME of one appliance."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._proofs = Proofs(around.show, around.secret, around.hooks)
        self._states: dict[str, AcmeState] = {}
        self._orders: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    # --- what others ask

    def states(self) -> Mapping[str, AcmeState]:
        """How it stands with every certificate that is ordered here."""
        configuration = self._configuration
        return {name: self._state(name, one, configuration) for name, one in configuration.acme_certificates.items()}

    def problems(self) -> Sequence[str]:
        """What goes wrong now, in words."""
        found = []
        for state in self.states().values():
            if state.trouble:
                when = f"; next attempt {state.due:%Y-%m-%d %H:%M} UTC" if state.due is not None else ""
                found.append(f"ACME: certificate {state.certificate} was not issued: {state.trouble}{when}")
        return found

    @property
    def hooks(self) -> Path:
        """The directory of hooks."""
        return self._around.hooks

    # --- accounts

    async def register(self, name: str, actor: Actor, *, email: str | None = None, agree: bool = False) -> None:
        """Register an account with its authority, or find it there. Raises the errors of `model.errors`."""
        _require_permission(actor)
        account = _checked_email(account_named(self._configuration, name), email)
        _require_directory(account)
        key = self._key_of(account)
        if key is None:
            key = await asyncio.to_thread(_new_account_key)
        binding = self._binding(account)
        async with _Conversation(await self._opened(account, key)) as talk:
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
        _require_permission(actor)
        account = account_named(self._configuration, name)
        _require_directory(account)
        key = await asyncio.to_thread(self._account_key, upload, password)
        async with _Conversation(await self._opened(account, key)) as talk:
            found = await talk(lambda authority: authority.find())
        await self._keep(account, found.uri, key, found.email or account.email, actor)

    async def _keep(self, account: AcmeAccount, uri: str, key: bytes, email: str, actor: Actor) -> None:
        secret = AcmeSecret(secrets.token_hex(16), key)
        kept = KeepRegistration(account.name, account.directory_url, uri, secret, email)
        await self._around.execute(kept, actor)

    def _key_of(self, account: AcmeAccount) -> bytes | None:
        if not account.key_place:
            return None
        try:
            return self._around.secret(account.key_place)
        except SecretMissing:
            return None

    def _binding(self, account: AcmeAccount) -> tuple[str, str] | None:
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

    def _account_key(self, upload: bytes, password: str | None) -> bytes:
        if upload.lstrip().startswith(b"{"):
            return plain_key_pem(_library().key_from_jwk(upload))
        try:
            key = load_pem_private_key(upload, password.encode() if password and b"ENCRYPTED" in upload else None)
        except TypeError as failure:
            raise OperatorError(
                "The account key is encrypted", field="password", remedy="Give its password"
            ) from failure
        except (ValueError, UnsupportedAlgorithm) as failure:
            wrong = bool(password) and b"ENCRYPTED" in upload
            raise OperatorError(
                "The password does not open the account key" if wrong else "The upload is no account key",
                field="password" if wrong else "data",
                allowed=None if wrong else "a private key in PEM, or a JSON Web Key",
                remedy="Give the key's password" if wrong else "Send the account's private key",
            ) from failure
        return plain_key_pem(key)

    # --- orders

    async def order(self, name: str, actor: Actor) -> None:
        """Order a certificate now, or wait for the order that is under way. Raises the errors of `model.errors`."""
        _require_permission(actor)
        check_order(self._configuration, self._configuration.acme_certificate(name))
        await asyncio.shield(self._start(name))

    async def rehearse(self, name: str, actor: Actor, directory_url: str = "") -> str:
        """Order a certificate from another directory and throw it away; where it was ordered.

        It is made under an account of its own that nobody keeps. Raises the errors of `model.errors`.
        """
        _require_permission(actor)
        wanted = self._configuration.acme_certificate(name)
        account = account_named(self._configuration, wanted.account)
        directory_url = directory_url or STAGING.get(account.directory_url, "")
        if not directory_url:
            raise OperatorError(
                "A dry run needs a directory for it",
                field="directory_url",
                allowed=URL_SAYS,
                remedy="Give the URL of the authority's staging directory",
            )
        rehearsal = account.changed({"directory_url": directory_url, "uri": "", "key_place": ""})
        check_order(self._configuration, wanted)
        key = await asyncio.to_thread(_new_account_key)
        async with _Conversation(await self._opened(rehearsal, key)) as talk:
            await talk(lambda authority: authority.register("", self._binding(rehearsal)))
            await self._issued(talk, wanted, self._configuration, [])
        return directory_url

    def _start(self, name: str) -> asyncio.Task[None]:
        """The order of a certificate, begun now unless it is under way."""
        task = self._orders.get(name)
        if task is None:
            task = self._orders[name] = asyncio.create_task(self._attempt(name))
            task.add_done_callback(lambda done: self._ended(name, done))
        return task

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._orders.pop(name, None)
        if not task.cancelled():
            # told already; asking for it keeps asyncio from telling it again
            task.exception()

    async def _attempt(self, name: str) -> None:
        before = self._states.get(name, AcmeState(name))
        output: list[str] = []
        try:
            async with self._slots:
                await self._ordered(name, output)
        except SteelyardError as failure:
            after = before.failed(datetime.now(UTC), failure, "".join(output), random.random())  # noqa: S311 - jitter
            log.warning("certificate %s was not issued: %s", name, failure.message)
            await self._note(after)
            raise
        except Exception:
            log.exception("ordering certificate %s failed in itself", name)
            trouble = EngineRefused("Steelyard itself failed at the order; its log has more")
            await self._note(before.failed(datetime.now(UTC), trouble, "".join(output), random.random()))  # noqa: S311
            raise
        log.info("certificate %s was issued", name)
        await self._note(before.good(datetime.now(UTC), "".join(output)))

    async def _note(self, state: AcmeState) -> None:
        before = self._states.get(state.certificate)
        self._states[state.certificate] = state
        concern, ill = f"ACME certificate {state.certificate}", before is not None and bool(before.trouble)
        if state.trouble and not ill:
            self._around.told(concern, f"Certificate {state.certificate} was not issued by ACME: {state.trouble}")
        elif ill and not state.trouble:
            self._around.told(concern, None)
        if state.certificate not in self._configuration.acme_certificates:
            return
        try:
            await self._around.keep(state_place(state.certificate), state.as_bytes())
        except HostLacks as failure:
            log.warning("what came of the order of %s cannot be kept: %s", state.certificate, failure.message)

    async def _ordered(self, name: str, output: list[str]) -> None:
        configuration = self._configuration
        wanted = configuration.acme_certificate(name)
        check_order(configuration, wanted)
        account = account_named(configuration, wanted.account)
        key = self._key_of(account)
        if key is None:
            raise OperatorError(
                f"The key of ACME account {account.name} is not here any more",
                field="account",
                value=account.name,
                remedy="Register it again",
            )
        async with _Conversation(await self._opened(account, key)) as talk:
            bundle = await self._issued(talk, wanted, configuration, output)
        material = await asyncio.to_thread(read_upload, bundle)
        if self._configuration.acme_certificates.get(name) != wanted:
            raise OperatorError(f"What is asked of certificate {name} was changed meanwhile", field="name", value=name)
        known = name in self._configuration.certificates
        author = self._around.actor(User.make({"name": "acme", "password_hash": "-", "permissions": (PERMISSION,)}))
        reason = "renewed by ACME" if known else "issued by ACME"
        await self._around.execute(PutCertificate(name, material, replace=known), author, reason=reason, wait=True)

    async def _issued(
        self, talk: _Conversation, wanted: AcmeCertificate, configuration: Configuration, output: list[str]
    ) -> bytes:
        """Key, certificate and chain of a fresh order."""
        common = {"common_name": wanted.domains[0]} if len(wanted.domains[0]) <= 64 else {}
        request = await asyncio.to_thread(
            signing_request, wanted.name, {**wanted.subject(), **common}, wanted.domains, wanted.key_type
        )
        pem = request.request_pem.encode()
        order, authorizations = await talk(lambda authority: authority.order(pem))
        await self._proofs.prove(talk, wanted, authorizations, configuration, output)
        chain = await talk(lambda authority: authority.finalize(order, pem))
        return request.key_pem + str(chain).encode()

    async def _opened(self, account: AcmeAccount, key: bytes) -> Authority:
        make = self._around.open or _library().Authority
        # reading the host's own authorities takes a moment
        return await asyncio.to_thread(
            make, account.directory_url, key, uri=account.uri, authority_pem=account.authority_pem
        )

    # --- what is due

    async def run(self) -> None:
        """Look and order until cancelled."""
        self._around.hooks.mkdir(mode=0o700, exist_ok=True)
        while True:
            try:
                self.look(datetime.now(UTC))
            except Exception:
                # a bug here must not end renewal for good
                log.exception("looking at what is due failed in itself")
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Give up the orders under way; what they showed is taken away, if that is quick."""
        orders = list(self._orders.values())
        for task in orders:
            task.cancel()
        if orders:
            await asyncio.wait(orders, timeout=_CLOSE_SECONDS)

    def look(self, now: datetime) -> None:
        """Begin every order that is due."""
        for name, state in self.states().items():
            if not state.under_way and state.due is not None and state.due <= now:
                self._start(name)

    @property
    def _configuration(self) -> Configuration:
        return self._around.snapshot().configuration

    def _state(self, name: str, wanted: AcmeCertificate, configuration: Configuration) -> AcmeState:
        known = self._states.get(name)
        if known is None:
            known = self._states[name] = self._kept(name)
        due = known.retry or _due(wanted, configuration) if wanted.automatic else None
        return replace(known, under_way=name in self._orders, due=due)

    def _kept(self, name: str) -> AcmeState:
        try:
            return read_state(name, self._around.secret(state_place(name)))
        except SecretMissing:
            return AcmeState(name)


def _due(wanted: AcmeCertificate, configuration: Configuration) -> datetime:
    """When a certificate is to be ordered: at once when there is none of these names."""
    certificate = configuration.certificates.get(wanted.name)
    if certificate is None or names_of(certificate.leaf()) != frozenset(wanted.domains):
        return datetime.min.replace(tzinfo=UTC)
    return renewal_at(certificate.leaf(), configuration.acme.renew_days)


class _Conversation:
    """An authority whose blocking methods are called in threads, within a time."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def __aenter__(self) -> _Conversation:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._authority.close)

    async def __call__(self, step: Callable[[Authority], Any]) -> Any:
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                return await in_own_thread(lambda: step(self._authority))
        except TimeoutError as failure:
            raise HostLacks(
                f"The ACME authority did not finish its answer within {_STEP_SECONDS:.0f} s",
                lacks="a way to the ACME authority",
                remedy="It is tried again later by itself",
            ) from failure


def _library() -> Any:
    """The module that talks, which needs what not every installation has."""
    try:
        from steelyard.engines.acme import authority
    except ImportError as failure:
        raise HostLacks(
            f"ACME needs a library that is not installed ({failure.name})",
            lacks="the Python package acme",
            remedy="Install it: pip install 'steelyard[acme]'",
        ) from failure
    return authority


def _new_account_key() -> bytes:
    """P-256: the one algorithm that every authority must take (RFC 8555, 6.2)."""
    return plain_key_pem(ec.generate_private_key(ec.SECP256R1()))


def _checked_email(account: Settings, email: str | None) -> Any:
    return account if email is None else account.changed({"email": email})


def _require_permission(actor: Actor) -> None:
    if not actor.user.may(PERMISSION):
        raise OperatorError(
            f"User {actor.name} lacks the permission {PERMISSIONS[PERMISSION]}",
            field="permission",
            value=PERMISSION,
            remedy=f"Ask {ADMINISTRATOR}",
        )


def _require_directory(account: AcmeAccount) -> None:
    if not account.directory_url:
        raise OperatorError(
            f"ACME account {account.name} has no directory",
            field="directory_url",
            allowed=URL_SAYS,
            remedy="Set the URL of the authority's directory first",
        )
