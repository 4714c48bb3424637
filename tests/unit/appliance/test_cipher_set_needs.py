"""A cipher set whose members this host's TLS library lacks, and how changes of sets are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.strategies import TEMPORARY, material

from steelyard.appliance.differences import differences
from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.engines.host import FakeHost
from steelyard.model.commands import AddService, PutCertificate, PutCipherSet
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks

KNOWN = frozenset({"AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"})


def configured(
    *ciphers: str, tls_type: int = 7, suites: tuple[str, ...] = ("TLS_AES_128_GCM_SHA256",)
) -> Configuration:
    made = PutCertificate(TEMPORARY, material("steelyard.invalid"), temporary=True).apply(Configuration()).configuration
    made = PutCipherSet("Odd", ciphers).apply(made).configuration
    settings = {"address": "127.0.0.1", "port": 443, "ssl_acceleration": True, "tls_type": tls_type}
    return AddService({**settings, "cipher_set": "Odd", "tls13_cipher_set": suites}).apply(made).configuration


def refuse(old: Configuration, new: Configuration) -> None:
    refuse_what_host_lacks(old, new, replace(FakeHost().capabilities(), ciphers=KNOWN))


def test_what_is_missing_is_left_out_and_what_is_there_goes_on() -> None:
    configuration = configured("RC4-SHA", "AES128-SHA", "DES-CBC3-SHA")
    refuse(Configuration(), configuration)
    plan = Compiler(EngineFacts(threads=1, lua=True, open_files=20_000, ciphers=KNOWN)).compile(configuration)
    frontend = plan.haproxy.services["vs1"].frontend
    assert frontend is not None
    assert frontend.tls is not None
    assert frontend.tls.ciphers == "AES128-SHA", "and nothing that needs the lowest security level"


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        (configured("RC4-SHA"), "'Odd' has for TLS 1.2 only ciphers that OpenSSL .* does not have: RC4-SHA"),
        (configured("RC4-SHA", "ECDHE-RSA-AES128-GCM-SHA256", tls_type=3), "for TLS 1.1"),
        (configured("AES128-SHA", suites=("TLS_AES_128_CCM_SHA256",)), "Tls13CipherSet has for TLS 1.3"),
    ],
)
def test_a_protocol_that_nothing_is_left_for_is_refused(configuration: Configuration, says: str) -> None:
    with pytest.raises(HostLacks, match=says):
        refuse(Configuration(), configuration)
    refuse(configuration, configuration)


def test_a_change_of_the_set_is_looked_at_too() -> None:
    before = configured("AES128-SHA")
    after = PutCipherSet("Odd", ("RC4-SHA",)).apply(before).configuration
    with pytest.raises(HostLacks):
        refuse(before, after)
    (told,) = differences(before, after)
    assert (told.title, told.lines) == ("cipher set Odd", ("ciphers: AES128-SHA -> RC4-SHA",))
