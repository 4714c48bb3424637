"""Cipher sets as clients meet them (`reference/loadmaster-api/05`, 5.2)."""

from __future__ import annotations

import ssl

import pytest
from tests.engine.rig import Rig, Service
from tests.support.certificates import authority, leaf
from tests.support.origin import Origin
from tests.support.tls_client import client_context, tls_hello_fetch

from steelyard.model.cipher_set import BUILT_IN
from steelyard.model.ciphers import is_weak
from steelyard.model.commands import PutCipherSet, RemoveCipherSet
from steelyard.model.errors import HostLacks, OperatorError

pytestmark = pytest.mark.engine

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ROOT = authority()
KEYS = {kind: leaf("sets.example", issuer=ROOT, kind=kind) for kind in ("rsa", "ec")}


@pytest.fixture
def service(rig: Rig, one: Origin) -> Service:
    """A service with an RSA and an ECDSA certificate for the same name."""
    names = []
    for kind, certified in KEYS.items():
        name = f"sets-{kind}"
        rig.certificate(name, certified, replace=name in rig.started.appliance.snapshot().configuration.certificates)
        names.append(name)
    return rig.http(one, ssl_acceleration=True, certificates=tuple(names))


def agreed(service: Service, ciphers: str) -> str | None:
    """The cipher a client of TLS 1.2 gets that knows these alone; None if it is refused."""
    context = client_context(lowest=V12, highest=V12, ciphers=f"{ciphers}:@SECLEVEL=0")
    try:
        return tls_hello_fetch(service.address, service.port, sni="sets.example", context=context).cipher
    except (ssl.SSLError, ConnectionError):
        return None


def offered(service: Service, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the names that a client gets, in the service's order."""
    found: list[str] = []
    left = list(names)
    while left and (cipher := agreed(service, ":".join(left))) is not None:
        found.append(cipher)
        left.remove(cipher)
    return tuple(found)


def usable(names: tuple[str, ...], known: frozenset[str] | None) -> tuple[str, ...]:
    return tuple(one for one in names if known is not None and one in known and "-DSS-" not in one)


def test_each_built_in_set_offers_its_members_in_their_order(rig: Rig, service: Service) -> None:
    known = rig.started.appliance.ciphers()
    every = usable(tuple(dict.fromkeys(one for members in BUILT_IN.values() for one in members)), known)
    for name, members in BUILT_IN.items():
        service.change(cipher_set=name)
        # of an RSA and an ECDSA certificate the client's list chooses, so each kind of key is looked at alone
        for is_ecdsa in (True, False):
            mine = tuple(one for one in usable(members, known) if ("-ECDSA-" in one) == is_ecdsa)
            asked = tuple(one for one in every if ("-ECDSA-" in one) == is_ecdsa)
            assert offered(service, asked) == mine, name


def test_the_default_has_forward_secrecy_and_nothing_weak(service: Service) -> None:
    assert service.setting("cipher_set") == "Default"
    assert agreed(service, "AES128-GCM-SHA256:AES256-SHA:AES128-SHA") is None, "key exchange by RSA"
    assert agreed(service, "DHE-RSA-AES256-GCM-SHA384") is None
    assert not any(is_weak(one) or not one.startswith("ECDHE-") for one in BUILT_IN["Default"])


def test_a_set_of_ones_own_and_ciphers_of_a_service(rig: Rig, service: Service) -> None:
    rig.do(PutCipherSet("Odd", ("ECDHE-RSA-AES128-SHA256", "RC4-SHA", "AES128-SHA")))
    service.change(cipher_set="Odd")
    assert offered(service, ("AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES256-SHA")) == (
        "ECDHE-RSA-AES128-SHA256",
        "AES128-SHA",
    ), "what the library lacks is left out"
    rig.do(PutCipherSet("Odd", ("AES256-SHA",)))
    assert offered(service, ("AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES256-SHA")) == ("AES256-SHA",)
    service.change(ciphers="AES128-SHA:AES256-SHA")
    assert service.setting("cipher_set") == f"Custom_{service.index}"
    assert offered(service, ("AES256-SHA", "AES128-SHA")) == ("AES128-SHA", "AES256-SHA")
    rig.do(RemoveCipherSet("Odd"))


def test_a_set_the_library_has_nothing_of_is_refused(rig: Rig, service: Service) -> None:
    rig.do(PutCipherSet("Gone", ("RC4-SHA", "DES-CBC3-SHA")))
    with pytest.raises(HostLacks, match="RC4-SHA, DES-CBC3-SHA"):
        service.change(cipher_set="Gone")
    rig.do(PutCipherSet("Gone", ("RC4-SHA", "AES128-SHA")))
    service.change(cipher_set="Gone")
    with pytest.raises(HostLacks, match=r"TLS 1\.2"):
        rig.do(PutCipherSet("Gone", ("RC4-SHA",)))
    assert agreed(service, "AES128-SHA") == "AES128-SHA"


def test_suites_of_tls13_are_offered_in_their_order(service: Service) -> None:
    def suite() -> str:
        context = client_context(lowest=V13)
        return tls_hello_fetch(service.address, service.port, sni="sets.example", context=context).cipher

    assert suite() == "TLS_AES_256_GCM_SHA384"
    service.change(tls13_cipher_set=("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"))
    assert suite() == "TLS_AES_128_GCM_SHA256"
    service.change(tls13_cipher_set=("TLS_CHACHA20_POLY1305_SHA256",))
    assert suite() == "TLS_CHACHA20_POLY1305_SHA256"
    with pytest.raises(OperatorError, match="cannot be emptied"):
        service.change(tls13_cipher_set=())
