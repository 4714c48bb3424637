"""Cipher sets: what may be in one, which service one fits, and what `ciphers` of a service makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import certificates

from steelyard.model.certificate import read_upload
from steelyard.model.cipher_set import BUILT_IN, custom_name, members
from steelyard.model.ciphers import CIPHERS, authentication, is_weak, works_with
from steelyard.model.commands import (
    AddService,
    ChangeService,
    Declare,
    DuplicateService,
    PutCertificate,
    PutCipherSet,
    RemoveCipherSet,
    RemoveService,
    SetParameters,
)
from steelyard.model.configuration import Configuration, document_of, from_documents, objects_of
from steelyard.model.errors import ConflictError, NotFound, OperatorError

MATERIAL = {kind: read_upload(certificates.leaf("x.test", kind=kind).bundle()) for kind in ("rsa", "ec")}


def configured(*sets: tuple[str, str], **settings: Any) -> Configuration:
    """One service with these settings, and cipher sets by name; certificates "rsa" and "ec"."""
    configuration = Configuration()
    for name, material in MATERIAL.items():
        configuration = PutCertificate(name, material).apply(configuration).configuration
    for name, ciphers in sets:
        configuration = PutCipherSet(name, tuple(ciphers.split(":"))).apply(configuration).configuration
    data = {"address": "10.0.0.1", "port": 443, "ssl_acceleration": True, **settings}
    return AddService(data).apply(configuration).configuration


def changed(configuration: Configuration, **changes: Any) -> Configuration:
    return ChangeService(1, changes).apply(configuration).configuration


def test_there_are_the_eleven_sets_of_loadmaster() -> None:
    assert len(BUILT_IN) == 11
    for names in BUILT_IN.values():
        assert names
        assert set(names) <= set(CIPHERS)
        assert len(set(names)) == len(names)
    assert all(
        authentication(one) == "ECC" for name in ("ECDSA_Default", "ECDSA_BestPractices") for one in BUILT_IN[name]
    )
    assert not any("RC4" in one for one in BUILT_IN["Default_NoRc4"])
    assert all("NULL" in one for one in BUILT_IN["Null_Ciphers"])
    assert all(one.startswith("ECDHE-") and not works_with(one, "TLSv1.1") for one in BUILT_IN["BestPractices"])
    weak = {name for name, names in BUILT_IN.items() if any(map(is_weak, names))}
    assert weak == {"Null_Ciphers", "Legacy"}


@pytest.mark.parametrize(
    ("ciphers", "says"),
    [
        (("AES128-SHA", "AES129-SHA"), "'AES129-SHA' is an unknown cipher"),
        (("aes128-sha",), "unknown cipher"),
        (("TLS_AES_128_GCM_SHA256",), "suite of TLS 1.3"),
        (("ADH-AES128-SHA",), "unknown cipher"),
        (("ALL",), "unknown cipher"),
        (("AES128-SHA @SECLEVEL=0",), "unknown cipher"),
        ((), "at least one cipher"),
    ],
)
def test_what_is_no_cipher_is_refused_by_name(ciphers: tuple[str, ...], says: str) -> None:
    with pytest.raises(OperatorError, match=says) as refusal:
        PutCipherSet("Odd", ciphers).apply(Configuration())
    assert refusal.value.field == "ciphers"
    assert refusal.value.remedy


def test_built_in_sets_stay_and_names_have_their_case() -> None:
    for name in BUILT_IN:
        with pytest.raises(OperatorError, match="built-in"):
            PutCipherSet(name, ("AES128-SHA",)).apply(Configuration())
        with pytest.raises(OperatorError, match="built-in"):
            RemoveCipherSet(name).apply(Configuration())
    configuration = PutCipherSet("default", ("AES128-SHA", "AES128-SHA")).apply(Configuration()).configuration
    assert members(configuration.cipher_sets, "default") == ("AES128-SHA",)
    with pytest.raises(NotFound):
        members(configuration.cipher_sets, "DEFAULT")


def test_a_set_in_use_stays() -> None:
    configuration = configured(("Odd", "AES128-SHA"), cipher_set="Odd")
    with pytest.raises(ConflictError, match="Cipher set in use"):
        RemoveCipherSet("Odd").apply(configuration)
    configuration = RemoveCipherSet("Odd").apply(changed(configuration, cipher_set="Default")).configuration
    with pytest.raises(NotFound):
        RemoveCipherSet("Odd").apply(configuration)
    with pytest.raises(OperatorError, match="'Odd' is no cipher set here") as refusal:
        changed(configuration, cipher_set="Odd")
    assert "BestPractices" in str(refusal.value.remedy)


@pytest.mark.parametrize(
    ("settings", "says", "remedy"),
    [
        ({"cipher_set": "BestPractices", "tls_type": 3}, "no cipher for TLS 1.1", "only TLS 1.2, TLS 1.3 on"),
        ({"cipher_set": "BestPractices", "tls_type": 29}, "no cipher for TLS 1.0", "another set"),
        ({"cipher_set": "ECDSA_Default", "certificates": ("rsa",)}, "only ciphers for ECDSA keys", "ECDSA key too"),
        ({"cipher_set": "Legacy", "certificates": ("ec",)}, "only ciphers for RSA keys", "RSA key too"),
        ({"cipher_set": "Sha", "certificates": ("ec",), "tls_type": 3}, "for TLS 1.1 only ciphers for RSA", "RSA key"),
    ],
)
def test_a_set_that_leaves_a_protocol_without_a_cipher_is_refused(
    settings: dict[str, Any], says: str, remedy: str
) -> None:
    own = ("Sha", "ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA")
    with pytest.raises(OperatorError, match=says) as refusal:
        configured(own, **settings)
    assert refusal.value.field == "cipher_set"
    assert remedy in str(refusal.value.remedy)


@pytest.mark.parametrize(
    "settings",
    [
        {"cipher_set": "BestPractices"},
        {"cipher_set": "BestPractices", "tls_type": 23},
        {"cipher_set": "ECDSA_Default", "tls_type": 15, "certificates": ("rsa",)},
        {"cipher_set": "ECDSA_Default", "certificates": ("rsa", "ec")},
        {"cipher_set": "ECDSA_Default", "certificates": ()},
        {"cipher_set": "Default", "tls_type": 1, "certificates": ("ec",)},
        {"cipher_set": "BestPractices", "tls_type": 3, "ssl_acceleration": False},
    ],
)
def test_what_fits_is_taken(settings: dict[str, Any]) -> None:
    assert configured(**settings).service(1).cipher_set == settings["cipher_set"]


def test_whatever_changes_is_held_against_the_set() -> None:
    configuration = configured(("Odd", "AES128-SHA"), cipher_set="Odd", tls_type=3, certificates=("rsa",))
    with pytest.raises(OperatorError, match=r"TLS 1\.1"):
        PutCipherSet("Odd", ("AES128-SHA256",)).apply(configuration)
    with pytest.raises(OperatorError, match="ECDSA keys"):
        PutCertificate("rsa", MATERIAL["ec"], replace=True).apply(configuration)
    with pytest.raises(OperatorError, match="ECDSA keys"):
        changed(configuration, certificates=("ec",))
    off = changed(configuration, ssl_acceleration=False, cipher_set="BestPractices")
    with pytest.raises(OperatorError, match=r"TLS 1\.1"):
        changed(off, ssl_acceleration=True)


def test_ciphers_of_a_service_are_a_set_of_its_own() -> None:
    configuration = configured(ciphers="AES128-SHA:AES256-SHA")
    name = custom_name(1)
    assert (configuration.service(1).cipher_set, configuration.service(1).ciphers) == (name, "")
    assert members(configuration.cipher_sets, name) == ("AES128-SHA", "AES256-SHA")
    configuration = changed(configuration, ciphers="AES256-SHA")
    assert members(configuration.cipher_sets, name) == ("AES256-SHA",)
    assert changed(configuration, ciphers="") is configuration
    with pytest.raises(OperatorError, match="unknown cipher") as refusal:
        changed(configuration, ciphers="AES256-SHA:NONE")
    assert refusal.value.field == "ciphers"


def test_a_record_that_is_written_back_changes_nothing_more_than_it_says() -> None:
    configuration = configured()
    default = ":".join(BUILT_IN["Default"])
    assert changed(configuration, cipher_set="Default", ciphers=default) is configuration
    best = changed(configuration, cipher_set="BestPractices", ciphers=default)
    assert best.service(1).cipher_set == "BestPractices"
    assert not best.cipher_sets
    with pytest.raises(OperatorError, match="two different sets"):
        changed(configuration, cipher_set="BestPractices", ciphers="AES128-SHA")
    own = changed(configuration, cipher_set="Default", ciphers="AES128-SHA")
    assert own.service(1).cipher_set == custom_name(1), "the set it has is no other wish"


def test_an_own_set_is_copied_and_goes_with_its_service() -> None:
    configuration = configured(ciphers="AES128-SHA")
    copied = DuplicateService(1, port=444).apply(configuration).configuration
    assert copied.service(2).cipher_set == custom_name(2)
    left = RemoveService(1).apply(copied).configuration
    assert set(left.cipher_sets) == {custom_name(2)}
    shared = ChangeService(2, {"cipher_set": custom_name(1)}).apply(copied).configuration
    assert set(RemoveService(1).apply(shared).configuration.cipher_sets) == {custom_name(1), custom_name(2)}


def test_sets_are_stored_and_declared() -> None:
    configuration = configured(("Odd", "AES128-SHA"), cipher_set="Odd")
    documents: dict[str, dict[str, Any]] = {}
    for kind, key, value in objects_of(configuration):
        documents.setdefault(kind, {})[key] = document_of(value)
    assert from_documents(documents).cipher_sets == configuration.cipher_sets
    service = {"address": "10.0.0.1", "port": 443, "ssl_acceleration": True, "cipher_set": "Odd"}
    again = Declare([service], cipher_sets={"Odd": ("AES128-SHA",)}).apply(configuration).configuration
    assert again.cipher_sets["Odd"] is configuration.cipher_sets["Odd"]
    with pytest.raises(OperatorError, match="'Odd' is no cipher set here"):
        Declare([service]).apply(configuration)
    with pytest.raises(OperatorError, match="names its sets itself"):
        Declare([{**service, "cipher_set": "Default", "ciphers": "AES128-SHA"}]).apply(configuration)


def test_suites_of_tls13_are_named_and_never_empty() -> None:
    configuration = configured(tls13_cipher_set=("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_SHA256"))
    assert configuration.service(1).tls13_cipher_set == ("TLS_AES_128_CCM_SHA256",)
    for wrong in ((), ("TLS_AES_512",), ("AES128-SHA",)):
        with pytest.raises(OperatorError) as refusal:
            changed(configuration, tls13_cipher_set=wrong)
        assert refusal.value.field == "tls13_cipher_set"


def test_the_set_of_the_administration_interface() -> None:
    configuration = configured(("Odd", "AES128-SHA"))
    set_it = SetParameters("tls", {"admin_cipher_set": "Odd", "admin_tls_type": 3})
    configuration = set_it.apply(configuration).configuration
    with pytest.raises(ConflictError, match="Cipher set in use"):
        RemoveCipherSet("Odd").apply(configuration)
    with pytest.raises(OperatorError, match=r"administration interface: .* no cipher for TLS 1\.1") as refusal:
        PutCipherSet("Odd", ("AES128-SHA256",)).apply(configuration)
    assert refusal.value.field == "admin_cipher_set"
    with pytest.raises(OperatorError, match=r"no cipher for TLS 1\.1"):
        SetParameters("tls", {"admin_cipher_set": "BestPractices"}).apply(configuration)
    for wrong in ("Gone", ""):
        with pytest.raises(OperatorError):
            SetParameters("tls", {"admin_cipher_set": wrong}).apply(configuration)
    with pytest.raises(OperatorError, match=r"cannot choose suites of TLS 1\.3"):
        SetParameters("tls", {"admin_tls13_cipher_set": ("TLS_AES_128_GCM_SHA256",)}).apply(configuration)


def test_starttls_needs_its_type_and_tls_and_says_what_is_not_built() -> None:
    assert configured(service_type="tls", starttls_mode=2).service(1).starttls_protocol == "smtp"
    for settings, says in (
        ({"starttls_mode": 1}, "in the middle of its dialogue"),
        ({"starttls_mode": 3}, "data connections of FTP"),
        ({"starttls_mode": 4, "service_type": "gen"}, "services of type tls"),
        ({"starttls_mode": 4, "ssl_acceleration": False}, "needs SSLAcceleration"),
        ({"starttls_mode": 4, "sub_services": [{"name": "a"}]}, "no sub-services"),
    ):
        with pytest.raises(OperatorError, match=says):
            configured(**{"service_type": "tls", **settings})
    changed_type = changed(configured(service_type="tls", starttls_mode=2), service_type="gen")
    assert changed_type.service(1).starttls_mode == 0
