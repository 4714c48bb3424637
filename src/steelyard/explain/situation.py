"""What an explanation knows: the configuration, the states, and answers to questions about HAProxy.

A step that needs to know what HAProxy has yields a question and is sent the answer. So the steps are pure, whoever asks
HAProxy, and only what matters is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family
from steelyard.explain.report import Step
from steelyard.explain.request import Request
from steelyard.model.configuration import Configuration
from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import ServiceState
from steelyard.plan.operations import AdminState

_T = TypeVar("_T")


@dataclass(frozen=True)
class RecordAsked:
    """Which record a table has for a key. `table` is the name of a table of the peers section."""

    table: str
    key: str


@dataclass(frozen=True)
class ServersAsked:
    """How the servers of a backend are."""

    backend: str


@dataclass(frozen=True)
class CountersAsked:
    """What a table of counters has for a key."""

    table: str
    key: str


@dataclass(frozen=True)
class KernelRecordAsked:
    """Which record the kernel has for a client of a layer-4 service, by the names they have there."""

    service: str
    client: str


@dataclass(frozen=True)
class Record:
    """A record: the number of the server, and in how many seconds it expires."""

    server: int
    seconds: float


@dataclass(frozen=True)
class ServerNow:
    """A server as HAProxy has it. `up` means nothing while `admin` is `maint`."""

    up: bool
    admin: AdminState
    weight: int


#: servers by their name
Servers = Mapping[str, ServerNow]
#: what is counted, by the name tables show
Counters = Mapping[str, int]
Question = RecordAsked | ServersAsked | CountersAsked | KernelRecordAsked
Answer = Record | Servers | Counters | None
#: steps that may ask and end in a value
Asking = Generator[Question, Answer, _T]


def ask_record(table: str, key: str) -> Asking[Record | None]:
    """The record of a key; None when there is none."""
    answer = yield RecordAsked(table, key)
    if answer is not None and not isinstance(answer, Record):
        raise InternalError("a question about a record was answered otherwise")
    return answer


def ask_kernel_record(service: str, client: str) -> Asking[Record | None]:
    """The record the kernel has of a client; None when there is none."""
    answer = yield KernelRecordAsked(service, client)
    if answer is not None and not isinstance(answer, Record):
        raise InternalError("a question about a record was answered otherwise")
    return answer


def ask_servers(backend: str) -> Asking[Servers]:
    """The servers of a backend."""
    answer = yield ServersAsked(backend)
    if not isinstance(answer, Mapping):
        raise InternalError("a question about servers was answered otherwise")
    return cast(Servers, answer)


def ask_counters(table: str, key: str) -> Asking[Counters]:
    """The counters of a key; empty when there is no entry."""
    answer = yield CountersAsked(table, key)
    if not isinstance(answer, Mapping):
        raise InternalError("a question about counters was answered otherwise")
    return cast(Counters, answer)


@dataclass(frozen=True)
class Situation:
    """Everything known without asking. `states` are what people are shown, with reasons."""

    configuration: Configuration
    states: Mapping[int, ServiceState]
    context: ServiceContext
    family: Callable[[VirtualService], Family]
    #: what ACME authorities find now, path to answer
    challenges: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Visit:
    """A request at one service. `request` is as the service's rules have left it, `steps` is shared by all visits."""

    situation: Situation
    service: VirtualService
    request: Request
    steps: list[Step]

    @property
    def family(self) -> Family:
        return self.situation.family(self.service)

    def note(self, name: str, says: str, *details: str) -> None:
        """Add a step."""
        self.steps.append(Step(name, says, details, self.service.index))
