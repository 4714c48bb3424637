"""A control plane that takes over a running HAProxy notices which certificates its listeners present."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import certificates, haproxy_binaries
from tests.support.ports import free_port

from steelyard.engines.haproxy.engine import RealHaproxy
from steelyard.engines.haproxy.layout import Layout
from steelyard.model.certificate import read_upload
from steelyard.plan.haproxy import (
    Backend,
    Bind,
    BindTls,
    CertificateFile,
    Frontend,
    Globals,
    HaproxyPlan,
    ServicePlan,
)
from steelyard.plan.operations import AssignCertificate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]

MATERIAL = read_upload(certificates.leaf("lists.example", kind="ec").bundle())
FILES = {name: CertificateFile(name, MATERIAL.chain_pem, MATERIAL.key_id or "") for name in ("one", "two")}


def plan(port: int, first: tuple[str, ...]) -> HaproxyPlan:
    """Two services, the second of which presents both certificates, so that both are in memory."""
    services = {}
    for number, names in enumerate((first, ("one", "two"))):
        key = f"vs{number + 1}"
        bind = Bind(f"127.0.0.{number + 1}", port, port)
        frontend = Frontend(key, "http", (bind,), BindTls(names, (), "TLSv1.2"), 60)
        services[key] = ServicePlan(key, frontend, Backend(key, "http", ("roundrobin",), (), 60))
    return HaproxyPlan(Globals(100, 1), services, FILES)


async def test_a_commit_that_was_not_carried_out_is_not_taken_for_what_runs() -> None:
    """The configuration file is the same either way: only the list of the listener differs."""
    binary = haproxy_binaries.require("system")
    root = Path(tempfile.mkdtemp(prefix="sy"))
    layout = Layout(root)
    layout.make()
    port = free_port()
    old, new = plan(port, ("one",)), plan(port, ("one", "two"))

    def engine() -> RealHaproxy:
        return RealHaproxy(binary, layout, lambda _: MATERIAL.key_pem or b"", lua=True)

    running = engine()
    try:
        await running.start(old, [])
        assert await engine().adopt(replace(old)) is True
        assert await engine().adopt(new) is False
        await running.run(AssignCertificate("vs1", "two"), new)
        assert await engine().adopt(new) is False, "killed before it was written down"
        await running.save(new)
        assert await engine().adopt(new) is True
    finally:
        await running.stop()
        shutil.rmtree(root, ignore_errors=True)
