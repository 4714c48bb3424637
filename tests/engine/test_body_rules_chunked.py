"""Response body rules on answers without a length, whose end and trailers HAProxy counts as input but not as body."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import Iterator

import pytest
from tests.engine.rig import Rig, Service
from tests.support.listener import Listener

from steelyard.model.commands import AddRule, AttachRule, RulePlace

pytestmark = pytest.mark.engine

TEXT = b"a needle and a thread "
LONG = b"".join(b"line %d has a needle\n" % n for n in range(20_000))
PAUSE = 0.15
END = b"0\r\n\r\n"
TRAILERS = b"0\r\nX-Sum: 1\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


#: what is written after the head, with a pause between the pieces
ANSWERS: dict[str, tuple[bytes, ...]] = {
    "/at-once": (chunk(TEXT) + END,),
    "/the-end-later": (chunk(TEXT), END),
    "/bytes-alone": (b"".join(chunk(TEXT[at : at + 1]) for at in range(len(TEXT))), END),
    "/in-two": (chunk(TEXT[:6]), chunk(TEXT[6:]) + END),
    "/trailers": (chunk(TEXT) + TRAILERS,),
    "/trailers-later": (chunk(TEXT), TRAILERS),
    "/nothing": (END,),
    "/nothing-later": (b"", END),
    "/one-byte": (chunk(b"a"), END),
    "/long": (b"".join(chunk(LONG[at : at + 3000]) for at in range(0, len(LONG), 3000)) + END,),
    "/long-trailers": (chunk(LONG), TRAILERS),
}
BODIES = {"/nothing": b"", "/nothing-later": b"", "/one-byte": b"a", "/long": LONG, "/long-trailers": LONG}
#: what ends with the connection
CLOSED = {"/closed": TEXT, "/closed-long": LONG}


class Chunked(Listener):
    """Answers with chunks in just these pieces, or with text that ends with the connection."""

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\n"
                if path in CLOSED:
                    writer.write(head + b"Connection: close\r\n\r\n" + CLOSED[path])
                    await writer.drain()
                    return
                writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
                for piece in ANSWERS[path]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(PAUSE if piece is not ANSWERS[path][-1] else 0)


@pytest.fixture
def chunked(rig: Rig) -> Iterator[Service]:
    with Chunked("chunked", "127.0.0.1", None) as origin:
        service = rig.http(origin, check_type="none")
        yield service


def replace(rig: Rig, service: Service, by: str) -> None:
    rig.do(AddRule({"name": "r", "rule_type": 5, "pattern": "needle", "replacement": by}))
    rig.do(AttachRule(RulePlace(service.index, list="body"), "r"))


@pytest.mark.parametrize("by", ["", "pin", "a much longer text"])
def test_chunked_answers_end_and_are_whole(rig: Rig, chunked: Service, by: str) -> None:
    replace(rig, chunked, by)
    with chunked.connect() as connection:
        for path in ANSWERS:
            reply = connection.request(path)
            assert reply.body == BODIES.get(path, TEXT).replace(b"needle", by.encode()), path
    for path, body in CLOSED.items():
        assert chunked.fetch(path).body == body.replace(b"needle", by.encode()), path


@pytest.mark.parametrize("cache", [False, True])
def test_chunked_answers_are_compressed_after_the_rules(rig: Rig, chunked: Service, cache: bool) -> None:
    chunked.change(compress=True, cache=cache)
    replace(rig, chunked, "pin")
    for path in (*ANSWERS, *ANSWERS):
        reply = chunked.fetch(path, headers=(("Accept-Encoding", "gzip"),))
        body = gzip.decompress(reply.body) if reply.header("content-encoding") == "gzip" else reply.body
        assert body == BODIES.get(path, TEXT).replace(b"needle", b"pin"), path
