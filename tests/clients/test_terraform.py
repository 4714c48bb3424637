"""Terraform providers: create, read, update, delete, then `Unknown VS` on read; indexes stable over everything."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.clients.traffic import wait_for_origins
from tests.clients.typed_records import SERVER, from_json
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import leaf
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


class Gone(Exception):
    """The provider drops the resource from its state."""


class Provider:
    """A provider's calls: v2, every answer checked in body and status, services kept by index."""

    def __init__(self, client: LoadMasterClient) -> None:
        self._client = client

    def call(self, command: str, **members: object) -> dict[str, Any]:
        status, answer = self._client.v2(command, **members)
        assert status == answer["code"]
        if answer["status"] != "ok":
            if answer["message"] in ("Unknown VS", "Unknown RS"):
                raise Gone(answer["message"])
            raise RuntimeError(answer["message"])
        return answer

    def create(self, port: int, **settings: object) -> int:
        made = self.call("addvs", vs="127.0.0.1", port=str(port), prot="tcp", **settings)
        index = int(made["Index"])
        assert self.read(index)["VSPort"] == str(port), "a service that cannot be read at once counts as not created"
        return index

    def read(self, index: int) -> dict[str, Any]:
        return self.call("showvs", vs=str(index))

    def update(self, index: int, **settings: object) -> dict[str, Any]:
        # One provider sends the whole plan: address and port of the service beside its index.
        return self.call("modvs", vs=index, **settings)

    def delete(self, index: int) -> None:
        self.call("delvs", vs=index)


@pytest.fixture
def provider(lm: LoadMasterClient) -> Provider:
    return Provider(lm)


def configured(record: dict[str, Any]) -> dict[str, Any]:
    """What a plan compares: without states."""
    servers = [{name: value for name, value in server.items() if name != "Status"} for server in record.get("Rs", [])]
    return {name: value for name, value in record.items() if name not in ("Status", "Rs")} | {"Rs": servers}


def test_create_read_update_delete(provider: Provider, one: Origin, port: int) -> None:
    index = provider.create(port, VStype="http", NickName="web", Schedule="rr")
    server = provider.call("addrs", vs=index, rs="127.0.0.1", rsport=str(one.port), weight="500")["Rs"][-1]
    wait_for_origins(port, "one")

    before = configured(provider.read(index))
    assert configured(provider.read(index)) == before, "a second plan is empty"
    provider.update(index, NickName="web2", Schedule="lc", vsaddress="127.0.0.1", port=port)
    after = configured(provider.read(index))
    assert {name for name in before if before[name] != after[name]} == {"NickName", "Schedule"}

    reference = {"vs": index, "rs": f"!{server['RsIndex']}"}
    assert provider.call("modrs", **reference, weight=600)["Rs"][-1]["Weight"] == 600
    assert from_json(provider.call("showrs", **reference)["Rs"][0], SERVER)["Weight"] == 600

    other = free_port()
    provider.update(index, vsport=str(other))
    wait_for_origins(other, "one")
    assert provider.read(index)["Index"] == index

    provider.call("delrs", **reference)
    with pytest.raises(Gone, match=r"^Unknown RS$"):
        provider.call("showrs", **reference)
    provider.delete(index)
    with pytest.raises(Gone, match=r"^Unknown VS$"):
        provider.read(index)
    with pytest.raises(Gone, match=r"^Unknown VS$"):
        provider.delete(index)


def test_applying_a_record_as_it_was_read_is_no_change(provider: Provider, one: Origin, port: int) -> None:
    index = provider.create(port, VStype="http", NickName="same", Persist="src", PersistTimeout="600")
    provider.call("addrs", vs=index, rs="127.0.0.1", rsport=one.port)
    before = configured(provider.read(index))
    whole = {name: value for name, value in provider.read(index).items() if name not in ("code", "status")}
    provider.update(index, **whole)
    assert configured(provider.read(index)) == before
    server = before["Rs"][0]
    provider.call("modrs", vs=index, rs=f"!{server['RsIndex']}", **server)
    assert configured(provider.read(index)) == before


