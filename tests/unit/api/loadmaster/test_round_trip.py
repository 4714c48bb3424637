"""Clients write whole records back: that is accepted, and changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support import certificates
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.ciphers import TLS13_STANDARD, TLS13_SUITES
from steelyard.model.commands import AddService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.setting import Declared
from steelyard.model.virtual_service import VirtualService

_TEXTS = {
    "name": ["", "shop", "HTTP VS", "a.b@c-d_e"],
    "cookie": ["", "SID", "X-User"],
    "query_tag": ["", "id"],
    "check_url": ["", "/", "/health?a=1&b=%20"],
    "adaptive_url": ["", "/load", "/agent?a=1&b=%20"],
    "ldap_endpoint": ["", "office"],
    "check_host": ["", "shop.example", "10.0.0.1:8080", "[2001:db8::1]:80"],
    "check_pattern": ["", "ok", "<a&b>.*", "caf\u00e9", "a b  c"],
    "check_post_data": ["", "x=1&y=2", "{}"],
    "reencrypt_sni": ["", "inner.example"],
    "copy_header_from": ["X-A"],
    "copy_header_to": ["X-B"],
    "extra_header_name": ["X-C"],
    "extra_header_value": ["1 % \"&<>' \\"],
    "error_url": ["", "https://%h%s", "/sorry?a=b&c=%20"],
    "error_page": ["", "PGgxPkI+KzwvaDE+Pw=="],
    "standby_address": ["", "10.0.0.9", "2001:db8::9"],
    "default_gateway": ["", "10.0.0.254"],
    # those that fit every choice of protocols
    "cipher_set": ["Default", "Intermediate_compatibility", "Backward_compatibility"],
    "ciphers": [""],
    "allowed_hosts": ["", "a.example", "*.a.example mail.b.example [2001:db8::1]"],
    "allowed_directories": ["", "/*", "/owa* /ews/a&b<c> /sites/*/docs"],
    "excluded_directories": ["", "/public", "/caf\u00e9* /x%20y"],
}
_LISTS: dict[str, list[tuple[str, ...]]] = {
    "local_bind_addresses": [(), ("10.0.0.9",), ("10.0.0.9", "2001:db8::9")],
    "extra_ports": [(), ("8081",), ("8081", "9000-9010")],
    "certificates": [(), ("shop",), ("shop", "api")],
    "intermediate_certificates": [(), ("root",), ("root", "other")],
    "check_codes": [(), ("404",), ("404", "503")],
    "tls13_cipher_set": [TLS13_STANDARD, TLS13_SUITES, ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")],
    "check_headers": [(), ("A:1",), ("A:1", "B:x y", "C:")],
}
_COPIED = {"copy_header_from": "X-A", "copy_header_to": "X-B"}
_ADDED = {"extra_header_name": "X-C", "extra_header_value": "1"}
#: settings that are taken only with others
_TOGETHER: dict[str, dict[str, Any]] = {
    **dict.fromkeys(_COPIED, _COPIED),
    **dict.fromkeys(_ADDED, _ADDED),
    "error_code": {"error_url": "https://%h%s"},
    "standby_port": {"standby_address": "10.0.0.9"},
    "starttls_mode": {"service_type": "tls", "ssl_reencrypt": False},
}
_NOT_HERE = {"address", "port", "protocol"}


def _values(declared: Declared) -> st.SearchStrategy[Any]:
    setting = declared.setting
    if declared.name in _TEXTS:
        return st.sampled_from(_TEXTS[declared.name])
    if declared.name in _LISTS:
        return st.sampled_from(_LISTS[declared.name])
    if setting.choices:
        return st.sampled_from([choice for choice in setting.choices if choice not in setting.unbuilt])
    if declared.kind == "boolean":
        return st.booleans()
    numbers = st.integers(setting.ge or 0, setting.le or 0)
    return st.one_of(st.just(0), numbers) if setting.or_zero else numbers


BUILT = {
    name: declared
    for name, declared in VirtualService.declared().items()
    if declared.setting.built and declared.setting.wire is not None and name not in _NOT_HERE
}


def _api() -> Api:
    api = Api()
    for name in ("shop", "api"):
        api.upload(1, "addcert", certificates.leaf(f"{name}.example", kind="ec").bundle(), cert=name)
    for name in ("root", "other"):
        api.upload(1, "addintermediate", certificates.authority(name).pem, cert=name)
    api.v1("addldapendpoint", name="office")
    return api


API = _api()


def _start(chosen: dict[str, Any]) -> Configuration:
    """The configuration of an appliance with one service of those settings."""
    api = API
    for index in list(api.appliance.configuration.services):
        api.v1("delvs", vs=index)
    command = AddService({"address": "10.0.0.1", "port": 4431, **chosen})
    try:
        asyncio.run(api.appliance.execute(command, api.appliance.administrator()))
    except SteelyardError:
        assume(False)
    return api.appliance.configuration


@pytest.mark.parametrize("name", sorted(BUILT))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_each_setting_survives_being_written_back(name: str, data: st.DataObject) -> None:
    others: dict[str, Any] = {"service_type": "http", "ssl_acceleration": True, "ssl_reencrypt": True}
    if name == "cookie":
        others["persistence"] = "header"
    if name == "query_tag":
        others["persistence"] = "query-hash"
    if name == "check_post_data":
        others["check_method"] = 2
    if name == "ssl_reverse":
        others = {}
    others |= {other: value for other, value in _TOGETHER.get(name, {}).items() if other != name}
    before = _start({**others, name: data.draw(_values(BUILT[name]))})
    spelled, wire = BUILT[name].setting.spelled or "", BUILT[name].setting.wire or ""
    for read, write in ((API.v1, API.v1), (API.v2, API.v2)):
        record = read("showvs", vs=_only(before))
        if spelled in record:
            for written in {spelled, wire}:
                write("modvs", {"vs": _only(before), written: record[spelled]})
    assert API.appliance.configuration == before


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(chosen=st.fixed_dictionaries({}, optional={name: _values(declared) for name, declared in BUILT.items()}))
def test_a_whole_record_is_accepted_by_modvs_and_addvs(chosen: dict[str, Any]) -> None:
    before = _start(chosen)
    index = _only(before)
    service = before.service(index)
    for version, call in ((1, API.v1), (2, API.v2)):
        record = call("showvs", vs=index)
        if version == 1:
            record = {name: value for name, value in record.items() if isinstance(value, str)}
        call("modvs", {**record, "vs": index})
        assert API.appliance.configuration == before
        # What is stored and out of effect, such as SSL options while SSL is off, does not travel to the copy.
        copy = API.v2("addvs", {**record, "vs": "10.0.0.2", "port": "4431", "prot": "tcp"})
        made = API.appliance.configuration.service(copy["Index"])
        assert (made.service_type, made.persistence, made.schedule) == (
            service.service_type, service.persistence, service.schedule,
        )  # fmt: skip
        assert (made.ssl_acceleration, made.certificates) == (
            service.ssl_acceleration,
            service.certificates if service.ssl_acceleration else (),
        )
        API.v1("delvs", vs=copy["Index"])
        assert API.appliance.configuration.services == before.services


def _only(configuration: Configuration) -> int:
    (index,) = configuration.services
    return index
