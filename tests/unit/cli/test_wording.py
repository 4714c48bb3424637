"""Messages name settings as they are typed."""

from __future__ import annotations

import pytest
from tests.unit.cli.conftest import Program

from steelyard.cli.wording import in_settings_words


@pytest.mark.parametrize(
    ("message", "field", "expected"),
    [
        ("VSPort '0' is out of range", "port", "port '0' is out of range"),
        ("finalpersist '5' is out of range", "drain_time", "drain_time '5' is out of range"),
        ("ErrorUrl: a redirect needs it", "error_url", "error_url: a redirect needs it"),
        ("MultiConnect=on (Multi) is not built", "multi_connect", "multi_connect=on (Multi) is not built"),
        ("VSPort '0' is out of range", "", "VSPort '0' is out of range"),
        ("Persistent connections", "persistence", "Persistent connections"),
        ("Unknown VS 9", "vs", "Unknown VS 9"),
    ],
)
def test_the_name_of_the_setting_takes_the_place_of_loadmasters(message: str, field: str, expected: str) -> None:
    assert in_settings_words(message, field) == expected


def test_what_is_refused_is_called_as_it_was_typed(steelyard: Program) -> None:
    refused = steelyard("vs", "add", "127.0.0.1:99999")
    assert refused.stderr.startswith("Error: port '99999' is out of range; allowed: 1 to 65535")
    refused = steelyard("parameters", "set", "layer7", "drain_time=5")
    assert refused.stderr.startswith("Error: drain_time '5' is out of range")


def test_what_cannot_be_set_is_not_proposed_as_itself(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80")
    refused = steelyard("vs", "set", "1", "parent=3")
    assert "'parent' of a virtual service cannot be set in this way" in refused.stderr
    assert "Did you mean" not in refused.stderr
