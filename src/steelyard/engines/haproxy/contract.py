"""What the appliance needs of HAProxy: the real one (`engine`) and the one in memory (`fake`) both have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from steelyard.emit.haproxy.server_state import ServerState
from steelyard.plan.haproxy import CertificateFile, HaproxyPlan
from steelyard.plan.operations import Operation, RemoveServer


class HaproxyEngine(Protocol):
    """What the appliance needs of HAProxy. All raise `EngineRefused` or `HostLacks`."""

    @property
    def master_pid(self) -> int | None:
        """The pid of the running master."""
        ...

    def owns(self, pid: int) -> bool:
        """Whether that process is this HAProxy, master or worker."""
        ...

    async def check(self, plan: HaproxyPlan) -> None:
        """Have HAProxy read a plan (or the part of one that changes) without running it."""
        ...

    async def adopt(self, plan: HaproxyPlan) -> bool | None:
        """Take over a running HAProxy: True when it runs exactly this plan, False when another, None when none runs."""
        ...

    async def start(self, plan: HaproxyPlan, states: Iterable[ServerState]) -> None:
        """Start with these server states."""
        ...

    async def reload(self, plan: HaproxyPlan, states: Callable[[], Iterable[ServerState]]) -> None:
        """Change to a plan without dropping a connection; `states` is asked at the last moment."""
        ...

    async def run(self, operation: Operation, plan: HaproxyPlan) -> None:
        """Run one operation on the running process. `plan` holds what the operation leads to."""
        ...

    async def retire(self, removals: Sequence[RemoveServer]) -> None:
        """Give servers that will be removed no more requests, and let what is in flight on them end, for a moment."""
        ...

    async def prepare(self, plan: HaproxyPlan) -> None:
        """Do beforehand what `save` will take long for, while operations may be run."""
        ...

    async def save(self, plan: HaproxyPlan) -> None:
        """Write the plan, which is in force, as what a restart begins with."""
        ...

    async def staple(self, certificate: CertificateFile, issuer_pem: str, answer: bytes) -> None:
        """Have an OCSP responder's answer handed to clients, from now on and after a restart."""
        ...

    def stapled(self, certificate: str) -> bytes | None:
        """The answer that is handed to clients with a certificate, as far as it was kept."""
        ...

    async def rotate_ticket_keys(self, seconds: float) -> bool:
        """Replace the keys of session tickets that have encrypted for so long; whether there were any."""
        ...

    def require_room(self) -> None:
        """Raise `HostLacks` when there is no disk space to carry out a change and to take it back."""
        ...

    async def wait_for_end(self) -> None:
        """Return when HAProxy has ended."""
        ...

    async def stop(self) -> None:
        """End HAProxy; connections are cut."""
        ...

    def describe(self, operations: Sequence[Operation]) -> tuple[str, ...]:
        """The operations as they would be run, for people."""
        ...

    async def show(self, *words: str) -> str:
        """The running worker's answer to `show` with these words, which changes nothing in it."""
        ...
