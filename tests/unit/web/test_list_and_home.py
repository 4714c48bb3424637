"""The list of virtual services, Home, the search field and the menu, as pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from tests.support.fake_appliance import FakeAppliance
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddServer, AddService, CreateSubService, SetParameters
from steelyard.observe.recording.readings import EVERYTHING, Reading
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import Verdict
from steelyard.web.frame import Site
from steelyard.web.live import grouped
from steelyard.web.menu import MENU, Entry, built, places, plain


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Four services: one up, one down, one with sub-services, one switched off."""
    found = Browser()
    for number, name in enumerate(("shop", "mail", "api", "old"), 1):
        found.execute(
            AddService(
                {
                    "address": "192.0.2.10" if number < 4 else "192.0.2.9",
                    "port": 80 + number,
                    "name": name,
                    "service_type": "http",
                    "enabled": name != "old",
                    "extra_ports": ("90", "100-102") if name == "shop" else (),
                }
            )
        )
    found.execute(
        AddServer(1, {"address": "10.0.0.1", "port": 81}), AddServer(1, {"address": "10.0.0.2", "port": 8081})
    )
    found.execute(AddServer(2, {"address": "10.0.0.3", "port": 82}))
    found.execute(CreateSubService(3, {"name": "images"}), CreateSubService(3, {"name": "words"}))
    found.execute(AddServer(5, {"address": "10.0.0.9", "port": 9}))
    verdicts = found.appliance.verdicts
    verdicts["vs1/rs1"] = Verdict("up")
    verdicts["vs1/rs2"] = Verdict("down", "connection refused")
    verdicts["vs2/rs3"] = Verdict("down", "connection refused")
    verdicts["vs3/rs4"] = verdicts["vs5/rs6"] = Verdict("up")
    yield found


def site_of(browser: Browser) -> Site:
    site: Site = browser.client.app.state.site  # type: ignore[attr-defined] - a Starlette application
    return site


def rows(page: str) -> list[str]:
    """The names in the list, in their order."""
    body = page.partition('<tbody id="rows">')[2]
    return re.findall(r'<tr id="vs\d+">.*?<b[^>]*>([^<]*)</b>', body, re.DOTALL)


def test_a_row_says_what_loadmaster_says(browser: Browser) -> None:
    page = browser.get("/virtual-services")
    row = page.partition('<tr id="vs1">')[2].partition("</tr>")[0]
    assert "192.0.2.10:81" in row
    assert "+4</span>" in row
    assert 'class="st up"' in row
    assert re.search(r'class="rs up"[^>]*title="10.0.0.1:81: Up">10\.0\.0\.1<', row)
    assert re.search(r'class="rs down"[^>]*title="10.0.0.2:8081: Down: connection refused"', row)
    assert re.search(r'class="st down"[^>]*title="no real server is available', page)
    assert "4 services" in page


def test_sub_services_are_members_of_their_parents_row_and_unfold(browser: Browser) -> None:
    page = browser.get("/virtual-services")
    row = page.partition('<tr id="vs3">')[2].partition("</tr>")[0]
    assert 'aria-expanded="false"' in row
    assert "images" in row
    assert '<tr id="vs5" class="sub-row" hidden>' in page
    assert '<tr id="vs5" class="sub-row">' in browser.get("/virtual-services?q=10.0.0.9"), (
        "what was looked for is shown"
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["old", "shop", "mail", "api"]),
        ("sort=name", ["api", "mail", "old", "shop"]),
        ("sort=name&order=down", ["shop", "old", "mail", "api"]),
        ("sort=status", ["mail", "shop", "api", "old"]),
        ("sort=servers", ["shop", "api", "mail", "old"]),
        ("sort=nonsense&order=nonsense&from=-1&rows=x", ["old", "shop", "mail", "api"]),
        ("status=Down", ["mail"]),
        ("q=10.0.0.2", ["shop"]),
        ("q=192.0.2.10+API", ["api"]),
        ("q=images", ["api"]),
        ("q=nothing+like+this", []),
    ],
)
def test_filter_and_sort(browser: Browser, query: str, names: list[str]) -> None:
    assert rows(browser.get(f"/virtual-services?{query}")) == names


