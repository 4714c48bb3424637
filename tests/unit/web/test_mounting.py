"""Which application answers which path."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from steelyard.web.mounting import by_path


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/access/listvs", "programs"),
        ("/accessv2", "programs"),
        ("/accessv2/anything", "programs"),
        ("/api/v1/status", "programs"),
        ("/progs/status/logout", "programs"),
        ("/access-lists", "people"),
        ("/", "people"),
        ("/virtual-services", "people"),
        ("/apis", "people"),
    ],
)
def test_programs_keep_their_paths_and_people_get_the_rest(path: str, answers: str) -> None:
    application = by_path(PlainTextResponse("programs"), PlainTextResponse("people"))
    assert TestClient(application).get(path).text == answers
