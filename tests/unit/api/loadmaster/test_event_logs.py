"""Notification parameters and the system log through LoadMaster's API (`reference/loadmaster-api/08`, 8.9)."""

from __future__ import annotations

import io
import tarfile

import pytest
from tests.unit.api.loadmaster.calling import Api
from tests.unit.observe.events.making import event

from steelyard.model.severity import Severity


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("syslogcritical", "192.0.2.1,192.0.2.2", "192.0.2.1,192.0.2.2"),
        ("syslogport", "6514", 6514),
        ("syslogprot", "tls", "tls"),
        ("emailenable", "1", True),
        ("emailserver", "mail.example.com", "mail.example.com"),
        ("emailsslmode", "2", 2),
        ("emailcritical", "a@example.com, b@example.com", "a@example.com,b@example.com"),
        ("snmptrapenable", "yes", True),
        ("snmpv2sink", "192.0.2.9", "192.0.2.9"),
        ("snmpAuthProt", "MD5", "MD5"),
    ],
)
def test_parameters_are_set_and_read_back(api: Api, name: str, value: str, shown: object) -> None:
    api.v2("set", param=name, value=value)
    read = api.v2("get", param=name)[name]
    assert read == shown or (isinstance(shown, bool) and str(read).lower() in ("yes", "true", "1"))
    api.v1("set", param=name, value="" if not isinstance(shown, bool) else "0")


def test_a_password_comes_back_as_asterisks_which_change_nothing(api: Api) -> None:
    api.v1("set", param="emailpassword", value="hunter22")
    place = api.appliance.configuration.email.password
    assert api.v1("get", param="emailpassword") == {"emailpassword": "*****"}
    api.v1("set", param="emailpassword", value="*****")
    assert api.appliance.configuration.email.password == place
    assert api.appliance._secrets[place] == b"hunter22"
    assert "hunter22" not in str(api.v1("getall"))


def test_syslognone_takes_hosts_out_of_every_level(api: Api) -> None:
    api.v1("set", param="syslogwarn", value="192.0.2.1,192.0.2.2")
    refused = api.v1_response("set", param="sysloginfo", value="192.0.2.1")
    assert refused.status_code == 422 and "is in syslogwarn already" in refused.text
    api.v1("set", param="syslognone", value="192.0.2.1")
    assert api.appliance.configuration.syslog.warn == ("192.0.2.2",)
    assert api.v1_response("set", param="syslognone", value="192.0.2.7").status_code == 422
    api.v1("set", param="sysloginfo", value="192.0.2.1")


def test_an_snmp_agent_is_refused_by_name(api: Api) -> None:
    refused = api.v1_response("set", param="snmpenable", value="1")
    assert refused.status_code == 422 and "snmpenable" in refused.text and "not built" in refused.text


def test_the_system_log_is_listed_saved_and_cleared(api: Api) -> None:
    bus = api.appliance.events()
    bus.publish(event("a notice", kind="configuration_changed", severity=Severity.NOTICE))
    bus.publish(event("gone"))
    assert api.v1("logging/listsyslogfiles") == {"SyslogFiles": ["messages", "warn"]}
    for name in ("logging/savelogs", "downloadlogs"):
        with tarfile.open(fileobj=io.BytesIO(api.v1_response(name).content)) as archive:
            found = {one: archive.extractfile(one).read().decode().splitlines() for one in archive.getnames()}  # type: ignore[union-attr]
        assert len(found["messages"]) == 2
        assert found["warn"] == ["2027-01-15T08:00:00.125Z warn server_down: gone"]
    refused = api.v1_response("logging/clearlogs", fsel="warn")
    assert refused.status_code == 422
    assert api.v1("resetlogs") == "messages\nwarn"
    assert bus.log.clear() == 0
