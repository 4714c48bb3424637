"""Certificates by ACME from a real authority, which fetches the proofs from the real HAProxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from cryptography import x509
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.acme_authority import ZONE, AcmeAuthority, acme_authority, name_server
from tests.support.clients import Connection, fetch
from tests.support.origin import Origin

from steelyard.appliance.contract import Actor
from steelyard.explain.request import Request
from steelyard.model.commands import (
    AddAcmeCertificate,
    AddRedirector,
    ChangeAcmeAccount,
    ChangeAcmeCertificate,
    CreateSubService,
    RemoveAcmeAccount,
    RemoveAcmeCertificate,
    RemoveService,
)
from steelyard.model.errors import EngineRefused, OperatorError
from steelyard.model.user import ADMINISTRATOR

pytestmark = [pytest.mark.engine, pytest.mark.needs("haproxy", "pebble", "knotd")]

CHALLENGES = "/.well-known/acme-challenge/"


@pytest.fixture(scope="module")
def dns_port() -> Iterator[int]:
    with name_server() as port:
        yield port


@pytest.fixture(scope="module")
def authority(dns_port: int) -> Iterator[AcmeAuthority]:
    with acme_authority(dns_port) as found:
        yield found


class Orders:
    """ACME of a rig, with an account at the authority."""

    def __init__(self, rig: Rig, authority: AcmeAuthority) -> None:
        self.rig = rig
        self.authority = authority
        self.account("test", authority)
        self.register("test")

    @property
    def acme(self):
        return self.rig.started.appliance.acme

    @property
    def configuration(self):
        return self.rig.started.appliance.snapshot().configuration

    @property
    def actor(self) -> Actor:
        return Actor(self.configuration.user(ADMINISTRATOR), "test")

    def run(self, coroutine, seconds: float = 30):
        return self.rig._background.run(coroutine, seconds)

    def account(self, name: str, authority: AcmeAuthority, **more: object) -> None:
        settings = {"directory_url": authority.directory_url, "authority_pem": authority.authority_pem}
        self.rig.do(ChangeAcmeAccount(name, settings | more))

    def register(self, name: str) -> None:
        self.run(self.acme.register(name, self.actor, agree=True))

    def add(self, name: str, *domains: str, services: tuple[int, ...] = (), **more: object) -> None:
        data = {"name": name, "account": "test", "domains": domains, "challenge_services": services, **more}
        self.rig.do(AddAcmeCertificate({"key_type": "ec-p256"} | data))

    def order(self, name: str) -> x509.Certificate:
        self.run(self.acme.order(name, self.actor), 40)
        return self.leaf(name)

    def leaf(self, name: str) -> x509.Certificate:
        return self.configuration.certificate(name).leaf()

    def state(self, name: str):
        return self.acme.states()[name]

    def clean(self) -> None:
        for index in [one.index for one in self.configuration.services.values() if not one.is_sub]:
            self.rig.do(RemoveService(index))
        for name in self.configuration.acme_certificates:
            self.rig.do(RemoveAcmeCertificate(name))
        for name in self.configuration.acme_accounts:
            self.rig.do(RemoveAcmeAccount(name))


@pytest.fixture
def orders(rig: Rig, authority: AcmeAuthority) -> Iterator[Orders]:
    found = Orders(rig, authority)
    yield found
    found.clean()


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


class Traffic:
    """Requests to a service, one after the other, as long as the block lasts."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with Connection(self.service.address, self.service.port) as connection:
            while not self._stop.is_set():
                self.statuses.append(connection.request("/").status)
                self._stop.wait(0.005)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


def test_http_challenge_is_answered_without_reload_and_without_the_real_servers(orders: Orders, one: Origin) -> None:
    rig, port = orders.rig, orders.authority.http_port
    shop = rig.http(one, port=port)
    secure = rig.http(one, ssl_acceleration=True)
    domains = [f"www{number}.{ZONE}" for number in range(11)]
    orders.add("shop", *domains, services=(shop.index,))
    with Traffic(shop) as traffic, rig.without_reload():
        issued = orders.order("shop")
    assert names(issued) == set(domains)
    assert set(traffic.statuses) == {200} and len(traffic.statuses) > 20
    assert not [seen.path for seen in one.requests if seen.path.startswith(CHALLENGES)]
    # nothing is left behind, and what is no challenge goes on to the real servers
    assert rig.ask("show map lookups/acme-challenges").strip() == ""
    assert shop.fetch(f"{CHALLENGES}unknown").status == 200
    assert orders.state("shop").failures == 0
    entry = rig.started.appliance.history(1)[0]
    assert (entry.author, entry.reason) == ("acme", "issued by ACME")

    secure.change(certificates=("shop",))
    with rig.without_reload():
        renewed = orders.order("shop")
    assert renewed.serial_number != issued.serial_number
    assert rig.started.appliance.history(1)[0].reason == "renewed by ACME"
    shown = fetch_certificate(secure, domains[3])
    assert shown.serial_number == renewed.serial_number


