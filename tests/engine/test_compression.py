"""Compression of answers (`reference/behaviour.md`, section 12)."""

from __future__ import annotations

import gzip

import pytest
from tests.engine.rig import Rig
from tests.support.clients import Reply
from tests.support.origin import Origin

pytestmark = pytest.mark.engine

TEXT = b"a line of text that repeats itself\n" * 500
ACCEPT = (("Accept-Encoding", "gzip"),)


@pytest.fixture
def texts(one: Origin) -> Origin:
    one.bodies = dict.fromkeys(("/page.html", "/archive.zip", "/ARCHIVE.ZIP", "/picture.png"), TEXT)
    return one


def _is_compressed(reply: Reply) -> bool:
    if reply.header("content-encoding") != "gzip":
        assert reply.body == TEXT
        return False
    assert gzip.decompress(reply.body) == TEXT
    assert len(reply.body) < len(TEXT) // 4
    return True


def test_text_is_compressed_for_clients_that_take_it(rig: Rig, texts: Origin) -> None:
    texts.extra_headers = [("Content-Type", "text/html; charset=utf-8")]
    service = rig.http(texts, compress=True)
    assert _is_compressed(service.fetch("/page.html", headers=ACCEPT))
    assert not _is_compressed(service.fetch("/page.html"))
    assert not _is_compressed(service.fetch("/archive.zip", headers=ACCEPT))
    assert not _is_compressed(service.fetch("/ARCHIVE.ZIP", headers=ACCEPT))


def test_without_compression_nothing_is(rig: Rig, texts: Origin) -> None:
    texts.extra_headers = [("Content-Type", "text/html")]
    assert not _is_compressed(rig.http(texts).fetch("/page.html", headers=ACCEPT))


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "image/png")],
        [("Content-Type", "application/octet-stream")],
        [("Content-Type", "text/html"), ("Cache-Control", "no-transform")],
    ],
    ids=["picture", "binary", "no-transform"],
)
def test_what_gains_nothing_or_must_not_be_changed_is_left(
    rig: Rig, texts: Origin, headers: list[tuple[str, str]]
) -> None:
    texts.extra_headers = headers
    assert not _is_compressed(rig.http(texts, compress=True).fetch("/page.html", headers=ACCEPT))


def test_what_the_server_has_compressed_passes_unchanged(rig: Rig, one: Origin) -> None:
    ready = gzip.compress(TEXT)
    one.bodies = {"/page.html": ready}
    one.extra_headers = [("Content-Type", "text/html"), ("Content-Encoding", "gzip")]
    reply = rig.http(one, compress=True).fetch("/page.html", headers=ACCEPT)
    assert reply.body == ready


def test_with_caching_too(rig: Rig, texts: Origin) -> None:
    texts.extra_headers = [("Content-Type", "text/html"), ("Cache-Control", "max-age=60")]
    service = rig.http(texts, compress=True, cache=True)
    assert _is_compressed(service.fetch("/page.html", headers=ACCEPT))
    assert not _is_compressed(service.fetch("/page.html"))
    assert _is_compressed(service.fetch("/page.html", headers=ACCEPT))
