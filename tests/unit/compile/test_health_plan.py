"""What the checking process is asked to do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.strategies import compiler
from tests.unit.model.making import HTTP, SERVER, TCP, apply

from steelyard.compile.health import compile_health
from steelyard.model.commands import AddLdapEndpoint, AddService, ChangeLdapEndpoint, ChangeService, SetParameters
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.plan.health import Check, Directory, HealthPlan, Service


def service(*parameters: SetParameters, **settings: Any) -> Service:
    """The plan of one service with one real server."""
    configuration = apply(*parameters, AddService({**HTTP, "servers": [SERVER], **settings}))
    plan = compiler().compile(configuration).health
    assert plan == compile_health(configuration)
    return plan.services["vs1"]


def check(**settings: Any) -> Check:
    return service(**settings).check


def test_an_http_check_asks_as_loadmaster_does_unless_told_otherwise() -> None:
    assert check() == Check(kind="http", interval=9, timeout=4, attempts=2, method="HEAD", url="/", host="192.0.2.1")


def test_every_setting_of_a_check_is_passed_on() -> None:
    assert check(
        check_type="https",
        check_url="/health?x=1",
        check_host="shop.example:8443",
        check_http11=True,
        check_method=2,
        check_pattern="OK",
        check_post_data="a=b",
        check_codes=["204", "404.13"],
        check_headers=["X-Probe: yes ", "Accept:*/*"],
        check_interval=30,
        check_timeout=5,
        check_retries=3,
    ) == Check(
        kind="https",
        interval=30,
        timeout=5,
        attempts=3,
        method="POST",
        url="/health?x=1",
        host="shop.example:8443",
        http11=True,
        codes=(204, 404),
        headers=(("X-Probe", "yes"), ("Accept", "*/*")),
        sni="shop.example",
        pattern="OK",
        body="a=b",
    )


def test_a_pattern_needs_a_body_to_look_at() -> None:
    assert check(check_pattern="OK").pattern is None
    assert check(check_pattern="OK", check_method=1).pattern == "OK"


@pytest.mark.parametrize("kind", ["tcp", "none"])
def test_checks_that_ask_nothing_carry_nothing(kind: str) -> None:
    assert check(check_type=kind, check_url="/x", check_host="a") == Check(
        kind=kind,  # type: ignore[arg-type]
        interval=9,
        timeout=4,
        attempts=2,
    )


@pytest.mark.parametrize(
    ("host", "fixed", "asked"),
    [
        ("", "", None),
        ("shop.example", "", "shop.example"),
        ("shop.example:8443", "", "shop.example"),
        ("shop.example", "inner.example", "shop.example"),
        ("", "inner.example", "inner.example"),
        ("192.0.2.1:443", "", None),
        ("[2001:db8::1]:443", "", None),
        ("[2001:db8::1]", "inner.example", "inner.example"),
    ],
)
def test_only_a_name_is_asked_for_in_a_tls_hello(host: str, fixed: str, asked: str | None) -> None:
    """An address is no server name (RFC 6066, 3)."""
    assert check(check_type="https", check_host=host, ssl_reverse=True, reencrypt_sni=fixed).sni == asked
    assert check(check_type="http", check_host=host).sni is None


def test_the_interval_leaves_time_for_every_attempt() -> None:
    assert check(check_interval=1, check_timeout=10, check_retries=3).interval == 31


def test_global_timing_holds_where_the_service_has_none_of_its_own() -> None:
    slow = SetParameters("checks", {"interval": 60, "timeout": 10, "retries": 4})
    found = service(slow, check_retries=2).check
    assert (found.interval, found.timeout, found.attempts) == (60, 10, 2)


def test_targets_are_the_real_servers_with_the_port_to_check() -> None:
    (target,) = service().targets
    assert (target.key, target.address, target.port, target.weight, target.enabled) == (
        "rs1",
        "10.0.0.1",
        8080,
        1000,
        True,
    )
    assert service(check_port=9000).targets[0].port == 9000


def test_what_the_engine_must_hear_follows_the_settings() -> None:
    found = service(SetParameters("layer7", {"drop_on_failure": True}), persistence="src", schedule="fixed")
    assert (found.persistent, found.fixed, found.drop_on_failure) == (True, True, True)
    found = service()
    assert (found.persistent, found.fixed, found.drop_on_failure) == (False, False, False)


def test_drain_settings_are_the_appliances() -> None:
    drains = SetParameters("layer7", {"drain_time": 60, "drop_at_drain_end": True})
    plan = compiler().compile(apply(drains, AddService(TCP))).health
    assert isinstance(plan, HealthPlan)
    assert (plan.drain_seconds, plan.drop_at_drain_end) == (60, True)


def test_an_unchanged_service_is_the_very_same_value() -> None:
    """What is told to the checking process is found by identity."""
    warm = compiler()
    first = apply(AddService(HTTP))
    before = warm.compile(first).health.services["vs1"]
    second = apply(AddService(TCP), to=first)
    assert warm.compile(second).health.services["vs1"] is before
    named = apply(SetParameters("layer7", {"drain_time": 60}), to=second)
    assert warm.compile(named).health.services["vs1"] is before


def test_each_kind_is_told_what_it_asks_and_nothing_more() -> None:
    """Equal checks of one address are asked once, whatever else their services say."""
    more = {"check_url": "/x", "check_host": "www.Example", "check_pattern": "ok", "check_method": 1}
    usual = {"interval": 9, "timeout": 4, "attempts": 2}
    for kind in ("icmp", "tcp", "smtp", "pop3", "imap", "nntp", "ftp", "telnet", "rdp", "agent", "ldap"):
        assert check(check_type=kind, **more) == Check(kind=kind, **usual)
    assert check(check_type="dns", **more) == Check(kind="dns", name="www.example", transport="tcp", **usual)
    assert check(check_type="bdata", check_url="0D0A", check_pattern="FF", match_length=7) == Check(
        kind="bdata", send="0d0a", find="ff", within=7, **usual
    )


def test_an_ldap_check_has_its_endpoint_and_the_name_of_the_password() -> None:
    settings = {"name": "office", "security": 1, "servers": ["192.0.2.1"], "user": "cn=a", "base": "dc=b"}
    configuration = apply(
        AddLdapEndpoint(settings, Password("k1", "hunter2")),
        AddService({**TCP, "check_type": "ldap", "ldap_endpoint": "office", "servers": [SERVER]}),
    )
    plans = compiler()
    health = plans.compile(configuration).health
    assert health == compile_health(configuration)
    assert health.services["vs1"].check.directory == Directory(
        security="starttls", servers=(("192.0.2.1", 389),), timeout=5, user="cn=a", password_key="ldap/k1", base="dc=b"
    )
    assert "hunter2" not in repr(health)
    again = apply(ChangeLdapEndpoint("office", {"security": 2, "base": ""}), to=configuration)
    directory = plans.compile(again).health.services["vs1"].check.directory
    assert directory is not None
    assert (directory.security, directory.servers, directory.base) == ("ldaps", (("192.0.2.1", 636),), "")


@pytest.mark.parametrize(
    ("of_service", "of_server", "port"), [(0, 0, 8080), (5061, 0, 5061), (5061, 99, 99), (0, 99, 99)]
)
def test_the_port_of_a_check(of_service: int, of_server: int, port: int) -> None:
    found = service(check_port=of_service, servers=[{**SERVER, "check_port": of_server}])
    assert [target.port for target in found.targets] == [port]


class TestRules:
    """What the settings of services and members become for the checking process."""

    def test_rules_of_a_service_and_its_servers_are_passed_on(self) -> None:
        servers = [
            {**SERVER, "critical": True},
            {**SERVER, "address": "10.0.0.2", "standby_below": 1, "check_port": 9},
        ]
        found = service(servers=servers, enhanced_checks=True, minimum_servers=2, check_rise=3, check_fall=4)
        assert (found.minimum, found.rise, found.fall, found.any_check) == (2, 3, 4, False)
        assert [(one.critical, one.standby_below, one.port) for one in found.targets] == [
            (True, 0, 8080),
            (False, 1, 9),
        ]

    def test_a_minimum_above_the_number_of_servers_means_all_of_them(self) -> None:
        assert service(enhanced_checks=True, minimum_servers=9).minimum == 1

    def test_further_checks_are_compiled_as_the_first_one_and_have_their_ports(self) -> None:
        further = [{"name": "a", "check_type": "http", "check_url": "/a"}, {"name": "b", "check_port": 99}]
        found = service(further_checks=further, check_mode="any", check_port=7)
        assert found.further[0].check == check(check_url="/a")
        assert (found.further[1].name, found.further[1].check.kind) == ("b", "tcp")
        assert (found.targets[0].port, found.targets[0].further_ports) == (7, (8080, 99))
        assert found.any_check
        assert service(further_checks=further, check_type="none").further == ()

    def test_who_takes_whose_verdict_is_named_over_services(self) -> None:
        made = apply(
            AddService({**HTTP, "servers": [SERVER]}),
            AddService({**TCP, "servers": [{**SERVER, "follow": 1}, {**SERVER, "port": 9, "follow": 3}]}),
        )
        plan = compiler().compile(made).health
        assert plan == compile_health(made)
        assert [target.checked_as for target in plan.services["vs2"].targets] == ["vs1/rs1", ""]
        off = apply(ChangeService(2, {"check_type": "none"}), to=made)
        assert compile_health(off).services["vs2"].targets[0].checked_as == ""
