"""Asking a responder: what comes back, and what is said when nothing good does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.ports import free_port

from steelyard.engines.ocsp_responder import NoAnswer, ask_responder


@contextmanager
def responder(*said: bytes, pause: float = 0.0) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says these bytes to the one who asks, and remembers what it was asked."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"question"):
                asked += connection.recv(65_536)
            heard.append(asked)
            for piece in said:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                time.sleep(pause)

    with socket.create_server(("127.0.0.1", free_port())) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ocsp?a=b", heard
        thread.join(2)


def test_the_request_is_posted_and_the_answer_s_body_given_back() -> None:
    with responder(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes") as (url, heard):
        assert ask_responder(url, b"question") == b"yes"
    assert heard[0].startswith(b"POST /ocsp?a=b HTTP/1.1\r\n")
    assert b"Content-Type: application/ocsp-request" in heard[0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((b"HTTP/1.1 503 Busy\r\n\r\n",), "it answers 503 Busy"),
        ((b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n\r\n",), "it answers 301"),
        ((b"SSH-2.0-x\r\n",), "ssh-2.0"),
        ((b"",), "without response"),
        ((b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,), "more than 65536 bytes"),
    ],
)
def test_other_answers_are_told_in_words(said: tuple[bytes, ...], words: str) -> None:
    with responder(*said) as (url, _), pytest.raises(NoAnswer) as told:
        ask_responder(url, b"question")
    assert words in str(told.value)


def test_a_slow_responder_is_not_waited_for_beyond_its_time() -> None:
    started = time.monotonic()
    body = (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 20)
    head = (b"HTTP/1.1 200 OK\r\n", *[b"x"] * 20)
    for drops in (body, head):
        with responder(*drops, pause=0.05) as (url, _), pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
            ask_responder(url, b"question", 0.2)
    assert time.monotonic() - started < 2


def test_nobody_there_and_no_address() -> None:
    with pytest.raises(NoAnswer, match="connection refused"):
        ask_responder(f"http://127.0.0.1:{free_port()}/", b"question")
    with pytest.raises(NoAnswer, match="malformed"):
        ask_responder("http://127.0.0.1:port/", b"question")
