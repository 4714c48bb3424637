"""The administration port's socket."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.support.ports import free_port

from steelyard.engines.listening import listen


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_answers_leave_at_once_and_do_not_wait_for_the_acknowledgement_of_their_headers(address: str) -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("socket")
        accepted.set_result(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    port = free_port(address)
    async with await asyncio.start_server(look, sock=listen(address, port)):
        _, writer = await asyncio.open_connection(address, port)
        assert await accepted
        writer.close()
