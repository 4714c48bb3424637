"""HAProxy as the appliance sees it: check, start, adopt, reload, run operations."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from steelyard.emit.haproxy.runtime import certificate_command, commands, lookup_kind, lookup_lines
from steelyard.emit.haproxy.server_state import ServerState, server_state_text
from steelyard.emit.haproxy.words import quote_command
from steelyard.engines.haproxy.certificates import (
    load_certificate,
    replace_certificate,
    tell_of_certificates,
)
from steelyard.engines.haproxy.layout import Layout, require_room, write
from steelyard.engines.haproxy.plan_files import PlanFiles, SecretSource
from steelyard.engines.haproxy.process import HaproxyProcess
from steelyard.engines.haproxy.records import (
    is_marked,
    is_taught,
    mark_ready,
    read_records,
    teaches,
    will_teach,
    write_records,
)
from steelyard.engines.haproxy.retirement import retire
from steelyard.engines.haproxy.runtime import LINE_BYTES, ask, batches
from steelyard.engines.haproxy.stapling import Staples, send_staple
from steelyard.engines.haproxy.ticket_keys import ensure_keys, rotate
from steelyard.engines.haproxy.trust import describe_trust, replace_trust
from steelyard.model.errors import EngineRefused, HostLacks, SteelyardError
from steelyard.plan.haproxy import CertificateFile, HaproxyPlan, lookup_path
from steelyard.plan.operations import (
    AssignCertificate,
    ChangeLookup,
    LoadCertificate,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    ReplaceLookup,
    ReplaceTrust,
    UnloadCertificate,
    WithdrawCertificate,
)

log = logging.getLogger("steelyard.haproxy")

#: Sessions told to end take some milliseconds; an idle connection a client keeps outlasts any wait.
_REMOVE_SECONDS = 0.3
#: changes of a lookup that are told to people one by one
_TOLD_SINGLY = 20
_LOOK_SECONDS = 0.01
#: what an old worker has to teach its records, as long as clients wait for it (persistence.lua)
_LEARN_SECONDS = 5.0
#: what HAProxy 2.6 and 2.8 answer to commands they carried out; `set server addr` tells what it changed
_GOOD_ANSWERS = (
    "New server registered.",
    "Server deleted.",
    "IP changed from",
    "port changed from",
    "no need to change the addr",
)


class RealHaproxy:
    """The real one."""

    def __init__(self, binary: str, layout: Layout, secrets: SecretSource, *, lua: bool) -> None:
        self._layout = layout
        self._process = HaproxyProcess(binary, layout)
        self._staples = Staples(layout.engine / "certificates")
        self._files = PlanFiles(layout, secrets, self._staples, lua=lua)
        self._learning: asyncio.Task[None] | None = None
        self._checks = asyncio.Lock()
        ensure_keys(layout.ticket_keys)
        package = importlib.resources.files("steelyard.engines.haproxy")
        for script in layout.scripts:
            write(script, package.joinpath(script.name).read_text())

    @property
    def master_pid(self) -> int | None:
        return self._process.master

    def owns(self, pid: int) -> bool:
        return self._process.owns(pid)

    async def check(self, plan: HaproxyPlan) -> None:
        async with self._checks:
            with self._files.staged(plan) as path:
                await self._process.check(path)

    async def adopt(self, plan: HaproxyPlan) -> bool | None:
        if not await self._process.adopt():
            return None
        same = self._files.adopt(plan, self._process.worker)
        with contextlib.suppress(EngineRefused):  # it has ended since; whoever watches it starts the next one
            if not await is_marked(self._layout.socket):
                # the control plane before was killed during a reload
                self._learning = asyncio.create_task(self._learnt())
        return same

    async def start(self, plan: HaproxyPlan, states: Iterable[ServerState]) -> None:
        self._files.doubt()
        self._files.write(plan)
        try:
            write(self._layout.state, server_state_text(states))
        except HostLacks as failure:
            # Serving comes first: steelyard-health tells a new worker the verdicts as soon as it answers.
            log.warning("HAProxy starts with older server states: %s", failure.message)
        # not checked first: a start that is refused says why as well, and takes half the time
        await self._process.start()
        await mark_ready(self._layout.socket)
        self._files.vouch(plan, self._process.worker)

    async def reload(self, plan: HaproxyPlan, states: Callable[[], Iterable[ServerState]]) -> None:
        await self._settle()
        self._files.doubt()
        before = self._layout.configuration.read_bytes() if self._layout.configuration.exists() else None
        try:
            self._files.write(plan)
            await self._process.check(self._layout.configuration)
            taught = await teaches(self._layout.socket)
            await will_teach(self._layout.socket, everything=taught)
            records = [] if taught else await read_records(self._layout.socket)
            write(self._layout.state, server_state_text(states()))
            await self._process.reload()
        except SteelyardError:
            if before is not None:
                write(self._layout.configuration, before)
            raise
        self._files.tidy(plan)
        self._files.vouch(plan, self._process.worker)
        if taught:
            self._learning = asyncio.create_task(self._learnt())
        else:
            await write_records(self._layout.socket, records)
            await mark_ready(self._layout.socket)

    async def _learnt(self) -> None:
        """Mark the new worker ready when it has learnt, or when the old one has had the time to teach and did not."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEARN_SECONDS):
                    while True:
                        if await is_taught(self._layout.socket):
                            break
                        await asyncio.sleep(_LOOK_SECONDS)
            await mark_ready(self._layout.socket)
        except EngineRefused:
            # the worker is gone; whoever starts the next one marks that
            return

    async def _settle(self) -> None:
        """A worker that has not learnt yet cannot teach: let it finish before the next reload."""
        if self._learning is not None:
            await self._learning

    async def run(self, operation: Operation, plan: HaproxyPlan) -> None:
        self._files.doubt()
        if isinstance(operation, ReplaceCertificate | LoadCertificate):
            await self._send_certificate(plan.certificates[operation.certificate], operation)
            return
        if isinstance(operation, AssignCertificate | WithdrawCertificate | UnloadCertificate):
            await tell_of_certificates(self._layout.socket, certificate_command(operation, self._files.paths))
            return
        if isinstance(operation, ReplaceTrust):
            await replace_trust(self._layout.socket, self._layout.engine, operation.file)
            return
        if isinstance(operation, RemoveServer):
            await self._remove(operation)
            return
        if isinstance(operation, ReplaceLookup):
            await self._replace_lookup(operation)
            return
        if isinstance(operation, ChangeLookup):
            # one line a command would take a connection each; the answers of lookups are empty when all is well
            for batch in batches(list(commands(operation))):
                await self._tell(batch)
            return
        for command in commands(operation):
            await self._tell(command)

    async def retire(self, removals: Sequence[RemoveServer]) -> None:
        self._files.doubt()
        await retire(self._layout.socket, removals)

    async def _replace_lookup(self, operation: ReplaceLookup) -> None:
        """Fill a version of the lookup beside the one in force, then put it in its place at one stroke."""
        where = f"{lookup_kind(operation.is_map)} {lookup_path(operation.lookup)}"
        answer = (await ask(self._layout.socket, f"prepare {where}")).strip()
        version = answer.removeprefix("New version created: ")
        if not version.isdigit():
            raise EngineRefused("HAProxy refuses to change a lookup", words=answer)
        kind, path = where.split(" ", 1)
        if not operation.is_map:
            # `add acl` takes no payload (2.6 and 2.8)
            for batch in batches([f"add acl @{version} {path} {quote_command(key)}" for key, _ in operation.entries]):
                await self._tell(batch)
        else:
            for payload in _payloads(lookup_lines(operation.entries)):
                answer = (await ask(self._layout.socket, f"add {kind} @{version} {path}", payload=payload)).strip()
                if answer:
                    raise EngineRefused("HAProxy refuses an entry of a lookup", words=answer)
        await self._tell(f"commit {kind} @{version} {path}")

    async def _tell(self, command: str) -> None:
        answer = (await ask(self._layout.socket, command)).strip()
        if answer and not answer.startswith(_GOOD_ANSWERS):
            raise EngineRefused("HAProxy refuses a change at run time", words=answer)

    async def _remove(self, operation: RemoveServer) -> None:
        """Sessions end a moment after they are told to; the server can go only then.

        The checking process may meanwhile put it back to work, which it has not heard is over: so it is told each time.
        """
        maintenance, cut, delete = commands(operation)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _REMOVE_SECONDS
        while True:
            await self._tell(maintenance)
            await self._tell(cut)
            try:
                await self._tell(delete)
            except EngineRefused:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    async def _send_certificate(
        self, certificate: CertificateFile, operation: ReplaceCertificate | LoadCertificate
    ) -> None:
        path = self._files.paths.certificate(certificate.name)
        pem = self._files.replace_certificate(certificate)
        send = load_certificate if isinstance(operation, LoadCertificate) else replace_certificate
        await send(self._layout.socket, path, pem.decode())

    async def staple(self, certificate: CertificateFile, issuer_pem: str, answer: bytes) -> None:
        self._staples.keep(certificate.name, issuer_pem, answer)
        if self.master_pid is not None:
            path = self._files.paths.certificate(certificate.name)
            await send_staple(self._layout.socket, path, issuer_pem, answer)

    def stapled(self, certificate: str) -> bytes | None:
        return self._staples.kept(certificate)

    async def prepare(self, plan: HaproxyPlan) -> None:
        await self._files.render_ahead(plan)

    async def save(self, plan: HaproxyPlan) -> None:
        self._files.write(plan)
        self._files.tidy(plan)
        self._files.vouch(plan, self._process.worker)

    async def rotate_ticket_keys(self, seconds: float) -> bool:
        path = self._layout.ticket_keys
        fresh = rotate(path, seconds, time.time())
        known = await ask(self._layout.socket, "show tls-keys") if fresh and self.master_pid is not None else ""
        if str(path) not in known:
            # no listener has tickets; the next process reads the file
            return bool(fresh)
        for key in fresh:
            answer = (await ask(self._layout.socket, f"set ssl tls-key {path} {key}")).strip()
            if not answer.startswith("TLS ticket key updated"):
                raise EngineRefused("HAProxy refuses a new key for session tickets", words=answer)
        return bool(fresh)

    def require_room(self) -> None:
        require_room(self._layout)

    async def wait_for_end(self) -> None:
        await self._process.wait_for_end()

    async def stop(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
        await self._process.stop()

    async def show(self, *words: str) -> str:
        return await ask(self._layout.socket, " ".join(["show", *(quote_command(word) for word in words)]))

    def describe(self, operations: Sequence[Operation]) -> tuple[str, ...]:
        lines: list[str] = []
        for operation in operations:
            if isinstance(operation, ReplaceCertificate):
                lines.append(f"set ssl cert {operation.certificate} (new content)")
            elif isinstance(operation, LoadCertificate):
                lines.append(f"new ssl cert {operation.certificate}")
            elif isinstance(operation, AssignCertificate | WithdrawCertificate | UnloadCertificate):
                lines.append(certificate_command(operation, self._files.paths))
            elif isinstance(operation, ReplaceTrust):
                lines.append(describe_trust(operation.file))
            elif isinstance(operation, ReplaceLookup):
                kind = lookup_kind(operation.is_map)
                lines.append(f"commit {kind} {lookup_path(operation.lookup)} ({len(operation.entries)} entries)")
            elif isinstance(operation, ChangeLookup) and operation.size > _TOLD_SINGLY:
                kind = lookup_kind(operation.is_map)
                lines.append(f"change {kind} {lookup_path(operation.lookup)} ({operation.size} entries)")
            elif isinstance(operation, Release):
                lines.append(f"{commands(operation)[0]} (by steelyard-health, with its verdict)")
            else:
                lines.extend(commands(operation))
        return tuple(lines)


def _payloads(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined into payloads that fit HAProxy's buffer."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) + 1 > LINE_BYTES:
            yield "\n".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line.encode()) + 1
    if chunk:
        yield "\n".join(chunk)
