"""Sessions of the web interface in LoadMaster's API (`reference/loadmaster-api/08`, 8.4)."""

from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

GIVEN = {"sessionidletime": 1800, "sessionmaxfailattempts": 5, "sessionconcurrent": 2, "WUIPreAuth": "Staff only."}


def test_the_parameters_of_sessions_are_kept_and_answered(api: Api) -> None:
    assert api.v2("get", param="sessionidletime") == {"sessionidletime": 600}
    for name, value in GIVEN.items():
        api.v2("set", param=name, value=value)
    assert {name: api.v2("get", param=name)[name] for name in GIVEN} == GIVEN
    kept = api.appliance.configuration.administration
    assert (kept.idle_seconds, kept.failed_sign_ins, kept.concurrent_sessions) == (1800, 5, 2)
    assert kept.banner == "Staff only."


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("sessionidletime", "59", "60 to 86400"),
        ("sessionmaxfailattempts", "0", "1 to 999"),
        ("sessionconcurrent", "10", "0 to 9"),
        ("WUIPreAuth", "x" * 5001, "5000"),
        ("sessioncontrol", "0", "always works with sessions"),
    ],
)
def test_what_cannot_be_is_refused(api: Api, name: str, value: str, says: str) -> None:
    status, message = api.v1_error("set", param=name, value=value)
    assert (status, says in message) == (422, True), message
