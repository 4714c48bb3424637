"""What a virtual service may be, and what its settings do to each other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.strategies import TEMPORARY, with_certificates
from tests.unit.model.making import HTTP, SERVER, TCP, added, apply, changed

from steelyard.model.commands import (
    AddServer,
    AddService,
    ChangeService,
    DuplicateService,
    RemoveService,
    SetParameters,
)
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.virtual_service import HTTP_PERSISTENCE
from steelyard.model.virtual_service.standard import LONGEST_PERSISTENCE
from steelyard.model.virtual_service.tls import TLS_TYPES


def refused(**settings: Any) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        added(**settings)
    return caught.value


class TestDefaults:
    def test_port_80_is_http_and_others_are_generic(self) -> None:
        web, other = added(), added(port=8443)
        assert (web.service_type, web.check_type) == ("http", "http")
        assert (other.service_type, other.check_type) == ("gen", "tcp")
        assert added(port="80").service_type == "http"

    def test_what_is_given_wins(self) -> None:
        service = added(service_type="gen", check_type="none")
        assert (service.service_type, service.check_type) == ("gen", "none")

    def test_the_idle_time_is_the_appliances_and_0_means_that(self) -> None:
        base = apply(SetParameters("network", {"connection_timeout": 120}))
        assert added().idle_time == 660
        made = apply(AddService(HTTP), AddService({**TCP, "idle_time": 0}), to=base)
        assert [service.idle_time for service in made.services.values()] == [120, 120]
        assert apply(ChangeService(1, {"idle_time": "0"}), to=made).services[1].idle_time == 120
        assert changed({}, idle_time=5).idle_time == 5

    def test_addresses_have_one_spelling(self) -> None:
        assert added(address="2001:DB8:0:0::1").address == "2001:db8::1"
        assert added(address="[2001:db8::1]").host == "[2001:db8::1]"

    @pytest.mark.parametrize(
        "address",
        ["", "x", "192.0.2", "192.0.2.256", "192.0.2.1/24", "224.0.0.1", "ff02::1", "fe80::1%eth0", "010.0.0.1", None],
    )
    def test_what_is_no_address_is_refused(self, address: str | None) -> None:
        found = refused(address=address)
        assert found.field == "address"

    def test_titles_name_the_service_for_people(self) -> None:
        assert added().title == "tcp/192.0.2.1:80"
        assert added(name="shop", address="::1").title == "shop (tcp/[::1]:80)"


class TestPersistenceAndItsTimeout:
    """LoadMaster's own rules: the two follow each other."""

    def test_a_mode_without_a_timeout_gets_the_usual_one(self) -> None:
        assert added(persistence="src").persistence_timeout == 360
        assert changed({}, persistence="src").persistence_timeout == 360

    @pytest.mark.parametrize("timeout", [60, "60", 3600, LONGEST_PERSISTENCE, " 600 "])
    def test_a_timeout_without_a_mode_switches_source_persistence_on(self, timeout: object) -> None:
        for service in (added(persistence_timeout=timeout), changed({}, persistence_timeout=timeout)):
            assert service.persistence == "src"
            assert service.persistence_timeout == int(str(timeout))

    @pytest.mark.parametrize("timeout", [0, 59, "0", "59"])
    def test_less_than_a_minute_switches_off(self, timeout: object) -> None:
        service = changed({"persistence": "src", "persistence_timeout": 600}, persistence_timeout=timeout)
        assert (service.persistence, service.persistence_timeout) == ("none", 0)

    def test_a_mode_given_with_too_short_a_timeout_gets_the_usual_one(self) -> None:
        service = added(persistence="src", persistence_timeout=30)
        assert (service.persistence, service.persistence_timeout) == ("src", 360)

    def test_timeouts_are_whole_minutes(self) -> None:
        assert added(persistence="src", persistence_timeout=119).persistence_timeout == 60

    def test_switching_off_forgets_the_timeout_and_keeps_the_names(self) -> None:
        before = {"persistence": "cookie", "cookie": "SID", "query_tag": "user", "persistence_timeout": 600}
        service = changed(before, persistence="none")
        assert (service.persistence, service.persistence_timeout) == ("none", 0)
        assert (service.cookie, service.query_tag) == ("SID", "user")

    def test_another_mode_keeps_the_timeout(self) -> None:
        service = changed({"persistence": "src", "persistence_timeout": 600}, persistence="url")
        assert (service.persistence, service.persistence_timeout) == ("url", 600)

    @pytest.mark.parametrize("timeout", ["²", "٣", "9" * 5000, "-60", "1e3", "", True, 2_419_200])
    def test_a_timeout_that_is_no_number_is_refused_or_a_number(self, timeout: object) -> None:
        """Never a traceback."""
        try:
            service = added(persistence_timeout=timeout)
        except OperatorError as refusal:
            assert refusal.field == "persistence_timeout"
        else:
            assert service.persistence_timeout % 60 == 0

    @pytest.mark.parametrize("timeout", [LONGEST_PERSISTENCE + 1, 2_419_200])
    def test_a_timeout_that_the_engine_could_not_keep_is_refused(self, timeout: int) -> None:
        found = refused(persistence="src", persistence_timeout=timeout)
        assert found.field == "persistence_timeout"
        assert found.message == (
            f"PersistTimeout '{timeout}' is too long: HAProxy's timers are 32-bit numbers of milliseconds;"
            " allowed: 0 to 2147460 seconds"
        )
        assert "2147460" in str(found.remedy)

    @pytest.mark.parametrize("mode", sorted(HTTP_PERSISTENCE))
    def test_modes_that_read_requests_need_http(self, mode: str) -> None:
        found = refused(**{**TCP, "persistence": mode, "cookie": "c", "query_tag": "q"})
        assert found.field == "persistence"
        assert "http" in found.message

    @pytest.mark.parametrize("mode", ["cookie", "cookie-src", "header"])
    def test_modes_with_a_name_need_it(self, mode: str) -> None:
        assert refused(persistence=mode).field == "cookie"
        assert added(persistence=mode, cookie="SID").cookie == "SID"

    def test_the_mode_of_a_query_item_needs_its_name(self) -> None:
        assert refused(persistence="query-hash").field == "query_tag"

    def test_ssl_session_persistence_needs_tls_that_passes_through(self) -> None:
        assert added(**TCP, persistence="ssl").persistence == "ssl"
        assert refused(**TCP, persistence="ssl", ssl_acceleration=True).field == "persistence"
        assert refused(persistence="ssl").field == "persistence"

    @pytest.mark.parametrize("mode", ["rdp", "rdp-src"])
    def test_remote_desktop_persistence_reads_bytes(self, mode: str) -> None:
        assert added(**TCP, persistence=mode, service_type="ts").persistence == mode
        assert refused(persistence=mode).field == "persistence"


