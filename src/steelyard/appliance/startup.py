"""First start and every start: state directory, store, administrator, certificates, engines."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from steelyard.appliance import factory_reset
from steelyard.appliance.access import hash_password, new_password
from steelyard.appliance.announcing import Announcer
from steelyard.appliance.appliance import Appliance
from steelyard.appliance.contract import Actor, Snapshot
from steelyard.appliance.dataplane import DataPlane
from steelyard.appliance.journal import Journal
from steelyard.appliance.kernel_plane import KernelPlane
from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.engines.haproxy.engine import RealHaproxy
from steelyard.engines.haproxy.layout import Layout, write
from steelyard.engines.health_process import HealthProcess
from steelyard.engines.host import LocalHost
from steelyard.engines.netd_process import NetdProcess
from steelyard.health.client import HealthClient
from steelyard.model.certificate import read_upload
from steelyard.model.commands import AddUser, Batch, PutCertificate
from steelyard.model.first_start import FirstStart
from steelyard.model.user import ADMINISTRATOR, User
from steelyard.netd.client import NetdClient
from steelyard.observe.collector import Collector
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.edge_log import EdgeLog
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.log import EventLog
from steelyard.observe.host_figures import HostFigureReader
from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.recorder import Recorder
from steelyard.store.sqlite import SqliteStore

PASSWORD_VARIABLE = "STEELYARD_ADMIN_PASSWORD"

_TEN_YEARS = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Started:
    """A running appliance.

    `password` is the administrator's new one, only at the first start and only if it was made here.
    """

    appliance: Appliance
    layout: Layout
    first_start: bool
    password: str | None


def default_state_dir() -> Path:
    """`/var/lib/steelyard` for root, `$XDG_STATE_HOME/steelyard` for a user."""
    if os.geteuid() == 0:
        return Path("/var/lib/steelyard")
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "steelyard"


def self_signed(common_name: str, addresses: tuple[str, ...] = ()) -> bytes:
    """A self-signed certificate with its key, in PEM, good for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _TEN_YEARS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + certificate.public_bytes(Encoding.PEM)


def admin_certificate(layout: Layout, address: str) -> Path:
    """The certificate of the administration interface, made at the first start."""
    path = layout.root / "admin.pem"
    if not path.exists():
        addresses = () if address in ("0.0.0.0", "::", "localhost") else (address,)
        write(path, self_signed("steelyard", addresses), durable=True)
    return path


async def start_appliance(
    state_dir: Path,
    *,
    haproxy: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
    netd_socket: Path | None = None,
    accept_licence: bool = False,
) -> Started:
    """Everything up. `state_dir` is absolute. Raises `HostLacks`, `EngineRefused` or `OperatorError`.

    `announce` is called with the administrator's new password, before that is committed: a start that fails or is
    killed later must not leave a password nobody knows. A new appliance asks whoever signs in first for the licence, a
    password and addresses; with `accept_licence`, or a password given, somebody has seen to that.
    """
    # Processes started from here on have no use for it.
    given = os.environ.pop(PASSWORD_VARIABLE, None)
    host = LocalHost(haproxy)
    capabilities = host.capabilities()
    open_files = host.raise_open_files()
    layout = Layout(state_dir)
    layout.make()
    reset = await asyncio.to_thread(factory_reset.clear, layout)
    journal = Journal(await asyncio.to_thread(SqliteStore, layout.root / "steelyard.db"))
    health_socket = layout.run / "health.sock"
    health = HealthProcess(
        socket=health_socket,
        worker=layout.socket,
        master=layout.master_socket,
        directory=layout.root / "health",
        engine=layout.engine,
        pid_file=layout.run / "health.pid",
        log=layout.log / "health.log",
        netd=netd_socket or layout.run / "netd.sock",
    )
    started_here = not health.adopt()
    if started_here:
        # it comes up while the configuration is read here
        health.start()
    try:
        snapshot = journal.load()
        first, password = not snapshot.configuration.users, None
        if first:
            snapshot, password = await _first_configuration(journal, snapshot, given, announce, accept_licence, reset)
        if reset is not None:
            await asyncio.to_thread(factory_reset.done, layout.root)
        kernel = _kernel_plane(layout, netd_socket)
        collector = Collector(layout.socket, kernel=kernel.traffic)
        dataplane = DataPlane(
            RealHaproxy(capabilities.haproxy_path, layout, journal.secret, lua=capabilities.lua),
            health,
            HealthClient(health_socket, journal.secret),
            collector.before_reload,
            kernel,
        )
    except BaseException:
        if started_here:
            await health.stop()
        raise
    threads = min(len(os.sched_getaffinity(0)), 64) if capabilities.threads else 1
    compiler = Compiler(
        EngineFacts(
            threads=threads,
            lua=capabilities.lua,
            open_files=open_files,
            ciphers=capabilities.ciphers,
            ipvs=capabilities.ipvs,
        )
    )
    announcer = Announcer(Bus(EventLog(layout.root / "events.db")), journal.secret)
    appliance = Appliance(
        journal=journal,
        compiler=compiler,
        dataplane=dataplane,
        host=host,
        collector=collector,
        recorder=Recorder(RecordFile(layout.root / "statistics.db"), HostFigureReader()),
        edge_log=EdgeLog(layout.edge_pipe, EdgeFiles(layout.edge_logs)),
        acme_hooks=layout.root / "acme-hooks",
        root=layout.root,
        announcer=announcer,
    )
    try:
        await appliance.start(snapshot)
    except BaseException:
        await appliance.close(stop_engines=first)
        raise
    return Started(appliance, layout, first, password)


def _kernel_plane(layout: Layout, netd_socket: Path | None) -> KernelPlane:
    """`steelyard-netd` as a child, unless somebody else runs one and says where it listens."""
    if netd_socket is not None:
        return KernelPlane(NetdClient(netd_socket), None)
    socket, directory = layout.run / "netd.sock", layout.root / "netd"
    process = NetdProcess(
        socket=socket, directory=directory, pid_file=layout.run / "netd.pid", log=layout.log / "netd.log"
    )
    return KernelPlane(NetdClient(socket), process, directory)


async def _first_configuration(
    journal: Journal,
    snapshot: Snapshot,
    given: str | None,
    announce: Callable[[str], None],
    accept_licence: bool = False,
    reset: factory_reset.Reset | None = None,
) -> tuple[Snapshot, str | None]:
    """The administrator with a one-time password, and the certificate services use until they are given one.

    After a factory reset the password is the one that whoever asked for that was told.
    """
    password = given or new_password()
    hashed, one_time = hash_password(password), not given
    if reset is not None:
        hashed, one_time = reset.password_hash, reset.one_time
    command = Batch(
        (
            AddUser(ADMINISTRATOR, hashed, one_time=one_time),
            PutCertificate(secrets.token_hex(16), read_upload(self_signed("steelyard")), temporary=True),
        )
    )
    change = command.apply(snapshot.configuration)
    first = change.configuration if reset is None else reset.applied(change.configuration)
    if one_time and not accept_licence:
        first = replace(first, first_start=FirstStart(unfinished=True, licence_due=True))
    if reset is None and not given:
        announce(password)
    system = Actor(User.make({"name": "system", "password_hash": "-"}), "system")
    why = "first start" if reset is None else f"factory reset, asked for by {reset.author} through {reset.origin}"
    revision = await journal.commit(snapshot, first, why, system, "", change.secrets, None)
    await journal.applied(revision)
    return Snapshot(revision, first), None if given or reset is not None else password
