"""SSL parameters: when they count, and what the record shows."""

from __future__ import annotations

import pytest
from tests.support import certificates
from tests.support.fake_appliance import TEMPORARY
from tests.unit.api.loadmaster.calling import Api

HTTPS = {"vs": "10.0.0.10", "port": "443", "prot": "tcp", "vstype": "http"}


@pytest.fixture
def shop(api: Api) -> Api:
    for name in ("shop", "api"):
        api.upload(1, "addcert", certificates.leaf(f"{name}.example", kind="ec").bundle(), cert=name)
    return api


def test_ssl_members_are_absent_while_it_is_off(api: Api) -> None:
    record = api.v2("addvs", HTTPS)
    assert not {"SSLAcceleration", "CertFile", "CipherSet", "Tls13CipherSet"} & record.keys()
    assert record["TlsType"] == "0"


def test_without_a_certificate_the_temporary_one_is_shown(api: Api) -> None:
    record = api.v2("addvs", {**HTTPS, "sslacceleration": "1"})
    assert (record["SSLAcceleration"], record["CertFile"], record["TlsType"]) == (True, TEMPORARY, "7")
    assert record["CipherSet"] == "Default"
    assert api.v2("listcert") == {}
    # Writing it back, as clients do that write whole records, changes nothing; so does another unit's.
    for name in (TEMPORARY, "f" * 32, f"{TEMPORARY} {'e' * 32}"):
        assert api.v2("modvs", vs=1, CertFile=name)["CertFile"] == TEMPORARY
    assert api.appliance.configuration.service(1).certificates == ()


def test_a_server_name_is_required_when_it_is_asked_for(shop: Api) -> None:
    record = shop.v1("addvs", {**HTTPS, "sslacceleration": 1, "certfile": "shop api", "NeedHostName": "y"})
    assert record["NeedHostName"] == "Y"
    assert shop.appliance.configuration.service(1).require_sni
    assert shop.v2("modvs", vs=1, NeedHostName=0)["NeedHostName"] is False


@pytest.mark.parametrize("names", ["shop api", "shop,api", f"shop {TEMPORARY} api", ["shop", "api"]])
def test_certificates_are_named_with_blanks_or_commas(shop: Api, names: object) -> None:
    record = shop.v2("addvs", {**HTTPS, "sslacceleration": True, "certfile": names})
    assert record["CertFile"] == "shop api"
    assert shop.v1("modvs", vs=1, certfile="")["CertFile"] == TEMPORARY


def test_switching_off_clears_the_certificates_and_keeps_the_rest(shop: Api) -> None:
    shop.v1("addvs", {**HTTPS, "sslacceleration": 1, "certfile": "shop", "tlstype": 3, "allowhttp2": 1})
    off = shop.v1("modvs", vs=1, sslacceleration=0)
    assert "CertFile" not in off
    assert (off["TlsType"], off["AllowHTTP2"]) == ("0", "Y")
    on = shop.v1("modvs", vs=1, sslacceleration=1)
    assert (on["TlsType"], on["CertFile"]) == ("3", TEMPORARY)


def test_ssl_options_without_ssl_are_ignored(shop: Api) -> None:
    options = {"certfile": "shop", "sslreencrypt": 1, "allowhttp2": "y", "tlstype": 7, "clientcert": 1, "passsni": 1}
    record = shop.v1("addvs", {**HTTPS, **options})
    assert (record["SSLReencrypt"], record["AllowHTTP2"], record["ClientCert"]) == ("N", "N", "0")
    assert shop.v1("modvs", {"vs": 1, **options, "sslacceleration": 0})["SSLReencrypt"] == "N"
    assert shop.appliance.configuration.service(1).certificates == ()


def test_ssl_and_reencryption_are_applied_first(shop: Api) -> None:
    record = shop.v1("addvs", {**HTTPS, "passsni": "1", "sslreencrypt": "1", "tlstype": "15", "sslacceleration": "1"})
    assert (record["PassSni"], record["SSLReencrypt"], record["TlsType"]) == ("Y", "Y", "15")
    assert shop.v1("modvs", vs=1, sslreencrypt=0, passsni=0)["PassSni"] == "Y"
    assert shop.v1("modvs", vs=1, sslreencrypt=1, passsni=0)["PassSni"] == "N"


def test_pass_sni_without_reencryption_is_ignored(api: Api) -> None:
    assert api.v1("addvs", {**HTTPS, "sslacceleration": 1, "passsni": 1})["PassSni"] == "N"


@pytest.mark.parametrize("form", ["0", 0, ""])
def test_ssl_rewrite_is_read_back_as_a_number(api: Api, form: object) -> None:
    assert api.v2("addvs", {**HTTPS, "sslacceleration": 1, "SSLRewrite": form})["SSLRewrite"] == "0"


