"""The edge filter's events in the Common Event Format."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as some
from tests.unit.observe.test_edge_logs import event, failure, line

from steelyard import __version__
from steelyard.observe.edge_cef import written_as_cef

#: key=value pairs as the format has them: the signs that part fields are escaped in values
_PAIR = re.compile(r" ([A-Za-z0-9]+)=((?:[^\\=]|\\[\\=])*?)(?= [A-Za-z0-9]+=|$)")


def test_a_request_becomes_a_line_with_everything_on_it() -> None:
    text = written_as_cef(event(line(agent=b"curl=7|\\")), "Lync front")
    assert text == (
        f"2023-11-14T22:13:20.300Z CEF:0|Steelyard|Edge filter|{__version__}|allowed|Request allowed|1|"
        "rt=1700000000300 src=192.0.2.9 spt=50000 dst=2001:db8::1 dpt=443 dhost=a.com"
        " destinationTranslatedAddress=10.0.0.1 destinationTranslatedPort=8080 requestMethod=GET request=/owa"
        " requestClientApplication=curl\\=7|\\\\ act=allowed reason=allowed in=120 out=3400 cn1=200 cn1Label=Status"
        " cn2=12 cn2Label=Milliseconds cn3=3 cn3Label=Service cs1=Lync front cs1Label=ServiceName"
    )


def test_a_refusal_has_its_identifier_and_a_higher_severity() -> None:
    text = written_as_cef(event(line(refused="host", status="403")), "")
    assert "|host|Request refused|6|" in text and " act=refused " in text and " cs1" not in text
    assert "|handshake|Request refused|6|" in written_as_cef(event(failure()), "")


@given(host=some.binary(), url=some.binary(max_size=1600), agent=some.binary(), name=some.text(max_size=30))
def test_nothing_a_client_sends_can_end_a_line_or_look_like_a_field(
    host: bytes, url: bytes, agent: bytes, name: str
) -> None:
    text = written_as_cef(event(line(host=host, url=url, agent=agent)), name)
    assert text.isascii() and text.isprintable()
    head, pairs = text[:25] + text[25:].split("|", 7)[0], " " + text.split("|", 7)[7]
    assert head.endswith("CEF:0")
    keys = re.findall(r" ([A-Za-z0-9]+)(?<!\\)=", pairs)
    assert len(keys) == len(set(keys))
    assert {"rt", "src", "act", "reason", "cn1"} <= {key for key, _ in _PAIR.findall(pairs)}
