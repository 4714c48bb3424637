"""Where HAProxy's files are in the state directory, and how they are written: whole, atomically, for the owner only."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from steelyard.emit.haproxy.configuration import EnginePaths
from steelyard.model.errors import HostLacks, OperatorError

#: a Unix socket's path has 108 bytes; HAProxy appends ".<pid>.tmp" to its own while it binds them
_LONGEST_SOCKET_PATH = 90
#: certificate lists know no quotes (HAProxy 2.6 manual, `crt-list`)
_STRANGE = re.compile(r"[^A-Za-z0-9_./:,@%=+-]")
#: the end of a file's name while it is written; a killed process leaves one behind
_HALF = ".new"
SCRIPTS = ("persistence.lua", "body_replacement.lua", "starttls.lua")
#: what one thread of HAProxy has found out the others know
SHARED_SCRIPTS = ("client_ocsp.lua",)


@dataclass(frozen=True)
class Layout:
    """The directories of one appliance."""

    root: Path

    @property
    def engine(self) -> Path:
        return self.root / "engine"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def configuration(self) -> Path:
        return self.engine / "haproxy.cfg"

    @property
    def staging(self) -> Path:
        """Where changes are written to be checked, before they are committed."""
        return self.engine / "staging"

    @property
    def state(self) -> Path:
        return self.engine / "servers.state"

    @property
    def pid_file(self) -> Path:
        return self.run / "haproxy.pid"

    @property
    def in_force(self) -> Path:
        """Says which plan which worker is known to have; absent while that is in doubt."""
        return self.run / "in-force"

    @property
    def ticket_keys(self) -> Path:
        """The keys that session tickets are encrypted with."""
        return self.run / "tickets.keys"

    @property
    def edge_pipe(self) -> Path:
        """What the edge filter logs on its way from HAProxy to the log files."""
        return self.run / "edge.pipe"

    @property
    def edge_logs(self) -> Path:
        return self.log / "edge"

    @property
    def socket(self) -> Path:
        """The worker's runtime socket."""
        return self.run / "haproxy.sock"

    @property
    def master_socket(self) -> Path:
        return self.run / "master.sock"

    @property
    def scripts(self) -> tuple[Path, ...]:
        """HAProxy's Lua scripts, copied from the package."""
        return tuple(self.engine / name for name in (*SCRIPTS, *SHARED_SCRIPTS))

    def paths(self, *, lua: bool, staged: bool = False) -> EnginePaths:
        """The paths the configuration names. A staged one has files of its own."""
        base = self.staging if staged else self.engine
        return EnginePaths(
            base=str(base),
            run=str(self.run),
            certificates=str(base / "certificates"),
            lists=str(base / "lists"),
            lua=tuple(str(self.engine / name) for name in SCRIPTS) if lua else (),
            state=str(self.state),
            socket=str(self.socket),
            peers=str(self.run / "peers.sock"),
            shared_lua=tuple(str(self.engine / name) for name in SHARED_SCRIPTS) if lua else (),
        )

    def make(self) -> None:
        """Make the directories, for the owner only. Raises `OperatorError` when the path is too long for sockets."""
        if _STRANGE.search(str(self.root)):
            raise OperatorError(
                f"The state directory's path {str(self.root)!r} holds a blank or another sign HAProxy cannot take",
                field="state-dir",
                allowed="letters, digits and _ . / : , @ % = + -",
                remedy="Choose another path",
            )
        if len(os.fsencode(self.run / "haproxy.sock")) > _LONGEST_SOCKET_PATH:
            raise OperatorError(
                f"The state directory's path {self.root} is too long: its sockets would not fit",
                field="state-dir",
                allowed=f"at most {_LONGEST_SOCKET_PATH - len('/run/haproxy.sock')} bytes",
                remedy="Choose a shorter path",
            )
        try:
            for directory in (self.root, self.engine, self.run, self.log, self.edge_logs, self.staging):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                directory.chmod(0o700)
            for base in (self.engine, self.staging):
                for name in ("certificates", "lists", "lookups", "pages", "trust"):
                    (base / name).mkdir(mode=0o700, exist_ok=True)
            for half in self.root.rglob(f".*{_HALF}"):
                half.unlink(missing_ok=True)
        except OSError as failure:
            raise cannot_write(self.root, failure) from failure


def cannot_write(path: Path, failure: OSError) -> HostLacks:
    """The complaint about a file that cannot be written."""
    return HostLacks(
        f"{path} cannot be written: {failure.strerror}",
        lacks="a writable state directory",
        remedy="Free space or correct the directory's owner and mode",
    )


#: what is kept free for taking a change back, for server states and verdicts
_RESERVE_BYTES = 1024 * 1024


def require_room(layout: Layout) -> None:
    """Raise `HostLacks` when the disk has no room to carry a change out, and to take it back if it fails."""
    try:
        size = layout.configuration.stat().st_size
    except FileNotFoundError:
        size = 0
    disk = os.statvfs(layout.root)
    free = disk.f_bavail * disk.f_frsize
    if free < _RESERVE_BYTES + 2 * size:
        raise HostLacks(
            f"Nothing was saved: {layout.root} has only {free // 1024} KiB of disk space left",
            lacks="disk space",
            remedy=f"Free space under {layout.root}, or raise the quota, and try again",
        )


def write(path: Path, content: str | bytes, *, durable: bool = False) -> bool:
    """Replace a file whole, mode 0600, unless it holds the same already. Tells whether it changed.

    `durable` is for what nobody would write again after a power cut: its bytes are on the disk before its name is.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        temporary = path.with_name(f".{path.name}{_HALF}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            # half a file on a full disk only makes it fuller
            temporary.unlink(missing_ok=True)
            raise
    except OSError as failure:
        raise cannot_write(path, failure) from failure
    return True
