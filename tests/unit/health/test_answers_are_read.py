"""Whatever bytes a server sends, they are judged in bounded, printable words, and in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.health import dns_messages, ldap_messages
from steelyard.health.check_agent import read_line
from steelyard.health.check_rdp import judge
from steelyard.health.greetings import PROTOCOLS
from steelyard.health.transcript import Answer, Outcome

_LINES = st.sampled_from(
    [b"220 ", b"220-", b"421 ", b"+OK", b"-ERR", b"* OK", b"* BYE", b"\r\n", b"\n", b"\x1b[2J", b" "]
)
_TALK = st.lists(st.one_of(_LINES, st.binary(max_size=12)), max_size=12).map(b"".join)


def _is_told_safely(answer: Answer) -> bool:
    return all(" " <= one <= "~" and len(text) < 300 for text in (answer.received, answer.reason) for one in text)


@pytest.mark.parametrize("kind", list(PROTOCOLS))
@given(talk=_TALK)
@settings(max_examples=60)
def test_greetings(kind: str, talk: bytes) -> None:
    judged = [PROTOCOLS[kind].judge(talk[:end]) for end in range(len(talk) + 1)]
    spoken = [answer for answer in judged if answer is not None]
    assert all(_is_told_safely(answer) for answer in spoken)
    # more bytes never turn an answer into none, or a bad greeting into a good one
    assert judged[len(judged) - len(spoken) :] == spoken
    assert len({answer.outcome for answer in spoken}) <= 1 or spoken[0].outcome is Outcome.GOOD


@given(line=st.one_of(st.binary(max_size=64), st.text("updown 0123%,#\x07", max_size=30).map(str.encode)))
def test_agents(line: bytes) -> None:
    assert _is_told_safely(read_line(line))


@given(rest=st.binary(min_size=7, max_size=40))
def test_rdp(rest: bytes) -> None:
    assert _is_told_safely(judge(b"\x03\x00\x00\x00" + rest))


@given(rest=st.binary(max_size=64), identifier=st.integers(0, 65535))
def test_dns(rest: bytes, identifier: int) -> None:
    question = dns_messages.question_of("www.example")
    for data in (rest, identifier.to_bytes(2, "big") + b"\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00" + question + rest):
        try:
            assert dns_messages.read(data, identifier, question).code_name()
        except dns_messages.NotDns as failure:
            assert str(failure)


@given(rest=st.binary(max_size=48), tag=st.sampled_from([0x61, 0x64, 0x65, 0x78, 0x30]))
def test_ldap(rest: bytes, tag: int) -> None:
    inner = b"\x02\x01\x01" + bytes((tag, len(rest))) + rest
    for data in (rest, bytes((0x30, len(inner))) + inner):
        try:
            assert ldap_messages.read(data).result()
        except ldap_messages.NotLdap as failure:
            assert str(failure)


@given(user=st.text(max_size=300), password=st.text(max_size=300), number=st.integers(0, 2**31 - 1))
def test_ldap_requests_have_the_length_they_say(user: str, password: str, number: int) -> None:
    user, password = (text.encode("utf-8", "replace").decode() for text in (user, password))
    for message in (ldap_messages.bind(number, user, password), ldap_messages.search_entry(number, user)):
        assert ldap_messages.length(message) == len(message)
