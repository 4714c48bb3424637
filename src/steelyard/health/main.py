"""Entry point of `steelyard-health`.

SIGTERM and SIGINT end it cleanly; SIGHUP, and with it the death of the terminal or parent, does not. A lock on the
directory keeps a second process away: two authorities would disagree.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from steelyard.health.checker import Checker
from steelyard.health.client_ocsp import ClientOcsp
from steelyard.health.server import ControlServer

log = logging.getLogger("steelyard.health")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="steelyard-health", description="Checks real servers and tells the engines.")
    parser.add_argument("--socket", type=Path, required=True, help="control socket to listen on")
    parser.add_argument("--haproxy-socket", type=Path, required=True, help="runtime socket of HAProxy's worker")
    parser.add_argument("--master-socket", type=Path, required=True, help="socket of HAProxy's master")
    parser.add_argument("--directory", type=Path, required=True, help="directory of its durable files")
    parser.add_argument("--engine", type=Path, help="directory of HAProxy's files, to answer about certificates")
    parser.add_argument(
        "--netd-socket", type=Path, action="append", default=[], help="where steelyard-netd may listen; several times"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s health %(message)s")
    try:
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(options.directory / "health.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.error("Another steelyard-health works in %s", options.directory)
        return 1
    except OSError as failure:
        log.error("%s cannot be used: %s", options.directory, failure)
        return 1
    checker = partial(
        Checker, options.directory, options.haproxy_socket, options.master_socket, tuple(options.netd_socket)
    )
    asyncio.run(_serve(options.socket, checker, options.engine))
    return 0


async def _serve(socket: Path, make_checker: Callable[[], Checker], engine: Path | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    checker = make_checker()
    parts = {asyncio.create_task(checker.run()), asyncio.create_task(ControlServer(checker, socket).run())}
    if engine is not None:
        parts.add(asyncio.create_task(ClientOcsp(socket.with_name("ocsp.sock"), engine).run()))
    log.info("started, %d services", len(checker.board.services))
    stopping = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in ended & parts:
            # A part that ends by itself has failed; the supervisor starts the process again from its files.
            task.result()
    finally:
        stopping.cancel()
        for task in parts:
            task.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        log.info("ended")


if __name__ == "__main__":
    sys.exit(main())
