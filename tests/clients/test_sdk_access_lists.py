"""The official Python SDK: access lists, with clients that are refused."""

from __future__ import annotations

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.test_sdk_virtual_services import make
from tests.clients.waiting import eventually_equal
from tests.support.clients import fetch
from tests.support.origin import Origin

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


def served(port: int, source: str) -> bool:
    try:
        return fetch(f"http://127.0.0.1:{port}/", source=source, timeout=1.0).status == 200
    except (OSError, TimeoutError):
        return False


def test_the_lists_for_all_services(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    sdk("acl = lm.acl")
    assert sdk("[acl.blacklist, acl.whitelist]") == [{}, {}]
    sdk("lm._get('/aclcontrol', {'add': 'black', 'addr': '127.1.0.0/16', 'comment': 'noisy'})")
    sdk("lm._get('/aclcontrol', {'add': 'white', 'addr': '127.1.2.3'})")
    sdk("acl.refresh()")
    assert sdk("[acl.blacklist, acl.whitelist]") == [{"127.1.0.0/16": "noisy"}, {"127.1.2.3/32": ""}]
    assert [served(port, source) for source in ("127.1.0.1", "127.1.2.3", "127.2.0.1")] == [False, True, True]
    sdk("acl._delete_entry('black', '127.1.0.0/16'); acl._delete_entry('white', '127.1.2.3/32'); acl.refresh()")
    assert sdk("[acl.blacklist, acl.whitelist]") == [{}, {}]
    assert served(port, "127.1.0.1")


def test_the_lists_of_a_service(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    # the SDK looks for the version at the service here, where it is not
    sdk("acl = vs.acl; acl.appliance = lm")
    sdk("acl._add_entry('black', '127.1.0.1', 'why not'); acl.refresh()")
    assert sdk("[acl.blacklist, acl.whitelist]") == [{"127.1.0.1/32": "why not"}, {}]
    # the first entry of a service comes with a reload, which may be put off for up to a second
    eventually_equal(lambda: [served(port, source) for source in ("127.1.0.1", "127.1.0.2")], [False, True])
    with pytest.raises(SdkRaised) as raised:
        sdk("acl._add_entry('black', '127.1.0.1/8', '')")
    assert "Invalid address" in str(raised.value)
    sdk("acl._delete_entry('black', '127.1.0.1/32')")
    eventually_equal(lambda: served(port, "127.1.0.1"), True)
