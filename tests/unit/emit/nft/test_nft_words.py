"""Nothing but what is meant gets into a transaction."""

from __future__ import annotations

import pytest

from steelyard.emit.nft import words
from steelyard.emit.nft.table import clear_text, table_text
from steelyard.emit.nft.transaction import command_text, transaction_text
from steelyard.plan.nft import AddChain, AddElements, AddRule, DeleteElements, LimitIdle, Mark


@pytest.mark.parametrize(
    "name", ["", "Vs1", "vs-1", "vs1; flush ruleset", "vs1\nflush ruleset", "1vs", "v" * 65, "vs1 "]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        command_text(AddChain(name))
    with pytest.raises(ValueError, match="no name"):
        command_text(AddRule("vs1", (LimitIdle(name),)))
    with pytest.raises(ValueError, match="no name"):
        command_text(DeleteElements(name, ()))


def test_a_word_in_a_key_is_a_protocol() -> None:
    with pytest.raises(ValueError, match="protocol"):
        command_text(AddElements("services4", ((("tcp; flush ruleset",), None),)))


@pytest.mark.parametrize(("number", "most"), [(-1, 65535), (65536, 65535), (1 << 32, 0xFFFFFFFF)])
def test_numbers_stay_in_their_range(number: int, most: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        words.number(number, most)


def test_marks_are_written_whole() -> None:
    assert words.mark(Mark(0x4C000001)) == "0x4c000001"


@pytest.mark.parametrize(
    ("ipv6", "prefix", "text"),
    [
        (False, 32, "ip saddr"),
        (True, 128, "ip6 saddr"),
        (False, 24, "(ip saddr & 255.255.255.0)"),
        (True, 64, "(ip6 saddr & ffff:ffff:ffff:ffff::)"),
    ],
)
def test_a_client_is_known_by_leading_bits(ipv6: bool, prefix: int, text: str) -> None:
    assert words.source(ipv6=ipv6, prefix=prefix) == text


def test_everything_is_in_the_one_table_of_ours() -> None:
    for text in (table_text(), clear_text(), transaction_text([AddChain("vs1")])):
        assert all(" inet steelyard_layer4" in line for line in text.splitlines())
