"""Certificates by ACME from a real authority, proved by the real HAProxy and a real DNS server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from tests.engine.rig import Rig, Service, eventually
from tests.support.acme_authority import HMAC, KEY, KEY_NAME, KID, ZONE, AcmeAuthority, acme_authority, name_server
from tests.support.clients import Connection, fetch
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.appliance.contract import Actor
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    AddRedirector,
    ChangeAcmeAccount,
    ChangeAcmeCertificate,
    Command,
    PutDnsProvider,
    RemoveAcmeAccount,
    RemoveAcmeCertificate,
    RemoveDnsProvider,
    RemoveService,
    SetParameters,
)
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError
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
        hmac = more.pop("hmac", None)
        secret = AcmeSecret(f"hmac-{name}", str(hmac).encode()) if hmac is not None else None
        self.rig.do(ChangeAcmeAccount(name, settings | more, secret))

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
        removals: list[Command] = [RemoveDnsProvider(name) for name in self.configuration.dns_providers]
        removals += [RemoveAcmeAccount(name) for name in self.configuration.acme_accounts]
        for command in removals:
            self.rig.do(command)


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
                self.statuses.append(connection.get("/").status)
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
    import socket
    import ssl

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
    # nothing listens where the authority looks
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
    first = orders.leaf("auto").serial_number
    # other names are another certificate
    orders.rig.do(ChangeAcmeCertificate("auto", {"domains": (f"auto.{ZONE}", f"more.{ZONE}")}))
    eventually(lambda: orders.leaf("auto").serial_number != first, "it is ordered anew", 15)
    assert names(orders.leaf("auto")) == {f"auto.{ZONE}", f"more.{ZONE}"}


def test_wildcard_by_dns_update(orders: Orders) -> None:
    provider = {"kind": "rfc2136", "server": "127.0.0.1", "port": orders.authority.dns_port, "key_name": KEY_NAME}
    orders.rig.do(PutDnsProvider("knot", provider, AcmeSecret("tsig", KEY.encode()), new=True))
    orders.add("wild", ZONE, f"*.{ZONE}", dns_provider="knot", key_type="rsa-2048")
    assert names(orders.order("wild")) == {ZONE, f"*.{ZONE}"}
    output = orders.state("wild").output
    assert f"added _acme-challenge.{ZONE}. TXT" in output.replace(f"{ZONE} TXT", f"{ZONE}. TXT")
    assert output.count("added") == output.count("removed") == 2
    assert KEY not in repr(orders.state("wild"))
    orders.rig.do(PutDnsProvider("knot", {}, AcmeSecret("other", b"d3Jvbmcga2V5IGZvciBzdXJl")))
    with pytest.raises(EngineRefused, match="key"):
        orders.order("wild")


HOOK = """#!{python}
import os, sys
import dns.update, dns.query, dns.tsigkeyring
action, domain, record, value = sys.argv[1:]
assert os.environ["ACME_ACTION"] == action and "STEELYARD_ADMIN_PASSWORD" not in os.environ
update = dns.update.UpdateMessage("{zone}", keyring=dns.tsigkeyring.from_text({{"{key_name}": "{key}"}}))
if action == "present":
    update.add(record + ".", 1, "TXT", value)
else:
    update.delete(record + ".", "TXT", value)
