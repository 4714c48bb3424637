"""One running Steelyard a module, empty at the start of every test, with real origins behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.clients.sdk_session import SdkSession
from tests.support.api_clients import LoadMasterClient
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess


@pytest.fixture(scope="module")
def steelyard() -> Iterator[SteelyardProcess]:
    with SteelyardProcess() as running:
        # A dead real server is noticed after two seconds instead of nine.
        running.loadmaster.must("modhealth", RetryInterval=2, Timeout=1, RetryCount=1)
        yield running


@pytest.fixture
def lm(steelyard: SteelyardProcess) -> Iterator[LoadMasterClient]:
    """The raw client, as administrator. What a test made is removed after it."""
    with LoadMasterClient(steelyard.url, steelyard.user, steelyard.password) as client:
        yield client
        empty(client)


def empty(client: LoadMasterClient) -> None:
    """Remove every service and what services use, and every user."""
    for service in client.must("listvs").data.findall("VS"):
        # sub-services go with their parents
        if service.findtext("MasterVSID") == "0":
            client.must("delvs", vs=service.findtext("Index"))
    for rule in client.must("showrule").data.findall("*/Name"):
        client.must("delrule", name=rule.text)
    for endpoint in client.must("showldaplist").data.findall("EndPoint/name"):
        client.must("deleteldapendpoint", name=endpoint.text)
    for certificate in client.must("listcert").data.findall("cert"):
        client.must("delcert", cert=certificate.findtext("name"))
    for certificate in client.must("listintermediate").data.findall("cert"):
        client.must("delintermediate", cert=certificate.findtext("name"))
    for user in client.must("userlist").data.findall("User"):
        client.must("userdellocal", user=user.findtext("Name"))


@pytest.fixture(scope="module")
def _sdk(steelyard: SteelyardProcess) -> Iterator[SdkSession]:
    with SdkSession(steelyard) as session:
        yield session


@pytest.fixture
def sdk(_sdk: SdkSession, lm: LoadMasterClient) -> SdkSession:
    """The official Python SDK, signed in as administrator."""
    return _sdk


@pytest.fixture
def one() -> Iterator[Origin]:
    with Origin("one") as origin:
        yield origin


@pytest.fixture
def two() -> Iterator[Origin]:
    with Origin("two") as origin:
        yield origin


@pytest.fixture
def port() -> int:
    """A port for a virtual service on 127.0.0.1."""
    return free_port()
