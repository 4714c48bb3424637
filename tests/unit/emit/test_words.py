"""Quoting: whatever a word holds, HAProxy reads that word back, and no word can end its line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support import haproxy_binaries
from tests.support.haproxy_binaries import Reader
from tests.unit.emit.words_reader import words_of

from steelyard.emit.haproxy.configuration import EnginePaths, certificate_list, quote_path
from steelyard.emit.haproxy.words import quote, quote_command
from steelyard.model.errors import InternalError

CONTROL = "\x00\x01\t\n\x0b\x0c\r\x1b\x1f\x7f\x85\u2028\u2029"
NASTY = st.text(st.sampled_from("'\"\\#$ {}%[](),;|&`!<>=:~*?@ab\u00e9\u4e2d\U0001f512"), max_size=30)
ANY = st.text(st.characters(blacklist_characters=CONTROL, blacklist_categories=("Cc", "Cs")), max_size=40) | NASTY


@given(st.lists(ANY, max_size=5))
@example(["'", "''", "\\", "\\'", '"', "#", "$HOME", "${HOME}", "a b", "", " ", "\u00a0", "\u00e9"])
def test_a_quoted_line_is_read_as_the_words_it_was_made_of(words: list[str]) -> None:
    line = " ".join(quote(word) for word in words)
    assert words_of(line) == words
    assert len(line.splitlines()) <= 1


@given(NASTY, st.sampled_from(CONTROL), NASTY)
def test_a_control_character_is_never_printed(before: str, control: str, after: str) -> None:
    for printer in (quote, quote_command):
        with pytest.raises(InternalError):
            printer(before + control + after)


@given(ANY)
def test_a_quoted_command_word_is_one_word_of_one_command(word: str) -> None:
    """The runtime socket knows only the backslash: it keeps blanks, semicolons and itself inside a word."""
    printed = quote_command(word)
    read, position, separators = [], 0, 0
    while position < len(printed):
        if printed[position] == "\\":
            position += 1
        elif printed[position] in " ;":
            separators += 1
        read.append(printed[position])
        position += 1
    assert ("".join(read), separators) == (word, 0)


@pytest.mark.engine
@pytest.mark.parametrize("name", haproxy_binaries.NAMES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(ANY.filter(bool), min_size=1, max_size=30))
@example(words=["'", "\\", '"', "#", "$HOME", "${HOME}", "a b", "%[src]", "{", "}", "\u00e9", "\U0001f512"])
def test_haproxy_takes_any_word_where_it_takes_words(name: str, words: list[str]) -> None:
    """`set-header` with a string for its value: a word that broke out would be an unknown keyword or argument."""
    binary = haproxy_binaries.require(name)
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        reader = Reader(Path(root))
        lines = "".join(f"  description {quote(word)}\n" for word in words)
        text = f"backend fuzz from steelyard\n  mode http\n{lines}  balance roundrobin\n"
        assert reader.refusal(binary, reader.header() + text) == ""


@pytest.mark.engine
@settings(max_examples=30, deadline=None)
@given(word=ANY.filter(bool))
@example(word="a'b\"c\\d#e$HOME ${HOME} {f} %[src] \u00e9 g")
def test_haproxy_reads_the_very_word_back(word: str) -> None:
    """HAProxy 2.8 prints what it has read (`-dC`)."""
    binary = haproxy_binaries.require("wheel")
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        reader = Reader(Path(root))
        text = f"backend fuzz\n  description {quote(word)}\n"
        assert f"\n\tdescription {word} \n" in reader.dumped(binary, text)


def test_a_path_that_needs_quotes_cannot_stand_in_a_certificate_list() -> None:
    with pytest.raises(ValueError, match="cannot stand in a certificate list"):
        quote_path("/var/lib/steel yard/certificates/a.pem")
    paths = EnginePaths("/b", "/r", "/c", "/l", (), "/s", "/k", "/p")
    assert certificate_list(("a", "b.c"), paths) == "/c/a.pem\n/c/b.c.pem\n"
