"""Caching of answers (`reference/behaviour.md`, section 12): what may be kept is, what may not is not."""

from __future__ import annotations

import pytest
from tests.engine.rig import Rig, Service
from tests.support.clients import Headers
from tests.support.origin import Origin

pytestmark = pytest.mark.engine

KEEP = (("Cache-Control", "public, max-age=60"),)


def _asked(service: Service, origin: Origin, path: str, headers: Headers = ()) -> int:
    """How many requests reach the origin when a path is asked for three times."""
    origin.clear()
    for _ in range(3):
        assert service.fetch(path, headers=headers).status == 200
    return origin.request_count


@pytest.fixture
def cached(rig: Rig, one: Origin) -> Service:
    one.extra_headers = list(KEEP)
    return rig.http(one, cache=True)


def test_what_may_be_kept_is_asked_for_once(cached: Service, one: Origin) -> None:
    assert _asked(cached, one, "/page.html") == 1


def test_without_caching_each_request_reaches_the_server(rig: Rig, one: Origin) -> None:
    one.extra_headers = list(KEEP)
    assert _asked(rig.http(one), one, "/page.html") == 3


@pytest.mark.parametrize(
    "answer",
    [
        (),
        (("Cache-Control", "no-store, max-age=60"),),
        (("Cache-Control", "private, max-age=60"),),
        (("Cache-Control", "no-cache"),),
        (("Cache-Control", "max-age=60"), ("Set-Cookie", "session=1")),
        (("Cache-Control", "max-age=0"),),
    ],
    ids=["says-nothing", "no-store", "private", "no-cache", "sets-a-cookie", "stale-at-once"],
)
def test_an_answer_that_may_not_be_kept_is_not(
    cached: Service, one: Origin, answer: tuple[tuple[str, str], ...]
) -> None:
    one.extra_headers = list(answer)
    assert _asked(cached, one, "/own.html") == 3


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/search?q=1", ()),
        ("/page.php", ()),
        ("/PAGE.ASPX", ()),
        ("/secret.html", (("Authorization", "Basic YTpi"),)),
        ("/fresh.html", (("Cache-Control", "no-cache"),)),
    ],
    ids=["query", "extension", "extension-in-capitals", "credentials", "client-says-no-cache"],
)
def test_a_request_that_is_one_clients_own_is_not_kept(
    cached: Service, one: Origin, path: str, headers: Headers
) -> None:
    assert _asked(cached, one, path, headers) == 3


def test_hosts_have_pages_of_their_own(cached: Service, one: Origin) -> None:
    one.clear()
    for host in ("a.example", "b.example", "a.example"):
        cached.fetch("/host.html", headers=(("Host", host),))
    assert [seen.header("host") for seen in one.requests] == ["a.example", "b.example"]


def test_answers_from_the_cache_say_so_when_asked_to(rig: Rig, cached: Service) -> None:
    kept = [cached.fetch("/via.html", headers=(("Host", "via.example"),)) for _ in range(2)]
    assert not any(answer.header("Via") for answer in kept)
    rig.layer7(add_via_in_cache=True)
    fresh, again = (cached.fetch("/told.html", headers=(("Host", "via.example"),)) for _ in range(2))
    assert fresh.header("Via") is None
    assert again.header("Via") == "1.1 steelyard"


def test_post_is_never_answered_from_the_cache(cached: Service, one: Origin) -> None:
    assert _asked(cached, one, "/form.html") == 1
    one.clear()
    cached.fetch("/form.html", method="POST", body=b"x")
    assert one.request_count == 1


def test_a_compressed_variant_is_not_given_to_who_cannot_read_it(cached: Service, one: Origin) -> None:
    one.extra_headers = [*KEEP, ("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip")]
    assert _asked(cached, one, "/v.html", (("Accept-Encoding", "gzip"),)) == 1
    one.clear()
    cached.fetch("/v.html", headers=(("Accept-Encoding", "br"),))
    assert one.request_count == 1


def test_an_answer_that_varies_with_what_the_cache_does_not_compare_is_not_kept(cached: Service, one: Origin) -> None:
    one.extra_headers = [*KEEP, ("Vary", "User-Agent")]
    assert _asked(cached, one, "/v.html") == 3


def test_extensions_can_be_taken_off_the_list(rig: Rig, cached: Service, one: Origin) -> None:
    rig.layer7(not_cached=(".jsp",))
    assert _asked(cached, one, "/page.php") == 1
    assert _asked(cached, one, "/page.jsp") == 3
