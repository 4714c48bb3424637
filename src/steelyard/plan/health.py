"""What `steelyard-health` must do, as plain frozen values.

The plan names every service and real server to watch, the check of each, and what to tell the engines. It carries no
verdict: verdicts are state and belong to the checking process. Times are in seconds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from steelyard.plan.weighting import Weighting

CheckKind = Literal[
    "none",
    "icmp",
    "tcp",
    "http",
    "https",
    "smtp",
    "pop3",
    "imap",
    "nntp",
    "ftp",
    "telnet",
    "ldap",
    "rdp",
    "dns",
    "bdata",
    "agent",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Directory(_Frozen):
    """An LDAP endpoint as far as checks care.

    `password_key` names the password among the secrets. The compiler knows no secrets: `password` is filled in on the
    way to the checking process, which keeps it in its plan file of mode 0600.
    """

    security: Literal["plain", "starttls", "ldaps"] = "plain"
    servers: tuple[tuple[str, int], ...] = Field((), description="asked in place of the real server, in this order")
    timeout: int = Field(60, ge=1, description="seconds each of these may take, within the check's own time-out")
    user: str = Field("", description="distinguished name to bind with; empty is an anonymous bind")
    password_key: str = ""
    password: str = Field("", repr=False)
    base: str = Field("", description="entry that must be found after the bind; empty looks for none")


class Trust(_Frozen):
    """Whom an https check believes: authorities in PEM, and with `system` those that the host's system trusts."""

    pem: str = ""
    system: bool = False


class Check(_Frozen):
    """One way of asking a real server whether it is well. Equal checks of one address are asked only once."""

    kind: CheckKind
    interval: int = Field(ge=1, description="seconds between the starts of two cycles")
    timeout: int = Field(ge=1, description="seconds one attempt may take in all")
    attempts: int = Field(ge=1, description="attempts in one cycle; only silence or a refused connection is repeated")
    method: Literal["HEAD", "GET", "POST", "OPTIONS"] = "HEAD"
    url: str = "/"
    host: str | None = Field(
        None, description="Host header and, for https, SNI; None means the virtual service's address"
    )
    http11: bool = False
    codes: tuple[int, ...] = Field((), description="good answers besides 2xx; empty means 301, 302 and 401")
    headers: tuple[tuple[str, str], ...] = ()
    sni: str | None = Field(None, description="server name sent in an https check; None sends none")
    pattern: str | None = Field(None, description="regular expression a 2xx body (first 4096 bytes) must match")
    body: str | None = Field(None, description="body of a POST check")
    name: str = Field("", description="name a DNS check asks for; empty asks for the root and takes any sign of life")
    transport: Literal["udp", "tcp"] = Field("tcp", description="how a DNS check asks")
    send: str = Field("", description="what a binary check sends, in hexadecimal")
    find: str = Field("", description="what it must find, in hexadecimal; empty takes any answer")
    within: int = Field(0, ge=0, le=8000, description="bytes of the answer it looks at; 0 means 8000")
    directory: Directory | None = Field(None, description="how an LDAP check signs in; None binds anonymously")
    trust: Trust | None = Field(None, description="who may have signed the certificate; None takes any")


class Target(_Frozen):
    """One real server of one service, or the slot of a sub-service. `key` is its name inside the engine's backends.

    A slot has no check: it is up as long as the service it `follows` has an available server. When one that is
    `critical` is not available, the engine is told that no target of the service is.
    """

    key: str
    address: str = ""
    port: int = Field(0, ge=0, le=65535, description="the port to check, already resolved; 0 for a slot")
    weight: int = Field(ge=1, le=65535)
    enabled: bool
    backends: tuple[str, ...] | None = Field(
        None, description="the engine's backends that have it; None is the one named after the service"
    )
    follows: str = Field("", description="key of the sub-service whose slot it is")
    critical: bool = False
    checked_as: str = Field("", description='"service/target" whose verdict it takes in place of one of its own')
    standby_below: int = Field(
        0, ge=0, description="it rests while so many targets that are no standby are available; 0: it never does"
    )
    further_ports: tuple[int, ...] = Field((), description="ports of the service's further checks, already resolved")

    def places(self, service: str) -> tuple[str, ...]:
        """The backends of the engine that have it."""
        return (service,) if self.backends is None else self.backends


class FurtherCheck(_Frozen):
    """A check besides the service's first; `name` is what an operator called it."""

    name: str
    check: Check


class Service(_Frozen):
    """One service: its checks, its real servers and how the engine must hear of changes."""

    key: str = Field(description="the name of its own backend in the engine, for example vs7")
    check: Check
    persistent: bool = Field(description="a disabled server keeps serving clients with a record until drain time ends")
    fixed: bool = Field(description="fixed weighting: only the best live server carries new connections")
    drop_on_failure: bool
    targets: tuple[Target, ...]
    parent: str = Field("", description="key of the service it is a sub-service of")
    further: tuple[FurtherCheck, ...] = ()
    any_check: bool = Field(False, description="one good check of several is enough; otherwise all must be good")
    rise: int = Field(1, ge=1, description="good cycles in a row that bring a target up again")
    fall: int = Field(1, ge=1, description="bad cycles in a row that take a target down")
    minimum: int = Field(0, ge=0, description="with fewer available targets the engine is told that there is none")
    weighting: Weighting | None = Field(None, description="what the weights follow; None: the configuration's stand")
    in_kernel: bool = Field(False, description="it runs at layer 4: steelyard-netd is told, not HAProxy")


class HealthPlan(_Frozen):
    """Everything to watch. `drain_seconds` is 0 or 60-86400; 0 cuts a disabled server's connections at once."""

    services: dict[str, Service] = Field(default_factory=dict)
    drain_seconds: int = 300
    drop_at_drain_end: bool = False
