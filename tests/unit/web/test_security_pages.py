"""Certificates, users, API keys and the configuration as a file, as pages."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import certificates
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddService, AddUser, ChangeService


@pytest.fixture
def browser() -> Iterator[Browser]:
    found = Browser()
    found.execute(
        AddService(
            {"address": "192.0.2.10", "port": 443, "name": "shop", "service_type": "http", "ssl_acceleration": True}
        )
    )
    yield found


def token_of(browser: Browser, path: str) -> str:
    """What a write from a page carries."""
    found = re.search(r'<meta name="csrf" content="([^"]+)">', browser.get(path))
    assert found is not None
    return found[1]


def send(browser: Browser, path: str, file: bytes | None = None, file_name: str = "shop.pem", **fields: str) -> Any:
    """Send the form of a page that takes a file."""
    token = token_of(browser, path)
    files = {"file": (file_name, io.BytesIO(file))} if file is not None else {"file": ("", b"")}
    return browser.client.post(path, data={"csrf": token, **fields}, files=files)


def names(browser: Browser) -> set[str]:
    return {name for name, one in browser.appliance.configuration.certificates.items() if not one.temporary}


# --- certificates


def test_a_certificate_comes_as_a_file_or_as_text(browser: Browser) -> None:
    one, other = certificates.leaf("shop.example", kind="ec"), certificates.leaf("api.example", kind="ec")
    assert send(browser, "/certificates/add", one.bundle(), "shop.example.pem").status_code == 303
    assert send(browser, "/certificates/add", None, pasted=other.bundle().decode(), name="api").status_code == 303
    assert names(browser) == {"shop.example", "api"}
    page = browser.get("/certificates")
    assert "api.example" in page
    assert "nothing" in page


def test_what_is_wrong_with_an_upload_is_said_and_what_was_typed_stays(browser: Browser) -> None:
    for file, typed in ((b"no certificate", {}), (None, {}), (b"x", {"pasted": "y"})):
        answer = send(browser, "/certificates/add", file, name="mine", **typed)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert 'value="mine"' in answer.text
    assert names(browser) == set()


def test_a_certificate_says_what_clients_will_say_and_who_uses_it(browser: Browser) -> None:
    send(browser, "/certificates/add", certificates.leaf("shop.example", kind="ec").bundle(), name="shop")
    browser.execute(ChangeService(1, {"certificates": ("shop",)}))
    page = browser.get("/certificates/of/shop")
    assert "the server&#39;s own" in page
    assert re.search(r'href="/virtual-services/1[^"]*">shop<', page)
    assert "Delete" not in page, "a service uses it"


def test_a_certificate_is_assigned_from_its_own_page(browser: Browser) -> None:
    for name in ("shop", "other"):
        send(browser, "/certificates/add", certificates.leaf(f"{name}.example", kind="ec").bundle(), name=name)
    assert "VS to Add" in browser.get("/certificates/of/shop")
    for name in ("shop", "other"):
        assert browser.post(f"/certificates/of/{name}/assign", {"service": "1"}).status_code == 303
    assert browser.appliance.configuration.services[1].certificates == ("shop", "other")
    assert "VS to Add" not in browser.get("/certificates/of/shop"), "nobody is left who could present it"
    assert browser.post("/certificates/of/shop/assign", {"service": "77"}).status_code == 404


def test_a_certificate_is_replaced_under_its_name(browser: Browser) -> None:
    send(browser, "/certificates/add", certificates.leaf("shop.example", kind="ec").bundle(), name="shop")
    before = browser.appliance.configuration.certificates["shop"]
    renewed = certificates.leaf("renewed.example", kind="ec").bundle()
    assert send(browser, "/certificates/of/shop/replace", renewed).status_code == 303
    assert browser.appliance.configuration.certificates["shop"] != before


def test_a_signing_request_is_made_and_shown(browser: Browser) -> None:
    answer = browser.post(
        "/generate-csr", {"name": "shop", "common_name": "shop.example", "key_type": "ec-p256", "names": ""}
    )
    assert answer.status_code == 303
    assert "BEGIN CERTIFICATE REQUEST" in browser.get(answer.headers["location"])
    assert 'role="alert"' in browser.post("/generate-csr", {"name": "", "key_type": "ec-p256"}).text


def test_intermediates_are_imported(browser: Browser) -> None:
    authority = certificates.authority("Test CA")
    assert send(browser, "/intermediates", authority.pem, "ca.pem").status_code == 303
    assert "Test CA" in browser.get("/intermediates")
    assert send(browser, "/intermediates", b"nothing").status_code == 422


def test_a_backup_wants_the_same_pass_phrase_twice(browser: Browser) -> None:
    wrong = browser.post("/certificate-backup", {"do": "save", "password": "long enough 1", "again": "another one 2"})
    assert wrong.status_code == 422
    right = browser.post("/certificate-backup", {"do": "save", "password": "long enough 1", "again": "long enough 1"})
    assert "attachment" in right.headers["content-disposition"]


# --- users


def test_a_user_is_made_changed_and_removed(browser: Browser) -> None:
    fields = {"name": "anna", "password": "a good password", "again": "a good password", "permission-vs": "1"}
    assert browser.post("/users/add", {**fields, "one_time": "1"}).status_code == 303
    anna = browser.appliance.configuration.users["anna"]
    assert (anna.permissions, anna.one_time_password) == (("vs",), True)
    assert browser.post("/users/of/anna", {"permission-rules": "1"}).status_code == 303
    assert browser.appliance.configuration.users["anna"].permissions == ("rules",)
    assert browser.post("/users/of/anna/remove", {}).status_code == 303
    assert "anna" not in browser.appliance.configuration.users


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "anna", "password": "a good password", "again": "another password"},
        {"name": "a", "password": "a good password", "again": "a good password"},
        {"name": "anna", "password": "x", "again": "x"},
    ],
)
def test_a_wrong_user_is_refused_beside_the_form(browser: Browser, fields: dict[str, str]) -> None:
    answer = browser.post("/users/add", fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_who_may_not_is_refused_whatever_the_page_shows(browser: Browser) -> None:
    browser.execute(AddUser("reader", browser.appliance.hash_password("a good password"), ()))
    reader = Browser(browser.appliance, "reader", "a good password")
    assert "Add User" not in reader.get("/users")
    token = token_of(reader, "/users/add")
    fields = {"csrf": token, "name": "me2", "password": "a good password", "again": "a good password"}
    assert reader.client.post("/users/add", data=fields).status_code == 403
    assert "me2" not in browser.appliance.configuration.users
    token = token_of(reader, "/certificates/add")
    file = {"file": ("x.pem", io.BytesIO(certificates.leaf("x.example", kind="ec").bundle()))}
    answer = reader.client.post("/certificates/add", data={"csrf": token, "name": "x"}, files=file)
    assert answer.status_code in (403, 422)
    assert names(browser) == set()


def test_an_api_key_is_shown_once(browser: Browser) -> None:
    page = browser.post("/api-keys", {}).text
    key = re.search(r'<p class="words">([A-Za-z0-9]{44})</p>', page)
    assert key is not None
    assert browser.appliance.authenticate_key(key[1]) is not None
    assert key[1] not in browser.get("/api-keys")


# --- the configuration as a file


def test_the_configuration_is_saved_reviewed_and_brought_back(browser: Browser) -> None:
    saved = browser.get("/backup/configuration.json")
    assert json.loads(saved)["services"][0]["name"] == "shop"
    browser.execute(ChangeService(1, {"name": "store"}))
    reviewed = send(browser, "/backup", saved.encode(), "saved.json")
    assert "What the file changes" in reviewed.text
    assert browser.appliance.configuration.services[1].name == "store"
    revision = re.search(r'name="_revision" value="(\d+)"', reviewed.text)
    assert revision is not None
    answer = browser.post("/backup", {"do": "apply", "document": saved, "_revision": revision[1]})
    assert answer.status_code == 303
    assert browser.appliance.configuration.services[1].name == "shop"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b'{"services": 5}', b"{"])
def test_a_file_of_something_else_is_refused(browser: Browser, content: bytes) -> None:
    answer = send(browser, "/backup", content, "other.json")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
