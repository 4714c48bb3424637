"""POST requests without a length: refused, unless Allow Empty POSTs is on."""

from __future__ import annotations

import pytest
from tests.engine.rig import Rig, Service
from tests.support.certificates import leaf
from tests.support.origin import Origin
from tests.support.raw_http2 import RawHttp2

pytestmark = pytest.mark.engine


def _asked(service: Service, head: str, body: bytes = b"") -> bytes:
    """The status of the answer to a request written by hand."""
    with service.connect() as connection:
        connection.socket.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        return connection.socket.recv(4096).split()[1]


def test_a_post_without_a_length_is_refused_and_no_other_request(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    one.clear()
    assert _asked(service, "POST /form HTTP/1.1\nHost: a\n") == b"411"
    assert _asked(service, "POST /form HTTP/1.0\n") == b"411"
    assert not one.requests
    assert _asked(service, "POST /form HTTP/1.1\nHost: a\nContent-Length: 0\n") == b"200"
    assert _asked(service, "POST /form HTTP/1.1\nHost: a\nContent-Length: 2\n", b"ab") == b"200"
    assert _asked(service, "POST /form HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n", b"0\r\n\r\n") == b"200"
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        assert _asked(service, f"{method} /form HTTP/1.1\nHost: a\n") == b"200"


def test_it_is_let_in_when_set_so(rig: Rig, one: Origin) -> None:
    rig.layer7(allow_empty_posts=True)
    service = rig.http(one)
    assert _asked(service, "POST /form HTTP/1.1\nHost: a\n") == b"200"
    assert one.requests[-1].method == "POST"


def test_http_2_needs_no_header_for_it(rig: Rig, one: Origin) -> None:
    rig.certificate("shop", leaf("shop.example"))
    service = rig.http(one, ssl_acceleration=True, certificates=("shop",), allow_http2=True)
    asked = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"shop.example"), (b":path", b"/form")]
    with RawHttp2("127.0.0.1", service.port) as client:
        assert client.ask(asked) == 200
