"""Rules of the whole suite.

A test that cannot run on this host skips with a reason that starts with "missing:" and says what to install. Name what
it needs with the marker, `@pytest.mark.needs("haproxy", "net_admin")`, or ask in the test with the fixture `need`. With
CI=true such a skip is a failure: CI's machine has to have everything, and a hole in it must not look green.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from steelyard.engines.host import LocalHost, Survey, raise_open_files

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

#: What a test may need, and the Debian package that has it. packaging/test-tools installs those of `make test`.
PACKAGES = {
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "dpkg-deb": "dpkg",
    "dnsmasq": "dnsmasq-base",
    "dovecot": "dovecot-imapd",
    "h2load": "nghttp2-client",
    "ip": "iproute2",
    "iptables-legacy": "iptables",
    "knotd": "knot",
    "leafnode": "leafnode",
    "linux.uml": "user-mode-linux",
    "modprobe": "kmod",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "rsyslogd": "rsyslog",
    "snmptrapd": "snmptrapd",
    "pebble": "pebble",
    "ss": "iproute2",
    "slapd": "slapd",
    "smtpd": "opensmtpd",
    "systemd": "systemd",
    "telnetd": "inetutils-telnetd",
    "unshare": "util-linux",
    "vsftpd": "vsftpd",
    "wrk": "wrk",
    "xrdp": "xrdp",
}

# Two cores under load make any deadline a coin toss. CI has to fail on the same examples when it is run again.
settings.register_profile("steelyard", deadline=None, derandomize=CI, print_blob=True)
settings.load_profile("steelyard")


@cache
def _survey() -> Survey:
    return LocalHost().survey()


@cache
def lacking(name: str) -> str | None:
    """Why what a test needs is not here, or None when it is. Raises `KeyError` for a name that is not known."""
    survey = _survey()
    kernel = survey.kernel
    features = {
        "haproxy": (survey.haproxy is not None, "HAProxy >= 2.6 (apt-get install haproxy)"),
        "nft": (not kernel.nft_refusal, f"nftables: {kernel.nft_refusal} (apt-get install nftables, as root)"),
        "ipvs": (kernel.ipvs, "IPVS in the kernel (module ip_vs)"),
        "root": (os.geteuid() == 0, "root"),
        "net_admin": ("CAP_NET_ADMIN" in kernel.granted, "CAP_NET_ADMIN (run as root)"),
        "low_ports": (kernel.lowest_port == 1, "CAP_NET_BIND_SERVICE (run as root)"),
    }
    if name in features:
        here, what = features[name]
        return None if here else what
    package = PACKAGES[name]
    searched = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    return None if shutil.which(name, path=searched) else f"{name} (apt-get install {package})"


def _skip_without(names: Iterable[str]) -> None:
    absent = [what for what in map(lacking, names) if what is not None]
    if absent:
        pytest.skip("missing: " + ", ".join(absent))


@pytest.fixture
def need() -> Callable[..., None]:
    """`need("wrk", "nft")` skips the test when the host has not got them, like the marker `needs`."""
    return lambda *names: _skip_without(names)


@pytest.fixture(scope="session", autouse=True)
def _many_open_files() -> None:
    """Load tests hold thousands of connections; a shell's soft limit is 1,024."""
    raise_open_files()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        _skip_without(marker.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_on_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_on_missing(report)
    return report


def _fail_on_missing(report: Any) -> None:
    """Under CI, turn a skip for something missing into a failure. A skip comes as (file, line, "Skipped: reason")."""
    if not (CI and report.skipped and isinstance(report.longrepr, tuple)):
        return
    path, line, said = report.longrepr
    reason = said.removeprefix("Skipped: ")
    if reason.startswith("missing:"):
        report.outcome = "failed"
        report.longrepr = f"{Path(path).name}:{line}: CI may not skip a test, and this one skipped: {reason}"
