"""Access lists as ranges say of every address what the lists themselves say."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.compile.layer4.access import refused_clients
from steelyard.model.access_list import AccessLists, Entries

_NETWORKS = st.lists(
    st.tuples(st.integers(0, 255), st.integers(20, 32)).map(lambda pair: f"10.0.0.{pair[0]}/{pair[1]}"), max_size=8
)


def lists(block: list[str], allow: list[str]) -> AccessLists:
    made = AccessLists()
    for which, networks in (("block", block), ("allow", allow)):
        entries = Entries.of([(str(_network(one)), "") for one in networks])
        made = made.replaced("block" if which == "block" else "allow", dict(entries.comments))
    return made


def _network(text: str) -> str:
    return str(ip_network(text, strict=False))


@settings(max_examples=40)
@given(_NETWORKS, _NETWORKS, st.sets(st.integers(0, 255), max_size=3))
def test_every_address_is_refused_or_not_as_the_longest_prefix_says(
    block: list[str], allow: list[str], servers: set[int]
) -> None:
    made = lists(block, [one for one in allow if _network(one) not in {_network(each) for each in block}])
    exempt = {f"10.0.0.{number}" for number in servers}
    ranges = refused_clients((made,), exempt, ipv6=False)
    assert list(ranges) == sorted(ranges, key=lambda one: int(ip_address(one.first)))
    for address in (*(f"10.0.0.{number}" for number in range(256)), "9.255.255.255", "10.1.0.0", "0.0.0.0"):
        inside = any(IPv4Address(one.first) <= IPv4Address(address) <= IPv4Address(one.last) for one in ranges)
        assert inside == (made.verdict(ip_address(address))[0] == "block" and address not in exempt)


def test_only_an_allow_list_refuses_everybody_else_in_both_families() -> None:
    made = lists([], ["10.0.0.0/8"])
    (before, after) = refused_clients((made,), (), ipv6=False)
    assert (before.last, after.first) == ("9.255.255.255", "11.0.0.0")
    (all6,) = refused_clients((made,), (), ipv6=True)
    assert (all6.first, all6.last) == ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


def test_lists_of_all_and_of_one_service_add_up() -> None:
    found = refused_clients((lists(["10.0.0.0/30"], []), None, lists(["10.0.0.4/30"], [])), (), ipv6=False)
    assert [(one.first, one.last) for one in found] == [("10.0.0.0", "10.0.0.7")]