class TestChangingTheType:
    def test_options_that_need_http_are_reset(self) -> None:
        before = {"persistence": "url", "schedule": "uhash", "add_via": 1}
        service = changed(before, service_type="gen")
        assert (service.persistence, service.persistence_timeout) == ("none", 0)
        assert (service.schedule, service.add_via) == ("rr", 0)

    def test_what_is_given_in_the_same_change_wins(self) -> None:
        service = changed({**TCP}, service_type="http", add_via=5, persistence="url")
        assert (service.add_via, service.persistence) == (5, "url")

    def test_the_same_type_again_resets_nothing(self) -> None:
        service = changed({"persistence": "url", "add_via": 1}, service_type="http")
        assert (service.persistence, service.add_via) == ("url", 1)

    def test_options_that_work_for_both_are_kept(self) -> None:
        service = changed({"persistence": "src", "schedule": "wlc"}, service_type="gen")
        assert (service.persistence, service.schedule) == ("src", "wlc")


class TestTls:
    def test_switching_off_clears_the_certificates_and_keeps_the_rest(self) -> None:
        before = {"ssl_acceleration": True, "certificates": ["shop"], "ssl_reencrypt": True, "tls_type": 7}
        service = changed(before, ssl_acceleration=False)
        assert service.certificates == ()
        assert service.tls_type == 7
        assert service.ssl_reencrypt
        assert not service.reencrypts

    @pytest.mark.parametrize("name", ["ssl_reencrypt", "allow_http2"])
    def test_options_of_tls_need_it(self, name: str) -> None:
        assert refused(**{name: True}).field == name
        with pytest.raises(OperatorError):
            changed({}, **{name: True})
        assert getattr(added(ssl_acceleration=True, **{name: True}), name)

    def test_passing_the_name_needs_reencryption(self) -> None:
        assert refused(ssl_acceleration=True, pass_sni=True).field == "pass_sni"
        assert added(ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True).pass_sni

    def test_reversed_and_terminated_exclude_each_other(self) -> None:
        assert refused(ssl_acceleration=True, ssl_reverse=True).field == "ssl_reverse"

    def test_certificates_must_be_here(self) -> None:
        found = refused(ssl_acceleration=True, certificates=["shop", "nowhere"])
        assert found.field == "certificates"
        assert found.value == "nowhere"
        assert "shop" in str(found.allowed)
        assert TEMPORARY not in str(found.allowed)

    def test_protocols_are_named_by_what_is_switched_off(self) -> None:
        offered = {sum_: added(ssl_acceleration=True, tls_type=sum_).offered_protocols for sum_ in TLS_TYPES}
        assert offered == {
            1: ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
            3: ("TLSv1.1", "TLSv1.2", "TLSv1.3"),
            7: ("TLSv1.2", "TLSv1.3"),
            15: ("TLSv1.3",),
            17: ("TLSv1.0", "TLSv1.1", "TLSv1.2"),
            19: ("TLSv1.1", "TLSv1.2"),
            23: ("TLSv1.2",),
            25: ("TLSv1.0", "TLSv1.1"),
            27: ("TLSv1.1",),
            29: ("TLSv1.0",),
        }
        assert added(ssl_acceleration=True).tls_type == 7

    @pytest.mark.parametrize(
        ("sum_", "why", "remedy"),
        [
            (0, "leaves SSLv3 on", "Add 1: TLSType=1 has TLS 1.0 to 1.3"),
            (2, "leaves SSLv3 on", "Add 1: TLSType=3 has TLS 1.1 to 1.3"),
            (4, "leaves SSLv3 on", "Add 1, and leave no gap between protocols: TLSType=7 has TLS 1.2 and 1.3"),
            (14, "leaves SSLv3 on", "Add 1: TLSType=15 has TLS 1.3"),
            (5, "are no neighbours", "Switch the older ones off too: TLSType=7 has TLS 1.2 and 1.3"),
            (21, "are no neighbours", "Switch the older ones off too: TLSType=23 has TLS 1.2"),
            (30, "leaves nothing but SSLv3 on", "Leave one of TLS 1.0 to 1.3 on: TLSType=7 has TLS 1.2 and 1.3"),
            (31, "switches every protocol off", "Leave one of TLS 1.0 to 1.3 on: TLSType=7 has TLS 1.2 and 1.3"),
            (32, "is not one of the choices", "Give an allowed value"),
            (-1, "is not one of the choices", "Give an allowed value"),
        ],
    )
    def test_protocols_that_cannot_be_offered_are_refused_with_the_way_out(
        self, sum_: int, why: str, remedy: str
    ) -> None:
        found = refused(ssl_acceleration=True, tls_type=sum_)
        assert found.field == "tls_type"
        assert found.message.startswith(f"TLSType '{sum_}' ")
        assert why in found.message
        assert "3 (TLS 1.1 to 1.3), 7 (TLS 1.2 and 1.3)" in found.message
        assert found.remedy == remedy

    def test_every_other_sum_is_refused(self) -> None:
        for sum_ in set(range(33)) - set(TLS_TYPES):
            assert refused(ssl_acceleration=True, tls_type=sum_).field == "tls_type"


