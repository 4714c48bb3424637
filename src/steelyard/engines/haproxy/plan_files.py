"""The files HAProxy reads: its configuration, certificates, lookups, pages and lists; and the note of what is in force.

The note names a plan and the worker that has it. It is removed before anything is changed and written when all of it is
done, so a control plane that is killed in between is followed by a reload.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from steelyard.emit.haproxy.configuration import ConfigurationEmitter, EnginePaths, certificate_list
from steelyard.emit.haproxy.runtime import lookup_text
from steelyard.engines.haproxy.certificates import remove_other_certificates
from steelyard.engines.haproxy.layout import Layout, write
from steelyard.engines.haproxy.stapling import Staples
from steelyard.engines.haproxy.ticket_keys import ensure_keys
from steelyard.engines.haproxy.trust import contents as trust_contents
from steelyard.engines.haproxy.trust import write_trust
from steelyard.model.errors import HostLacks
from steelyard.plan.haproxy import CertificateFile, HaproxyPlan, Lookup, lookup_path, page_path

log = logging.getLogger("steelyard.haproxy")

#: finds a secret of the store by its name
SecretSource = Callable[[str], bytes]

#: entries of a lookup whose text takes no time worth a thread
_RENDERED_AT_ONCE = 5_000


class PlanFiles:
    """Those of one appliance. What is written already, and has not changed, is not written again."""

    def __init__(self, layout: Layout, secrets: SecretSource, staples: Staples, *, lua: bool) -> None:
        self._layout = layout
        self._secrets = secrets
        self._staples = staples
        self._emitter = ConfigurationEmitter(layout.paths(lua=lua))
        self._staged = ConfigurationEmitter(layout.paths(lua=lua, staged=True))
        self._written: dict[str, CertificateFile] = {}
        self._lookups: dict[str, Lookup] = {}
        self._rendered_lookups: dict[str, tuple[tuple[tuple[str, str], ...], bytes, str]] = {}

    @property
    def paths(self) -> EnginePaths:
        """What the files are called in HAProxy's configuration and commands."""
        return self._emitter.paths

    # --- the note

    def adopt(self, plan: HaproxyPlan, worker: int | None) -> bool:
        """Whether that worker has this plan, files included."""
        same = self._vouched() == self._voucher(plan, worker) and self._is_written(plan)
        if same:
            self._written = dict(plan.certificates)
            self._lookups = {lookup.name: lookup for lookup in plan.all_lookups()}
        return same

    def vouch(self, plan: HaproxyPlan, worker: int | None) -> None:
        """Note that the worker has this plan."""
        try:
            write(self._layout.in_force, self._voucher(plan, worker))
        except HostLacks as failure:
            # without the note the next start reloads once more
            log.warning("%s", failure.message)

    def doubt(self) -> None:
        """From now on files and worker may differ; a control plane killed here has to be followed by a reload."""
        try:
            self._layout.in_force.unlink(missing_ok=True)
        except OSError as failure:
            # a disk that has become read-only takes no commit either, so HAProxy stays at what the note says
            log.warning("%s cannot be removed: %s", self._layout.in_force, failure.strerror)

    def _vouched(self) -> str:
        try:
            return self._layout.in_force.read_text()
        except OSError:
            return ""

    def _voucher(self, plan: HaproxyPlan, worker: int | None) -> str:
        """Names a plan, and the worker that has it."""
        digest = hashlib.sha256(self._emitter.text(plan).encode())
        for name, certificate in sorted(plan.certificates.items()):
            digest.update(f"{name}\0{certificate.key_id}\0{certificate.chain_pem}\0".encode())
        for file in plan.trust.values():
            digest.update(f"{file.name}\0{file.pem}\0".encode())
        for lookup in plan.all_lookups():
            digest.update(f"{lookup.name}\0{self._rendered(lookup)[1]}\0".encode())
        for key, service in plan.services.items():
            digest.update("\0".join((key, *service.certificates(), "")).encode())
        return f"{worker} {digest.hexdigest()}\n"

    def _is_written(self, plan: HaproxyPlan) -> bool:
        """Whether the files hold this plan."""
        try:
            return all(path.read_bytes() == content for path, content in self._contents(plan))
        except (OSError, HostLacks):
            return False

    def _contents(self, plan: HaproxyPlan) -> Iterator[tuple[Path, bytes]]:
        base = self._layout.engine
        yield self._layout.configuration, self._emitter.text(plan).encode()
        for certificate in plan.certificates.values():
            yield self._certificate(certificate.name), self._pem(certificate)
        for lookup in plan.all_lookups():
            yield base / lookup_path(lookup.name), self._rendered(lookup)[0]
        for service in plan.services.values():
            names = service.certificates()
            if names:
                words = certificate_list(names, self._emitter.paths).encode()
                yield base / "lists" / f"{service.key}.list", words
            for page in service.pages:
                yield base / page_path(page.name), page.content
        yield from trust_contents(base, plan.trust.values())

    # --- writing

    @contextlib.contextmanager
    def staged(self, plan: HaproxyPlan) -> Iterator[Path]:
        """A plan in files of its own, to be read by HAProxy once; the path of its configuration. Keys do not stay."""
        self._write_files(plan, self._staged)
        path = self._layout.staging / "haproxy.cfg"
        write(path, self._staged.text(plan))
        try:
            yield path
        finally:
            for name in plan.certificates:
                (self._layout.staging / "certificates" / f"{name}.pem").unlink(missing_ok=True)

    def write(self, plan: HaproxyPlan) -> None:
        """Everything, the configuration last. Raises `HostLacks`."""
        self._write_files(plan, self._emitter)
        write(self._layout.configuration, self._emitter.text(plan))

    def replace_certificate(self, certificate: CertificateFile) -> bytes:
        """Write one whose content has changed; what it holds. What was stapled to it is forgotten."""
        pem = self._pem(certificate)
        self._staples.forget(certificate.name)
        write(self._certificate(certificate.name), pem)
        self._written[certificate.name] = certificate
        return pem

    def _write_files(self, plan: HaproxyPlan, emitter: ConfigurationEmitter) -> None:
        """What the configuration names: certificates, their lists, lookups and pages."""
        if emitter is self._emitter:
            self._staples.forget_others(plan.certificates if plan.settings.stapling else ())
        # somebody may have cleared the directory of sockets
        ensure_keys(self._layout.ticket_keys)
        self._write_certificates(plan, emitter)
        self._write_lists(plan, emitter)
        base = self._layout.engine if emitter is self._emitter else self._layout.staging
        write_trust(base, plan.trust.values(), staged=emitter is not self._emitter)
        for lookup in plan.all_lookups():
            if emitter is self._emitter:
                if self._lookups.get(lookup.name) is lookup:
                    continue
                # a file that could not be written has to be written by the next attempt
                self._lookups.pop(lookup.name, None)
            write(base / lookup_path(lookup.name), self._rendered(lookup)[0])
            if emitter is self._emitter:
                self._lookups[lookup.name] = lookup
        for service in plan.services.values():
            for page in service.pages:
                write(base / page_path(page.name), page.content)

    def _write_certificates(self, plan: HaproxyPlan, emitter: ConfigurationEmitter) -> None:
        for name, certificate in plan.certificates.items():
            if emitter is not self._emitter:
                write(self._layout.staging / "certificates" / f"{name}.pem", self._pem(certificate))
                continue
            if self._written.get(name) is certificate:
                continue
            self._written.pop(name, None)
            path, pem = self._certificate(name), self._pem(certificate)
            if not (path.exists() and path.read_bytes() == pem):
                self._staples.forget(name)
            write(path, pem)
            self._written[name] = certificate

    def _write_lists(self, plan: HaproxyPlan, emitter: ConfigurationEmitter) -> None:
        base = self._layout.engine if emitter is self._emitter else self._layout.staging
        for service in plan.services.values():
            names = service.certificates()
            if names:
                write(base / "lists" / f"{service.key}.list", certificate_list(names, emitter.paths))

    def tidy(self, plan: HaproxyPlan) -> None:
        """Remove lookups and pages that nothing in force names any more."""
        named = {"lookups": {one.name for one in plan.all_lookups()}, "pages": set[str](), "trust": set(plan.trust)}
        named["pages"] = {page.name for service in plan.services.values() for page in service.pages}
        for folder, names in named.items():
            for path in (self._layout.engine / folder).iterdir():
                if path.name not in names and not path.name.startswith("."):
                    try:
                        path.unlink(missing_ok=True)
                    except OSError as failure:
                        # it is in nobody's way
                        log.warning("%s cannot be removed: %s", path, failure.strerror)
        self._lookups = {name: lookup for name, lookup in self._lookups.items() if name in named["lookups"]}
        self._written = {name: file for name, file in self._written.items() if name in plan.certificates}
        remove_other_certificates(self._layout.engine / "certificates", plan.certificates)

    # --- contents

    def _certificate(self, name: str) -> Path:
        return self._layout.engine / "certificates" / f"{name}.pem"

    def _pem(self, certificate: CertificateFile) -> bytes:
        return self._secrets(f"key/{certificate.key_id}") + certificate.chain_pem.encode()

    async def render_ahead(self, plan: HaproxyPlan) -> None:
        """Work out the texts of large lookups beside everything else."""
        for lookup in plan.all_lookups():
            kept = self._rendered_lookups.get(lookup.name)
            if len(lookup.entries) > _RENDERED_AT_ONCE and (kept is None or kept[0] is not lookup.entries):
                await asyncio.to_thread(self._rendered, lookup)

    def _rendered(self, lookup: Lookup) -> tuple[bytes, str]:
        """The text of a lookup and its digest, which is worked out once: there may be 100,000 entries."""
        kept = self._rendered_lookups.get(lookup.name)
        if kept is None or kept[0] is not lookup.entries:
            text = lookup_text(lookup.entries).encode()
            kept = self._rendered_lookups[lookup.name] = (lookup.entries, text, hashlib.sha256(text).hexdigest())
        return kept[1], kept[2]
