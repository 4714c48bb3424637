from __future__ import annotations

import base64

import pytest
from cryptography import x509
from tests.support import certificates
from tests.support.fake_appliance import TEMPORARY
from tests.unit.api.loadmaster.calling import Api

ROOT = certificates.authority("Test Root")
MIDDLE = certificates.authority("Test Middle", issuer=ROOT)
SHOP = certificates.leaf("shop.example", issuer=MIDDLE)
EDGE = certificates.leaf("edge.example", kind="ec")


@pytest.mark.parametrize("version", [1, 2])
def test_a_certificate_is_imported_listed_read_and_removed(api: Api, version: int) -> None:
    api.upload(version, "addcert", SHOP.bundle("chain leaf key"), cert="shop")
    api.upload(version, "addcert", EDGE.pkcs12(b"secret"), cert="edge", password="secret")
    shop, edge = api.v2("listcert")["cert"]
    assert (shop["name"], shop["type"]) == ("shop", "RSA")
    assert int(shop["modulus"], 16) == SHOP.key.public_key().public_numbers().n  # type: ignore[union-attr]
    assert shop["modulus"] == shop["modulus"].upper()
    assert (edge["type"], "modulus" in edge, base64.b64decode(edge["publickey"])[:1]) == ("ECC", False, b"0")
    listed = api.v1("listcert")["cert"]
    assert [(cert["name"], bool(cert["modulus"])) for cert in listed] == [("shop", True), ("edge", False)]
    read = api.v1("readcert", cert="shop")["certificate"]
    assert x509.load_pem_x509_certificates(read.encode()) == [SHOP.certificate]
    assert "PRIVATE" not in read
    der = api.v2("readcert", cert="shop", outform="DER")["certificate"]
    assert x509.load_der_x509_certificate(base64.b64decode(der)) == SHOP.certificate
    assert api.v1("delcert", cert="shop") == "Command completed ok"
    assert [cert["name"] for cert in api.v2("listcert")["cert"]] == ["edge"]


def test_the_private_key_goes_to_the_secrets(api: Api) -> None:
    api.upload(1, "addcert", SHOP.bundle(), cert="shop")
    assert "PRIVATE KEY" not in api.appliance.configuration.certificates["shop"].model_dump_json()


def test_an_existing_one_needs_replace(api: Api) -> None:
    api.upload(1, "addcert", SHOP.bundle(), cert="shop", replace="0")
    assert "already exists" in api.v1_error("addcert", cert="shop", body=EDGE.bundle())[1]
    api.upload(2, "addcert", EDGE.bundle(), cert="shop", replace="1")
    assert api.v2("listcert")["cert"][0]["type"] == "ECC"


def test_one_in_use_is_not_removed(api: Api) -> None:
    api.upload(1, "addcert", SHOP.bundle(), cert="shop")
    api.v1("addvs", vs="10.0.0.1", port=443, prot="tcp", sslacceleration=1, certfile="shop")
    for error in (api.v1_error, api.v2_error):
        assert error("delcert", cert="shop") == (422, "Certfile still associated with a VS")


@pytest.mark.parametrize("command", ["readcert", "delcert"])
def test_unknown_and_temporary_ones_are_unknown(api: Api, command: str) -> None:
    for name in ("nothing", TEMPORARY):
        assert api.v1_error(command, cert=name) == (422, "Unknown certificate")
        assert api.v2_error(command, cert=name) == (422, "Unknown certificate")
    assert api.v2_error(command) == (400, "cert: String Value missing")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (SHOP.bundle("leaf chain"), "no private key"),
        (SHOP.key_pem, "no certificate"),
        (SHOP.key_pem + EDGE.pem, "does not belong"),
        (b"rubbish", "neither PEM nor PKCS#12"),
        (b"", "empty"),
        (SHOP.bundle()[:-40], "no end"),
        (EDGE.pkcs12(b"other"), "password does not open"),
        (SHOP.encrypted_key_pem(b"other") + SHOP.pem, "password does not open"),
    ],
)
def test_uploads_that_make_no_sense_are_refused(api: Api, content: bytes, says: str) -> None:
    status, text = api.v1_error("addcert", cert="shop", password="wrong", body=content)
    assert status == 422
    assert says in text
    if content:
        encoded = base64.b64encode(content).decode()
        assert says in api.v2_error("addcert", cert="shop", password="wrong", data=encoded)[1]
    assert api.v2("listcert") == {}


def test_names_and_data_are_checked(api: Api) -> None:
    assert api.v1_error("addcert", body=SHOP.bundle()) == (400, "cert: String Value missing")
    assert api.v2_error("addcert", cert="shop") == (400, "data: String Value missing")
    assert api.v2_error("addcert", cert="shop", data="%%%") == (422, "data is not valid base64")
    assert "cert" in api.v1_error("addcert", cert="../x", body=SHOP.bundle())[1]
    assert "self-signed" in api.v1_error("addcert", cert=TEMPORARY, replace=1, body=SHOP.bundle())[1]


