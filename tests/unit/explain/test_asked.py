"""A URL as a client would open it."""

from __future__ import annotations

import pytest

from steelyard.explain.asked import asked
from steelyard.model.errors import OperatorError


def test_the_host_header_is_that_of_the_url_unless_it_is_given() -> None:
    found = asked("https://Shop.example:8443/a?b#c", client="192.0.2.1")
    assert found.host == "Shop.example"
    assert found.request.headers == (("Host", "Shop.example:8443"),)
    assert (found.request.port, found.request.tls, found.request.target) == (8443, True, "/a?b")
    assert found.request.server_name == "Shop.example"
    given = asked("http://192.0.2.9/", client="192.0.2.1", headers=(("host", "b"),))
    assert given.request.headers == (("host", "b"),)
    assert (given.host, given.request.address, given.request.port, given.request.tls) == ("", "192.0.2.9", 80, False)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", "/"),
        ("http://h?a=1", "/?a=1"),
        ("http://h#x", "/"),
        ("http://[::1]:81/x", "/x"),
        ("HTTP://h/x", "/x"),
    ],
)
def test_targets(url: str, target: str) -> None:
    assert asked(url, client="192.0.2.1").request.target == target


def test_an_ipv6_address_keeps_its_brackets_in_the_header() -> None:
    found = asked("http://[2001:db8::1]:81/", client="192.0.2.1")
    assert found.request.address == "2001:db8::1"
    assert found.request.headers == (("Host", "[2001:db8::1]:81"),)


@pytest.mark.parametrize(
    "url", ["", "h", "ftp://h/", "http:///x", "http://h:0/", "http://h:99999/", "/x", "http://a b/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        asked(url, client="192.0.2.1")
    assert refusal.value.field == "url"
