"""Entry point of `steelyard-netd`.

The first thing it does is to give up every privilege but CAP_NET_ADMIN and CAP_NET_RAW. SIGTERM and SIGINT end it; what
it has put into the kernel stays there, so traffic goes on, and the next one takes it up. `--clear` takes it away.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from steelyard.engines.host_names import LocalHostNames
from steelyard.engines.netlink.kernel import LocalNetwork
from steelyard.engines.privilege import keep_only
from steelyard.engines.sources.kernel import LocalSources
from steelyard.model.errors import SteelyardError
from steelyard.netd.drivers import FACTORIES
from steelyard.netd.files import NetdFiles
from steelyard.netd.keeper import Keeper
from steelyard.netd.layer4 import Layer4
from steelyard.netd.server import NetdServer

log = logging.getLogger("steelyard.netd")

#: exit codes that whoever starts it tells apart
NO_PRIVILEGE, NOT_ALONE = 3, 4

_NEEDED = ("CAP_NET_ADMIN", "CAP_NET_RAW")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="steelyard-netd", description="Makes the kernel have Steelyard's network.")
    parser.add_argument("--socket", type=Path, required=True, help="control socket to listen on")
    parser.add_argument("--directory", type=Path, required=True, help="directory of its durable files")
    parser.add_argument("--allow-user", action="append", default=[], help="a further user who may speak to it")
    parser.add_argument("--clear", action="store_true", help="remove all that is ours from the kernel, and end")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s netd %(message)s")
    try:
        left = keep_only(_NEEDED)
        users = frozenset({0, os.geteuid(), *map(_user, options.allow_user)})
    except (SteelyardError, KeyError) as failure:
        log.error("%s", failure)
        return NO_PRIVILEGE
    if "CAP_NET_ADMIN" not in left:
        log.error("CAP_NET_ADMIN is missing: start it as root, or by its systemd unit")
        return NO_PRIVILEGE
    try:
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(options.directory / "netd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.error("Another steelyard-netd works in %s", options.directory)
        return NOT_ALONE
    except OSError as failure:
        log.error("%s cannot be used: %s", options.directory, failure)
        return 1
    keeper = Keeper(
        LocalNetwork(),
        Layer4(FACTORIES),
        LocalHostNames(options.directory / "resolv.conf.before"),
        NetdFiles(options.directory),
        sources=LocalSources(),
        capabilities=left,
        pid=os.getpid(),
    )
    if options.clear:
        return _clear(keeper)
    asyncio.run(_serve(keeper, options.socket, users))
    return 0


def _user(name: str) -> int:
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _clear(keeper: Keeper) -> int:
    try:
        keeper.load()
        keeper.clear()
    except SteelyardError as failure:
        log.error("%s", failure)
        return 1
    return 0


async def _serve(keeper: Keeper, socket: Path, users: frozenset[int]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = asyncio.create_task(NetdServer(keeper, socket, users).run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({server, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            # it ends by itself only when it has failed; the supervisor starts the process again from its files
            server.result()
    finally:
        for task in (server, stopping):
            task.cancel()
        await asyncio.gather(server, stopping, return_exceptions=True)
        log.info("ended")


if __name__ == "__main__":
    sys.exit(main())