@pytest.mark.parametrize("version", [1, 2])
def test_intermediates_are_imported_listed_read_and_removed(api: Api, version: int) -> None:
    api.upload(version, "addintermediate", MIDDLE.pem, cert="middle")
    api.upload(version, "addintermediate", ROOT.pem, cert="root")
    for call in (api.v1, api.v2):
        listed = call("listintermediate")["cert"]
        assert [(cert["name"], cert["type"], "publickey" in cert) for cert in listed] == [
            ("middle", "ECC", True),
            ("root", "ECC", True),
        ]
        read = call("readintermediate", cert="middle")["certificate"]
        assert x509.load_pem_x509_certificates(read.encode()) == [MIDDLE.certificate]
        der = call("readintermediate", cert="middle", outform="DER")["certificate"]
        assert x509.load_der_x509_certificate(base64.b64decode(der)) == MIDDLE.certificate
    assert "already exists" in api.v1_error("addintermediate", cert="root", body=MIDDLE.pem)[1]
    assert api.v1("delintermediate", cert="root") == "Command completed ok"
    assert api.v2("delintermediate", cert="middle") == {"message": "Command completed ok"}
    assert api.v2("listintermediate") == {}


@pytest.mark.parametrize("command", ["readintermediate", "delintermediate"])
def test_unknown_intermediates_are_unknown(api: Api, command: str) -> None:
    assert api.v1_error(command, cert="nothing") == (422, "Unknown certificate")
    assert api.v2_error(command, cert="nothing") == (422, "Unknown certificate")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"rubbish", "no PEM"),
        (MIDDLE.der, "openssl x509 -inform DER"),
        (MIDDLE.bundle("key leaf"), "private key"),
        (SHOP.pem, "may not sign others"),
        (MIDDLE.pem[:-30], "no end"),
    ],
)
def test_intermediates_that_are_none_are_refused(api: Api, content: bytes, says: str) -> None:
    status, text = api.v1_error("addintermediate", cert="middle", body=content)
    assert (status, says in text) == (422, True), text
    assert api.v2("listintermediate") == {}


@pytest.mark.parametrize("version", [1, 2])
def test_certificates_are_backed_up_and_restored(api: Api, version: int) -> None:
    api.upload(1, "addcert", SHOP.bundle(), cert="shop")
    api.upload(1, "addintermediate", MIDDLE.pem, cert="middle")
    if version == 1:
        file = api.v1_response("backupcert", password="hunter22").content
    else:
        file = base64.b64decode(api.v2("backupcert", password="hunter22")["data"])
    assert SHOP.key_pem.splitlines()[1] not in file
    api.v1("delcert", cert="shop")
    api.v1("delintermediate", cert="middle")
    api.upload(version, "restorecert", file, password="hunter22", type="third")
    assert (api.v2("listcert"), "cert" in api.v2("listintermediate")) == ({}, True)
    api.upload(version, "restorecert", file, password="hunter22", type="full")
    assert [cert["name"] for cert in api.v2("listcert")["cert"]] == ["shop"]
    for text, more in (
        ("type is unknown", {"password": "hunter22", "type": "Full"}),
        ("does not open", {"password": "hunter23", "type": "full"}),
        ("String Value missing", {"type": "full"}),
    ):
        assert text in api.v1_error("restorecert", body=file, **more)[1]
    assert "no backup" in api.v1_error("restorecert", body=SHOP.bundle(), password="hunter22", type="vs")[1]


def test_pass_phrases_have_seven_to_64_characters(api: Api) -> None:
    for password in ("hunter", "h" * 65):
        assert "7 to 64" in api.v1_error("backupcert", password=password)[1]
        assert api.v2_error("backupcert", password=password)[0] == 422
    assert api.v2_error("backupcert") == (400, "password: String Value missing")


def test_uploads_need_the_permission(api: Api) -> None:
    api.sign_in("operator", "vs")
    assert api.v1_error("addcert", cert="shop", body=SHOP.bundle())[0] == 403
    assert api.v2_error("delcert", cert="shop")[0] == 403
    api.sign_in("creator", "certs")
    for command in ("addintermediate", "restorecert"):
        assert api.v1_error(command, cert="middle", body=MIDDLE.pem)[0] == 403
    for command in ("delintermediate", "backupcert"):
        assert api.v2_error(command, cert="middle", password="hunter22")[0] == 403
    api.sign_in("keeper", "cert3")
    api.upload(1, "addintermediate", MIDDLE.pem, cert="middle")
