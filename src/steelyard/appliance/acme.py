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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from steelyard.appliance.acme_accounts import AcmeAccounts, new_account_key
from steelyard.appliance.acme_proofs import Proofs
from steelyard.appliance.acme_state import AcmeState, read_state
from steelyard.appliance.acme_talking import PERMISSION, Conversation, Surroundings, opened, require_permission
from steelyard.appliance.signing import signing_request
from steelyard.model.acme_account import STAGING, URL_SAYS
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_renewal import names_of, renewal_at
from steelyard.model.certificate import read_upload
from steelyard.model.commands.acme import (
    account_named,
    check_order,
    state_place,
)
from steelyard.model.commands.certificates import PutCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError, SteelyardError
from steelyard.model.user import User
from steelyard.store.contract import SecretMissing

if TYPE_CHECKING:
    from steelyard.appliance.contract import Actor

log = logging.getLogger("steelyard.acme")

#: how often a look is taken at what is due
_LOOK_SECONDS = 1.0
#: orders at the same time
_AT_ONCE = 4
_CLOSE_SECONDS = 3.0


class Acme:
    """Everything ACME of one appliance."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._accounts = AcmeAccounts(around)
        self._proofs = Proofs(around.show, around.secret, around.hooks)
        self._states: dict[str, AcmeState] = {}
        #: what the states are of
        self._wanted: Mapping[str, AcmeCertificate] = {}
        self._orders: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    # --- what others ask

    def states(self) -> Mapping[str, AcmeState]:
        """How it stands with every certificate that is ordered here."""
        configuration = self._configuration
        wanted = configuration.acme_certificates
        if self._wanted is not wanted:
            # what is removed is forgotten, and what is changed is not held responsible for what it was before
            known = {name: one for name, one in self._wanted.items() if wanted.get(name) != one}
            self._states = {name: state for name, state in self._states.items() if name not in known}
            self._wanted = wanted
        return {name: self._state(name, one, configuration) for name, one in wanted.items()}

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
        await self._accounts.register(name, actor, email=email, agree=agree)

    async def fetch(self, name: str, upload: bytes, password: str | None, actor: Actor) -> None:
        """Take over an account by its key. Raises the errors of `model.errors`."""
        await self._accounts.fetch(name, upload, password, actor)

    # --- orders

    async def order(self, name: str, actor: Actor) -> None:
        """Order a certificate now, or wait for the order that is under way. Raises the errors of `model.errors`."""
        require_permission(actor)
        check_order(self._configuration, self._configuration.acme_certificate(name))
        await asyncio.shield(self._start(name))

    async def rehearse(self, name: str, actor: Actor, directory_url: str = "") -> str:
        """Order a certificate from another directory and throw it away; where it was ordered.

        It is made under an account of its own that nobody keeps. Raises the errors of `model.errors`.
        """
        require_permission(actor)
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
        key = await asyncio.to_thread(new_account_key)
        async with await opened(self._around, rehearsal, key) as talk:
            await talk(lambda authority: authority.register("", self._accounts.binding(rehearsal)))
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
        wanted, output = self._configuration.acme_certificates.get(name), list[str]()
        try:
            async with self._slots:
                await self._ordered(name, output)
        except SteelyardError as failure:
            log.warning("certificate %s was not issued: %s", name, failure.message)
            await self._failed(name, wanted, failure, "".join(output))
            raise
        except Exception:
            log.exception("ordering certificate %s failed in itself", name)
            trouble = EngineRefused("Steelyard itself failed at the order; its log has more")
            await self._failed(name, wanted, trouble, "".join(output))
            raise
        log.info("certificate %s was issued", name)
        await self._note(AcmeState(name).good(datetime.now(UTC), "".join(output)))

    async def _failed(self, name: str, wanted: AcmeCertificate | None, failure: SteelyardError, output: str) -> None:
        if wanted is None or self._configuration.acme_certificates.get(name) != wanted:
            # what was changed meanwhile is another order, which this failure says nothing about
            self._states.pop(name, None)
            return
        before = self._states.get(name, AcmeState(name))
        await self._note(before.failed(datetime.now(UTC), failure, output, random.random()))  # noqa: S311 - jitter

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
        key = self._accounts.key_of(account)
        if key is None:
            raise OperatorError(
                f"The key of ACME account {account.name} is not here any more",
                field="account",
                value=account.name,
                remedy="Register it again",
            )
        async with await opened(self._around, account, key) as talk:
            bundle = await self._issued(talk, wanted, configuration, output)
        material = await asyncio.to_thread(read_upload, bundle)
        if self._configuration.acme_certificates.get(name) != wanted:
            raise OperatorError(f"What is asked of certificate {name} was changed meanwhile", field="name", value=name)
        known = name in self._configuration.certificates
        author = self._around.actor(User.make({"name": "acme", "password_hash": "-", "permissions": (PERMISSION,)}))
        reason = "renewed by ACME" if known else "issued by ACME"
        await self._around.execute(PutCertificate(name, material, replace=known), author, reason=reason, wait=True)

    async def _issued(
        self, talk: Conversation, wanted: AcmeCertificate, configuration: Configuration, output: list[str]
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
