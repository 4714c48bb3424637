from __future__ import annotations

import time
from pathlib import Path

import pytest

from steelyard.observe.host_figures import (
    CpuShares,
    CpuTimes,
    HostFigureReader,
    Interface,
    cpu_shares,
    parse_cpu,
    parse_interfaces,
    parse_memory,
    parse_mounts,
)

STAT = "cpu  100 20 30 800 40 0 10 0 0 0\ncpu0 50 10 15 400 20 0 5 0 0 0\ncpu1 50 10 15 400 20 0 5 0 0 0\nintr 1 2 3\n"
DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 6813648741 52677877    0    0    0     0          0         0 6813648741 52677877    0    0    0     0       0          0
  eth0: 129486629    4317    0    0    0     0          0         0   384280    2757    0    0    0     0       0          0
"""  # noqa: E501


def test_processor_times() -> None:
    found = parse_cpu(STAT)
    assert list(found) == ["cpu", "cpu0", "cpu1"]
    assert found["cpu"] == CpuTimes(120, 30, 800, 40, 0, 10, 0)
    assert parse_cpu("cpu  1 2 3 4\n")["cpu"] == CpuTimes(3, 3, 4, 0, 0, 0, 0)


def test_shares_are_those_of_the_time_between() -> None:
    before = CpuTimes(100, 100, 100, 100, 0, 0, 0)
    assert cpu_shares(before, CpuTimes(150, 110, 135, 100, 2, 3, 0)) == CpuShares(50, 10, 35, 0, 2, 3)
    assert cpu_shares(None, CpuTimes(1, 1, 2, 0, 0, 0, 0)) == CpuShares(25, 25, 50)
    assert cpu_shares(before, before) == CpuShares()


def test_memory_that_can_be_had_is_free() -> None:
    memory = parse_memory("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nHugePages_Total: x\n")
    assert (memory.total, memory.free, memory.used) == (1000, 600, 400)
    assert parse_memory("MemTotal: 1000 kB\nMemFree: 100 kB\n").free == 100


def test_interfaces_but_loopback() -> None:
    assert parse_interfaces(DEV) == {"eth0": (129_486_629, 384_280)}


def test_mounts_of_devices_once_and_the_root() -> None:
    mounts = (
        "overlay / overlay rw 0 0\nproc /proc proc rw 0 0\n"
        "/dev/sda1 /var/log ext4 rw 0 0\n/dev/sda1 /etc/hosts ext4 rw 0 0\n/dev/sdb1 /mnt/a\\040b ext4 rw 0 0\n"
    )
    assert parse_mounts(mounts) == ("/", "/var/log", "/mnt/a b")


def test_load_is_in_tenths_of_a_percent_of_the_speed() -> None:
    assert Interface("eth0", 0, 1000, 0, 0, 125_000, 62_500).tenths_in == 1
    assert Interface("eth0", 0, 0, 0, 0, 125_000).tenths_in == 0


def test_rates_are_between_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    proc, sys, etc = tmp_path / "proc", tmp_path / "sys", tmp_path / "etc"
    (proc / "net").mkdir(parents=True)
    (sys / "class/net/eth0").mkdir(parents=True)
    etc.mkdir()
    (sys / "class/net/eth0/speed").write_text("1000\n")
    (proc / "stat").write_text(STAT)
    (proc / "net/dev").write_text(DEV)
    reader = HostFigureReader(proc, sys, etc)
    first = reader.read()
    assert (first.cpu.idle, len(first.cores)) == (80, 2)
    assert (first.interfaces[0].speed, first.interfaces[0].bytes_in_per_second) == (1000, 0)
    now = 104.0
    (proc / "net/dev").write_text(DEV.replace("129486629", "129487029"))
    (proc / "stat").write_text("cpu  100 20 130 800 40 0 10 0 0 0\n")
    second = reader.read()
    assert (second.cpu.system, second.interfaces[0].bytes_in_per_second) == (100, 100)
    now = 104.2
    assert reader.read().interfaces[0].bytes_in_per_second == round(400 / 4.2)


def test_a_host_that_hides_its_files_has_empty_figures(tmp_path: Path) -> None:
    reader = HostFigureReader(tmp_path, tmp_path, tmp_path)
    figures = reader.read()
    assert (figures.cpu, figures.interfaces, figures.memory.total) == (CpuShares(), (), 0)
    assert reader.serial_number().isdigit()


def test_the_serial_number_belongs_to_the_machine(tmp_path: Path) -> None:
    reader = HostFigureReader(etc=tmp_path)
    (tmp_path / "machine-id").write_text("abc\n")
    serial = reader.serial_number()
    assert (len(serial), serial == reader.serial_number()) == (10, True)
    (tmp_path / "machine-id").write_text("abd\n")
    assert serial != reader.serial_number()
