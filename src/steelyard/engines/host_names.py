"""The host's name, its name servers and its hosts file: what `steelyard-netd` writes of them.

The hosts file keeps every line of others; ours stand between two comments. resolv.conf(5) has no such place, so it is
written whole; what it held is kept for the day Steelyard is removed. Containers mount both files, and a mount cannot be
renamed over: then they are written in place.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from steelyard.model.errors import HostLacks
from steelyard.plan.network import HostEntry as WantedEntry
from steelyard.plan.network import HostNetwork

_BEGIN, _END = "# Steelyard: begin", "# Steelyard: end"
_WRITTEN = "# Written by Steelyard; `steelyard network set` changes it."


@dataclass(frozen=True)
class HostEntry:
    """A line of the hosts file."""

    address: str
    names: tuple[str, ...]


class HostNames(Protocol):
    """What is written of the host's names."""

    def apply(self, wanted: HostNetwork) -> tuple[str, ...]:
        """Make it so; what was done, in words. Raises `HostLacks`."""
        ...

    def clear(self) -> None:
        """Take away what is ours and put back what was before. Raises `HostLacks`."""
        ...


class LocalHostNames:
    """The real ones. `kept` is where the first resolv.conf is kept."""

    def __init__(
        self, kept: Path, etc: Path = Path("/etc"), host_name: Path = Path("/proc/sys/kernel/hostname")
    ) -> None:
        self._kept = kept
        self._resolver, self._hosts, self._file = etc / "resolv.conf", etc / "hosts", etc / "hostname"
        self._host_name = host_name

    def apply(self, wanted: HostNetwork) -> tuple[str, ...]:
        """See `HostNames.apply`."""
        done: list[str] = []
        if wanted.host_name is not None and wanted.host_name != socket.gethostname():
            # without CAP_SYS_ADMIN, sethostname(2) is not allowed to root; this file is
            self._write(self._host_name, f"{wanted.host_name}\n", in_place=True)
            self._write(self._file, f"{wanted.host_name}\n")
            done.append(f"name the host {wanted.host_name}")
        if wanted.name_servers is not None or wanted.search_domains is not None:
            text = resolver_text(wanted.name_servers or (), wanted.search_domains or ())
            if parse_resolver(self._read(self._resolver)) != (wanted.name_servers or (), wanted.search_domains or ()):
                self._keep_first()
                self._write(self._resolver, text)
                done.append(f"use the name servers {', '.join(wanted.name_servers or ()) or 'none'}")
        if wanted.hosts is not None:
            now = self._read(self._hosts)
            text = with_entries(now, wanted.hosts)
            if text != now:
                self._write(self._hosts, text)
                done.append(f"write {len(wanted.hosts)} names to the hosts file")
        return tuple(done)

    def clear(self) -> None:
        """See `HostNames.clear`."""
        now = self._read(self._hosts)
        if (text := with_entries(now, ())) != now:
            self._write(self._hosts, text)
        if self._kept.exists() and self._read(self._resolver).startswith(_WRITTEN):
            self._write(self._resolver, self._kept.read_text("utf-8", "surrogateescape"))
        self._kept.unlink(missing_ok=True)

    def _keep_first(self) -> None:
        if self._resolver.is_symlink():
            raise HostLacks(
                f"{self._resolver} is a link to {self._resolver.readlink()}: another program owns it",
                lacks="a resolv.conf of its own",
                remedy="Set name servers there (systemd-resolved, NetworkManager), or replace the link by a file",
            )
        text = self._read(self._resolver)
        if not text.startswith(_WRITTEN):
            self._write(self._kept, text)

    def _read(self, path: Path) -> str:
        try:
            return path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as failure:
            raise self._not_writable(path, failure) from failure

    def _write(self, path: Path, text: str, *, in_place: bool = False) -> None:
        data = text.encode("utf-8", "surrogateescape")
        try:
            if not in_place:
                fresh = path.with_name(f"{path.name}.steelyard")
                try:
                    fresh.write_bytes(data)
                    fresh.chmod(0o644)
                    fresh.rename(path)
                except OSError as failure:
                    fresh.unlink(missing_ok=True)
                    if failure.errno not in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS):
                        raise
                else:
                    return
            path.write_bytes(data)
        except OSError as failure:
            raise self._not_writable(path, failure) from failure

    @staticmethod
    def _not_writable(path: Path, failure: OSError) -> HostLacks:
        return HostLacks(
            f"steelyard-netd cannot change {path}: {failure.strerror}",
            lacks="a file it may write",
            remedy="Run steelyard-netd as root by its unit (it gives up all privileges but the network's), or change"
            " the host's names with the tool that owns them",
        )


def resolver_text(servers: Sequence[str], search: Sequence[str]) -> str:
    """A resolv.conf."""
    lines = [_WRITTEN, *(f"nameserver {one}" for one in servers)]
    if search:
        lines.append(f"search {' '.join(search)}")
    return "\n".join(lines) + "\n"


def with_entries(text: str, entries: Sequence[WantedEntry]) -> str:
    """A hosts file with these entries between our comments, and everything else as it was."""
    kept: list[str] = []
    ours = False
    for line in text.splitlines():
        if line == _BEGIN:
            ours = True
        elif line == _END:
            ours = False
        elif not ours:
            kept.append(line)
    if entries:
        kept += [_BEGIN, *(f"{one.address} {' '.join(one.names)}" for one in entries), _END]
    return "\n".join(kept) + "\n" if kept else ""


def parse_resolver(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name servers and search domains of a resolv.conf; of several search lines the last counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.partition("#")[0].partition(";")[0].split()
        if len(words) > 1 and words[0] == "nameserver":
            servers.append(words[1])
        elif len(words) > 1 and words[0] in ("search", "domain"):
            search = tuple(words[1:])
    return tuple(servers), search


def parse_hosts(text: str) -> tuple[HostEntry, ...]:
    """The lines of a hosts file that have an address and a name."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            found.append(HostEntry(words[0], tuple(words[1:])))
    return tuple(found)
