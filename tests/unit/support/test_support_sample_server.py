"""The sample real server of `steelyard demo` says who it is and what it saw."""

import subprocess
import sys

import pytest
from tests.support.clients import Connection, fetch
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def sample():
    port = free_port()
    command = [sys.executable, "-m", "steelyard.cli.sample_server", "--port", str(port), "--name", "<blue>"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
    yield port
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()


def test_json_for_programs_by_query_or_accept(sample):
    base = f"http://127.0.0.1:{sample}"
    for reply in (fetch(f"{base}/a?json"), fetch(f"{base}/a", headers={"Accept": "application/json"})):
        assert (reply.json["name"], reply.json["method"], reply.json["host"]) == (
            "<blue>",
            "GET",
            f"127.0.0.1:{sample}",
        )
        assert reply.json["peer"] == f"{reply.local[0]}:{reply.local[1]}"


def test_a_page_for_browsers_escapes_what_the_client_sent(sample):
    reply = fetch(f"http://127.0.0.1:{sample}/<script>", headers={"Accept": "text/html", "X-A": "<b>"})
    assert "&lt;blue&gt;" in reply.text
    assert "<script>" not in reply.text
    assert "<b>" not in reply.text


def test_plain_text_for_curl(sample):
    text = fetch(f"http://127.0.0.1:{sample}/hello").text
    assert text.startswith("Hello from <blue>\n")
    assert "GET /hello" in text


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/status/503", 503), ("/status/204", 204),
                                              ("/status/101", 400), ("/status/x", 400)])  # fmt: skip
def test_statuses(sample, path, status):
    assert fetch(f"http://127.0.0.1:{sample}{path}").status == status


def test_sleep(sample):
    assert fetch(f"http://127.0.0.1:{sample}/sleep?ms=50").seconds >= 0.05


def test_connections_are_kept_and_bodies_are_read(sample):
    with Connection("127.0.0.1", sample) as connection:
        for _ in range(3):
            assert connection.request(method="POST", body=b"x" * 100_000).status == 200
        assert connection.request(method="HEAD").body == b""
        assert connection.reusable


def test_a_client_that_expects_100_continue_is_answered(sample):
    assert (
        fetch(f"http://127.0.0.1:{sample}/", method="POST", headers={"Expect": "100-continue"}, body=b"x").status == 200
    )


def test_a_port_in_use_is_a_plain_message(sample):
    command = [sys.executable, "-m", "steelyard.cli.sample_server", "--port", str(sample), "--name", "second"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    assert ran.returncode == 1
    assert "second cannot listen" in ran.stderr
    assert "Traceback" not in ran.stderr
