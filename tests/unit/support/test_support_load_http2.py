"""HTTP/2 load against a small h2 server: GOAWAY is honoured, lost streams are failures."""

import asyncio
import threading

import h2.config
import h2.connection
import h2.events
import pytest
from tests.support.background_loop import BackgroundLoop
from tests.support.certificates import leaf
from tests.support.clients import Http2Client, fetch_h2
from tests.support.load import Load
from tests.support.ports import free_port


class _Http2Server:
    """Answers every stream after 10 ms. `leave_after` streams it sends GOAWAY, finishes what it has, and closes."""

    def __init__(self, *, leave_after: int = 0, drop_after: int = 0) -> None:
        self.leave_after, self.drop_after = leave_after, drop_after
        self.port = free_port()
        self.connections = 0
        self._background = BackgroundLoop("h2-server")
        context = leaf("h2.example", kind="ec").server_context(alpn=("h2",))
        self._server = self._background.run(asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context))

    def stop(self) -> None:
        self._background.loop.call_soon_threadsafe(self._server.close)
        self._background.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        server.initiate_connection()
        writer.write(server.data_to_send())
        seen, answered, leaving = 0, 0, False

        async def answer(stream: int) -> None:
            nonlocal answered
            await asyncio.sleep(0.01)
            server.send_headers(stream, [(":status", "200")])
            server.send_data(stream, b'{"name": "h2"}', end_stream=True)
            answered += 1
            writer.write(server.data_to_send())
            if leaving and answered == seen:
                writer.close()

        pending = set()
        while data := await reader.read(65536):
            for event in server.receive_data(data):
                if not isinstance(event, h2.events.RequestReceived) or leaving:
                    continue  # streams above GOAWAY's last are dropped, as the protocol allows
                seen += 1
                pending.add(asyncio.create_task(answer(event.stream_id)))
                if self.drop_after and seen == self.drop_after:
                    writer.transport.abort()
                    return
                if self.leave_after and seen == self.leave_after:
                    leaving = True
                    goaway = (8).to_bytes(3, "big") + b"\x07\x00" + bytes(4)
                    writer.write(goaway + event.stream_id.to_bytes(4, "big") + bytes(4))
            if not writer.is_closing():
                writer.write(server.data_to_send())


@pytest.fixture
def serve():
    running = []

    def start(**options):
        running.append(_Http2Server(**options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def test_streams_share_a_connection(serve):
    server = serve()
    with Load("h2", "127.0.0.1", server.port, workers=2, streams=5, sni="h2.example") as load:
        load.wait_for_more(40)
    result = load.result()
    result.assert_clean(at_least=40)
    assert (server.connections, result.reconnects) == (2, 0)
    assert result.servers == {"h2": result.requests}


def test_goaway_costs_no_request(serve):
    server = serve(leave_after=7)
    with Load("h2", "127.0.0.1", server.port, workers=2, streams=4) as load:
        load.wait_for_more(60)
    result = load.result()
    result.assert_clean(at_least=60)
    assert result.reconnects >= 6
    assert server.connections >= 8


def test_a_connection_that_drops_its_streams_fails_them(serve):
    server = serve(drop_after=5)
    with Load("h2", "127.0.0.1", server.port, workers=1, streams=4) as load:
        load.wait_for_more(20)
    assert load.result().failed > 0


def test_one_shot_and_kept_http2_clients(serve):
    server = serve()
    url = f"https://127.0.0.1:{server.port}/"
    reply = fetch_h2(url, source="127.0.0.8", sni="h2.example")
    assert (reply.version, reply.status, reply.json, reply.alpn) == ("2", 200, {"name": "h2"}, "h2")
    assert reply.fingerprint == leaf("h2.example", kind="ec").fingerprint
    assert reply.local is not None
    assert reply.local[0] == "127.0.0.8"
    with Http2Client() as client:
        threads = [threading.Thread(target=client.request, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.request(url)
    assert server.connections <= 5
