"""Settings of redirects, error pages, sorry servers and headers: what is refused, and what follows from what."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.model.making import HTTP, SERVER, TCP, added, apply, changed

from steelyard.appliance.differences import compare
from steelyard.model.commands import AddRedirector, AddService, ChangeService, SetParameters
from steelyard.model.error_page import MAX_BYTES, default_page, media_type
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.observe.status import Verdict, service_state

TO_HTTPS = {"error_code": 302, "error_url": "https://%h%s"}


@pytest.mark.parametrize(
    "url",
    [
        "https://%h%s",
        "http://%h:8080%s",
        "https://www.%h%s",
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example:8443/a%20b?x=%s&h=%h#part",
        "https://[2001:db8::1]:81/x",
        "https://192.0.2.1?x",
        "/sorry.html",
        "/",
        "/a'b$(c);*",
    ],
)
def test_redirects_that_are_taken(url: str) -> None:
    assert added(error_code=302, error_url=url).error_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://%h%s\r\nSet-Cookie: x=1",
        "https://%h\n",
        "https://%h\x00",
        "https://%h\x7f",
        "https://%h\x85",
        "https://%h\u2028",
        "https://shop.example/ a",
        "https://shop.example/\t",
        "https://shop.example/%",
        "https://shop.example/%x",
        "https://shop.example/%zz",
        "https://shop.example/%[src]",
        "https://%%h",
        "https://%s",
        "%s",
        "%h%s",
        "/%s",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example\\@shop.example",
        "https://user@shop.example/",
        "https://user:secret@%h/",
        "https://%hevil.example/",
        "https://%h.evil.example/",
        "https://%h@evil.example/",
        "https:///x",
        "https:/x",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        'https://shop.example/"',
        "https://shop.example/<script>",
        "https://shop.example/`id`",
        "https://shop.example/{x}",
        "https://größe.example/",
        "https://shop.example/" + "x" * 1100,
        "https://shop.example:123456/",
    ],
)
def test_redirects_that_are_refused_with_a_reason(url: str) -> None:
    with pytest.raises(OperatorError) as refused:
        added(error_code=302, error_url=url)
    assert refused.value.field == "error_url"
    assert "ErrorUrl" in str(refused.value) and refused.value.allowed and refused.value.remedy
    assert "\r" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_needs_an_address(code: int) -> None:
    with pytest.raises(OperatorError, match=r"needs an address.*give ErrorUrl"):
        added(error_code=code)


@pytest.mark.parametrize("code", [1, 100, 199, 506, 204, 205, 206, 300, 304, 305, 306])
def test_codes_that_cannot_be_answered(code: int) -> None:
    with pytest.raises(OperatorError, match="ErrorCode"):
        added(error_code=code, error_url="https://%h%s")


def test_an_address_without_a_redirect_is_kept_and_unused() -> None:
    assert changed(TO_HTTPS, error_code=503).error_url == "https://%h%s"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<html>", "is not base64"),
        ("a", "is not base64"),
        ("YQ==YQ==", "is not base64"),
        (base64.b64encode(b"x" * (MAX_BYTES + 1)).decode(), f"is a page of {MAX_BYTES + 1} bytes"),
    ],
)
def test_pages_that_are_refused(page: str, why: str) -> None:
    with pytest.raises(OperatorError, match=why) as refused:
        added(error_page=page)
    assert refused.value.field == "error_page"
    assert f"{MAX_BYTES:,}" in str(refused.value.allowed)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><p>", "text/html; charset=utf-8"),
        (b"\xef\xbb\xbf \n<!-- x -->\n<HTML>", "text/html; charset=utf-8"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">', "text/html; charset=utf-8"),
        (b"<h1>Gr\xf6\xdfe</h1>", "text/html"),
        (b"Gr\xf6\xdfe", "text/plain"),
        (b'{"a": 1}', "application/json"),
        (b"[1, 2]", "application/json"),
        (b"{not json", "text/plain; charset=utf-8"),
        (b"<htmlx", "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        (b"5 < 6 <html>", "text/plain; charset=utf-8"),
    ],
)
def test_what_a_page_is(content: bytes, kind: str) -> None:
    assert media_type(content) == kind


def test_the_default_page_names_nothing_internal() -> None:
    page = default_page(503).decode()
    assert page.startswith("<!DOCTYPE html>") and "<title>503 Service Unavailable</title>" in page
    assert "haproxy" not in page.lower() and "steelyard" not in page.lower()
    assert "<title>299</title>" in default_page(299).decode()


@pytest.mark.parametrize(
    "settings",
    [
        {"copy_header_from": "X-A"},
        {"copy_header_to": "X-A"},
        {"extra_header_name": "X-A"},
        {"extra_header_value": "v"},
        {"standby_port": 80},
        {"extra_header_name": "Content-Length", "extra_header_value": "5"},
        {"extra_header_name": "transfer-encoding", "extra_header_value": "chunked"},
        {"copy_header_from": "X-A", "copy_header_to": "Connection"},
        {"extra_header_name": "X A", "extra_header_value": "v"},
        {"extra_header_name": "X:", "extra_header_value": "v"},
        {"extra_header_name": "X-A", "extra_header_value": "a\r\nX-B: c"},
        {"extra_header_name": "X-A", "extra_header_value": "a\n"},
        {"extra_header_name": "X-A", "extra_header_value": "\x00"},
        {"extra_header_name": "X-A", "extra_header_value": " a"},
        {"extra_header_name": "X-A", "extra_header_value": "ü"},
        {"copy_header_from": "a)", "copy_header_to": "b"},
        {"copy_header_from": "a,b", "copy_header_to": "b"},
        {"standby_address": "sorry.example"},
        {"standby_address": "224.0.0.1"},
        {"security_header_options": 3},
        {"ssl_rewrite": "ftp"},
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(OperatorError):
        added(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        TO_HTTPS,
        {"error_page": "YQ=="},
        {"extra_header_name": "X", "extra_header_value": "v"},
        {"security_header_options": 1},
    ],
)
def test_settings_about_http_need_http(settings: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="the service type must be http"):
        apply(AddService({**TCP, **settings}))
    service = changed(settings, service_type="gen")
    assert all(not getattr(service, name) for name in settings if name != "error_url")


def test_an_address_of_a_sorry_server_is_canonical_and_clears_its_port() -> None:
    service = added(standby_address="2001:DB8:0:0::9", standby_port=81)
    assert service.standby_address == "2001:db8::9"
    assert changed({"standby_address": "10.0.0.9", "standby_port": 81}, standby_address="").standby_port == 0


def test_a_sorry_server_may_not_lead_back() -> None:
    with pytest.raises(OperatorError, match="leads back"):
        added(standby_address=HTTP["address"], standby_port=HTTP["port"])
    with pytest.raises(OperatorError, match="leads back"):
        added(standby_address=HTTP["address"])
    other = {**HTTP, "port": 81, "standby_address": HTTP["address"], "standby_port": 80}
    with pytest.raises(OperatorError, match="leads back"):
        apply(
            AddService(HTTP),
            AddService(other),
            ChangeService(1, {"standby_address": HTTP["address"], "standby_port": 81}),
        )


@pytest.mark.parametrize("choice", [0, 1])
def test_handling_of_100_continue_that_haproxy_does_not_have_is_refused(choice: int) -> None:
    with pytest.raises(OperatorError, match=r"expect100.*not built"):
        apply(SetParameters("layer7", {"continue_handling": choice}))
    apply(SetParameters("layer7", {"continue_handling": 2}))


# --- the redirector -------------------------------------------------------------------------------------------------


def test_a_redirector_is_made_beside_a_service() -> None:
    secure = {
        **HTTP,
        "port": 443,
        "service_type": "http",
        "ssl_acceleration": True,
        "name": "shop",
        "servers": [SERVER],
    }
    made = apply(AddService(secure), AddRedirector(1)).services[2]
    assert (made.address, made.port, made.is_http, made.servers) == (HTTP["address"], 80, True, ())
    assert (made.error_code, made.error_url, made.name) == (302, "https://%h%s", "shop - Redirect")
    with pytest.raises(ConflictError):
        apply(AddService(secure), AddRedirector(1), AddRedirector(1))


def test_a_redirector_names_a_port_that_is_not_the_usual_one() -> None:
    made = apply(AddService({**TCP, "port": 8443}), AddRedirector(1, 8080)).services[2]
    assert (made.port, made.error_url) == (8080, "https://%h:8443%s")


def test_a_redirector_needs_something_that_speaks_https() -> None:
    with pytest.raises(OperatorError, match="plain HTTP"):
        apply(AddService({**HTTP, "port": 8080, "service_type": "http"}), AddRedirector(1))
    with pytest.raises(NotFound):
        apply(AddRedirector(7))


# --- the words for states -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "without_servers", "with_dead_servers"),
    [
        ({}, "Down", "Down"),
        (TO_HTTPS, "Redirect", "Down"),
        ({"error_code": 404}, "Fail Message", "Down"),
        ({"error_page": "YQ=="}, "Fail Message", "Down"),
        ({"standby_address": "10.0.0.9"}, "Sorry", "Sorry"),
        ({"standby_address": "10.0.0.9", **TO_HTTPS}, "Sorry", "Sorry"),
    ],
)
def test_the_status_says_what_stands_in(settings: dict[str, Any], without_servers: str, with_dead_servers: str) -> None:
    assert service_state(added(**settings), {}).status == without_servers
    service = added(**settings, servers=[SERVER])
    assert service_state(service, {"vs1/rs1": Verdict("down", "refused")}).status == with_dead_servers
    assert service_state(service, {"vs1/rs1": Verdict("up")}).status == "Up"
    assert service_state(service.changed({"enabled": False}), {}).status == "Disabled"


def test_the_history_does_not_hold_the_page_itself() -> None:
    before, after = added(), added(error_page="YQ==")
    assert compare("service", "1", before, after).lines == ("error_page: new content",)
    assert compare("service", "1", after, before).lines == ("error_page: removed",)
