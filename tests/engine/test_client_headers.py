"""What the real server is told about the client (`reference/behaviour.md`, section 12)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.engine.rig import Rig, Service
from tests.support.certificates import leaf
from tests.support.origin import Origin

pytestmark = pytest.mark.engine

SOURCE = "127.0.0.77"


def _seen(service: Service, headers: Any = ()) -> dict[str, list[str]]:
    found = service.fetch(headers=headers, source=SOURCE).seen_headers
    return {name: found[name] for name in ("x-forwarded-for", "x-clientside", "via") if name in found}


@pytest.mark.parametrize("add_via", range(7))
def test_each_choice_adds_its_headers(rig: Rig, one: Origin, add_via: int) -> None:
    service = rig.http(one, add_via=add_via)
    seen = _seen(service)
    assert ("x-forwarded-for" in seen) == (add_via in (1, 5))
    assert ("x-clientside" in seen) == (add_via in (3, 4))
    assert ("via" in seen) == (add_via in (1, 3, 6))
    if add_via in (1, 5):
        assert seen["x-forwarded-for"] == [SOURCE]
    if add_via in (3, 4):
        (line,) = seen["x-clientside"]
        assert re.fullmatch(rf"{SOURCE}:\d+ -> 127\.0\.0\.1:{service.port}", line)
    if add_via in (1, 3, 6):
        assert seen["via"] == ["1.1 steelyard"]


@pytest.mark.parametrize("add_via", [1, 5])
def test_an_existing_x_forwarded_for_is_continued(rig: Rig, one: Origin, add_via: int) -> None:
    service = rig.http(one, add_via=add_via)
    assert _seen(service, {"X-Forwarded-For": "203.0.113.9"})["x-forwarded-for"] == [f"203.0.113.9, {SOURCE}"]
    chain = {"x-forwarded-for": "203.0.113.9, 10.1.1.1"}
    assert _seen(service, chain)["x-forwarded-for"] == [f"203.0.113.9, 10.1.1.1, {SOURCE}"]


def test_several_lines_of_x_forwarded_for_get_another_one(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=5)
    lines = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "10.1.1.1")]
    seen = _seen(service, lines)["x-forwarded-for"]
    assert ", ".join(seen) == f"203.0.113.9, 10.1.1.1, {SOURCE}"


@pytest.mark.parametrize("add_via", [0, 2])
def test_nothing_is_added_or_removed_when_it_is_off(rig: Rig, one: Origin, add_via: int) -> None:
    service = rig.http(one, add_via=add_via)
    headers = {"X-Forwarded-For": "203.0.113.9", "Via": "1.0 fred", "X-ClientSide": "mine"}
    seen = _seen(service, headers)
    assert seen == {"x-forwarded-for": ["203.0.113.9"], "via": ["1.0 fred"], "x-clientside": ["mine"]}


def test_a_client_cannot_forge_x_clientside(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=4)
    (line,) = _seen(service, {"X-ClientSide": "10.0.0.1:1 -> 10.0.0.2:2"})["x-clientside"]
    assert line.startswith(f"{SOURCE}:")


def test_an_existing_via_is_kept_before_ours(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=6)
    assert ", ".join(_seen(service, {"Via": "1.0 fred"})["via"]) == "1.0 fred, 1.1 steelyard"


def test_headers_are_added_to_every_request_of_a_connection(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=1)
    with service.connect(source=SOURCE) as connection:
        for _ in range(3):
            seen = connection.request("/").seen_headers
            assert (seen["x-forwarded-for"], seen["via"]) == ([SOURCE], ["1.1 steelyard"])


def test_headers_are_added_behind_tls(rig: Rig, one: Origin) -> None:
    rig.certificate(f"headers{one.port}", leaf("shop.example"))
    service = rig.http(one, add_via=5, ssl_acceleration=True, certificates=(f"headers{one.port}",))
    assert _seen(service)["x-forwarded-for"] == [SOURCE]


def test_other_headers_pass_as_they_are(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    one.extra_headers = [("X-Answer", "a"), ("X-Answer", "b")]
    reply = service.fetch(headers={"X-Custom": "v", "Accept": "text/html"})
    assert reply.seen_headers["x-custom"] == ["v"]
    assert reply.seen_headers["accept"] == ["text/html"]
    assert reply.header_all("x-answer") == ["a", "b"]
    assert reply.header("via") is None