def test_a_whole_tls_record_is_written_back_and_replayed(
    provider: Provider, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    """Lists, states, counts and read-only members come along; they change nothing."""
    lm.must("addcert", cert="tf", body=leaf("tf.example").bundle())
    settings: dict[str, object] = {"VStype": "http", "SSLAcceleration": True, "CertFile": "tf", "AllowHTTP2": True}
    settings |= {"SSLReencrypt": True, "PassSNI": True, "TLSType": "7", "ExtraPorts": str(free_port())}
    settings |= {"Persist": "active-cook-src", "Cookie": "X", "PersistTimeout": 720, "CheckHeaders": "A:b|C:d"}
    index = provider.create(port, **settings)
    provider.call("addrs", vs=index, rs="127.0.0.1", rsport=one.port)
    before = configured(provider.read(index))
    whole = {name: value for name, value in provider.read(index).items() if name not in ("code", "status")}

    provider.update(index, **whole)
    assert configured(provider.read(index)) == before

    fresh = whole | {"ExtraPorts": "", "Enable": True}
    copy = provider.call("addvs", vs="127.0.0.1", port=free_port(), prot="tcp", **fresh)["Index"]
    copied = configured(provider.read(copy))
    unlike = {name for name in before if before[name] != copied.get(name)}
    assert unlike == {"Index", "VSPort", "ExtraPorts", "NumberOfRSs", "Rs"}


def test_indexes_are_stable_over_everything(
    provider: Provider, steelyard: SteelyardProcess, lm: LoadMasterClient, one: Origin, two: Origin
) -> None:
    ports = [free_port() for _ in range(4)]
    indexes = [provider.create(port, VStype="http", NickName=f"s{port}") for port in ports]
    assert indexes == [1, 2, 3, 4]
    servers = {
        index: provider.call("addrs", vs=index, rs="127.0.0.1", rsport=one.port)["Rs"][0]["RsIndex"]
        for index in indexes
    }

    def seen() -> dict[int, tuple[str, list[int]]]:
        found = provider.call("listvs")["VS"]
        return {s["Index"]: (s["NickName"], [r["RsIndex"] for r in s["Rs"]]) for s in found}

    expected = {index: (f"s{port}", [servers[index]]) for index, port in zip(indexes, ports, strict=True)}
    assert seen() == expected

    # What renumbers services on real units: certificates, global parameters; and the removal of a service.
    lm.must("addcert", cert="tf", body=leaf("tf.example").bundle())
    assert seen() == expected
    provider.update(3, SSLAcceleration=True, CertFile="tf")
    lm.must("addcert", cert="tf", replace=1, body=leaf("tf.example", generation=2).bundle())
    provider.update(3, SSLAcceleration=False)
    lm.must("delcert", cert="tf")
    drain = lm.must("get", param="finalpersist").text("finalpersist")
    lm.must("set", param="finalpersist", value=600)
    lm.must("set", param="finalpersist", value=drain)
    assert seen() == expected
    provider.delete(2)
    del expected[2]
    assert seen() == expected
    provider.update(4, vsaddress="127.0.0.2", vsport=free_port())
    provider.update(1, Enable=False)
    provider.update(1, Enable=True)
    provider.call("disablers", rs="127.0.0.1")
    provider.call("enablers", rs="127.0.0.1")
    provider.call("modrs", vs=1, rs=f"!{servers[1]}", newport=two.port)
    assert seen() == expected

    steelyard.restart()
    assert seen() == expected
    wait_for_origins(ports[0], "two")

    # The lowest free index is used again, a real server's never.
    again = provider.create(free_port(), VStype="http", NickName="again")
    assert again == 2
    fresh = provider.call("addrs", vs=again, rs="127.0.0.1", rsport=one.port)["Rs"][0]["RsIndex"]
    assert fresh > max(servers.values())


def test_services_made_at_the_same_time_each_get_their_own_record(
    provider: Provider, steelyard: SteelyardProcess
) -> None:
    """On real units concurrent `addvs` calls can answer with each other's record."""
    ports = [free_port() for _ in range(12)]

    def make(port: int) -> tuple[int, str]:
        with LoadMasterClient(steelyard.url, steelyard.user, steelyard.password) as client:
            made = Provider(client).call("addvs", vs="127.0.0.1", port=port, prot="tcp", NickName=f"s{port}")
            return int(made["Index"]), str(made["NickName"])

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(make, ports))
    assert [name for _, name in found] == [f"s{port}" for port in ports]
    assert sorted(index for index, _ in found) == list(range(1, 13))
    listed = {s["Index"]: s["NickName"] for s in provider.call("listvs")["VS"]}
    assert listed == dict(found)


def test_a_service_is_visible_to_the_next_call_at_once(provider: Provider) -> None:
    started = time.monotonic()
    for _ in range(5):
        index = provider.create(free_port())
        provider.delete(index)
        with pytest.raises(Gone):
            provider.read(index)
    assert time.monotonic() - started < 15
