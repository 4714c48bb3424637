"""Reading the logs of the edge filter."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance

LINES = [f"2026-01-31T12:00:0{number}.000Z service=1 n={number}" for number in range(5)]


@pytest.fixture(autouse=True)
def _logged(appliance: MemoryAppliance) -> None:
    appliance.edge_files().append("security", LINES)


async def test_the_last_lines(api: httpx.AsyncClient) -> None:
    found = await api.get("/logs/edge/security", params={"tail": 2})
    assert (found.status_code, found.json()) == (200, {"kind": "security", "lines": LINES[3:]})
    assert (await api.get("/logs/edge/user")).json() == {"kind": "user", "lines": []}


@pytest.mark.parametrize(
    "since", ["2026-01-31T12:00:03Z", "2026-01-31T12:00:03", "2026-01-31T13:00:03+01:00", "2026-01-31 12:00:02.001"]
)
async def test_lines_from_a_time_on(api: httpx.AsyncClient, since: str) -> None:
    found = await api.get("/logs/edge/security", params={"since": since})
    assert found.json()["lines"] == LINES[3:]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/logs/edge/passwd", {}, "kind"),
        ("/logs/edge/..%2f..%2fsteelyard", {}, None),
        ("/logs/edge/user", {"since": "yesterday"}, "since"),
        ("/logs/edge/user", {"since": "0001-01-01T00:00:00+23:59"}, "since"),
        ("/logs/edge/user", {"tail": 0}, "tail"),
        ("/logs/edge/user", {"tail": 10_001}, "tail"),
        ("/logs/edge/user", {"last": 1}, "last"),
    ],
)
async def test_what_cannot_be_read(api: httpx.AsyncClient, path: str, query: dict[str, str], field: str | None) -> None:
    found = await api.get(path, params=query)
    assert found.status_code in (404, 422)
    if field is not None:
        assert found.json()["error"]["field"] == field
