"""The edge filter's logs: HAProxy's lines as events, events as lines of the files, the files and who fills them."""

from __future__ import annotations

import base64
import os
import re
import tarfile
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from steelyard.compile.haproxy.edge_log import FAILURE_MARK, REQUEST_MARK
from steelyard.engines.pipe import open_pipe
from steelyard.observe.edge_events import Event, read_line, written
from steelyard.observe.edge_files import EdgeFiles
from steelyard.observe.edge_log import EdgeLog


def coded(text: bytes) -> str:
    return base64.b64encode(text).decode() or "-"


def line(
    *,
    own: str = "7",
    entered: str = "3.7",
    refused: str = "-",
    first: str = "1",
    method: str = "GET",
    status: str = "200",
    host: bytes = b"a.com",
    url: bytes = b"/owa",
    agent: bytes = b"",
) -> str:
    words = (
        f"{REQUEST_MARK} 1 {own} {entered} {refused} 1700000000 250 5 45 12 192.0.2.9 50000 2001:db8::1 443 {first}"
        f" {method} {status} rs5 10.0.0.1 8080 120 3400 {len(url)}"
    )
    return f"{words} {coded(host)} {coded(url)} {coded(agent)}"


def failure(*, own: str = "7", seen: str = "-", error: str = "34", says: bytes = b"SSL handshake failure") -> str:
    return (
        f"{FAILURE_MARK} 1 {own} 1700000000 5 192.0.2.9 1 10.0.0.1 443 {'0' if error != '0' else '400'} {seen} {error}"
        f" {coded(says)}"
    )


def event(text: str) -> Event:
    found = read_line(text)
    assert found is not None
    return found


def kinds(text: str) -> list[str]:
    return list(event(text).kinds)


def test_a_request_becomes_a_line_with_everything_on_it() -> None:
    assert written(event(line(agent=b'curl "7"')), "Lync front") == (
        '2023-11-14T22:13:20.300Z service=3 name="Lync front" client=192.0.2.9:50000 address=[2001:db8::1]:443'
        " host=a.com method=GET url=/owa status=200 server=5/10.0.0.1:8080 received=120 sent=3400 ms=12"
        ' action=allowed reason=allowed agent="curl \\"7\\""'
    )


def test_a_connection_that_failed_tells_why() -> None:
    assert written(event(failure()), "").endswith('reason="the connection failed: SSL handshake failure"')
    malformed = written(event(failure(error="0", says=b"Success")), "")
    assert malformed.endswith('reason="the request is malformed or incomplete"') and " status=400 " in malformed


def test_a_refused_request_tells_which_rule_and_why() -> None:
    text = written(event(line(refused="host", status="403")), "")
    assert text.endswith('action=refused reason="the host is not allowed"')
    assert ' name="" ' in text


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (line(), ["connection", "user"]),
        (line(first="-"), ["user"]),
        (line(refused="path"), ["connection", "security", "user"]),
        (line(entered="3.1", refused="path"), ["user"]),
        (line(entered="3.2", refused="path"), ["security"]),
        (line(entered="3.4", refused="path"), ["connection"]),
        # nothing is known of a request that never reached the filter but what its frontend logs
        (line(entered="-", status="429"), ["connection", "security", "user"]),
        (failure(), ["connection", "security"]),
        (failure(seen="1"), ["security"]),
        (failure(own="0"), []),
    ],
)  # fmt: skip
def test_what_belongs_to_which_log(told: str, expected: list[str]) -> None:
    assert kinds(told) == expected


@pytest.mark.parametrize(
    "text",
    ["", "Proxy vs1 stopped (cumulated conns: FE: 4, BE: 0).", line()[:-9], line() + " x", REQUEST_MARK + " x" * 25],
)
def test_other_lines_and_cut_ones_are_passed_over(text: str) -> None:
    assert read_line(text) is None


@given(host=some.binary(), url=some.binary(max_size=1600), agent=some.binary(), name=some.text(max_size=30))
def test_nothing_a_client_sends_can_end_a_line_or_look_like_a_field(
    host: bytes, url: bytes, agent: bytes, name: str
) -> None:
    text = written(event(line(host=host, url=url, agent=agent)), name)
    assert text.isascii() and text.isprintable()
    fields = re.findall(r' ([a-z]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"|[A-Za-z0-9._:/+\[\]-]+)', text[24:])
    assert "".join(f" {name}={value}" for name, value in fields) == text[24:]
    assert [name for name, _ in fields][:14] == [
        *("service", "name", "client", "address", "host", "method", "url", "status", "server", "received", "sent"),
        *("ms", "action", "reason"),
    ]