@pytest.mark.parametrize(("form", "number"), [("1", "1"), (2, "2"), ("http", "1"), ("https", "2")])
def test_ssl_rewrite_is_set_by_word_or_number(api: Api, form: object, number: str) -> None:
    web = {**HTTPS, "VStype": "http", "sslacceleration": 1}
    assert api.v2("addvs", {**web, "SSLRewrite": form})["SSLRewrite"] == number


@pytest.mark.parametrize("mask", [2, 5, 30, 31, 32])
def test_a_mask_that_cannot_be_offered_is_refused(api: Api, mask: int) -> None:
    assert api.v1_error("addvs", {**HTTPS, "sslacceleration": 1, "tlstype": mask})[0] == 422


@pytest.mark.parametrize("form", ["0", 0, "00", " 0 "])
def test_the_0_of_a_record_without_ssl_is_no_protocol_mask(api: Api, form: object) -> None:
    """Clients write it back, also together with what switches SSL on."""
    made = api.v2("addvs", {**HTTPS, "sslacceleration": 1, "TlsType": form})
    assert made["TlsType"] == "7"
    api.v2("modvs", vs=1, sslacceleration=1, tlstype=3)
    api.v2("modvs", vs=1, sslacceleration=0, tlstype=form)
    assert api.v2("modvs", vs=1, tlstype=form)["TlsType"] == "0"
    assert api.v2("modvs", vs=1, sslacceleration=1, tlstype=form)["TlsType"] == "3", "what was set before"


def test_0_for_a_service_with_ssl_is_refused_like_every_even_mask(api: Api) -> None:
    api.v1("addvs", {**HTTPS, "sslacceleration": 1})
    for mask in ("0", "2"):
        status, text = api.v1_error("modvs", vs=1, tlstype=mask, sslacceleration=1)
        assert status == 422
        assert text.startswith(f"TLSType '{mask}' leaves SSLv3 on")
        assert text.endswith(f". Add 1: TLSType={int(mask) + 1} has TLS 1.{int(mask) // 2} to 1.3")
    assert api.v1("showvs", vs=1)["TlsType"] == "7"


def test_suites_of_tls_1_3_are_accepted_with_any_separator(api: Api) -> None:
    suites = api.v2("addvs", {**HTTPS, "sslacceleration": 1})["Tls13CipherSet"]
    for separator in (" ", ":", ","):
        api.v1("modvs", vs=1, tls13cipherset=suites.replace(" ", separator))
        assert api.v2("showvs", vs=1)["Tls13CipherSet"] == suites
    api.v1("modvs", vs=1, tls13cipherset="TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384")
    assert api.v2("showvs", vs=1)["Tls13CipherSet"] == "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384"
    assert "TLS_AES_512" in api.v1_error("modvs", vs=1, tls13cipherset="TLS_AES_512")[1]


def test_starttls_services(api: Api) -> None:
    made = api.v2("addvs", vs="10.0.0.1", port=25, prot="tcp", vstype="tls", starttlsmode=2, sslacceleration=1)
    assert (made["VStype"], made["StartTLSMode"], made["SSLAcceleration"]) == ("tls", 2, True)
    assert api.v1("showvs", vs=1)["StartTLSMode"] == "2"
    api.v1("modvs", vs=1, starttlsmode=4)
    assert api.v2("showvs", vs=1)["StartTLSMode"] == 4
    for value in (1, 3):
        status, said = api.v2_error("modvs", vs=1, starttlsmode=value)
        assert status == 422
        assert "FTP" in said
    assert "needs SSLAcceleration" in api.v1_error("modvs", vs=1, sslacceleration=0)[1]
    api.v1("modvs", vs=1, vstype="gen", sslacceleration=0)
    assert api.v2("showvs", vs=1)["StartTLSMode"] == 0


def test_parameters_of_the_administration_interface(api: Api) -> None:
    assert api.v1("get", param="wuicipherset")["wuicipherset"] == "WUI"
    assert api.v2("get", param="WUITLSProtocols")["WUITLSProtocols"] == 7
    api.v1("set", param="wuicipherset", value="FIPS")
    api.v2("set", param="WUITLSProtocols", value=23)
    assert api.v1("getall")["wuicipherset"] == "FIPS"
    assert "BestPractices" in api.v2_error("set", param="wuicipherset", value="Bogus")[1]
    assert "unbroken range" in api.v1_error("set", param="wuitlsprotocols", value=11)[1]
    assert "cannot choose suites" in api.v1_error("set", param="WUITLS13Ciphersets", value="TLS_AES_128_GCM_SHA256")[1]
