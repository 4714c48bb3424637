"""Resolver and hosts files as people write them."""

from __future__ import annotations

from steelyard.observe.network_state import HostEntry, NetworkState, Route, parse_hosts, parse_resolver


def test_a_resolver_file() -> None:
    text = """# made by hand
nameserver 192.0.2.53
nameserver\t2001:db8::53 ; the second
domain example.com
search example.org example.net # the last one counts
options edns0
nameserver
"""
    assert parse_resolver(text) == (("192.0.2.53", "2001:db8::53"), ("example.org", "example.net"))
    assert parse_resolver("") == ((), ())


def test_a_hosts_file() -> None:
    text = "127.0.0.1 localhost\n\n# nobody\n192.0.2.9\tweb1.example.com web1 # the first\n192.0.2.10\n"
    assert parse_hosts(text) == (
        HostEntry("127.0.0.1", ("localhost",)),
        HostEntry("192.0.2.9", ("web1.example.com", "web1")),
    )


def test_the_default_gateway_is_that_of_the_best_route_of_its_family() -> None:
    routes = (
        Route("0.0.0.0/0", "192.0.2.1", "eth0", 100),
        Route("0.0.0.0/0", "192.0.2.2", "eth1", 10),
        Route("0.0.0.0/0", "", "tun0", 0),
        Route("::/0", "2001:db8::1", "eth0", 0),
        Route("10.0.0.0/8", "192.0.2.3", "eth0", 0),
    )
    state = NetworkState("lb1", (), routes, (), (), ())
    assert (state.default_gateway(4), state.default_gateway(6)) == ("192.0.2.2", "2001:db8::1")
    assert NetworkState("lb1", (), (), (), (), ()).default_gateway(4) == ""
