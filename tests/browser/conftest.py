"""One Steelyard with real servers and one Chromium for all tests of a worker; every test gets a signed-in page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.browser.rig import Rig, Screen

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    with Rig() as made:
        yield made


@pytest.fixture
def screen(rig: Rig) -> Iterator[Screen]:
    """A page of 1280 x 900, signed in. At the end nothing may have gone wrong in it and nothing have left the host."""
    with rig.screen() as made:
        yield made
        made.must_be_clean()