def fetch_certificate(service: Service, name: str) -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((service.address, service.port)) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_redirector_with_edge_filter_and_limits_still_answers(orders: Orders, one: Origin) -> None:
    rig = orders.rig
    secure = rig.http(one, ssl_acceleration=True)
    redirect = rig.do(AddRedirector(secure.index, orders.authority.http_port)).key
    assert isinstance(redirect, int)
    service = Service(rig, redirect)
    service.change(
        esp_enabled=True,
        allowed_hosts="nobody.example",
        allowed_directories="/nothing",
        requests_per_second=1,
    )
    orders.add("hard", f"hard.{ZONE}", f"other.{ZONE}", services=(redirect, redirect))
    assert service.fetch("/", headers={"Host": "x.example"}).status in (403, 429, 503)
    assert names(orders.order("hard")) == {f"hard.{ZONE}", f"other.{ZONE}"}


def test_failed_challenge_says_what_the_authority_said_and_is_tried_again_later(orders: Orders, one: Origin) -> None:
    # it listens elsewhere than where the authority looks
    wrong = orders.rig.http(one)
    orders.add("lost", f"lost.{ZONE}", services=(wrong.index,))
    with pytest.raises(EngineRefused) as refusal:
        orders.order("lost")
    said = refusal.value.details()
    assert f"lost.{ZONE}" in said["message"] and "connection refused" in said["message"]
    assert "urn:ietf:params:acme:error:connection" in said["words"]
    assert "port 80" in said["remedy"]
    state = orders.state("lost")
    assert state.failures == 1 and state.trouble == said["message"]
    assert 700 < (state.due - state.ordered).total_seconds() < 1100
    problems = orders.rig.started.appliance.health().problems
    assert any("lost" in problem and "next attempt" in problem for problem in problems)
    # across a restart, too
    orders.rig.let_go()
    orders.rig.start()
    assert orders.state("lost").failures == 1 and orders.state("lost").due == state.due
    # once it is mended
    orders.rig.http(one, port=orders.authority.http_port)
    right = orders.configuration.service_at("127.0.0.1", orders.authority.http_port, "tcp")
    orders.rig.do(ChangeAcmeCertificate("lost", {"challenge_services": (right.index,)}))
    orders.order("lost")
    assert orders.state("lost").trouble == ""


def test_due_certificates_are_ordered_by_themselves(orders: Orders, one: Origin) -> None:
    service = orders.rig.http(one, port=orders.authority.http_port)
    orders.add("auto", f"auto.{ZONE}", services=(service.index,))
    eventually(lambda: "auto" in orders.configuration.certificates, "the certificate is there", 15)
    assert names(orders.leaf("auto")) == {f"auto.{ZONE}"}


def test_plain_requests_for_challenges(orders: Orders, one: Origin) -> None:
    """What a client may try with the path: only a whole known path is answered."""
    service = orders.rig.http(one, port=orders.authority.http_port)
    orders.add("path", f"path.{ZONE}", services=(service.index,))
    orders.order("path")
    show = orders.rig.started.appliance._writer.show_challenges
    orders.run(show({f"{CHALLENGES}abc": "abc.thumb"}))
    try:
        reply = service.fetch(f"{CHALLENGES}abc?x=1")
        assert (reply.status, reply.body) == (200, b"abc.thumb")
        assert service.fetch(f"{CHALLENGES}abcd").name == one.name
        told = orders.rig.explain(Request("198.51.100.7", service.index, target=f"{CHALLENGES}abc?x=1")).result
        assert (told.kind, told.status) == ("answered", 200)
        told = orders.rig.explain(Request("198.51.100.7", service.index, target=f"{CHALLENGES}abcd")).result
        assert told.kind == "server"
        # it outlives a reload
        service.change(idle_time=77)
        assert fetch(f"{service.url}{CHALLENGES}abc").body == b"abc.thumb"
    finally:
        orders.run(show({}))
    assert service.fetch(f"{CHALLENGES}abc").name == one.name


def test_parents_of_sub_services_answer_for_them(orders: Orders, one: Origin, two: Origin) -> None:
    rig = orders.rig
    parent = rig.http()
    for origin in (one, two):
        rig.do(CreateSubService(parent.index, {"servers": [member(origin)]}))
    orders.add("family", f"family.{ZONE}", services=(parent.index,), automatic=False)
    show = rig.started.appliance._writer.show_challenges
    orders.run(show({f"{CHALLENGES}abc": "abc.thumb"}))
    try:
        assert parent.fetch(f"{CHALLENGES}abc").body == b"abc.thumb"
        eventually(lambda: parent.fetch("/").status == 200, "a sub-service answers all else")
    finally:
        orders.run(show({}))
    sub = parent.setting("slots")[0].service
    with pytest.raises(OperatorError, match="name its parent"):
        orders.add("sub", f"sub.{ZONE}", services=(sub,))
