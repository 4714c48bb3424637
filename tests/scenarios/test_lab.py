"""`steelyard lab lync`: a whole sign-in through a Steelyard made from the shipped templates, right and wrong.

The same deployment with one mistake is what shows that the simulated servers tell a right balancer from a wrong one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.scenarios.site import steelyard, wait_until
from tests.support.ports import free_port

from steelyard.lab.lync import Lync
from steelyard.lab.ports import Ports

pytestmark = [pytest.mark.engine, pytest.mark.needs("haproxy")]

NET = f"127.{128 + os.getpid() % 64}"
MOVED = ["--move-ports", "20000", "--net", NET]


def tried(*more: str) -> subprocess.CompletedProcess[str]:
    return steelyard("lab", "lync", "--admin-port", str(free_port()), *MOVED, "--try", *more)


def failed(output: str) -> list[str]:
    return [line.split("  ")[2].strip() for line in output.splitlines() if "FAILED" in line]


def test_from_the_templates_everybody_signs_in() -> None:
    done = tried()
    assert done.returncode == 0, done.stdout + done.stderr
    for place in ("inside: signed in", "outside: signed in", "telephone: signed in"):
        assert place in done.stdout
    assert not failed(done.stdout) and not done.stderr


def test_without_persistence_nobody_stays_signed_in() -> None:
    done = tried("--wrong", "affinity")
    assert done.returncode == 1
    for place in ("inside", "outside", "telephone"):
        assert f"{place}: sign-in failed" in done.stdout
    for says in ("registration lost", "session lost: it began at fe", "a slide was asked of wac"):
        assert says in done.stdout, done.stdout


def test_a_reverse_proxy_to_the_internal_sites_port_lets_nobody_in_from_outside() -> None:
    done = tried("--wrong", "port")
    assert done.returncode == 1
    assert "landed on the internal web site of fe" in done.stdout, done.stdout
    assert "outside: sign-in failed" in done.stdout and "telephone: signed in" in done.stdout


def test_a_lab_runs_until_it_is_told_to_end_and_others_sign_in_through_it() -> None:
    command = [sys.executable, "-m", "steelyard", "lab", "lync", "--admin-port", str(free_port()), *MOVED]
    absent = steelyard("lab", "sign-in", *MOVED)
    assert absent.returncode == 1 and "Start one: steelyard lab lync" in absent.stderr
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "Ctrl-C ends everything.\n")
            assert any("web interface" in line for line in list(lines))
            # real servers are up when their first check is done
            bob = replace(Lync(Ports(20_000), NET).client(inside=True, user="bob"), trust=None)
            wait_until("bob signs in", lambda: bob.sign_in().ok, 30)
            done = steelyard("lab", "sign-in", "inside", "--user", "bob", *MOVED)
            assert done.returncode == 0 and "inside: signed in" in done.stdout
            nobody = steelyard("lab", "sign-in", "--user", "mallory", *MOVED)
            assert nobody.returncode == 1 and "There are: alice, bob" in nobody.stderr
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_exchange_loses_a_server_for_the_protocol_alone_that_fails_there() -> None:
    done = steelyard("lab", "exchange", "--admin-port", str(free_port()), *MOVED, "--unwell", "owa", "--try")
    assert done.returncode == 0, done.stdout + done.stderr
    answered = {line.split()[1]: line.split()[2:-1] for line in done.stdout.splitlines() if line.startswith("  ok")}
    assert answered["owa"] == ["mbx2"]
    assert answered["ews"] == answered["activesync"] == ["mbx1", "mbx2"]
    assert {"SMTP", "IMAP", "POP3"} < set(answered)