def test_rows_come_in_pieces(browser: Browser) -> None:
    browser.execute(
        *(AddService({"address": "192.0.2.77", "port": port, "name": f"n{port}"}) for port in range(1, 101))
    )
    page = browser.get("/virtual-services")
    assert len(rows(page)) == 60
    assert "44 left" in page
    more = re.findall(r'hx-get="(/virtual-services\?from=60)"', page)
    piece = browser.client.get(more[0], headers={"HX-Request": "true"}).text
    assert len(re.findall(r'<tr id="vs\d+"', piece)) == 44
    assert "<html" not in piece
    assert len(rows(browser.get("/virtual-services?rows=1000"))) == 104


def test_an_empty_list_says_what_to_do() -> None:
    page = Browser().get("/virtual-services")
    assert "No virtual services yet" in page
    assert 'href="/virtual-services/add"' in page


def test_names_from_clients_are_text(browser: Browser) -> None:
    browser.appliance.verdicts["vs1/rs2"] = Verdict("down", '"><img src=x onerror=alert(1)>')
    for path in ("/", "/virtual-services", "/virtual-services?q=%3Cimg%20src%3Dx%3E", "/search?q=%3Cimg%20src%3Dx%3E"):
        assert "<img" not in browser.get(path)


async def live(browser: Browser, topic: str, mark: str = "") -> tuple[str, dict[str, object]]:
    site = site_of(browser)
    found = await (site.live.after(topic, mark) if mark else site.live.now(topic))
    return found.mark, dict(found.values)


def test_what_many_places_say_is_sent_once() -> None:
    down, same = {"look": "down"}, {"look": "down"}
    assert grouped({"a": "1", "b": down, "c": "1", "d": down, "e": same}) == [
        ["1", "a", "c"],
        [down, "b", "d"],
        [same, "e"],
    ]


