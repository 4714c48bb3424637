from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.cipher_set import BUILT_IN

OK = "Command completed ok"


@pytest.mark.parametrize("version", [1, 2])
def test_a_set_is_made_read_changed_and_removed(api: Api, version: int) -> None:
    call = api.v1 if version == 1 else api.v2
    error = api.v1_error if version == 1 else api.v2_error
    call("modifycipherset", name="Odd", value="AES128-SHA:AES256-SHA")
    assert call("getcipherset", name="Odd")["cipherset"] == "AES128-SHA:AES256-SHA"
    call("modifycipherset", name="Odd", value="AES256-SHA")
    assert call("getcipherset", name="Odd")["cipherset"] == "AES256-SHA"
    call("addvs", vs="10.0.0.1", port=443, prot="tcp", sslacceleration=1, cipherset="Odd")
    assert error("delcipherset", name="Odd") == (422, "Cipher set in use")
    call("modvs", vs="1", cipherset="Default")
    call("delcipherset", name="Odd")
    for command in ("getcipherset", "delcipherset"):
        assert error(command, name="Odd") == (422, "Unknown cipher set")


def test_built_in_sets_are_read_and_never_changed(api: Api) -> None:
    for name, ciphers in BUILT_IN.items():
        assert api.v2("getcipherset", name=name)["cipherset"] == ":".join(ciphers)
    assert "built-in" in api.v1_error("modifycipherset", name="FIPS", value="AES128-SHA")[1]
    assert "built-in" in api.v2_error("delcipherset", name="Default")[1]
    assert api.v2_error("getcipherset", name="default") == (422, "Unknown cipher set")
    status, said = api.v1_error("modifycipherset", name="Odd", value="AES128-SHA:BOGUS")
    assert status == 422
    assert "BOGUS" in said
    assert api.v2_error("modifycipherset", name="Odd") == (400, "value: String Value missing")


def test_a_record_shows_the_ciphers_and_takes_them_back(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.1", port=443, prot="tcp")
    assert "CipherSet" not in api.v2("showvs", vs="1")
    api.v1("modvs", vs="1", sslacceleration=1)
    record = api.v2("showvs", vs="1")
    assert (record["CipherSet"], record["Ciphers"]) == ("Default", ":".join(BUILT_IN["Default"]))
    assert record["Tls13CipherSet"].split()[0] == "TLS_AES_256_GCM_SHA384"
    written = {name: record[name] for name in ("CipherSet", "Ciphers", "Tls13CipherSet")}
    api.v2("modvs", vs="1", **{**written, "CipherSet": "BestPractices"})
    assert api.v2("showvs", vs="1")["CipherSet"] == "BestPractices"
    api.v1("modvs", vs="1", ciphers="AES128-SHA:AES256-SHA", tls13cipherset="TLS_AES_128_GCM_SHA256")
    record = api.v2("listvs")["VS"][0]
    assert (record["CipherSet"], record["Ciphers"]) == ("Custom_1", "AES128-SHA:AES256-SHA")
    assert record["Tls13CipherSet"] == "TLS_AES_128_GCM_SHA256"
    assert api.v2("getcipherset", name="Custom_1")["cipherset"] == "AES128-SHA:AES256-SHA"
    assert "no cipher for TLS 1.1" in api.v2_error("modvs", vs="1", cipherset="BestPractices", tlstype=3)[1]
