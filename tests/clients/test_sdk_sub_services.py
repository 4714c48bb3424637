"""The official Python SDK: sub-services, made, changed and deleted, with traffic through each state."""

from __future__ import annotations

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.test_sdk_virtual_services import make
from tests.clients.traffic import wait_for_origins, wait_for_shares
from tests.support.api_clients import LoadMasterClient
from tests.support.origin import Origin

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

_NEW = "sub = vs.create_sub_virtual_service(); sub.save()"


def family(sdk: SdkSession, port: int, *origins: Origin) -> None:
    """`vs`: a parent; `subs`: its sub-services, each with one of these real servers."""
    make(sdk, port)
    sdk("subs = []")
    for origin in origins:
        sdk(_NEW)
        sdk("sub.create_real_server('127.0.0.1', rsport).save(); subs.append(sub)", rsport=origin.port)
    wait_for_origins(port, *(origin.name for origin in origins))


def test_two_sub_services_share_the_traffic_of_their_parent(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    family(sdk, port, one, two)
    wait_for_shares(port, one=4, two=4)
    first, second = sdk("[int(sub.index) for sub in subs]")
    parent = sdk("int(vs.index)")
    _, record = lm.v2("showvs", vs=parent)
    assert [slot["VSIndex"] for slot in record["SubVS"]] == [first, second]
    assert (record["MasterVS"], record["NumberOfRSs"], record["Status"]) == (2, 2, "Up")
    _, own = lm.v2("showvs", vs=first)
    assert (own["MasterVSID"], own["VStype"], own["Status"]) == (parent, "http", "Up")


def test_a_weight_of_the_slot_is_saved_with_the_sub_service(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    family(sdk, port, one, two)
    # the SDK sends the slot's settings to the slot, and those of the SubVS to its parent: `vs` stays the parent's index
    sdk("sub = subs[0]; sub.schedule = 'wrr'; sub.subvs_data['Weight'] = 3000; sub.update()")
    wait_for_shares(port, one=30, two=10)
    _, record = lm.v2("showvs", vs=sdk("int(vs.index)"))
    assert [slot["Weight"] for slot in record["SubVS"]] == [3000, 1000]
    assert record["Schedule"] == "wrr"


def test_a_sub_service_is_read_and_changed_by_its_index(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    family(sdk, port, one, two)
    index = sdk("int(subs[0].index)")
    lm.must("modvs", vs=index, NickName="blue", Schedule="lc")
    sdk("found = lm.get_virtual_service(index=index)", index=index)
    assert sdk("[found.nickname, found.schedule, found.vstype]") == ["blue", "lc", "http"]
    _, record = lm.v2("showvs", vs=sdk("int(vs.index)"))
    first = record["SubVS"][0]
    assert (first["Name"], first["VSIndex"]) == ("blue", index)


def test_one_is_switched_off_through_its_slot(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    family(sdk, port, one, two)
    sdk("sub = subs[0]; sub.subvs_data['Enable'] = 'N'; sub.update()")
    wait_for_origins(port, "two")
    sdk("sub.subvs_data['Enable'] = 'Y'; sub.update()")
    wait_for_origins(port, "one", "two")


def test_what_cannot_be_is_refused(sdk: SdkSession, one: Origin, port: int) -> None:
    family(sdk, port, one)
    with pytest.raises(SdkRaised) as raised:
        sdk("vs.create_real_server('127.0.0.1', 9).save()")
    assert "Couldn't create RS" in str(raised.value)
    with pytest.raises(SdkRaised) as raised:
        sdk("sub.create_sub_virtual_service()")
    assert "SubVsCannotCreateSubVs" in raised.value.kinds


def test_deleting_one_and_then_the_parent(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    family(sdk, port, one, two)
    sdk("subs[0].delete()")
    wait_for_origins(port, "two")
    sdk("vs.delete()")
    assert lm.must("listvs").data.findall("VS") == []
