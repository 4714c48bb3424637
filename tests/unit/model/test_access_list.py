from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.model.access_list import EVERY_SERVICE, AccessLists, Entries, ListName, decision, line_of, network
from steelyard.model.commands import (
    AddEntries,
    AddServer,
    AddService,
    CreateSubService,
    DuplicateService,
    RemoveEntries,
    RemoveService,
    ReplaceList,
    SetParameters,
)
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import NotFound, OperatorError


def configured(*services: int) -> Configuration:
    configuration = Configuration()
    for port in services:
        configuration = AddService({"address": "192.0.2.1", "port": port}).apply(configuration).configuration
    return configuration


def with_entries(configuration: Configuration, scope: int, which: ListName, *lines: str) -> Configuration:
    return AddEntries(scope, which, Entries.of_lines(lines)).apply(configuration).configuration


def let_in(configuration: Configuration, address: str, service: int = 1) -> bool:
    return decision(configuration, configuration.service(service), address).allowed


# --- spelling


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::1", "2001:db8::1/128"),
        ("[2001:db8::]/32", "2001:db8::/32"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_has_one_spelling(given: str, canonical: str) -> None:
    assert network(given) == canonical
    assert network(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "/8", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/255.0.0.0", "::1/129", "fe80::1%eth0", "10.0.0",
     "a+b", "10.0.0.1 block", "10.0.0.1/3\u0662", "010.0.0.1"],
)  # fmt: skip
def test_what_is_no_network_is_refused_by_name(text: str) -> None:
    with pytest.raises(OperatorError) as refused:
        network(text)
    assert refused.value.field == "address"
    assert refused.value.message.startswith("Invalid address")
    assert refused.value.allowed is not None


def test_bits_behind_the_prefix_are_refused_with_both_remedies() -> None:
    with pytest.raises(OperatorError) as refused:
        network("10.1.2.3/8")
    assert "prefix is invalid for the specified network" in refused.value.message
    assert refused.value.remedy == "Give 10.0.0.0/8 for the network, or 10.1.2.3/32 for the one address"


def test_a_file_has_an_address_a_line_and_comments() -> None:
    text = "\ufeff# head\n\n10.0.0.0/8 # inside\n192.0.2.1\tthe printer\r\n; old\n2001:db8::1#six\n198.51.100.1 a # b\n"
    read = Entries.read(text)
    assert read.comments == {
        "10.0.0.0/8": "inside",
        "192.0.2.1/32": "the printer",
        "2001:db8::1/128": "six",
        "198.51.100.1/32": "a b",
    }
    assert Entries.of_lines(line_of(*pair) for pair in read.comments.items()) == read


def test_an_error_in_a_file_says_the_line() -> None:
    with pytest.raises(OperatorError) as refused:
        Entries.read("10.0.0.0/8\n\nno address\n")
    assert refused.value.position == "line 3"


@pytest.mark.parametrize("comment", ["x" * 128, "two\nlines", "\x1b[2J", "\ud800"])
def test_bad_comments_are_refused(comment: str) -> None:
    with pytest.raises(OperatorError) as refused:
        Entries.of([("10.0.0.1", comment)])
    assert refused.value.field == "comment"


# --- who is let in


def test_without_lists_everybody_is_let_in() -> None:
    assert let_in(configured(80), "198.51.100.1")


def test_allow_punches_holes_and_the_longest_prefix_wins() -> None:
    configuration = with_entries(configured(80), EVERY_SERVICE, "block", "10.0.0.0/8", "10.1.2.3")
    configuration = with_entries(configuration, EVERY_SERVICE, "allow", "10.1.0.0/16")
    assert not let_in(configuration, "10.2.0.1")
    assert let_in(configuration, "10.1.0.1")
    assert not let_in(configuration, "10.1.2.3")
    assert let_in(configuration, "11.0.0.1")
    assert let_in(configuration, "::1")


def test_an_allow_list_alone_refuses_everybody_else_of_both_families() -> None:
    configuration = with_entries(configured(80), 1, "allow", "10.0.0.0/8")
    assert let_in(configuration, "10.9.9.9")
    assert not let_in(configuration, "11.0.0.1")
    assert not let_in(configuration, "2001:db8::1")
    assert let_in(with_entries(configuration, 1, "block", "203.0.113.0/24"), "11.0.0.1")


def test_of_equal_prefixes_the_allow_list_wins() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.1")
    assert let_in(with_entries(configuration, 1, "allow", "10.0.0.1"), "10.0.0.1")


