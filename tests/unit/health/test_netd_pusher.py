"""Verdicts of layer-4 services reach `steelyard-netd`, also when it was away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steelyard.health.effects import Wanted
from steelyard.health.netd_pusher import NetdPusher, standing
from steelyard.plan.layer4 import Standing

UP, DOWN = Wanted(up=True, admin="ready", weight=None), Wanted(up=False, admin="ready", weight=None)
ONE, TWO = ("vs1", "rs1"), ("vs1", "rs2")


@contextlib.asynccontextmanager
async def netd(path: Path, *, says: bytes = b'{"ok": true}\n') -> AsyncIterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(json.loads(await reader.readline()))
        writer.write(says)
        writer.close()

    server = await asyncio.start_unix_server(answer, str(path))
    try:
        yield heard
    finally:
        server.close()


@contextlib.asynccontextmanager
async def running(pusher: NetdPusher) -> AsyncIterator[None]:
    task = asyncio.create_task(pusher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def both_heard(heard: list[dict[str, Any]]) -> None:
    """Return when a verdict and a drop have been heard."""
    for _ in range(500):
        if len(heard) >= 2:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was told")


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("n") / "netd.sock"


async def test_everything_at_first_and_then_what_changes_and_drops_after_verdicts(path: Path) -> None:
    async with netd(path) as heard:
        pusher = NetdPusher([path.with_name("nobody"), path])
        pusher.want({ONE: UP, TWO: UP})
        async with running(pusher):
            await pusher.flush(2)
            pusher.want({ONE: DOWN}, [ONE])
            await pusher.flush(2)
    assert heard == [
        {
            "op": "tell",
            "standings": {"vs1/rs1": {"up": True, "weight": None}, "vs1/rs2": {"up": True, "weight": None}},
            "whole": True,
        },
        {"op": "tell", "standings": {"vs1/rs1": {"up": False, "weight": None}}, "whole": False},
        {"op": "drop", "servers": ["vs1/rs1"]},
    ]


async def test_what_nobody_heard_is_told_whole_when_somebody_listens(path: Path) -> None:
    pusher = NetdPusher([path])
    pusher.want({ONE: UP}, [TWO])
    async with running(pusher):
        await pusher.flush(2)
        async with netd(path) as heard:
            await both_heard(heard)
    assert [one["op"] for one in heard] == ["tell", "drop"]
    assert heard[0]["whole"] is True


async def test_another_listener_is_told_everything(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.health.netd_pusher.WATCH_SECONDS", 0.01)
    pusher = NetdPusher([path])
    pusher.want({ONE: UP})
    async with running(pusher):
        async with netd(path) as first:
            await pusher.flush(2)
        async with netd(path) as second:
            for _ in range(500):
                if second:
                    break
                await asyncio.sleep(0.01)
    assert first == second
    assert second[0]["whole"] is True


async def test_nothing_is_said_while_no_service_is_at_layer_4(path: Path) -> None:
    async with netd(path) as heard:
        pusher = NetdPusher([path])
        async with running(pusher):
            pusher.want({ONE: None})
            await pusher.flush(0.1)
            assert heard == []


def test_layer_4_knows_no_draining() -> None:
    assert standing(UP) == Standing(up=True)
    assert standing(Wanted(up=True, admin="drain", weight=7)) == Standing(up=False, weight=7)
    assert standing(Wanted(up=True, admin="maint", weight=None)) == Standing(up=False)
