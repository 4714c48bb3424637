"""Real servers that have to prove who they are (`sslforceserververify` and a service's own setting)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.certificates import authority, leaf
from tests.support.origin import Origin

from steelyard.model.commands import AddIntermediates, RemoveIntermediate, SetParameters

pytestmark = pytest.mark.engine

ROOT = authority("Servers Root")
MIDDLE = authority("Servers Middle", issuer=ROOT)
OTHER = authority("Servers Other")


@pytest.fixture
def trusting(rig: Rig) -> Iterator[Rig]:
    """Two authorities are here; nothing stays behind."""
    rig.do(AddIntermediates("servers-root", (ROOT.certificate,)))
    rig.do(AddIntermediates("servers-other", (OTHER.certificate,)))
    yield rig
    rig.clean()
    rig.do(SetParameters("network", {"verify_servers": False}))
    for name in rig.started.appliance.snapshot().configuration.intermediates:
        rig.do(RemoveIntermediate(name))


@pytest.fixture
def good() -> Iterator[Origin]:
    with Origin("good", tls=leaf("backend.example", issuer=MIDDLE).server_context()) as origin:
        yield origin


@pytest.fixture
def misnamed() -> Iterator[Origin]:
    with Origin("misnamed", tls=leaf("elsewhere.example", issuer=MIDDLE).server_context()) as origin:
        yield origin


@pytest.fixture
def expired() -> Iterator[Origin]:
    with Origin("expired", tls=leaf("backend.example", issuer=MIDDLE, days=(-30, -1)).server_context()) as origin:
        yield origin


@pytest.fixture
def unknown() -> Iterator[Origin]:
    with Origin("unknown", tls=leaf("backend.example").server_context()) as origin:
        yield origin


def names(service: Service) -> set[str]:
    """Which real servers answer, or the status of an answer of Steelyard's own.

    HAProxy tries another real server where one has a bad certificate, but not where one has another name (2.6, 2.8).
    """
    replies = [service.fetch() for _ in range(4)]
    return {reply.name if reply.status == 200 else str(reply.status) for reply in replies}


def test_only_real_servers_with_a_good_certificate_of_the_right_name_get_requests(
    trusting: Rig, good: Origin, misnamed: Origin, expired: Origin, unknown: Origin
) -> None:
    rig = trusting
    settings = {"ssl_acceleration": True, "ssl_reencrypt": True, "reencrypt_sni": "backend.example"}
    bad = {
        origin.name: rig.http(good, origin, check_type="none", **settings) for origin in (misnamed, expired, unknown)
    }
    assert {name: names(service) for name, service in bad.items()} == {name: {"good", name} for name in bad}
    for service in bad.values():
        service.change(server_verification="required", server_authorities=("servers-root",))
    found = {name: names(service) for name, service in bad.items()}
    assert found == {"misnamed": {"good", "503"}, "expired": {"good"}, "unknown": {"good"}}
    service = bad["misnamed"]
    service.change(reencrypt_sni="")
    assert names(service) == {"good", "misnamed"}, "without a name asked for there is none to compare"
    service.change(pass_sni=True)
    assert {service.fetch(sni="backend.example").header("x-origin") for _ in range(4)} == {"good", None}
    assert {service.fetch(sni="elsewhere.example").header("x-origin") for _ in range(4)} == {"misnamed", None}
    service.change(server_authorities=(), pass_sni=False)
    assert names(service) == {"good", "misnamed"}, "every authority that is here counts, and the system's"


def test_an_authority_is_exchanged(trusting: Rig, good: Origin) -> None:
    rig = trusting
    with Origin("other", tls=leaf("backend.example", issuer=OTHER).server_context()) as other:
        service = rig.http(
            good,
            other,
            ssl_reverse=True,
            check_type="none",
            server_verification="required",
            server_authorities=("servers-root",),
        )
        assert names(service) == {"good"}
        rig.do(AddIntermediates("servers-root", (OTHER.certificate,), replace=True))
        assert names(service) == {"other"}


def test_the_global_parameter_holds_for_services_that_say_nothing(trusting: Rig, unknown: Origin, good: Origin) -> None:
    rig = trusting
    silent = rig.http(unknown, good, ssl_reverse=True, check_type="none")
    never = rig.http(unknown, good, ssl_reverse=True, check_type="none", server_verification="none")
    assert names(silent) == {"unknown", "good"}
    rig.do(SetParameters("network", {"verify_servers": True}))
    assert [names(one) for one in (silent, never)] == [{"good"}, {"unknown", "good"}]
    rig.do(SetParameters("network", {"verify_servers": False}))
    assert names(silent) == {"unknown", "good"}


def test_checks_verify_too_and_say_what_is_wrong(
    trusting: Rig, good: Origin, misnamed: Origin, expired: Origin, unknown: Origin
) -> None:
    rig = trusting
    service = rig.service(
        (),
        service_type="http",
        servers=[member(origin) for origin in (good, misnamed, expired, unknown)],
        ssl_acceleration=True,
        ssl_reencrypt=True,
        reencrypt_sni="backend.example",
        check_type="https",
        server_verification="required",
        server_authorities=("servers-root",),
        enabled=False,
    )
    service.change(enabled=True)
    wanted = {
        "misnamed": "not valid for 'backend.example'",
        "expired": "certificate has expired",
        "unknown": "self-signed certificate",
    }
    by_name = dict(zip(("good", "misnamed", "expired", "unknown"), service.servers, strict=True))
    by_name["good"].wait_until("up")
    for name, words in wanted.items():
        by_name[name].wait_until("down")
        states = rig.started.appliance.states()[service.index].servers
        index = by_name[name].index
        eventually(lambda: words in rig.started.appliance.states()[service.index].servers[index].reason, words)  # noqa: B023
        assert "the certificate is not accepted" in states[index].reason
    assert set(service.names(4)) == {"good"}


def test_a_server_is_added_without_reload_and_verified(trusting: Rig, good: Origin, unknown: Origin) -> None:
    rig = trusting
    service = rig.http(
        good,
        ssl_acceleration=True,
        ssl_reencrypt=True,
        reencrypt_sni="backend.example",
        check_type="tcp",
        server_verification="required",
    )
    with rig.without_reload(), Origin("twin", tls=leaf("backend.example", issuer=MIDDLE).server_context()) as twin:
        service.add(unknown).wait_until("up")
        assert names(service) == {"good"}
        service.add(twin).wait_until("up")
        assert names(service) == {"good", "twin"}
