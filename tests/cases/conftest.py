"""Golden cases: what must come out is beside what goes in.

`pytest tests/cases --update-goldens` writes what comes out now. Read the difference before it is committed: a golden
that changed without a reason is a bug that was found.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files instead of comparing them")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether to write instead of to compare. Without this directory on the command line the option is not known."""
    return bool(request.config.getoption("--update-goldens", default=False))
