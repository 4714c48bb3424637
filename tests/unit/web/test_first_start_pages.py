"""The first start in the web interface: nothing else before it, each step once, resumed where it was."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.support.web_forms import Fields, fields_of
from tests.unit.web.rig import Browser

from steelyard.appliance.kernel_plane import Waiting
from steelyard.model.commands import AddUser, FinishFirstStart, ManageNetwork, SetUpNetwork
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.observe.network_state import Interface, NetworkState, Route

NEW = "a password of my own"
STEPS = ("/first-start/licence", "/first-start/password", "/first-start/addresses")

TWO_ARMS = NetworkState(
    "lb1",
    (
        Interface("eth0", 0, "port", True, 1500, "02:00:00:00:00:01", ("192.0.2.5/24",), gateway=True),
        Interface("eth1", 1, "port", True, 1500, "02:00:00:00:00:02", ("10.0.0.5/24",)),
    ),
    (Route("0.0.0.0/0", "192.0.2.1", "eth0", 0),),
    ("192.0.2.53",),
    ("example.com",),
    (),
)


@pytest.fixture
def new() -> Browser:
    appliance = FakeAppliance(new=True)
    appliance.network_state = TWO_ARMS
    return Browser(appliance)


def form(browser: Browser, path: str) -> Fields:
    return fields_of(browser.get(path), "step")


def post(browser: Browser, path: str, **fields: str) -> Any:
    return browser.client.post(path, data={"csrf": form(browser, path)["csrf"], **fields})


def accept(browser: Browser) -> None:
    assert post(browser, STEPS[0], accepted="1").headers["location"] == STEPS[1]


def choose(browser: Browser) -> None:
    assert post(browser, STEPS[1], new=NEW, again=NEW).headers["location"] == STEPS[2]


def at_addresses(browser: Browser) -> None:
    accept(browser)
    choose(browser)


def test_every_page_leads_to_the_step_that_is_due(new: Browser) -> None:
    for path in ("/", "/virtual-services", "/password", "/interfaces/managed", "/search?q=a", *STEPS[1:]):
        assert new.client.get(path).headers["location"] == STEPS[0], path
    text = new.get(STEPS[0])
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text and "Grant of Patent License" in text
    assert 'aria-current="step"' in text
    csrf = fields_of(text, "step")["csrf"]
    write = new.client.post("/virtual-services/add", data={"csrf": csrf, "address": "10.0.0.1", "_step": "apply"})
    assert write.headers["location"] == STEPS[0]
    accept(new)
    for path in ("/", "/virtual-services", "/password", STEPS[0], STEPS[2]):
        assert new.client.get(path).headers["location"] == STEPS[1], path


def test_the_licence_has_to_be_accepted_not_only_passed(new: Browser) -> None:
    answer = post(new, STEPS[0])
    assert answer.status_code == 422 and "Accept the licence to go on." in answer.text
    assert new.appliance.configuration.first_step == "licence"
    assert new.client.post(STEPS[0], data={"accepted": "1"}).status_code == 409, "without the token of the session"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [("short", "short", "too short"), (NEW, f"{NEW}?", "differ"), (PASSWORD, PASSWORD, "another one")],
)
def test_a_password_that_cannot_be_is_asked_for_again(new: Browser, first: str, second: str, said: str) -> None:
    accept(new)
    answer = post(new, STEPS[1], new=first, again=second)
    assert answer.status_code == 422 and said in answer.text
    assert new.appliance.configuration.first_step == "password"


def test_the_password_goes_on_in_a_session_of_its_own(new: Browser) -> None:
    other = Browser(new.appliance)
    at_addresses(new)
    assert other.client.get("/").headers["location"].startswith("/sign-in")
    assert "Network side (eth0)" in new.get(STEPS[2])
    assert not new.appliance.configuration.user("bal").one_time_password


def test_it_goes_on_in_another_browser_where_it_was(new: Browser) -> None:
    at_addresses(new)
    later = Browser(new.appliance, password=NEW)
    assert later.client.get("/").headers["location"] == STEPS[2]
    assert later.client.get("/virtual-services").status_code == 200, "addresses may wait"
    assert post(later, STEPS[2], do="finish").headers["location"] == "/"
    assert "Steelyard is set up." in later.get("/")
    for path in STEPS:
        assert later.client.get(path).headers["location"] == "/"
        assert (
            later.client.post(path, data={"csrf": fields_of(later.get("/virtual-services/add"))["csrf"]}).headers[
                "location"
            ]
            == "/"
        )


def test_addresses_are_one_change_after_the_network_was_taken_over(new: Browser) -> None:
    at_addresses(new)
    typed = form(new, STEPS[2])
    assert (typed["network_address"], typed["farm_address"]) == (["192.0.2.5/24"], ["10.0.0.5/24"])
    answer = new.client.post(
        STEPS[2],
        data={
            **typed,
            "do": "apply",
            "manage": "1",
            "network_address": "192.0.2.10/24",
            "farm_address": "",
            "name_servers": "192.0.2.53 192.0.2.54",
            "host_name": "edge",
        },
    )
    assert answer.headers["location"] == "/", answer.text
    found = new.appliance.configuration
    assert found.host.managed and found.first_step == ""
    assert found.interfaces["eth0"].address == "192.0.2.10/24" and not found.interfaces["eth1"].addresses
    assert (found.host.name_servers, found.host.host_name) == (("192.0.2.53", "192.0.2.54"), "edge")
    assert found.host.default_gateway == "192.0.2.1", "what was not changed is as it was"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("network_address", "192.0.2.300/24", "is no address with a prefix length"),
        ("network_address", "10.0.0.9/24", "the network of"),
        ("default_gateway", "10.0.0.1", "not in the network of the network side, eth0: 192.0.2.0/24"),
        ("name_servers", "somewhere", "no address"),
        ("search_domains", "not_a domain", "no domain"),
        ("host_name", "a b", "letters, digits"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_taken_over(new: Browser, name: str, value: str, said: str) -> None:
    at_addresses(new)
    revision = new.appliance.snapshot().revision
    typed = form(new, STEPS[2])
    answer = new.client.post(STEPS[2], data={**typed, "do": "apply", "manage": "1", name: value})
    assert answer.status_code == 422 and said in answer.text
    assert fields_of(answer.text, "step")[name] == [value], "what was typed is still there"
    assert new.appliance.snapshot().revision == revision


def test_a_network_of_another_tool_is_not_touched_unless_that_is_said(new: Browser) -> None:
    at_addresses(new)
    typed = form(new, STEPS[2])
    answer = new.client.post(STEPS[2], data={**typed, "do": "apply", "network_address": "192.0.2.10/24"})
    assert answer.status_code == 422 and "Tick this, or leave the addresses as they are." in answer.text
    assert not new.appliance.configuration.host.managed


def test_where_the_host_owns_the_network_it_is_shown_and_said(new: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    at_addresses(new)
    preview = new.appliance.preview

    async def without_privilege(command: Any, *arguments: Any, **more: Any) -> Any:
        if isinstance(command, ManageNetwork):
            raise HostLacks("Steelyard must not change the network", lacks="CAP_NET_ADMIN", remedy="Start it as root")
        return await preview(command, *arguments, **more)

    monkeypatch.setattr(new.appliance, "preview", without_privilege)
    text = new.get(STEPS[2])
    assert "The host owns its network. Steelyard must not change the network." in text and "Start it as root." in text
    assert "network_address" not in fields_of(text, "step") and "192.0.2.5/24" in text
    typed = fields_of(text, "step")
    assert new.client.post(STEPS[2], data={**typed, "do": "apply", "manage": "1"}).status_code == 422
    assert new.client.post(STEPS[2], data={**typed, "do": "finish"}).headers["location"] == "/"


def test_it_is_not_over_before_licence_and_password(new: Browser) -> None:
    with pytest.raises(OperatorError, match="not accepted"):
        new.execute(FinishFirstStart())
    accept(new)
    with pytest.raises(OperatorError, match="one time"):
        new.execute(FinishFirstStart())


def test_an_appliance_with_a_history_knows_nothing_of_it() -> None:
    browser = Browser()
    assert "Virtual Services" in browser.get("/")
    for path in STEPS:
        assert browser.client.get(path).headers["location"] == "/"


def test_the_password_that_is_due_is_the_administrators(new: Browser) -> None:
    accept(new)
    new.execute(AddUser("ann", new.appliance.hash_password(PASSWORD), ("root",)))
    answer = Browser(new.appliance, "ann").client.get(STEPS[1])
    assert answer.status_code == 403 and "bal has to choose a password first" in answer.text


def test_a_user_who_may_not_set_addresses_is_not_asked(new: Browser) -> None:
    at_addresses(new)
    new.execute(AddUser("ann", new.appliance.hash_password(PASSWORD), ("vs",)))
    ann = Browser(new.appliance, "ann")
    assert ann.client.get("/").status_code == 200


def test_a_change_that_may_cut_off_is_kept_first_and_finished_then(
    new: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_addresses(new)
    execute = new.appliance.execute

    async def waits(command: Any, *arguments: Any, **more: Any) -> Any:
        found = await execute(command, *arguments, **more)
        if isinstance(command, SetUpNetwork):
            new.appliance.waiting = Waiting(found.revision, "r", time.time() + 60)
        return found

    monkeypatch.setattr(new.appliance, "execute", waits)
    typed = form(new, STEPS[2])
    answer = new.client.post(STEPS[2], data={**typed, "do": "apply", "manage": "1", "network_address": "192.0.2.10/24"})
    assert answer.headers["location"] == STEPS[2]
    text = new.get(STEPS[2])
    assert "goes back in" in text and "Keep it" in text and "network_address" not in fields_of(text, "step")
    csrf = fields_of(text, "step")["csrf"]
    kept = new.client.post("/network/waiting", data={"csrf": csrf, "do": "keep", "back": STEPS[2]})
    assert kept.headers["location"] == STEPS[2] and new.appliance.waiting is None
    assert form(new, STEPS[2])["network_address"] == ["192.0.2.10/24"]
    assert post(new, STEPS[2], do="finish").headers["location"] == "/"
