"""Statistics, graphs, the map, history, events and explanations, as pages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from tests.unit.observe.recording.test_readings import flat
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddServer, AddService, ChangeService, CreateSubService, RemoveService
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.recording.readings import EVERYTHING
from steelyard.observe.recording.tiers import FINEST
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import Verdict
from steelyard.web.drawing import breadth, clipped, picture


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A service with two real servers, and one with a sub-service that shares one of them."""
    found = Browser()
    found.execute(AddService({"address": "192.0.2.10", "port": 80, "name": "shop", "service_type": "http"}))
    found.execute(AddServer(1, {"address": "10.0.0.1", "port": 80}), AddServer(1, {"address": "10.0.0.2", "port": 80}))
    found.execute(AddService({"address": "192.0.2.10", "port": 81, "name": "api", "service_type": "http"}))
    found.execute(CreateSubService(2, {"name": "images"}))
    found.execute(AddServer(3, {"address": "10.0.0.1", "port": 80}))
    found.appliance.verdicts["vs1/rs1"] = Verdict("up")
    found.appliance.verdicts["vs1/rs2"] = Verdict("down", "connection refused")
    yield found


def configuration(browser: Browser):  # type: ignore[no-untyped-def] - the configuration of the rig
    return browser.appliance.configuration


# --- statistics and graphs


def test_counters_stand_beside_services_and_their_servers(browser: Browser) -> None:
    browser.appliance.sample = Statistics(
        1.0, 1.0, {1: TrafficCounters(requests=12_345, bytes_out=2_000_000)}, {(1, 2): TrafficCounters(4, 77)}
    )
    page = browser.get("/statistics")
    assert 'data-live="vs1.requests">12,345<' in page
    assert 'data-live="vs1.out">2 MB<' in page
    assert 'data-live="vs1.2.connections">77<' in page
    assert page.index(">images<") > page.index(">api<")
    assert "10.0.0.2:80" not in browser.get("/statistics?q=api")


def test_graphs_are_of_what_is_chosen(browser: Browser) -> None:
    page = browser.get("/statistics/graphs?object=services&object=service/1/2&span=week")
    assert "shop: 10.0.0.2:80" in page
    assert 'data-graphs="/statistics/graphs/data?object=services&amp;object=service%2F1%2F2&amp;span=week"' in page
    assert 'aria-current="true">Week<' in page


def test_a_graph_of_what_is_gone_says_so(browser: Browser) -> None:
    browser.execute(RemoveService(2))
    page = browser.get("/statistics/graphs?object=service/2")
    assert "Unknown" in page
    assert "All services" in page


def test_graphs_get_their_figures(browser: Browser) -> None:
    last = FINEST.begin(time.time()) - FINEST.step
    browser.appliance.readings[EVERYTHING, "hour"] = {last - 10: flat(3.0, 7.5)}
    found = browser.client.get("/statistics/graphs/data?object=services&span=hour").json()
    assert (found["step"], found["steps"], found["objects"][0]["name"]) == (10, 360, "All services")
    figures = found["objects"][0]["averages"]["requests_per_second"]
    assert [value for value in figures if value is not None] == [7.5]


# --- the map


def test_a_server_of_two_services_stands_once_on_the_map(browser: Browser) -> None:
    drawn = picture(configuration(browser), [configuration(browser).services[index] for index in (1, 2)], 40)
    assert [box.name for box in drawn.boxes if box.kind == "server"] == ["10.0.0.1:80", "10.0.0.2:80"]
    assert len(drawn.links) == 4
    places = [(box.x, box.y) for box in drawn.boxes]
    assert len(set(places)) == len(places), "no box stands on another"


def test_what_does_not_fit_the_map_is_counted(browser: Browser) -> None:
    services = list(configuration(browser).services.values())[:2]
    assert picture(configuration(browser), services, 1).left_out == 1


def test_the_map_shows_how_things_are(browser: Browser) -> None:
    page = browser.get("/map")
    assert re.search(r'class="box service up" data-live="vs1"', page)
    assert re.search(r'class="box server down" data-live="rs10.0.0.2:80"', page)
    assert "api" in page
    assert "10.0.0.2:80" not in browser.get("/map?q=images")
    assert "Nothing fits" in browser.get("/map?q=nowhere")


def test_breadths_grow_tenfold() -> None:
    assert [breadth(value) for value in (0, 50, 5_000, 50_000, 10**9, 10**15)] == [0, 1, 2, 3, 6, 6]
    assert clipped("x" * 60).endswith("…")


# --- history


def test_the_history_says_who_what_and_why(browser: Browser) -> None:
    page = browser.get("/history")
    assert "add virtual service 192.0.2.10:80" in page
    assert page.index("to service 3") < page.index("add virtual service"), "the newest comes first"
    newest = browser.appliance.snapshot().revision
    one = browser.get(f"/history/{newest}")
    assert "10.0.0.1" in one
    assert "Roll back" not in one, "it is in effect already"


def test_going_back_is_reviewed_first(browser: Browser) -> None:
    browser.execute(ChangeService(1, {"name": "store"}))
    newest = browser.appliance.snapshot().revision
    asked = browser.get(f"/history/{newest - 1}/roll-back")
    assert f'name="_revision" value="{newest}"' in asked
    assert "What changes" in asked
    assert configuration(browser).services[1].name == "store"
    browser.post(f"/history/{newest - 1}/roll-back", {"_revision": str(newest)})
    assert configuration(browser).services[1].name == "shop"


def test_going_back_from_another_revision_than_was_seen_is_not_done(browser: Browser) -> None:
    browser.execute(ChangeService(1, {"name": "store"}))
    seen = browser.appliance.snapshot().revision
    browser.execute(ChangeService(1, {"name": "bazaar"}))
    browser.post(f"/history/{seen - 1}/roll-back", {"_revision": str(seen)})
    assert configuration(browser).services[1].name == "bazaar"


# --- events


def test_events_are_found_by_word_level_and_service(browser: Browser) -> None:
    bus = browser.appliance.events()
    bus.publish(Event("server_down", Severity.CRITICAL, "RS 10.0.0.2 is down <b>", time.time(), service=1))
    bus.publish(Event("started", Severity.NOTICE, "Steelyard has started", time.time()))
    page = browser.get("/events")
    assert page.index("has started") < page.index("10.0.0.2 is down"), "the newest comes first"
    assert "down &lt;b&gt;" in page
    assert "has started" not in browser.get("/events?severity=error")
    assert "has started" not in browser.get("/events?service=1")
    assert "is down" not in browser.get("/events?q=STEELYARD+started")
    assert "No event fits" in browser.get("/events?q=nothing+like+it")


# --- explain


def test_a_request_is_explained(browser: Browser) -> None:
    page = browser.get("/explain?url=http://192.0.2.10/a&headers=Cookie:+a%3D1")
    assert "GET http://192.0.2.10/a" in page
    assert 'class="path"' in page


@pytest.mark.parametrize("query", ["url=nonsense", "url=http://192.0.2.10/&headers=no-colon", "url=/&client=x"])
def test_what_cannot_be_explained_is_said_beside_the_form(browser: Browser, query: str) -> None:
    page = browser.get(f"/explain?{query}")
    assert 'class="empty failed"' in page
    assert 'name="url"' in page