def test_only_what_changed_is_sent(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.web.live.PERIOD_SECONDS", 0.0)

    async def play() -> None:
        mark, first = await live(browser, "services")
        assert first["vs1"] == {
            "text": "Up",
            "look": "up",
            "title": "1 of 2 real servers available; not available are 10.0.0.2:8081: connection refused",
        }
        assert (await live(browser, "services", mark))[1] == {}
        browser.appliance.verdicts["vs1/rs1"] = Verdict("down", "timeout")
        mark, changed = await live(browser, "services", mark)
        assert {key for key in changed if not key.startswith("count")} == {"vs1", "vs1.1"}
        assert changed["vs1"]["text"] == "Down"  # type: ignore[index] - a mapping
        assert changed["vs1.1"] == {"status": "Down", "look": "down", "reason": "timeout"}
        assert changed["count.Down"] == {"text": "2 down", "hidden": False}
        assert (await live(browser, "services", mark))[1] == {}
        everything = (await live(browser, "services", "0000-7"))[1]
        assert everything.keys() == first.keys(), "a mark of another process tells nothing"

    asyncio.run(play())


def test_a_service_that_comes_or_goes_changes_the_list(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.web.live.PERIOD_SECONDS", 0.0)
    _, before = asyncio.run(live(browser, "services"))
    browser.execute(SetParameters("checks", {"retries": 3}))
    _, same = asyncio.run(live(browser, "services"))
    browser.execute(AddService({"address": "192.0.2.30", "port": 80}))
    _, after = asyncio.run(live(browser, "services"))
    assert before["services.list"] == same["services.list"] != after["services.list"]


def test_home_counts_and_names_what_needs_attention(browser: Browser) -> None:
    page = browser.get("/")
    assert re.search(r'data-live="services.up">2</b>', page)
    assert "of 4 · 1 down · 1 disabled" in page
    attention = page.partition('data-live="attention">')[2].partition('data-live="events"')[0]
    assert re.findall(r"<b>([^<]*)</b>", attention) == ["mail", "words", "10.0.0.2:8081 in shop"]
    assert "add real server 10.0.0.9:9 to service 5" in page.partition('data-live="changes">')[2]


def test_home_of_an_empty_appliance_is_calm() -> None:
    page = Browser().get("/")
    assert "No services yet" in page
    assert "No service or real server is down" in page


def test_home_shows_rates_over_the_same_seconds_and_the_last_hour(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steelyard.web.live.PERIOD_SECONDS", 0.0)
    appliance = browser.appliance
    recorded = (n for n in range(360) if not 120 <= n < 180)
    readings = {10 * n: Reading((n, 0, 0, 0, 0), (n, 0, 0, 0, 0)) for n in recorded}
    appliance.readings[EVERYTHING, "hour"] = readings

    def sample(at: float, count: int) -> Statistics:
        carried = TrafficCounters(5, count, count * 1000, count * 249_000, requests=count * 10)
        return Statistics(at, 5.0, {1: carried, 5: carried}, {})

    found: dict[str, object] = {}
    for at, count in ((0.5, 0), (5.5, 50), (10.5, 100)):
        appliance.sample = sample(at, count)
        found = asyncio.run(live(browser, "home"))[1]
    assert found["rate.connections"] == "10", "a sub-service's traffic is in its parent's"
    assert found["rate.requests"] == "100"
    assert (found["rate.bits"], found["rate.unit"]) == ("20", "Mbit/s")
    runs = found["graph.connections"]["line"].removeprefix("M").split("M")  # type: ignore[index] - a mapping
    points = [[tuple(map(float, point.split())) for point in run.split("L")] for run in runs]
    assert [len(run) for run in points] == [20, 30], "what nobody recorded is a gap, not nothing"
    heights = [y for run in points for _, y in run]
    assert heights == sorted(heights, reverse=True), "what rises is drawn rising"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("shop", "shop"),
        ("10.0.0.2", "10.0.0.2:8081"),
        ("192.0.2.10", "shop"),
        ("images", "images"),
        ("idle connection", "Idle Connection Timeout"),
        ("PersistTimeout", "Persistence timeout"),
        ("Virtual Services > Add New", "Add New"),
        ("content rules", "Content Rules"),
    ],
)
def test_the_search_field_finds(browser: Browser, text: str, title: str) -> None:
    part = browser.client.get("/search", params={"q": text}, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    found = re.findall(r"<b>([^<]*)</b>", part)
    assert title.lower() in [each.lower() for each in found], found
    assert title.lower() in browser.client.get("/search", params={"q": text}).text.lower()


def test_nothing_found_is_said(browser: Browser) -> None:
    assert "Nothing found" in browser.get("/search?q=zzzz")
    assert "Nothing holds" in browser.client.get("/search?q=zzzz", headers={"HX-Request": "true"}).text


def test_only_pages_that_exist_are_in_the_menu() -> None:
    tree = built({"home", "services"})
    assert [entry.title for entry in tree] == ["Home", "Virtual Services"]
    assert [entry.title for entry in tree[1].under] == ["View/Modify Services"]


def test_every_page_of_the_menu_opens(browser: Browser) -> None:
    site = site_of(browser)
    for _, entry in places(site.menu):
        answer = browser.client.get(site.url(entry.page))
        assert answer.status_code == 200, (entry.title, answer.status_code)
        assert 'aria-current="page"' in answer.text, entry.title


def test_paths_of_every_release_resolve(browser: Browser) -> None:
    site = site_of(browser)
    for path, entry in places(site.menu):
        for written in (path, path.replace(" > ", "/"), path.lower()):
            answer = browser.client.get(f"/menu/{written}")
            assert answer.headers["location"] == site.url(entry.page), written
    assert browser.client.get("/menu/Licensing/Update License").status_code == 404


def test_menu_paths_are_told_apart() -> None:
    def all_paths(tree: tuple[Entry, ...]) -> list[tuple[str, str]]:
        return [(plain(path), entry.page) for path, entry in places(tree)]

    found = all_paths(MENU)
    assert len({path for path, _ in found}) == len(found)


def test_a_fake_appliance_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy may not answer: states stay, rates are those of before."""
    from steelyard.model.errors import EngineRefused

    appliance = FakeAppliance()
    browser = Browser(appliance)

    async def refuse() -> Statistics:
        raise EngineRefused("HAProxy does not answer")

    monkeypatch.setattr(appliance, "statistics", refuse)
    assert browser.client.get("/").status_code == 200
    assert browser.client.get("/virtual-services").status_code == 200