def test_both_scopes_must_let_a_client_in() -> None:
    configuration = with_entries(configured(80, 81), EVERY_SERVICE, "block", "10.0.0.0/8")
    configuration = with_entries(configuration, 1, "allow", "10.0.0.1", "11.0.0.1")
    assert not let_in(configuration, "10.0.0.1")
    assert let_in(configuration, "11.0.0.1")
    assert not let_in(configuration, "12.0.0.1")
    assert let_in(configuration, "12.0.0.1", service=2)


def test_real_servers_are_never_blocked() -> None:
    configuration = with_entries(configured(80, 81), EVERY_SERVICE, "block", "10.0.0.0/8", "10.0.0.5")
    configuration = AddServer(2, {"address": "10.0.0.5", "port": 80}).apply(configuration).configuration
    assert let_in(configuration, "10.0.0.5")
    assert "real server" in decision(configuration, configuration.service(1), "10.0.0.5").why


def test_the_switch_lets_everybody_in() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.0/8")
    off = SetParameters("access", {"enabled": False}).apply(configuration).configuration
    assert let_in(off, "10.0.0.1")


def test_the_reason_names_entry_list_and_scope() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.0/8")
    assert decision(configuration, configuration.service(1), "10.0.0.1").why == (
        "10.0.0.0/8 is in the block list of virtual service 1"
    )
    alone = with_entries(configured(80), EVERY_SERVICE, "allow", "10.0.0.0/8")
    assert decision(alone, alone.service(1), "11.0.0.1").why == (
        "it is not in the allow list for all services, which alone has entries"
    )


# --- changes


def test_commands_change_what_they_name() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.0/8 # a", "10.0.0.1")
    lists = configuration.access_lists[1]
    assert lists.entries("block") == [("10.0.0.0/8", "a"), ("10.0.0.1/32", "")]
    again = with_entries(configuration, 1, "block", "10.0.0.0/8", "10.0.0.1 # b")
    assert again.access_lists[1].entries("block") == [("10.0.0.0/8", "a"), ("10.0.0.1/32", "b")]
    gone = RemoveEntries(1, "block", Entries.of_lines(["10.0.0.0/8", "10.0.0.1"])).apply(configuration).configuration
    assert gone.access_lists == {}
    put = ReplaceList(1, "block", Entries.of_lines(["::1"])).apply(configuration).configuration
    assert put.access_lists[1].entries("block") == [("::1/128", "")]


def test_what_changes_nothing_is_the_same_configuration() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.0/8 # a")
    assert with_entries(configuration, 1, "block", "10.0.0.0/8") is configuration
    same = Entries.of_lines(["10.0.0.0/8 # a"])
    assert ReplaceList(1, "block", same).apply(configuration).configuration is configuration


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(NotFound):
        RemoveEntries(1, "block", Entries.of_lines(["10.0.0.1"])).apply(configured(80))
    with pytest.raises(NotFound):
        AddEntries(7, "block", Entries.of_lines(["10.0.0.1"])).apply(configured(80))


def test_lists_go_with_their_service_and_a_copy_has_them_too() -> None:
    configuration = with_entries(configured(80), 1, "block", "10.0.0.0/8")
    copied = DuplicateService(1, port=81).apply(configuration).configuration
    assert not let_in(copied, "10.0.0.1", service=2)
    assert RemoveService(1).apply(configuration).configuration.access_lists == {}
    assert set(RemoveService(1).apply(copied).configuration.access_lists) == {2}


def test_permissions_follow_the_scope() -> None:
    assert AddEntries(EVERY_SERVICE, "block").permission == "root"
    assert ReplaceList(3, "allow").permission == "vs"


def test_one_entry_of_many_changes_one_part() -> None:
    lines = [f"10.{a}.{b}.{c}" for a in range(20) for b in range(20) for c in range(20)]
    configuration = with_entries(configured(80), EVERY_SERVICE, "block", *lines)
    before = configuration.access_lists[EVERY_SERVICE].parts
    after = with_entries(configuration, EVERY_SERVICE, "block", "192.0.2.1").access_lists[EVERY_SERVICE].parts
    assert sum(after[number] is not before.get(number) for number in after) == 1


# --- against a naive evaluation

ADDRESSES = st.one_of(
    # few bits differ, so that networks contain each other and hold clients
    st.integers(0, 15).map(lambda bits: str(ipaddress.IPv4Address(0x0A000000 | bits << 14 | bits))),
    st.integers(0, 15).map(lambda bits: str(ipaddress.IPv6Address(0x20010DB8 << 96 | bits << 62 | bits))),
)


