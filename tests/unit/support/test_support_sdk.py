"""The official SDK runs in its own environment and its results come back."""

import pytest
from tests.support.certificates import leaf
from tests.support.origin import Origin
from tests.support.sdk import SdkFailed, run_sdk

pytestmark = [pytest.mark.client, pytest.mark.slow]  # the first run on a machine installs the SDK

_VERSION = (
    b'<Response stat="200" code="ok"><Success><Data><version>7.2.60.1.1.RELEASE</version></Data></Success></Response>'
)


class _Appliance:
    admin_address, user, password = "127.0.0.1", "bal", "secret"

    def __init__(self, port: int) -> None:
        self.admin_port = port


@pytest.fixture
def server():
    with Origin("appliance", tls=leaf("lm.example", kind="ec").server_context()) as running:
        running.bodies["/access/get"] = _VERSION
        yield running


def test_a_script_drives_the_appliance_and_returns_json(server):
    script = """
        loadmaster = LoadMaster(HOST, USER, PASSWORD, PORT)
        done([loadmaster["version"], loadmaster.version, ARGUMENTS])
    """
    assert run_sdk(script, _Appliance(server.port), "a", 1) == ["7.2.60.1.1.RELEASE", "7.2.60", ["a", 1]]
    assert server.requests[0].url == "/access/get?param=version"


def test_an_error_of_the_script_is_shown(server):
    server.statuses["/access/get"] = 401
    with pytest.raises(SdkFailed, match="UnauthorizedAccessError"):
        run_sdk("done(LoadMaster(HOST, USER, PASSWORD, PORT)['version'])", _Appliance(server.port))
