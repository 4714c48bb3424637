"""`steelyard doctor`: what this host can and cannot do, what that means, and what to install to get the rest.

Each row is a fact that was probed, in one of three states: ok, limited (Steelyard works, without what the row names),
missing. The exit status is 1 when HAProxy is missing, because nothing works without it, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from json import dumps
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steelyard.cli.machine import Machine
from steelyard.engines.capabilities import Capabilities
from steelyard.engines.host import HAPROXY_REMEDY, Host, LocalHost, Survey
from steelyard.engines.kernel import Kernel
from steelyard.engines.netd_process import UNIT_SOCKET
from steelyard.model.errors import HostLacks
from steelyard.plan.limits import FEWEST_CONNECTIONS, FILES_PER_CONNECTION, RESERVED_FILES, max_connections

State = Literal["ok", "limited", "missing"]

_COLOURS: dict[State, str] = {"ok": "green", "limited": "yellow", "missing": "bold red"}

#: Fewer connections than this are called limited: enough for a trial, few for a service.
_FEW_CONNECTIONS = 1000

_OTHER_BUILD = "Install a HAProxy built with it; Debian's, Ubuntu's and the `haproxy` extra's are."


@dataclass(frozen=True, slots=True)
class Row:
    """One finding. `remedy` is empty when there is nothing to do."""

    area: str
    item: str
    state: State
    meaning: str
    remedy: str = ""


def doctor_report(host: Host | None = None, machine: Machine | None = None) -> list[Row]:
    """Probe the host and say what was found, in the order HAProxy, kernel, privileges, limits, machine."""
    survey = (host or LocalHost()).survey()
    return [
        *_haproxy_rows(survey),
        *_kernel_rows(survey.kernel),
        *_privilege_rows(survey.kernel),
        _files(survey.kernel),
        *_machine_rows(machine or Machine.here()),
    ]


def _haproxy_rows(survey: Survey) -> Iterator[Row]:
    for each in survey.passed_over:
        yield Row("HAProxy", each.path, "limited", f"passed over ({each.origin}): {each.reason}")
    try:
        capabilities = survey.capabilities()
    except HostLacks as lacking:
        yield Row("HAProxy", "binary", "missing", f"{lacking.message}. Nothing can carry traffic.", HAPROXY_REMEDY)
        return
    yield Row(
        "HAProxy",
        "binary",
        "ok",
        f"{capabilities.haproxy_path} ({capabilities.haproxy_origin}), version {capabilities.haproxy_version}",
    )
    yield from _build_rows(capabilities)


def _build_rows(found: Capabilities) -> Iterator[Row]:
    tls = f"OpenSSL {found.openssl_version}, {', '.join(sorted(found.tls_versions))}"
    newer = "Install HAProxy 2.8 or newer."
    for item, has, with_it, without_it, remedy in (
        ("TLS", found.openssl, tls, "no HTTPS services and no TLS to real servers", _OTHER_BUILD),
        ("TLS 1.3", found.tls13, "offered to clients", "clients get TLS 1.2 at best", _OTHER_BUILD),
        ("HTTP/2", found.http2, "offered to clients of HTTPS services", "clients get HTTP/1.1", _OTHER_BUILD),
        (
            "dynamic servers",
            found.dynamic_servers,
            "real servers are added and removed without a reload",
            "adding or removing a real server reloads HAProxy, hitlessly",
            newer,
        ),
        ("threads", found.threads, "HAProxy uses every core", "HAProxy uses one core", _OTHER_BUILD),
        (
            "PCRE",
            found.pcre,
            "fast regular expressions",
            "regular expressions run by the slower C library",
            _OTHER_BUILD,
        ),
        (
            "compression",
            found.compression,
            "HAProxy can compress answers",
            "HAProxy cannot compress answers",
            _OTHER_BUILD,
        ),
        (
            "Lua",
            found.lua,
            "no client changes its real server over a reload",
            "a client may change its real server in the first milliseconds after a reload",
            _OTHER_BUILD,
        ),
    ):
        yield Row("HAProxy", item, "ok", with_it) if has else Row("HAProxy", item, "limited", without_it, remedy)


def _kernel_rows(kernel: Kernel) -> Iterator[Row]:
    if not kernel.nft_refusal:
        yield Row("kernel", "nftables", "ok", f"{kernel.nft_path}: the kernel can carry layer-4 services")
    else:
        yield Row(
            "kernel",
            "nftables",
            "missing" if kernel.nft_path is None else "limited",
            f"{kernel.nft_refusal}: the kernel cannot carry layer-4 services",
            "Run `apt-get install nftables` as root."
            if kernel.nft_path is None
            else "Run with CAP_NET_ADMIN, as root or by a systemd unit that grants it.",
        )
    if kernel.ipvs:
        yield Row(
            "kernel", "IPVS", "ok", f"kernel {kernel.release} has it: least connection at layer 4, direct routing"
        )
    else:
        yield Row(
            "kernel",
            "IPVS",
            "limited",
            f"kernel {kernel.release} has none: no least connection and no direct routing in the kernel",
            "Boot a kernel with the module ip_vs; Debian's and Ubuntu's have it.",
        )


def _privilege_rows(kernel: Kernel) -> Iterator[Row]:
    if kernel.lowest_port == 1:
        yield Row("privileges", "low ports", "ok", "services may listen on every port")
    else:
        yield Row(
            "privileges",
            "low ports",
            "limited",
            f"services may listen on ports from {kernel.lowest_port} up",
            "Run by packaging/systemd/steelyard.service, which grants CAP_NET_BIND_SERVICE, or run"
            " `sysctl -w net.ipv4.ip_unprivileged_port_start=80` as root.",
        )
    if "CAP_NET_ADMIN" in kernel.granted:
        yield Row(
            "privileges", "network", "ok", "CAP_NET_ADMIN: addresses, routes, nftables and transparency can be set"
        )
    elif UNIT_SOCKET.exists():
        yield Row(
            "privileges",
            "network",
            "ok",
            f"steelyard-netd runs: `serve --netd-socket {UNIT_SOCKET}` can set addresses, routes and nftables",
        )
    else:
        yield Row(
            "privileges",
            "network",
            "limited",
            "no CAP_NET_ADMIN: addresses, routes and nftables cannot be changed from here",
            "Start packaging/systemd/steelyard-netd.service, or run as root, where those are wanted.",
        )
    if kernel.ping_socket:
        yield Row("privileges", "ping", "ok", "ICMP checks need no privilege")
    else:
        yield Row(
            "privileges",
            "ping",
            "limited",
            "ICMP checks cannot be sent: no group of this process is in net.ipv4.ping_group_range",
            "Run `sysctl -w net.ipv4.ping_group_range='0 2147483647'` as root.",
        )


def _files(kernel: Kernel) -> Row:
    most = max_connections(kernel.open_files_hard, 0)
    meaning = f"{kernel.open_files_hard:,} allowed: at most {most:,} connections, less one for each listening port"
    remedy = "Raise the hard limit: `ulimit -Hn` as root, or LimitNOFILE= in the systemd unit."
    if kernel.open_files_hard < RESERVED_FILES + FILES_PER_CONNECTION * FEWEST_CONNECTIONS:
        return Row(
            "limits", "open files", "missing", f"{kernel.open_files_hard:,} allowed: too few to serve with", remedy
        )
    if most < _FEW_CONNECTIONS:
        return Row("limits", "open files", "limited", meaning, remedy)
    return Row("limits", "open files", "ok", meaning)


def _machine_rows(machine: Machine) -> Iterator[Row]:
    for item, enough, meaning, remedy in machine.findings():
        yield Row("machine", item, "ok", meaning) if enough else Row("machine", item, "limited", meaning, remedy)


def works(rows: list[Row]) -> bool:
    """Whether Steelyard can carry traffic here: a HAProxy was found."""
    return any((row.area, row.item, row.state) == ("HAProxy", "binary", "ok") for row in rows)


def as_json(rows: list[Row]) -> str:
    """The report for programs: `works`, and `rows` with area, item, state, meaning, remedy."""
    report: dict[str, Any] = {"works": works(rows), "rows": [asdict(row) for row in rows]}
    return dumps(report, indent=2, ensure_ascii=False)


def as_table(rows: list[Row]) -> Table:
    """The report for people. A remedy stands under what it mends, so that a narrow terminal can show it."""
    table = Table(title="What this host can do", title_justify="left")
    table.add_column("area", no_wrap=True)
    table.add_column("item", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("what it means", overflow="fold")
    area = ""
    for row in rows:
        if area and row.area != area:
            table.add_section()
        said = Text(row.meaning)
        if row.remedy:
            said.append(f"\n→ {row.remedy}", style="italic")
        table.add_row("" if row.area == area else row.area, row.item, Text(row.state, style=_COLOURS[row.state]), said)
        area = row.area
    return table


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")] = False,
) -> None:
    """Say what this host can and cannot do, and what to install to get the rest."""
    rows = doctor_report()
    if json:
        typer.echo(as_json(rows))
    else:
        Console().print(as_table(rows))
    if not works(rows):
        raise typer.Exit(1)
