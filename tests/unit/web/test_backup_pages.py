"""Backup/Restore and Factory Reset as pages: who sees what, and that nothing secret stands on them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.web.rig import Browser
from tests.unit.web.test_security_pages import token_of

from steelyard.model.commands import AddService, AddUser, ChangeService

PHRASE = "a password of the file"


@pytest.fixture
def browser() -> Iterator[Browser]:
    found = Browser()
    found.execute(AddService({"address": "192.0.2.10", "port": 443, "name": "shop", "service_type": "http"}))
    yield found


def saved(browser: Browser, **fields: str) -> bytes:
    answer = browser.post("/backup", {"do": "backup", **fields})
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return answer.content


def review(browser: Browser, file: bytes, **fields: str) -> Any:
    token = token_of(browser, "/backup")
    given = {"csrf": token, "do": "restore", "part-base": "1", "part-vs": "1", "users": "1", **fields}
    return browser.client.post("/backup", data=given, files={"backup": ("saved", io.BytesIO(file))})


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def test_a_backup_is_reviewed_and_brought_back(browser: Browser) -> None:
    file = saved(browser, password=PHRASE, again=PHRASE)
    assert file.startswith(b"STEELYARD-BACKUP 1\n")
    browser.execute(ChangeService(1, {"name": "store"}))
    page = review(browser, file, password=PHRASE)
    assert page.status_code == 200, page.text
    assert "What the file changes" in page.text
    assert PHRASE not in page.text
    assert browser.appliance.configuration.services[1].name == "store"
    again = {"do": "bring", "token": hidden(page.text, "token"), "_revision": hidden(page.text, "_revision")}
    assert browser.post("/backup", {**again, "token": "another"}).status_code == 422
    assert browser.post("/backup", {**again, "_revision": "1"}).status_code == 422
    assert browser.post("/backup", again).status_code == 303
    assert browser.appliance.configuration.services[1].name == "shop"
    assert browser.post("/backup", again).status_code == 422, "it is brought back once"


def test_a_plain_backup_says_what_it_does_not_bring(browser: Browser) -> None:
    file = saved(browser, plain="1")
    assert file.startswith(b"\x1f\x8b")
    browser.execute(ChangeService(1, {"name": "store"}))
    page = review(browser, file)
    assert "Not restored:" in page.text
    assert "Users, passwords and API keys stay as they are" in page.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": PHRASE, "again": "another one"}, "differ"),
        ({"password": "short", "again": "short"}, "7 to 64"),
        ({"password": "", "again": ""}, "7 to 64"),
    ],
)
def test_a_password_that_will_not_do_is_refused(browser: Browser, fields: dict[str, str], says: str) -> None:
    answer = browser.post("/backup", {"do": "backup", **fields})
    assert answer.status_code == 422
    assert says in answer.text


def test_a_wrong_file_or_password_is_refused_beside_the_form(browser: Browser) -> None:
    file = saved(browser, password=PHRASE, again=PHRASE)
    for content, password in ((file, "not the one"), (file[:-1], PHRASE), (b"something", ""), (b"", "")):
        answer = review(browser, content, password=password)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
    token = token_of(browser, "/backup")
    answer = browser.client.post(
        "/backup", data={"csrf": token, "do": "restore"}, files={"backup": ("saved", io.BytesIO(file))}
    )
    assert "Nothing was chosen" in answer.text


def test_who_may_see_and_do_what(browser: Browser) -> None:
    hashed = browser.appliance.hash_password("a good password")
    browser.execute(AddUser("saver", hashed, ("backup",)), AddUser("reader", hashed, ()))
    saver, reader = (Browser(browser.appliance, name, "a good password") for name in ("saver", "reader"))
    page = saver.get("/backup")
    assert "without secrets" in page
    assert "Create Backup File</button>" not in page
    assert "Restore Backup" not in page
    assert saved(saver, plain="1").startswith(b"\x1f\x8b")
    assert saver.post("/backup", {"do": "backup", "password": PHRASE, "again": PHRASE}).status_code == 403
    assert "Create a Backup" not in reader.get("/backup")
    assert (
        reader.client.post(
            "/backup", data={"csrf": token_of(reader, "/users"), "do": "backup", "plain": "1"}
        ).status_code
        == 403
    )
    assert "Only bal may" in saver.get("/factory-reset")
    typed = {"csrf": token_of(saver, "/users"), "confirm": "reset"}
    assert saver.client.post("/factory-reset", data=typed).status_code == 403
    assert browser.appliance.resets == []


def test_a_factory_reset_wants_the_word_and_shows_the_password_once(browser: Browser) -> None:
    assert "1 virtual service" in browser.get("/factory-reset")
    for fields in ({}, {"confirm": "yes"}, {"confirm": "reset", "password": "a new one 1", "again": "another 1"}):
        assert browser.post("/factory-reset", fields).status_code == 422
    assert browser.appliance.resets == []
    page = browser.post("/factory-reset", {"confirm": " Reset "})
    assert "made-up-password" in page.text
    given = {"confirm": "reset", "password": "a new one 1", "again": "a new one 1", "forget_network": "1"}
    page = browser.post("/factory-reset", given)
    assert "a new one 1" not in page.text
    assert browser.appliance.resets == [(None, True), ("a new one 1", False)]
    assert PASSWORD not in page.text
