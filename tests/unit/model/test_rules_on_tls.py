"""Content rules on the client's TLS, evaluated for people who try them out."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.model.content_rule import TLS_FIELDS, ContentRule
from steelyard.model.errors import OperatorError
from steelyard.model.rule_matching import Request, matches


def rule(**settings: Any) -> ContentRule:
    return ContentRule.make({"name": "one", "header": "SSL-SNI", **settings})


@pytest.mark.parametrize(
    ("settings", "name", "hit"),
    [
        ({"pattern": "Shop.example", "match_type": "exact"}, "shop.EXAMPLE", True),
        ({"pattern": "shop.example", "match_type": "exact"}, "", False),
        ({"pattern": ".example", "match_type": "postfix"}, "a.b.example", True),
        ({"pattern": "shop", "match_type": "prefix", "negate": True}, "mail.example", True),
        ({"pattern": "shop", "match_type": "prefix", "negate": True}, "", True),
        ({"pattern": "^[a-z]+$"}, "SHOP", True),
    ],
)
def test_the_name_in_the_hello_has_no_case(settings: dict[str, Any], name: str, hit: bool) -> None:
    assert matches(rule(**settings), Request(server_name=name)) is hit


def test_what_the_handshake_agrees_on_is_not_known_before() -> None:
    for field in TLS_FIELDS[1:]:
        assert not matches(rule(header=field, pattern="."), Request(headers=((field, "x"),), server_name="a"))


def test_it_can_be_matched_and_not_changed() -> None:
    for kind in (1, 3):
        with pytest.raises(OperatorError, match="can be matched, not changed"):
            rule(rule_type=kind, pattern="x" if kind == 3 else "", replacement="y")
