"""Limits: what is refused, what a client may do, and which limits hold."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.model.making import HTTP, TCP, apply

from steelyard.model.commands import (
    AddLimitRule,
    AddService,
    ChangeLimitRule,
    ChangeService,
    CreateSubService,
    Declare,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    Restore,
    SetClientLimit,
    SetParameters,
)
from steelyard.model.commands.declared_limits import DeclaredLimit
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.limits import LimitEntries, LimitRule, Request, client_limit, limits_of


def limits(**changes: Any) -> SetParameters:
    return SetParameters("limits", changes)


def rule(name: str, pattern: str = "^/x", **settings: Any) -> AddLimitRule:
    return AddLimitRule({"name": name, "pattern": pattern, "limit": 5, **settings})


@pytest.mark.parametrize("name", ["max_connections", "connections_per_second", "requests_per_second", "bandwidth"])
def test_no_service_is_above_the_limit_of_all(name: str) -> None:
    made = apply(limits(**{name: 100}), AddService({**HTTP, name: 100}))
    with pytest.raises(OperatorError, match="100") as caught:
        ChangeService(1, {name: 101}).apply(made)
    assert caught.value.field == name
    assert caught.value.allowed == "0 to 100"
    with pytest.raises(OperatorError, match="above the limit of all services"):
        limits(**{name: 99}).apply(made)
    apply(limits(**{name: 0}), ChangeService(1, {name: 101}), to=made)
    made = apply(CreateSubService(1, {name: 100}), to=made)
    with pytest.raises(OperatorError, match="above the limit of all services"):
        ChangeService(2, {name: 101}).apply(made)


def test_requests_are_limited_only_where_they_are_read() -> None:
    with pytest.raises(OperatorError, match="RequestsPerSecLimit"):
        apply(AddService({**TCP, "service_type": "gen", "requests_per_second": 5}))
    with pytest.raises(OperatorError, match="SSL acceleration"):
        apply(AddService({**HTTP, "port": 443, "service_type": "http", "requests_per_second": 5}))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("connections", -1),
        ("connections", 1_000_001),
        ("requests_per_second", 1_000_001),
        ("bandwidth", 15),
        ("bandwidth", 100_000_000),
    ],
)
def test_limits_out_of_range_are_refused(kind: Any, limit: int) -> None:
    with pytest.raises(OperatorError, match="out of range") as caught:
        apply(limits(client_bandwidth=16), SetClientLimit(kind, "10.0.0.0/8", limit))
    assert caught.value.allowed is not None


def test_what_cannot_be_done_is_refused_by_name() -> None:
    with pytest.raises(OperatorError, match="not built"):
        limits(fail_on_rate_limit=True).apply(Configuration())
    with pytest.raises(OperatorError, match="ClientMaxBandwidthLimit"):
        SetClientLimit("bandwidth", "10.0.0.1", 64).apply(Configuration())
    with pytest.raises(OperatorError, match="no kind"):
        SetClientLimit("frob", "10.0.0.1", 64).apply(Configuration())  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["nonsense", "10.0.0.1/33", "10.0.0.1/8", "", "10.0.0.1 x", "fe80::1%eth0"])
def test_what_is_no_network_is_refused(where: str) -> None:
    with pytest.raises(OperatorError) as caught:
        SetClientLimit("connections", where, 5).apply(Configuration())
    assert caught.value.allowed is not None


def test_limits_of_clients_come_and_go() -> None:
    made = apply(SetClientLimit("connections", "10.0.0.1", 5), SetClientLimit("connections", "10.0.0.1/32", 6))
    assert made.limit_entries.connections == {"10.0.0.1/32": 6}
    assert SetClientLimit("connections", "10.0.0.1", 6).apply(made).configuration is made
    with pytest.raises(NotFound):
        RemoveClientLimit("requests_per_second", "10.0.0.1").apply(made)
    assert apply(RemoveClientLimit("connections", "10.0.0.1"), to=made).limit_entries.connections == {}


def test_at_most_so_many_bandwidths_differ() -> None:
    made = apply(limits(client_bandwidth=16))
    for number in range(32):
        made = apply(SetClientLimit("bandwidth", f"10.0.0.{number}", 100 + number), to=made)
    with pytest.raises(OperatorError, match="32 different"):
        SetClientLimit("bandwidth", "10.0.1.1", 99).apply(made)
    apply(SetClientLimit("bandwidth", "10.0.1.1", 100), to=made)


def test_rules_have_an_order() -> None:
    made = apply(rule("a"), rule("b"), rule("c"), MoveLimitRule("c", 1), MoveLimitRule("a", 999))
    assert [one.name for one in made.limit_entries.rules] == ["c", "b", "a"]
    made = apply(ChangeLimitRule("b", {"limit": 9}), RemoveLimitRule("c"), to=made)
    assert [(one.name, one.limit) for one in made.limit_entries.rules] == [("b", 9), ("a", 5)]
    for refused in (MoveLimitRule("b", 0), ChangeLimitRule("b", {"name": "x"}), ChangeLimitRule("b", {"limit": 0})):
        with pytest.raises(OperatorError):
            refused.apply(made)
    with pytest.raises(ConflictError):
        rule("a").apply(made)
    with pytest.raises(NotFound):
        RemoveLimitRule("nothing").apply(made)


@pytest.mark.parametrize("pattern", ["", "//", "(", "(a+)+$", "x\n", "a{2,1}"])
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    with pytest.raises(OperatorError, match="pattern"):
        rule("a", pattern).apply(Configuration())


@pytest.mark.parametrize(
    ("match", "request_", "fits"),
    [
        (0, Request("/search?q=1"), True),
        (0, Request("/other"), False),
        (64, Request("/other"), True),
        (1, Request("/", "a.search.example"), True),
        (2, Request("/", "", "search bot"), True),
        (66, Request("/", "", ""), True),
        (66, Request("/", "", "search bot"), False),
    ],
)
def test_what_a_rule_fits(match: int, request_: Request, fits: bool) -> None:
    made = LimitRule.make({"name": "a", "pattern": "/search/", "limit": 1, "match": match})
    assert made.fits(request_) is fits


def test_which_limits_hold() -> None:
    made = apply(
        limits(max_connections=1000, client_requests_per_second=50),
        AddService({**HTTP, "service_type": "http", "max_connections": 100}),
        CreateSubService(1, {"connections_per_second": 7}),
        SetClientLimit("requests_per_second", "10.0.0.0/8", 20),
        rule("search", "^/search"),
    )
    found = [(one.kind, one.limit) for one in limits_of(made, made.services[2], "10.1.1.1", Request("/search"))]
    assert found == [
        ("connections", 100),
        ("connections", 1000),
        ("connections_per_second", 7),
        ("requests_per_second", 20),
        ("requests_per_second", 5),
    ]
    assert [one.limit for one in limits_of(made, made.services[1], "192.0.2.1")] == [100, 1000, 50]


def test_stored_documents_come_back_and_restores_and_declarations_keep_them() -> None:
    made = apply(limits(client_connections=9), SetClientLimit("connections", "10.0.0.0/8", 20), rule("search"))
    documents: dict[str, dict[str, Any]] = {}
    for kind, key, value in objects_of(made):
        document = stored_document(kind, value)
        if document is not None:
            documents.setdefault(kind, {})[key] = document
    back = from_documents(documents)
    assert (back.limits, back.limit_entries) == (made.limits, made.limit_entries)
    assert apply(Restore(1, made), to=Configuration()).limit_entries == made.limit_entries
    declared = Declare(
        [],
        client_limits=[DeclaredLimit("connections", "10.0.0.0/8", 20)],
        limit_rules=[one.model_dump() for one in made.limit_entries.rules],
    )
    assert apply(declared, to=made).limit_entries is made.limit_entries
    assert apply(Declare([]), to=made).limit_entries == LimitEntries()


_ADDRESSES = st.integers(0, 2**12 - 1).map(lambda number: f"10.0.{number >> 8}.{number & 255}")
_NETWORKS = st.builds(
    lambda address, prefix: str(ip_network((address, prefix), strict=False)), _ADDRESSES, st.integers(0, 32)
)


@given(st.dictionaries(_NETWORKS, st.integers(0, 1000), max_size=8), _ADDRESSES)
def test_the_longest_network_decides(entries: Mapping[str, int], address: str) -> None:
    made = apply(limits(client_connections=77))
    for where, limit in entries.items():
        made = apply(SetClientLimit("connections", where, limit), to=made)
    fitting = [ip_network(where) for where in entries if ip_address(address) in ip_network(where)]
    if not fitting:
        assert client_limit(made, "connections", address) == (77, None)
    else:
        longest = str(max(fitting, key=lambda found: found.prefixlen))
        assert client_limit(made, "connections", address) == (entries[longest], longest)
