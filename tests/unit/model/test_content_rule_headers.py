"""Headers no content rule may touch: they say where a message ends."""

from __future__ import annotations

import pytest

from steelyard.model.content_rule import ADD_HEADER, DELETE_HEADER, REPLACE_HEADER, ContentRule
from steelyard.model.errors import OperatorError


@pytest.mark.parametrize("rule_type", [ADD_HEADER, REPLACE_HEADER])
@pytest.mark.parametrize("header", ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "TE"])
def test_framing_is_not_written(rule_type: int, header: str) -> None:
    pattern = {"pattern": "a"} if rule_type == REPLACE_HEADER else {}
    with pytest.raises(OperatorError, match=header):
        ContentRule.make({"name": "r", "rule_type": rule_type, "header": header, "replacement": "3", **pattern})


def test_a_second_host_is_not_added_but_the_one_there_is_may_be_replaced() -> None:
    with pytest.raises(OperatorError, match="Host"):
        ContentRule.make({"name": "r", "rule_type": ADD_HEADER, "header": "Host", "replacement": "a.example"})
    ContentRule.make(
        {"name": "r", "rule_type": REPLACE_HEADER, "header": "Host", "pattern": "^.*$", "replacement": "a.example"}
    )


@pytest.mark.parametrize("pattern", ["Content-Length", "HOST", "/.*/", "/^content-/", "/encoding/"])
def test_framing_is_not_deleted(pattern: str) -> None:
    with pytest.raises(OperatorError, match="pattern"):
        ContentRule.make({"name": "r", "rule_type": DELETE_HEADER, "pattern": pattern})


@pytest.mark.parametrize("pattern", ["X-Powered-By", "Server", "/^x-/", "Accept-Encoding"])
def test_others_are(pattern: str) -> None:
    ContentRule.make({"name": "r", "rule_type": DELETE_HEADER, "pattern": pattern})
