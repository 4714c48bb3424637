"""Lines about refused handshakes, read."""

from __future__ import annotations

import pytest

from steelyard.observe.refused_clients import RefusedClient, refused_clients


def test_lines_are_read_newest_first_and_others_passed_over() -> None:
    events = """
refused 1795274887 198.51.100.7 23 2 167772294 CN=bob,O=Example Works
-
refused 1795274888 2001:db8::7 0 0 167772359 -
refused 1795274889 198.51.100.8 0 0 0 -
refused 1795274890 198.51.100.9 0
<0>Connect from somewhere
No such events sink. Use "show events" without argument to list available sinks.
"""
    assert refused_clients(events) == (
        RefusedClient(1795274888.0, "2001:db8::7", "", "it showed no certificate"),
        RefusedClient(1795274887.0, "198.51.100.7", "CN=bob,O=Example Works", "it is revoked"),
    )
    assert refused_clients("") == ()


@pytest.mark.parametrize(
    ("certificate", "above", "handshake", "reason"),
    [
        (10, 2, 167772294, "it has expired"),
        (3, 2, 167772294, "the handshake failed, OpenSSL's reason 134"),
        (0, 20, 167772294, "its authority is not accepted"),
        (0, 10, 167772294, "of an authority above it: it has expired"),
        (99, 0, 167772294, "OpenSSL's verification error 99"),
        (0, 98, 167772294, "of an authority above it: OpenSSL's verification error 98"),
        (0, 0, 167772353, "the handshake failed, OpenSSL's reason 193"),
    ],
)
def test_what_counts_is_the_certificate_then_those_above_then_the_handshake(
    certificate: int, above: int, handshake: int, reason: str
) -> None:
    (found,) = refused_clients(f"refused 1 192.0.2.1 {certificate} {above} {handshake} CN=x")
    assert found.reason == reason
