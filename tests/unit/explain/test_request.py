"""The parts of a request, cut out as HAProxy cuts them, which tests/engine/test_explain.py holds against it."""

from __future__ import annotations

import pytest

from steelyard.explain.request import Request, masked
from steelyard.model.errors import OperatorError


def _with(name: str, *values: str) -> Request:
    return Request("192.0.2.1", headers=tuple((name, value) for value in values))


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["JS=1"], "1"),
        (["JS=1; JS=2"], "2"),
        (["JS=1", "JS=2"], "2"),
        (["a=b; JS = 3"], "3"),
        (["a=b,JS=4"], "4"),
        (["$JS=1; JS=5"], "5"),
        (['JS="q;r"'], '"q;r"'),
        (['JS="a\\";b"; c'], '"a\\";b"'),
        (['JS="never ends; x=1'], '"never ends; x=1'),
        (["JS=;x"], ""),
        (["JS="], None),
        (["JS"], None),
        (["xJS=7"], None),
        (["js=7"], None),
        ([], None),
    ],
)
def test_a_cookie(lines: list[str], value: str | None) -> None:
    assert _with("Cookie", *lines).cookie("JS") == value


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/x?user=ann&user=bob", "ann"),
        ("/x?a=1;user=ann", "ann"),
        ("/x?user=", ""),
        ("/x?user", None),
        ("/x;user=1", None),
        ("/x?auser=1", None),
        ("http://h/x?user=1", "1"),
    ],
)
def test_a_query_item(target: str, value: str | None) -> None:
    assert Request("192.0.2.1", target=target).parameter("user") == value


def test_headers_by_line_and_by_value() -> None:
    request = _with("X-User", "ann, bob", " cid, dan ")
    assert request.lines("x-user") == ("ann, bob", "cid, dan")
    assert request.last_line("X-USER") == "cid, dan"
    assert request.last_value("x-user") == "dan"
    assert request.last_line("other") is None


def test_path_and_query() -> None:
    request = Request("192.0.2.1", target="http://h:80/a/b?c=d")
    assert (request.path, request.query, request.path_and_query) == ("/a/b", "c=d", "/a/b?c=d")
    assert Request("192.0.2.1", target="*", method="OPTIONS").path == "*"


def test_masks() -> None:
    assert masked("192.0.2.77", 24) == "192.0.2.0"
    assert masked("2001:db8:1:2:3::9", 16) == "2001:db8:1:2::"


@pytest.mark.parametrize(
    "changes",
    [
        {"client": "me"},
        {"method": "G T"},
        {"target": "/a b"},
        {"target": ""},
        {"headers": (("X", "a\nb"),)},
        {"headers": (("", "a"),)},
        {"version": "9"},
    ],
)
def test_what_is_no_request_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(OperatorError):
        Request(**({"client": "192.0.2.1"} | changes))  # type: ignore[arg-type]