class TestChecks:
    def test_a_body_needs_the_method_post(self) -> None:
        assert refused(check_post_data="x").field == "check_post_data"
        assert added(check_post_data="x", check_method=2).check_post_data == "x"

    @pytest.mark.parametrize("pattern", ["[", "(?P<", "a{99999999999999999999}", "(?u)x", "\\N{DIGIT ONE}", "(?<=a*)b"])
    def test_a_pattern_that_the_checking_process_could_not_use_is_refused(self, pattern: str) -> None:
        assert refused(check_pattern=pattern).field == "check_pattern"

    def test_headers_and_codes_are_counted(self) -> None:
        assert refused(check_headers=[f"X-{n}:v" for n in range(5)]).field == "check_headers"
        assert refused(check_codes=["300"] * 33).field == "check_codes"
        assert len(added(check_codes=["300"] * 32).check_codes) == 32

    @pytest.mark.parametrize("host", ["a..b", ".a", "a.", "-a", "a" * 64, "a b", "a/b", "a:b", "[::1", "é.example"])
    def test_a_host_that_no_check_could_ask_for_is_refused(self, host: str) -> None:
        assert refused(check_host=host).field == "check_host"

    @pytest.mark.parametrize("host", ["shop.example", "shop.example:8080", "192.0.2.1", "[2001:db8::1]:81", "a_b-c"])
    def test_hosts_may_have_ports(self, host: str) -> None:
        assert added(check_host=host).check_host == host


