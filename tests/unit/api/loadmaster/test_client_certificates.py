"""ClientCert, IntermediateCerts, SSLStapling and sslforceserververify under their own names."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.certificates import authority
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.commands import ChangeService

STAFF = authority("Loadmaster Staff")
GUESTS = authority("Loadmaster Guests")


def _authorities_are_here(api: Api) -> None:
    for name, one in (("staff", STAFF), ("guests", GUESTS)):
        api.upload(1, "addintermediate", one.pem, cert=name)


@pytest.mark.parametrize("version", [1, 2])
def test_client_certificates_are_set_and_shown(api: Api, version: int) -> None:
    call = api.v1 if version == 1 else api.v2
    error = api.v1_error if version == 1 else api.v2_error
    call("addvs", vs="10.0.0.1", port=443, prot="tcp", sslacceleration=1, vstype="http")
    assert "no authority's certificate is here" in error("modvs", vs="1", clientcert=1)[1]
    _authorities_are_here(api)
    call("modvs", vs="1", clientcert=5, intermediatecerts="staff+guests" if version == 2 else "staff guests")
    record = call("showvs", vs="1")
    assert str(record["ClientCert"]) == "5"
    assert record["IntermediateCerts"] == "staff guests"
    call("modvs", vs="1", intermediatecerts="staff")
    assert call("showvs", vs="1")["IntermediateCerts"] == "staff", "the full list each time"
    assert error("delintermediate", cert="staff")[0] == 422
    call("modvs", vs="1", intermediatecerts="")
    assert "IntermediateCerts" not in call("showvs", vs="1")
    assert "names 'nobody'" in error("modvs", vs="1", intermediatecerts="nobody")[1]
    assert "is not one of the choices" in error("modvs", vs="1", clientcert=7)[1]
    call("modvs", vs="1", ocspverify=1)
    assert str(call("showvs", vs="1")["OCSPVerify"]) in ("Y", "True")
    call("modvs", vs="1", clientcert=0)
    assert str(call("showvs", vs="1")["ClientCert"]) == "0"


def test_a_choice_of_the_native_api_alone_survives(api: Api) -> None:
    _authorities_are_here(api)
    api.v1("addvs", vs="10.0.0.1", port=443, prot="tcp", sslacceleration=1, vstype="http", clientcert=1)
    change = ChangeService(1, {"client_certificates_optional": True})
    asyncio.run(api.appliance.execute(change, api.appliance.administrator()))
    api.v2("modvs", vs="1", clientcert=3)
    assert api.appliance.configuration.service(1).client_certificates_optional


def test_stapling_and_verification_of_real_servers_are_parameters(api: Api) -> None:
    for name, value, shown in (
        ("SSLStapling", 1, "yes"),
        ("SSLRefreshInterval", 7200, "7200"),
        ("sslforceserververify", 1, "yes"),
    ):
        api.v1("set", param=name, value=value)
        assert str(api.v1("get", param=name)[name]) == shown
    assert "3600 to 86400" in api.v2_error("set", param="SSLRefreshInterval", value=60)[1]
    for name, value, shown in (
        ("OCSPServer", "ocsp.example", "ocsp.example"),
        ("OCSPPort", 8080, "8080"),
        ("OCSPUrl", "/ask", "/ask"),
        ("OCSPUseSSL", 1, "yes"),
        ("OCSPOnServerFail", 1, "yes"),
    ):
        api.v1("set", param=name, value=value)
        assert str(api.v2("get", param=name)[name]).replace("True", "yes") == shown
    assert api.appliance.configuration.tls.responder == "https://ocsp.example:8080/ask"
    assert "host name" in api.v1_error("set", param="OCSPServer", value="a b")[1]
    assert "OCSPVerify" in api.v1_error("set", param="OCSPcertChecking", value=1)[1]