print(action, domain, dns.query.tcp(update, "127.0.0.1", port={port}).rcode())
"""


def hook(orders: Orders, name: str, text: str) -> None:
    path: Path = orders.acme.hooks / name
    path.write_text(text)
    path.chmod(0o700)


def test_wildcard_by_hook(orders: Orders) -> None:
    import sys

    words = {"python": sys.executable, "zone": ZONE, "key_name": KEY_NAME, "key": KEY}
    hook(orders, "update.py", HOOK.format(port=orders.authority.dns_port, **words))
    orders.rig.do(PutDnsProvider("hook", {"kind": "hook", "program": "update.py"}, new=True))
    orders.add("hooked", f"*.hooked.{ZONE}", dns_provider="hook")
    assert names(orders.order("hooked")) == {f"*.hooked.{ZONE}"}
    assert orders.state("hooked").output == f"present hooked.{ZONE} 0\ncleanup hooked.{ZONE} 0\n"

    hook(orders, "fails", "#!/bin/sh\necho no such zone; exit 3\n")
    orders.rig.do(PutDnsProvider("hook", {"program": "fails"}))
    with pytest.raises(EngineRefused, match="exit code 3") as refusal:
        orders.order("hooked")
    assert refusal.value.words == "no such zone\n"

    hook(orders, "hangs", "#!/bin/sh\necho asking; sleep 60\n")
    orders.rig.do(PutDnsProvider("hook", {"program": "hangs", "program_seconds": 1}))
    with pytest.raises(EngineRefused, match="within 1 s and was killed"):
        orders.order("hooked")

    orders.rig.do(PutDnsProvider("hook", {"program": "nothing-there"}))
    with pytest.raises(HostLacks, match="no hook nothing-there"):
        orders.order("hooked")


def test_dry_run_brings_no_certificate(orders: Orders, one: Origin) -> None:
    service = orders.rig.http(one, port=orders.authority.http_port)
    wrong = orders.rig.http(one)
    orders.add("dry", f"dry.{ZONE}", services=(wrong.index,))
    with pytest.raises(EngineRefused):
        orders.order("dry")
    orders.rig.do(ChangeAcmeCertificate("dry", {"challenge_services": (service.index,)}))
    url = orders.authority.directory_url
    assert orders.run(orders.acme.rehearse("dry", orders.actor, url)) == url
    assert "dry" not in orders.configuration.certificates
    with pytest.raises(OperatorError, match="directory"):
        orders.run(orders.acme.rehearse("dry", orders.actor))


def test_external_account_binding_and_taking_over_an_account(orders: Orders, dns_port: int) -> None:
    with acme_authority(dns_port) as bound_free:
        orders.account("gone", bound_free)
    with pytest.raises(HostLacks, match="cannot be reached"):
        orders.register("gone")
    with acme_authority(dns_port, bound=True) as bound:
        orders.account("bound", bound)
        with pytest.raises(OperatorError, match="bound"):
            orders.register("bound")
        orders.account("bound", bound, kid=KID, hmac=HMAC, email="admin@acme.example")
        with pytest.raises(OperatorError, match="terms of service"):
            orders.run(orders.acme.register("bound", orders.actor))
        orders.register("bound")
        account = orders.configuration.acme_accounts["bound"]
        key = orders.rig.started.appliance._journal.secret(account.key_place)
        assert HMAC not in repr(account) and "PRIVATE" not in repr(account)
        orders.account("copy", bound)
        orders.run(orders.acme.fetch("copy", key, None, orders.actor))
        copy = orders.configuration.acme_accounts["copy"]
        assert (copy.uri, copy.email) == (account.uri, "admin@acme.example")


def test_renew_period_decides_when(orders: Orders, one: Origin) -> None:
    service = orders.rig.http(one, port=orders.authority.http_port)
    orders.add("when", f"when.{ZONE}", services=(service.index,))
    leaf = orders.order("when")
    try:
        orders.rig.do(SetParameters("acme", {"renew_days": 7}))
        assert (leaf.not_valid_after_utc - orders.state("when").due).days == 7
    finally:
        orders.rig.do(SetParameters("acme", {"renew_days": 30}))
    assert free_port  # the port of the authority is of the same stock


def test_plain_requests_for_challenges(orders: Orders, one: Origin) -> None:
    """What a client may try with the path: only a whole known path is answered."""
    service = orders.rig.http(one, port=orders.authority.http_port)
    orders.add("path", f"path.{ZONE}", services=(service.index,))
    orders.order("path")
    show = orders.rig.started.appliance._show_challenges
    orders.run(show({f"{CHALLENGES}abc": "abc.thumb"}))
    try:
        reply = service.fetch(f"{CHALLENGES}abc?x=1")
        assert (reply.status, reply.body) == (200, b"abc.thumb")
        assert service.fetch(f"{CHALLENGES}abcd").name == one.name
        # it outlives a reload
        service.change(idle_time=77)
        assert fetch(f"{service.url}{CHALLENGES}abc").body == b"abc.thumb"
    finally:
        orders.run(show({}))
    assert service.fetch(f"{CHALLENGES}abc").name == one.name