@st.composite
def networks(draw: st.DrawFn) -> str:
    address = ipaddress.ip_address(draw(ADDRESSES))
    prefix = draw(st.sampled_from((0, 1, 8, 12, 15, 16, 17, 18, 28, 30, 31, 32, 64, 66, 127, 128)))
    return str(ipaddress.ip_network((address, min(prefix, address.max_prefixlen)), strict=False))


LISTS_OF_NETWORKS = st.lists(networks(), max_size=8)


def naive(block: list[str], allow: list[str], client: str) -> bool:
    address = ipaddress.ip_address(client)
    fitting = [
        (ipaddress.ip_network(entry).prefixlen, which)
        for which, entries in (("allow", allow), ("block", block))
        for entry in entries
        if address in ipaddress.ip_network(entry)
    ]
    if not fitting:
        return bool(block) or not allow
    longest = max(prefix for prefix, _ in fitting)
    return (longest, "allow") in fitting


@given(LISTS_OF_NETWORKS, LISTS_OF_NETWORKS, LISTS_OF_NETWORKS, LISTS_OF_NETWORKS, ADDRESSES)
def test_the_decision_is_that_of_a_naive_evaluation(
    block: list[str], allow: list[str], own_block: list[str], own_allow: list[str], client: str
) -> None:
    configuration = configured(80)
    wanted: Mapping[tuple[int, ListName], list[str]] = {
        (EVERY_SERVICE, "block"): block,
        (EVERY_SERVICE, "allow"): allow,
        (1, "block"): own_block,
        (1, "allow"): own_allow,
    }
    for (scope, which), entries in wanted.items():
        configuration = with_entries(configuration, scope, which, *entries)
    expected = naive(block, allow, client) and naive(own_block, own_allow, client)
    assert let_in(configuration, client) == expected


@given(LISTS_OF_NETWORKS, LISTS_OF_NETWORKS, ADDRESSES)
def test_the_engine_s_entries_say_the_same(block: list[str], allow: list[str], client: str) -> None:
    """The longest entry that holds the client, among entries of its own family alone, always answers."""
    lists = AccessLists().changed("block", dict.fromkeys(block, "")).changed("allow", dict.fromkeys(allow, ""))
    address = ipaddress.ip_address(client)
    fitting = [
        (ipaddress.ip_network(entry).prefixlen, verdict)
        for entry, verdict in lists.verdicts
        if address in ipaddress.ip_network(entry)
    ]
    assert (max(fitting)[1] == "allow") == naive(block, allow, client)


@given(LISTS_OF_NETWORKS, LISTS_OF_NETWORKS)
def test_stored_parts_give_the_same_lists_back(block: list[str], allow: list[str]) -> None:
    configuration = with_entries(configured(80), EVERY_SERVICE, "block", *block)
    configuration = with_entries(configuration, 1, "allow", *allow)
    documents: dict[str, dict[str, object]] = {}
    for kind, key, value in objects_of(configuration):
        document = stored_document(kind, value)
        if document is not None:
            documents.setdefault(kind, {})[key] = document
    read = from_documents(documents)  # type: ignore[arg-type]
    assert read == configuration
    for scope, lists in configuration.access_lists.items():
        assert read.access_lists[scope].verdicts == lists.verdicts


def test_entries_come_in_one_order_whatever_was_added_first() -> None:
    one = AccessLists().changed("block", {"10.0.0.1/32": "", "10.0.0.2/32": ""}).changed("allow", {"::/0": ""})
    two = AccessLists().changed("allow", {"::/0": ""}).changed("block", {"10.0.0.2/32": "", "10.0.0.1/32": ""})
    assert one.verdicts == two.verdicts


def test_a_sub_service_has_no_lists_and_its_clients_are_its_parent_s() -> None:
    family = CreateSubService(1, {"name": "blue"}).apply(configured(80)).configuration
    with pytest.raises(OperatorError) as refused:
        with_entries(family, 2, "block", "10.0.0.0/8")
    assert (refused.value.field, refused.value.remedy) == ("service", "Give its parent, 1")
    configuration = with_entries(family, 1, "block", "10.0.0.0/8")
    assert not let_in(configuration, "10.0.0.1", service=2)
    assert RemoveService(1).apply(configuration).configuration.access_lists == {}
