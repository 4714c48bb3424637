"""Certificates of a service come, go and are chosen, and chains are completed, with the HAProxy that runs."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.certificates import Certified, authority, leaf
from tests.support.clients import fetch, tls_hello_fetch
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.tls_client import Hello

from steelyard.appliance.signing import signing_request
from steelyard.model.certificate import read_upload
from steelyard.model.certificate_backup import unseal
from steelyard.model.commands import (
    AddIntermediates,
    AddRule,
    AddService,
    AttachRule,
    Batch,
    ChangeService,
    PutCertificate,
    RemoveCertificate,
    RemoveIntermediate,
    RestoreCertificates,
    RulePlace,
)
from steelyard.model.errors import ConflictError, EngineRefused

pytestmark = pytest.mark.engine

ROOT = authority("Certificates Root")
OUTER = authority("Certificates Outer", issuer=ROOT)
INNER = authority("Certificates Inner", issuer=OUTER)
FIRST = leaf("first.example", issuer=ROOT)
WILD = leaf("*.shop.example", issuer=ROOT)
EXACT = leaf("a.shop.example", issuer=ROOT, kind="ec")
BOTH_RSA, BOTH_EC = leaf("both.example", issuer=ROOT), leaf("both.example", issuer=ROOT, kind="ec")

#: a client that knows RSA alone, and one that knows both
RSA_ONLY = ("RSA-PSS+SHA256:RSA+SHA256",)
BOTH = ("ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256",)


def hello(service: Service, name: str | None) -> Hello:
    return tls_hello_fetch(service.address, service.port, sni=name)


def shown(service: Service, *names: str | None) -> list[str]:
    return [hello(service, name).fingerprint for name in names]


def prints(*certified: Certified) -> list[str]:
    return [one.fingerprint for one in certified]


def openssl(service: Service, name: str, sigalgs: Sequence[str], *options: str) -> str:
    """What `openssl s_client` says of the server's signature."""
    command = ["openssl", "s_client", "-connect", f"{service.address}:{service.port}", "-servername", name]
    done = subprocess.run(
        [*command, "-sigalgs", *sigalgs, *options], input="", capture_output=True, text=True, timeout=10, check=False
    )
    line = next((one for one in done.stdout.splitlines() if one.startswith("Peer signature type")), "none")
    return line.partition(": ")[2]


@pytest.fixture
def service(rig: Rig, one: Origin) -> Service:
    """A service with `first`; `wild`, `exact`, `rsa` and `ec` are imported."""
    named = {"first": FIRST, "wild": WILD, "exact": EXACT, "rsa": BOTH_RSA, "ec": BOTH_EC}
    rig.do(
        Batch(
            [PutCertificate(name, read_upload(certified.bundle()), replace=True) for name, certified in named.items()]
        )
    )
    return rig.http(one, ssl_acceleration=True, certificates=("first",))


def test_certificates_come_and_go_without_a_reload(rig: Rig, service: Service) -> None:
    """An exact name is preferred to a wildcard, a client's kind of key is looked at, connections go on."""
    with service.connect(sni="a.shop.example") as connection, rig.without_reload():
        assert connection.request("/").fingerprint == FIRST.fingerprint
        service.change(certificates=("first", "wild"))
        assert shown(service, "a.shop.example", "b.shop.example", "other.example", None) == prints(
            WILD, WILD, FIRST, FIRST
        )
        service.change(certificates=("first", "wild", "exact", "rsa", "ec"))
        assert shown(service, "a.shop.example", "b.shop.example") == prints(EXACT, WILD)
        for offered in ((), ("-tls1_2",)):
            assert openssl(service, "both.example", RSA_ONLY, *offered).startswith("RSA")
            assert openssl(service, "both.example", BOTH, *offered) == "ECDSA"
        # a client of TLS 1.3 alone names no ECDSA cipher, which is what HAProxy 2.6 looks for
        assert openssl(service, "both.example", RSA_ONLY, "-tls1_3") == "RSA-PSS"
        assert openssl(service, "both.example", ("ECDSA+SHA256",), "-tls1_3") == "ECDSA"
        assert len(rig.ask("show ssl cert").strip().splitlines()) == 1 + 5
        service.change(certificates=("first", "exact"))
        assert shown(service, "a.shop.example", "b.shop.example", "both.example") == prints(EXACT, FIRST, FIRST)
        assert openssl(service, "both.example", BOTH).startswith("RSA")
        assert len(rig.ask("show ssl cert").strip().splitlines()) == 1 + 2
        files = rig.directory / "engine" / "certificates"
        eventually(lambda: {file.name for file in files.glob("*.pem")} == {"first.pem", "exact.pem"}, "keys are gone")
        assert connection.request("/").fingerprint == FIRST.fingerprint
    with pytest.raises(ConflictError):
        rig.do(RemoveCertificate("exact"))
    service.change(certificates=("exact", "first"))
    assert shown(service, "first.example", None) == prints(FIRST, EXACT), "another first one takes a reload"


