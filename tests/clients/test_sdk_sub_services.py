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


def test_settings_of_the_service_and_of_its_slot_are_saved_together(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    family(sdk, port, one, two)
    sdk("vs.schedule = 'wrr'; vs.update()")
    sdk("sub = subs[0]; sub.nickname = 'blue'; sub.schedule = 'lc'; sub.subvs_data['Weight'] = 3000; sub.update()")
    wait_for_shares(port, one=30, two=10)
    _, record = lm.v2("showvs", vs=sdk("int(vs.index)"))
    assert [(slot["Name"], slot["Weight"]) for slot in record["SubVS"]] == [("blue", 3000), ("-", 1000)]
    assert sdk("sub.schedule") == "lc"


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