class TestPortsAndSockets:
    def test_ports_are_merged_sorted_and_counted(self) -> None:
        service = added(extra_ports=["5070-5076", "81", "5061", "5075-5080"])
        assert service.extra_ports == ("81", "5061", "5070-5080")
        assert service.port_ranges == ((80, 81), (5061, 5061), (5070, 5080))
        assert len(list(service.sockets())) == 14

    @pytest.mark.parametrize("item", ["0", "65536", "20-10", "x", "1-2-3", "1 2", "-5", "²", "99999999999"])
    def test_what_is_no_port_is_refused(self, item: str) -> None:
        assert refused(extra_ports=[item]).field == "extra_ports"

    def test_there_is_a_most(self) -> None:
        assert added(extra_ports=["1000-1509"]).extra_ports == ("1000-1509",)
        assert refused(extra_ports=["1000-1510"]).field == "extra_ports"

    def test_two_services_never_have_the_same_socket(self) -> None:
        base = apply(AddService({**HTTP, "extra_ports": ["90-100"]}))
        for settings, field in (
            (HTTP, "port"),
            ({**HTTP, "port": 95}, "port"),
            ({**HTTP, "port": 200, "extra_ports": ["99-150"]}, "extra_ports"),
            ({**HTTP, "port": 200, "extra_ports": ["80"]}, "extra_ports"),
        ):
            with pytest.raises(ConflictError) as caught:
                apply(AddService(settings), to=base)
            assert caught.value.field == field
            assert "192.0.2.1:80" in str(caught.value.with_what)
        assert len(apply(AddService({**HTTP, "address": "192.0.2.2"}), to=base).services) == 2

    def test_a_change_is_checked_against_the_others_and_not_against_itself(self) -> None:
        base = apply(AddService(HTTP), AddService({**HTTP, "port": 81}))
        with pytest.raises(ConflictError):
            apply(ChangeService(2, {"port": 80}), to=base)
        assert apply(ChangeService(2, {"extra_ports": ["82"]}), to=base).services[2].extra_ports == ("82",)


class TestIndexes:
    def test_the_lowest_free_index_is_used(self) -> None:
        base = apply(*(AddService({**HTTP, "port": port}) for port in (80, 81, 82)))
        again = apply(RemoveService(2), AddService({**HTTP, "port": 90}), to=base)
        assert [(index, service.port) for index, service in again.services.items()] == [(1, 80), (2, 90), (3, 82)]

    def test_an_index_cannot_be_changed_or_chosen(self) -> None:
        with pytest.raises(OperatorError) as caught:
            changed({}, index=7)
        assert caught.value.field == "index"
        with pytest.raises(OperatorError):
            changed({}, servers=[])
        assert added(index=7).index == 1

    def test_what_is_not_there_is_named(self) -> None:
        for command in (ChangeService(7, {}), RemoveService(7), DuplicateService(7), AddServer(7, SERVER)):
            with pytest.raises(NotFound) as caught:
                apply(command)
            assert caught.value.message == "Unknown VS 7"


class TestDuplicating:
    def test_a_copy_has_everything_but_index_and_place(self) -> None:
        base = apply(AddService({**HTTP, "name": "shop", "persistence": "src", "servers": [SERVER]}))
        copy = apply(DuplicateService(1, port=81), to=base).services[2]
        original = base.services[1]
        assert (copy.port, copy.address) == (81, original.address)
        assert copy.servers[0].index == 2
        same = {"index": 1, "port": 80, "servers": original.servers}
        assert copy.changed(same) == original

    def test_a_copy_needs_another_socket(self) -> None:
        with pytest.raises(ConflictError):
            apply(AddService(HTTP), DuplicateService(1))
        with pytest.raises(OperatorError):
            apply(AddService(HTTP), DuplicateService(1, address="x"))


def test_a_change_that_changes_nothing_gives_the_very_same_configuration() -> None:
    base = apply(AddService(HTTP))
    assert ChangeService(1, {"port": "80"}).apply(base).configuration is base


def test_a_refused_command_leaves_the_configuration_alone() -> None:
    base = with_certificates()
    with pytest.raises(OperatorError):
        AddService({**HTTP, "servers": [SERVER, {**SERVER, "port": 0}]}).apply(base)
    assert base == with_certificates()
    assert base.counters.next_server == 1
