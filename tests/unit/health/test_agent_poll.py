"""One poll of a load agent: what it says, and every way it can fail to."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.support.ports import free_port
from tests.unit.health.scripted import answers, server

from steelyard.health.agent_poll import AgentPoll
from steelyard.health.poller import Poller
from steelyard.health.weigher import Reading, TargetName
from steelyard.model.errors import OperatorError
from steelyard.plan.health import Check, Service, Target
from steelyard.plan.weighting import Weighting

OK = b"HTTP/1.1 200 OK\r\n"


def weighting(port: int, **more: object) -> Weighting:
    return Weighting.model_validate(
        {"kind": "agent", "interval": 1, "url": "/load", "port": port, "timeout": 1, **more}
    )


async def polled(answer: bytes, *, then_close: bool = True, heard: list[bytes] | None = None) -> Reading:
    async with server(answers(answer, heard, then_close=then_close)) as port:
        reading = await AgentPoll(weighting(port), "127.0.0.1").ask()
    assert reading is not None
    return reading


@pytest.mark.parametrize(
    ("body", "load"),
    [(b"0\n", 0), (b"42", 42), (b" 100 \r\nmore\n", 100), (b"007\n", 7), (b"101\n", 101), (b"102", 102)],
)
async def test_the_first_line_is_the_load(body: bytes, load: int) -> None:
    heard: list[bytes] = []
    assert (await polled(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body, heard=heard)).load == load
    assert heard[0].startswith(b"GET /load HTTP/1.0\r\nHost: 127.0.0.1:")


async def test_a_line_is_enough_on_a_connection_that_stays_open() -> None:
    assert (await polled(OK + b"\r\n55\n", then_close=False)).load == 55


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert (await polled(b"HTTP/1.0 200 OK\r\n\r\n31")).load == 31


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OK + b"\r\n<html>\n", "its first line is no load but <html>"),
        (OK + b"\r\n103\n", "no load but 103; a load is 0 to 100"),
        (OK + b"\r\n-1\n", "no load but -1"),
        (OK + b"\r\n50%\n", "no load but 50%"),
        (OK + b"\r\n4.5\n", "no load but 4.5"),
        (OK + b"\r\n\n50\n", "no load but an empty line"),
        (OK + b"\r\n", "no load but nothing"),
        (OK + b"\r\n" + b"9" * 9000, "no load but 99999"),
        (OK + b"\r\n\x1b[31m1\n", r"no load but \x1b[31m1"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n",
            "answered 302 Found; a load comes with 200; redirects are not",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404 Not Found; a load comes with 200"),
        (b"42\n", "not an HTTP answer: 42"),
        (b"", "connection closed without an answer"),
        (OK + b"X: " + b"y" * 20_000, "no load within 16384 bytes"),
    ],
)
async def test_what_is_no_load_is_told_with_what_was_read(answer: bytes, words: str) -> None:
    reading = await polled(answer)
    assert reading.load is None
    assert words in reading.reason
    assert reading.reason.startswith("no load from 127.0.0.1:")
    assert reading.reason.isprintable()
    assert len(reading.reason) < 250


async def test_one_byte_at_a_time_does_not_outlast_the_time_out() -> None:
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in OK * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)

    async with server(drips) as port:
        began = time.monotonic()
        reading = await AgentPoll(weighting(port), "127.0.0.1").ask()
    assert time.monotonic() - began < 2
    assert reading is not None
    assert reading.load is None
    assert "no whole answer within 1 s; it began with HTTP/1.1" in reading.reason


async def test_a_refused_connection_is_told() -> None:
    reading = await AgentPoll(weighting(free_port("127.0.0.1")), "127.0.0.1").ask()
    assert reading is not None
    assert "connection refused" in reading.reason


def test_a_url_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(OperatorError):
        AgentPoll(weighting(80, url="/a b"), "127.0.0.1")


def service(key: str, agent: Weighting, *addresses: str) -> Service:
    return Service(
        key=key,
        check=Check(kind="tcp", interval=9, timeout=4, attempts=2),
        persistent=False,
        fixed=False,
        drop_on_failure=False,
        targets=tuple(
            Target(key=f"rs{n}", address=address, port=80, weight=1, enabled=True)
            for n, address in enumerate(addresses, start=1)
        ),
        weighting=agent,
    )


async def test_services_with_the_same_agent_share_its_polls_and_hanging_agents_hold_up_nobody() -> None:
    asked: list[bytes] = []
    found: dict[TargetName, Reading] = {}
    both = asyncio.Event()

    def heard(targets: object, reading: Reading) -> None:
        assert isinstance(targets, tuple)
        found.update(dict.fromkeys(targets, reading))
        if len(found) == 3:
            both.set()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        await asyncio.sleep(5)

    async with server(answers(OK + b"\r\n9\n", asked)) as port, server(hangs) as hung:
        good, bad = weighting(port), weighting(hung)
        plan = {
            "vs1": service("vs1", good, "127.0.0.1"),
            "vs2": service("vs2", good, "127.0.0.1"),
            "vs3": service("vs3", bad, "127.0.0.1"),
        }
        poller = Poller(heard, 8)
        poller.take(plan, poller.prepare(plan.values()))
        running = asyncio.create_task(poller.run())
        try:
            async with asyncio.timeout(5):
                await both.wait()
            assert [found[f"vs{n}", "rs1"].load for n in (1, 2, 3)] == [9, 9, None]
            assert 1 <= len(asked) <= 3
            poller.take({"vs1": None, "vs2": None, "vs3": None}, {})
            before = len(asked)
            await asyncio.sleep(1.1)
            assert len(asked) == before
        finally:
            running.cancel()
