"""Caches and compression as HAProxy sections and rules."""

from __future__ import annotations

import pytest

from steelyard.compile.haproxy.caching import caching_part
from steelyard.compile.haproxy.compression import compression_part
from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService

CONTEXT = ServiceContext(0, 300, None, True, cache_megabytes=100, not_cached=(".php",), not_compressed=(".zip",))


def service(**settings: object) -> VirtualService:
    return VirtualService.make({"index": 1, "address": "192.0.2.1", "port": 80, "service_type": "http", **settings})


@pytest.mark.parametrize(("percent", "megabytes"), [(0, "100"), (100, "100"), (20, "20"), (1, "1")])
def test_a_service_takes_its_share_of_the_cache(percent: int, megabytes: str) -> None:
    (section,) = caching_part(service(cache=True, cache_percent=percent), Family(), CONTEXT).sections
    assert section.words == ("cache", "cache-vs1")
    assert section.directives[0].words == ("total-max-size", megabytes)


def test_a_share_of_a_small_cache_is_never_nothing() -> None:
    (section,) = caching_part(
        service(cache=True, cache_percent=1), Family(), ServiceContext(0, 300, None, True, cache_megabytes=5)
    ).sections
    assert section.directives[0].words == ("total-max-size", "1")


def test_a_tcp_service_has_neither() -> None:
    tcp = service(service_type="gen", cache=True, compress=True)
    assert caching_part(tcp, Family(), CONTEXT) == compression_part(tcp, Family(), CONTEXT) == Part()


def test_an_empty_list_of_extensions_asks_for_nothing() -> None:
    part = caching_part(service(cache=True), Family(), ServiceContext(0, 300, None, True))
    assert all("path" not in rule.words for rule in part.backend)


def test_a_sub_service_that_is_selected_alone_does_to_answers_what_its_parent_does() -> None:
    """Its answers never pass the parent's backend."""
    parent = service(cache=True, compress=True, slots=[{"service": 2, "index": 1, "rules": ["default"]}])
    sub = VirtualService.make({"index": 2, "parent": 1, "address": "", "port": 0, "service_type": "http"})
    part = caching_part(sub, Family(parent), CONTEXT)
    assert part.backend[0].words == ("filter", "cache", "cache-vs1") and not part.sections
    assert compression_part(sub, Family(parent), CONTEXT) == compression_part(parent, Family(), CONTEXT) != Part()
    own = sub.changed({"cache": True})
    (section,) = caching_part(own, Family(parent), CONTEXT).sections
    assert section.words == ("cache", "cache-vs2")
    balanced = parent.changed({"slots": (parent.slots[0].changed({"rules": ()}),)})
    assert caching_part(sub, Family(balanced), CONTEXT) == compression_part(sub, Family(balanced), CONTEXT) == Part()
