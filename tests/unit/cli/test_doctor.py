"""`steelyard doctor` says what the host can do, what that means and what to install."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from steelyard.cli import doctor as module
from steelyard.cli.doctor import Row, as_json, as_table, doctor, doctor_report, works
from steelyard.cli.machine import Machine
from steelyard.engines.haproxy.binary import PassedOver
from steelyard.engines.host import DEBIAN_12, FakeHost, Survey


def rows_of(survey: Survey) -> dict[str, Row]:
    return {row.item: row for row in doctor_report(FakeHost(survey))}


ROOT = replace(
    DEBIAN_12.kernel, granted=frozenset({"CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_NET_RAW"}), nft_refusal=""
)
NO_HAPROXY = replace(
    DEBIAN_12, haproxy=None, passed_over=(PassedOver("/usr/sbin/haproxy", "system", "version 2.2.9 is older than 2.6"),)
)


def run(survey: Survey, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(module, "LocalHost", lambda: FakeHost(survey))
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_privileged_host_with_everything_is_ok() -> None:
    rows = rows_of(replace(DEBIAN_12, kernel=ROOT))
    assert [row.item for row in rows.values() if row.state != "ok"] == []
    assert "/usr/sbin/haproxy (system), version 2.6.12" in rows["binary"].meaning


def test_an_ordinary_user_is_told_what_needs_privilege_and_how_to_get_it() -> None:
    rows = rows_of(DEBIAN_12)
    assert rows["low ports"].state == "limited"
    assert "from 1024 up" in rows["low ports"].meaning
    assert "ip_unprivileged_port_start" in rows["low ports"].remedy
    assert rows["network"].state == "limited"
    assert rows["nftables"].state == "limited"
    assert "you must be root" in rows["nftables"].meaning


def test_what_is_not_installed_is_missing_and_named() -> None:
    kernel = replace(DEBIAN_12.kernel, nft_path=None, nft_refusal="the program nft is not installed", ipvs=False)
    rows = rows_of(replace(DEBIAN_12, kernel=kernel))
    assert rows["nftables"].state == "missing"
    assert "apt-get install nftables" in rows["nftables"].remedy
    assert rows["IPVS"].state == "limited"
    assert "ip_vs" in rows["IPVS"].remedy


def test_every_row_that_is_not_ok_has_a_remedy() -> None:
    assert DEBIAN_12.haproxy is not None
    bare = replace(DEBIAN_12.haproxy, features=frozenset(), tls_versions=frozenset(), http2=False)
    kernel = replace(
        DEBIAN_12.kernel, nft_path=None, nft_refusal="no nft", ipvs=False, ping_groups=(1, 0), open_files_hard=300
    )
    rows = doctor_report(FakeHost(Survey(bare, (), kernel)))
    assert all(row.remedy for row in rows if row.state != "ok")
    assert not any(row.remedy for row in rows if row.state == "ok")


@pytest.mark.parametrize(
    ("hard", "state"), [(300, "missing"), (1_024, "limited"), (20_000, "ok"), (1_073_741_816, "ok")]
)
def test_the_limit_of_open_files_is_told_as_connections(hard: int, state: str) -> None:
    row = rows_of(replace(DEBIAN_12, kernel=replace(DEBIAN_12.kernel, open_files_hard=hard)))["open files"]
    assert row.state == state
    if hard == 20_000:
        assert "at most 9,872 connections" in row.meaning


def test_without_haproxy_the_status_is_1_and_the_remedy_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(NO_HAPROXY, monkeypatch=monkeypatch)
    assert code == 1
    assert "missing" in said
    assert "apt-get install haproxy" in " ".join(said.split())
    assert not works(doctor_report(FakeHost(NO_HAPROXY)))


def test_a_haproxy_that_was_passed_over_is_shown_with_the_reason() -> None:
    assert "version 2.2.9 is older than 2.6" in rows_of(NO_HAPROXY)["/usr/sbin/haproxy"].meaning


def test_with_haproxy_the_status_is_0_whatever_else_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(DEBIAN_12, monkeypatch=monkeypatch)
    assert code == 0
    assert "What this host can do" in said


def test_programs_get_json_with_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(NO_HAPROXY, "--json", monkeypatch=monkeypatch)
    report = json.loads(said)
    assert code == 1
    assert report["works"] is False
    assert {"area", "item", "state", "meaning", "remedy"} == set(report["rows"][0])
    assert report == json.loads(as_json(doctor_report(FakeHost(NO_HAPROXY))))


def test_the_table_keeps_every_remedy_on_a_narrow_terminal() -> None:
    console = Console(width=80)
    with console.capture() as said:
        console.print(as_table(doctor_report(FakeHost(DEBIAN_12))))
    assert "ip_unprivileged_port_start" in "".join(said.get().split()).replace("│", "")


@pytest.mark.needs("haproxy")
def test_this_host_is_reported_on() -> None:
    assert works(doctor_report())


@pytest.mark.requirement("S4-08")
def test_s4_08_a_machine_that_is_small_is_told_so_and_not_refused() -> None:
    """Two processors, 2 GB of memory, 32 GB of disk and two ports are what is recommended."""
    enough = Machine(processors=2, memory=2 * 1024**3 * 95 // 100, disk=32 * 1024**3, ports=2)
    small = Machine(processors=1, memory=10**9, disk=10**10, ports=1)
    for machine, state in ((enough, "ok"), (small, "limited")):
        rows = doctor_report(FakeHost(DEBIAN_12), machine)
        assert [row.state for row in rows if row.area == "machine"] == [state] * 4
        assert works(rows)
    assert Machine.here().processors >= 1
