from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

from tests.support.load_worker.http1 import Http1Worker
from tests.support.load_worker.http2 import Http2Worker
from tests.support.load_worker.record import Record
from tests.support.load_worker.settings import Settings
from tests.support.tls_client import client_context

_REPORT_SECONDS = 0.1


def _write(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _read_settings(line: str) -> Settings:
    fields = json.loads(line)
    for name in ("sources", "expect"):
        fields[name] = tuple(fields[name])
    fields["headers"] = tuple((key, value) for key, value in fields["headers"])
    return Settings(**fields)


def _context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    return client_context(alpn=("h2",) if settings.kind == "h2" else ("http/1.1",))


async def _work(settings: Settings) -> None:
    record, stop = Record(settings.expect), asyncio.Event()
    context = _context(settings)
    workers: list[Http1Worker | Http2Worker] = []
    for number in range(settings.workers):
        if settings.kind == "h2":
            assert context is not None
            workers.append(Http2Worker(settings, record, stop, number, context))
        else:
            workers.append(Http1Worker(settings, record, stop, number, context))
    running = [asyncio.create_task(worker.run()) for worker in workers]
    asked_to_stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not asked_to_stop.done():
        _write(record.counts())
        done, _ = await asyncio.wait([asked_to_stop, *running], timeout=_REPORT_SECONDS, return_when="FIRST_COMPLETED")
        for task in done:
            await task  # a worker only ends early by a mistake of its own: show it
    stop.set()
    await asyncio.gather(*running)
    _write(record.result())


asyncio.run(_work(_read_settings(sys.stdin.readline())))