def test_a_url_that_was_cut_ends_in_dots() -> None:
    cut = line(url=b"/" + b"a" * 1499).replace(" 1500 ", " 9000 ")
    assert ' url="' not in written(event(cut), "") and "aaa..." in written(event(cut), "")


# --- files


def stamped(number: int) -> str:
    return f"2026-01-31T12:00:{number:02}.000Z service=1 n={number}"


def test_files_are_put_away_and_bounded(tmp_path: Path) -> None:
    files = EdgeFiles(tmp_path, size=100, kept=3)
    for number in range(30):
        files.append("user", [stamped(number)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["user.log", "user.log.1", "user.log.2"]
    assert all(path.stat().st_size < 200 for path in tmp_path.iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())
    assert files.tail("user", 3) == [stamped(27), stamped(28), stamped(29)]
    assert files.tail("user", 100)[-1] == stamped(29)
    assert files.tail("user", 100) == sorted(files.tail("user", 100))
    assert files.tail("user", 100, "2026-01-31T12:00:28.000Z") == [stamped(28), stamped(29)]
    assert files.tail("security", 3) == []


def test_files_can_be_saved_and_cleared(tmp_path: Path) -> None:
    files = EdgeFiles(tmp_path)
    files.append("user", [stamped(1)])
    files.append("security", [stamped(2)])
    assert files.names() == ["security.log", "user.log"]
    with tarfile.open(fileobj=BytesIO(files.archive())) as archive:
        assert archive.getnames() == ["security.log", "user.log"]
        member = archive.extractfile("user.log")
        assert member is not None and member.read().decode() == stamped(1) + "\n"
    assert files.clear(["user"]) == ["user.log"]
    assert files.names() == ["security.log"]


def test_a_line_that_was_cut_by_a_crash_is_not_shown(tmp_path: Path) -> None:
    files = EdgeFiles(tmp_path)
    files.append("user", [stamped(1)])
    with files.path("user").open("a") as file:
        file.write("2026-01-31T12:0")
    assert files.tail("user", 5) == [stamped(1)]


# --- the pipe


@pytest.fixture
def log(tmp_path: Path) -> EdgeLog:
    return EdgeLog(tmp_path / "edge.pipe", EdgeFiles(tmp_path))


def test_lines_that_came_while_nobody_read_are_written_at_the_start(tmp_path: Path, log: EdgeLog) -> None:
    with open_pipe(tmp_path / "edge.pipe") as haproxy:
        os.write(haproxy, f"{line()}\n{line(refused='host')}\n".encode())
        log.start(lambda index: f"name {index}", lambda: False)
        log.stop()
    assert len(log.files.tail("user", 10)) == 2
    assert [' name="name 3" ' in text for text in log.files.tail("security", 10)] == [True]


def test_a_full_pipe_never_makes_haproxy_wait(tmp_path: Path, log: EdgeLog) -> None:
    told = f"{line(url=b'/' + b'a' * 1400)}\n".encode()
    with open_pipe(tmp_path / "edge.pipe") as haproxy:
        written_lines = 0
        try:
            while True:
                assert os.write(haproxy, told) == len(told), "a line is whole or not there"
                written_lines += 1
        except BlockingIOError:
            pass
        log.start(lambda _: "", lambda: False)
        log.stop()
    assert 200 < written_lines == len(log.files.tail("user", 10_000))


def test_two_processes_can_write_at_once(tmp_path: Path, log: EdgeLog) -> None:
    told = f"{line()}\n".encode()

    def write() -> None:
        with open_pipe(tmp_path / "edge.pipe") as haproxy:
            for _ in range(500):
                while True:
                    try:
                        os.write(haproxy, told)
                        break
                    except BlockingIOError:  # the reader has not caught up
                        time.sleep(0.01)

    writers = [threading.Thread(target=write) for _ in range(2)]
    # HAProxy has the pipe open all the time: what is in one that nobody has open is lost
    with open_pipe(tmp_path / "edge.pipe"):
        log.start(lambda _: "", lambda: False)
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        log.stop()
    assert len(log.files.tail("user", 10_000)) == 1000


def test_a_disk_that_refuses_loses_events_and_is_told_once(
    tmp_path: Path, log: EdgeLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, open_pipe(tmp_path / "edge.pipe") as haproxy:
        patch.setattr(log.files, "append", full)
        log.start(lambda _: "", lambda: False)
        for _ in range(3):
            os.write(haproxy, f"{line(entered='3.1')}\n".encode())
            time.sleep(0.05)
        log.stop()
    assert [record.message for record in caplog.records if "No space" in record.message] != []
    assert len([record for record in caplog.records if "No space" in record.message]) == 1