def test_a_certificate_and_the_service_that_has_it_are_made_together(rig: Rig, one: Origin) -> None:
    """HAProxy reads both before they are committed, so it is given a key that is not kept yet."""
    certified = [leaf("together.example", issuer=ROOT, generation=number, kind="ec") for number in (1, 2)]
    first, second = (read_upload(each.bundle()) for each in certified)
    data = {"address": "127.0.0.1", "port": free_port(), "service_type": "http", "ssl_acceleration": True}
    made = AddService({**data, "certificates": ("together",), "servers": [member(one)]})
    outcome = rig.do(Batch([PutCertificate("together", first, replace=True), made]))
    assert isinstance(outcome.key, int)
    service = Service(rig, outcome.key)
    assert shown(service, None) == prints(certified[0])
    changed = ChangeService(outcome.key, {"certificates": ("together", "besides")})
    with rig.without_reload():
        rig.do(Batch([PutCertificate("besides", second, replace=True), changed]))
    assert shown(service, None) == prints(certified[0])


def test_what_came_at_run_time_is_there_after_a_reload_and_a_restart(rig: Rig, service: Service) -> None:
    service.change(certificates=("first", "wild"))
    worker = rig.worker
    service.change(certificates=("first", "wild", "exact"))
    rig.let_go()
    rig.start()
    assert rig.worker == worker
    assert shown(service, "a.shop.example", "b.shop.example") == prints(EXACT, WILD)
    service.change(idle_time=100)
    assert rig.worker != worker
    assert shown(service, "a.shop.example", "b.shop.example") == prints(EXACT, WILD)


def test_hosts_of_sub_services_have_certificates_of_their_own_on_the_parent(
    rig: Rig, service: Service, one: Origin, two: Origin
) -> None:
    subs = []
    for host, origin in (("first.example", one), ("a.shop.example", two)):
        name = host.partition(".")[0]
        rig.do(AddRule({"name": f"host-{name}", "header": "Host", "pattern": f"^{host}"}))
        subs.append({"name": name, "servers": [member(origin)]})
    made = AddService(
        {
            "address": "127.0.0.1",
            "port": free_port(),
            "service_type": "http",
            "ssl_acceleration": True,
            "certificates": ("first", "exact"),
            "sub_services": subs,
        }
    )
    outcome = rig.do(made)
    assert isinstance(outcome.key, int)
    parent = Service(rig, outcome.key)
    for slot, name in zip(parent.setting("slots"), ("first", "a"), strict=True):
        rig.do(AttachRule(RulePlace(outcome.key, member=slot.index), f"host-{name}"))
        for server in Service(rig, slot.service).servers:
            server.wait_until("up")
    for host, origin, certified in (("first.example", "one", FIRST), ("a.shop.example", "two", EXACT)):
        reply = fetch(f"https://{host}:{parent.port}/", connect_to=(parent.address, parent.port))
        assert (reply.name, reply.fingerprint) == (origin, certified.fingerprint)


