"""One Steelyard with real servers and one Chromium for all tests of a file; every test gets a signed-in page.

Not for all of a worker: while it runs, Playwright has an event loop in the thread of the tests, and no other test could
have one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.browser.rig import Rig, Screen

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as made:
        yield made


@pytest.fixture
def screen(rig: Rig) -> Iterator[Screen]:
    """A page of 1280 x 900, signed in. At the end nothing may have gone wrong in it and nothing have left the host."""
    with rig.screen() as made:
        yield made
        made.must_be_clean()
