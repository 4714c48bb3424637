"""The compiler as a whole: certificates that are used, limits, and what it refuses to do."""

from __future__ import annotations

import pytest
from tests.support.strategies import TEMPORARY, compiler, material
from tests.unit.model.making import HTTP, TCP, apply

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.model.commands import AddService, ChangeService, PutCertificate, RemoveService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import InternalError
from steelyard.plan.limits import FEWEST_CONNECTIONS, counted_listeners, max_connections

TLS = {**HTTP, "port": 443, "service_type": "http", "ssl_acceleration": True}


def test_only_certificates_that_a_listener_presents_reach_the_engine() -> None:
    warm = compiler()
    plan = warm.compile(apply(AddService({**TLS, "certificates": ["shop"]}), AddService(HTTP))).haproxy
    assert list(plan.certificates) == ["shop"]
    plan = warm.compile(apply(AddService(TLS))).haproxy
    assert list(plan.certificates) == [TEMPORARY]
    plan = warm.compile(apply(AddService({**TLS, "enabled": False}))).haproxy
    assert plan.certificates == {}


def test_new_content_of_a_certificate_leaves_the_service_alone() -> None:
    warm = compiler()
    base = apply(AddService({**TLS, "certificates": ["shop"]}))
    before = warm.compile(base).haproxy
    after = warm.compile(apply(PutCertificate("shop", material(generation=2), replace=True), to=base)).haproxy
    assert after.services["vs1"] is before.services["vs1"]
    assert after.certificates["shop"].key_id == material(generation=2).key_id


def test_without_any_certificate_tls_is_a_bug_and_no_traceback_further_on() -> None:
    configuration = AddService(TLS).apply(Configuration()).configuration
    with pytest.raises(InternalError):
        compiler().compile(configuration)


def test_an_index_that_is_used_again_is_another_service() -> None:
    warm = compiler()
    base = apply(AddService(HTTP))
    warm.compile(base)
    again = apply(RemoveService(1), AddService(TCP), to=base)
    assert warm.compile(again) == compiler().compile(again)


def test_a_change_that_shows_nowhere_gives_the_very_same_plan() -> None:
    warm = compiler()
    base = apply(AddService(HTTP))
    before = warm.compile(base).haproxy.services["vs1"]
    assert warm.compile(apply(ChangeService(1, {"name": "shop"}), to=base)).haproxy.services["vs1"] is before


class TestLimits:
    def test_a_connection_takes_two_descriptors_and_some_are_kept_back(self) -> None:
        assert max_connections(20_000, 512) == (20_000 - 256 - 1024) // 2

    def test_there_are_always_some(self) -> None:
        assert max_connections(256, 10_000) == FEWEST_CONNECTIONS

    def test_boundless_limits_are_not_believed(self) -> None:
        assert max_connections(2**30, 0) == max_connections(1_048_576, 0)

    @pytest.mark.parametrize(("listeners", "counted"), [(0, 512), (1, 512), (512, 512), (513, 1024), (1025, 1536)])
    def test_listeners_are_counted_in_steps(self, listeners: int, counted: int) -> None:
        """So that adding a service rarely changes the process-wide limit."""
        assert counted_listeners(listeners) == counted

    def test_ranges_of_ports_count_each_port(self) -> None:
        facts = Compiler(EngineFacts(threads=4, lua=True, open_files=20_000))
        small = facts.compile(apply(AddService(HTTP))).haproxy.settings
        large = facts.compile(apply(AddService({**HTTP, "extra_ports": ["1000-1509"]}), AddService(TCP))).haproxy
        assert small.threads == 4
        assert large.settings.max_connections == small.max_connections
        more = apply(AddService({**HTTP, "extra_ports": ["1000-1509"]}), AddService({**TCP, "extra_ports": ["6000"]}))
        assert facts.compile(more).haproxy.settings.max_connections == small.max_connections - 512

    def test_a_disabled_service_listens_nowhere(self) -> None:
        settings = {**HTTP, "extra_ports": ["1000-1509"], "enabled": False}
        plan = (
            compiler().compile(apply(AddService(settings), AddService({**TCP, "extra_ports": ["6000-6400"]}))).haproxy
        )
        assert plan.settings == compiler().compile(apply()).haproxy.settings