def test_hellos_without_a_known_name_are_refused_where_a_name_is_required(rig: Rig, service: Service) -> None:
    service.change(require_sni=True)
    for name in (None, "unknown.example"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            hello(service, name)
    assert shown(service, "first.example") == prints(FIRST)
    with rig.without_reload():
        service.change(certificates=("first", "exact"))
        assert shown(service, "a.shop.example") == prints(EXACT)
        service.change(certificates=("first",))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            hello(service, "a.shop.example")


@pytest.mark.requirement("S4-31")
def test_a_chain_follows_its_intermediates_without_a_reload(rig: Rig, service: Service) -> None:
    shop = leaf("chained.example", issuer=INNER)
    rig.do(PutCertificate("chained", read_upload(shop.bundle("key leaf")), replace=True))
    service.change(certificates=("first", "chained"))
    steps = (
        (AddIntermediates("inner", [INNER.certificate]), [shop, INNER]),
        (AddIntermediates("outer", [OUTER.certificate, ROOT.certificate]), [shop, INNER, OUTER]),
        (RemoveIntermediate("inner"), [shop]),
        (AddIntermediates("inner", [INNER.certificate]), [shop, INNER, OUTER]),
    )
    with rig.without_reload():
        for command, chain in steps:
            rig.do(command)
            assert list(hello(service, "chained.example").chain) == [one.certificate for one in chain]
    for name in ("inner", "outer", "outer-2"):
        rig.do(RemoveIntermediate(name))


def test_a_chain_too_long_for_haproxy_s_socket_comes_by_a_reload(rig: Rig, service: Service) -> None:
    issuer = INNER
    for number in range(20):
        issuer = authority(f"Certificates {'very long name ' * 2}{number}", issuer=issuer)
    long = leaf("long.example", issuer=issuer)
    rig.do(PutCertificate("long", read_upload(leaf("long.example", issuer=ROOT).bundle()), replace=True))
    service.change(certificates=("first", "long"))
    worker = rig.worker
    rig.do(PutCertificate("long", read_upload(long.bundle()), replace=True))
    assert rig.worker != worker
    found = hello(service, "long.example")
    assert (found.fingerprint, len(found.chain)) == (long.fingerprint, 20)


def test_a_certificate_whose_request_was_made_here_comes_without_its_key(rig: Rig, service: Service) -> None:
    made = signing_request("asked", {"common_name": "asked.example"}, (), "ec-p384")
    rig.do(made)
    request = x509.load_pem_x509_csr(made.request_pem.encode())
    template = leaf("asked.example", issuer=ROOT, kind="ec").certificate
    signed = (
        x509.CertificateBuilder(extensions=list(template.extensions)[3:])
        .subject_name(request.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
        .sign(ROOT.key, hashes.SHA256())
    )
    rig.do(PutCertificate("asked", read_upload(signed.public_bytes(Encoding.PEM))))
    with rig.without_reload():
        service.change(certificates=("first", "asked"))
        assert hello(service, "asked.example").certificate == signed
    assert rig.started.appliance.snapshot().configuration.signing_requests == {}


def test_a_restored_certificate_is_served_at_once(rig: Rig, service: Service) -> None:
    old, new = (leaf("saved.example", issuer=ROOT, generation=number) for number in (1, 2))
    rig.certificate("saved", old, replace=True)
    service.change(certificates=("first", "saved"))
    file = rig.backup("correct horse")
    assert old.key_pem.splitlines()[1] not in file
    rig.certificate("saved", new, replace=True)
    with rig.without_reload():
        assert shown(service, "saved.example") == prints(new)
        rig.do(RestoreCertificates(unseal(file, "correct horse"), "vs"))
        assert shown(service, "saved.example") == prints(old)


def test_a_key_that_is_too_short_for_the_tls_library_is_refused_in_words(rig: Rig, service: Service) -> None:
    """Debian's OpenSSL refuses RSA keys under 2048 bits, the wheel's takes them: either way service goes on."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    strong = leaf("weak.example", issuer=ROOT)
    weak = (
        x509.CertificateBuilder(extensions=list(strong.certificate.extensions)[3:])
        .subject_name(strong.certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(strong.certificate.not_valid_before_utc)
        .not_valid_after(strong.certificate.not_valid_after_utc)
        .sign(ROOT.key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + weak.public_bytes(Encoding.PEM)
    rig.certificate("weak", strong, replace=True)
    service.change(certificates=("first", "weak"))
    with rig.without_reload():
        try:
            rig.do(PutCertificate("weak", read_upload(pem), replace=True))
        except EngineRefused as refusal:
            assert "2048 bits" in refusal.message, refusal.words
            assert shown(service, "weak.example", None) == prints(strong, FIRST)
            rig.certificate("exact", leaf("c.shop.example", issuer=ROOT), replace=True)
            service.change(certificates=("first", "weak", "exact"))
            assert shown(service, "c.shop.example") == prints(leaf("c.shop.example", issuer=ROOT))
        else:
            assert hello(service, "weak.example").certificate == weak
