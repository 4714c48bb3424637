"""Add Port to Active Cookie, Refresh Persist."""

from __future__ import annotations

import time

import pytest
from tests.engine.rig import Rig, Service
from tests.support.origin import Origin

from steelyard.model.errors import OperatorError

pytestmark = pytest.mark.engine


def _left(service: Service) -> float:
    ((_, left),) = service.records().values()
    return left


def test_the_client_s_port_is_in_the_cookie_that_is_issued(rig: Rig, one: Origin, two: Origin) -> None:
    rig.layer7(add_cookie_port=True)
    service = rig.http(one, two, persistence="active-cookie")
    with service.connect() as connection:
        port = connection.socket.getsockname()[1]
        reply = connection.request("/")
    value = reply.cookies["steelyard"]
    assert value.endswith(f"-{port}")
    assert len(value) == 36 + 1 + len(str(port))
    assert set(service.names(4, cookies=reply.cookies)) == {reply.name}
    rig.layer7(add_cookie_port=False)
    assert len(service.fetch().cookies["steelyard"]) == 36


@pytest.mark.parametrize("persistence", ["src", "active-cookie", "super"])
@pytest.mark.parametrize("always", [0, 1, 2])
def test_each_request_of_a_connection_refreshes_the_record(
    rig: Rig, one: Origin, two: Origin, persistence: str, always: int
) -> None:
    rig.layer7(always_check_persistence=always)
    service = rig.http(one, two, persistence=persistence, persistence_timeout=60, refresh_persistence=True)
    client = {"User-Agent": "a", "Cookie": "steelyard=known"}
    with service.connect() as connection:
        name = connection.request("/", headers=client).name
        time.sleep(1.3)
        assert _left(service) < 59
        assert connection.request("/", headers=client).name == name
        assert _left(service) > 59.5


def test_refreshing_needs_requests(rig: Rig, one: Origin) -> None:
    with pytest.raises(OperatorError, match="Refreshpersist: records are refreshed by requests"):
        rig.tcp(one, persistence="src", refresh_persistence=True)
    service = rig.http(one, persistence="src", refresh_persistence=True)
    service.change(service_type="gen")
    assert service.setting("refresh_persistence") is False
