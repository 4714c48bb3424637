"""The official Python SDK: identity, parameters, statistics, users, and what is not built."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.test_sdk_virtual_services import make
from tests.clients.traffic import answering
from tests.clients.waiting import eventually, eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


def test_connecting_and_the_version(sdk: SdkSession) -> None:
    version = sdk("lm['version']")
    assert version >= "7.2.37.0", "the SDK compares it as text"
    assert sdk("lm.version") == ".".join(version.split(".")[:3])
    assert sdk("lm.get_parameter('version')") == version
    assert sdk("bool(lm.capabilities)") is True


def test_switching_the_api_on(sdk: SdkSession) -> None:
    assert sdk("lm.enable_api()") is True
    assert sdk("lm.enable_api(health_check_api=True)") is True
    assert sdk("lm['enableapi']") == "yes"


def test_a_wrong_password_is_the_sdks_own_exception(sdk: SdkSession) -> None:
    sdk("stranger = LoadMaster(HOST, USER, 'wrong', PORT)")
    for call in ("stranger['version']", "stranger.get_virtual_services()", "stranger.stats()"):
        with pytest.raises(SdkRaised) as raised:
            sdk(call)
        assert raised.value.kinds[0] == "UnauthorizedAccessError"
        assert raised.value.status == 401
    with pytest.raises(SdkRaised):
        sdk("stranger.enable_api()")


def test_parameters_are_read_and_set(sdk: SdkSession) -> None:
    before = sdk("lm['finalpersist']")
    try:
        sdk("lm['finalpersist'] = 120")
        assert sdk("lm['finalpersist']") == "120"
        assert sdk("lm.get_parameter('FinalPersist')") == "120"
        sdk("lm.set_parameter('droponfail', 'yes')")
        assert sdk("lm['droponfail']") == "yes"
        every = sdk("lm.get_all_parameters()")
        assert (every["finalpersist"], every["droponfail"]) == ("120", "yes")
        assert every["version"] == sdk("lm['version']")
        assert all(name == name.lower() for name in every)
    finally:
        sdk("lm['finalpersist'] = before; lm['droponfail'] = 'no'", before=before)


def test_every_parameter_of_getall_can_be_read_alone(sdk: SdkSession) -> None:
    different = sdk(
        """
        every = lm.get_all_parameters()
        [name for name, value in every.items() if name != "time" and lm[name] != value]
        """
    )
    assert different == []
    assert sdk("len(every)") > 20


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("lm['nosuchparameter']", "Unknown parameter value"),
        ("lm['nosuchparameter'] = 1", "Unknown parameter value"),
        ("lm['finalpersist'] = 'long'", "finalpersist"),
        ("lm['finalpersist'] = 59", "finalpersist"),
        ("lm['droponfail'] = 'perhaps'", "droponfail"),
        ("lm['rfcconform'] = 'no'", "rfcconform"),
        ("lm['version'] = '1'", "read-only"),
        ("lm['wuiport'] = 8443", "wuiport"),
    ],
)
def test_a_refused_parameter_says_why(sdk: SdkSession, code: str, text: str) -> None:
    with pytest.raises(SdkRaised) as raised:
        sdk(code)
    assert raised.value.kinds[0] == "KempTechApiException"
    assert raised.value.status == 422
    assert text in str(raised.value)


def test_check_parameters(sdk: SdkSession) -> None:
    before = sdk("lm.get_check_parameters()")
    assert all(isinstance(value, int) for value in before.values())
    try:
        sdk("lm.set_check_parameters(retryinterval=30, retrycount=3, timeout=5)")
        assert sorted(sdk("lm.get_check_parameters()").values()) == [3, 5, 30]
    finally:
        sdk("lm.set_check_parameters(retryinterval=2, retrycount=1, timeout=1)")
    assert sdk("lm.get_check_parameters()") == before


def test_adaptive_parameters(sdk: SdkSession) -> None:
    before = sdk("lm.get_adaptive_parameters()")
    assert before == {"AdaptiveURL": "/load", "AdaptivePort": "80", "AdaptiveInterval": "7", "MinPercent": "5"}
    try:
        sdk("lm.set_adaptive_parameters(adaptiveurl='/agent', adaptiveport=8080, adaptiveinterval=30, minpercent=9)")
        after = {"AdaptiveURL": "/agent", "AdaptivePort": "8080", "AdaptiveInterval": "30", "MinPercent": "9"}
        assert sdk("lm.get_adaptive_parameters()") == after
    finally:
        sdk("lm.set_adaptive_parameters('/load', 80, 7, 5)")


def test_statistics_count_what_clients_did(sdk: SdkSession, one: Origin, two: Origin, port: int) -> None:
    make(sdk, port, one, two)
    sdk("data = lambda: lm.stats()['Response']['Success']['Data']")
    start = int(sdk("data()['Vs']['TotalConns']"))
    assert answering(port, 20) == {"one": 10, "two": 10}

    eventually(lambda: int(sdk("data()['Vs']['TotalConns']")) - start, lambda found: found >= 20)

    found = sdk("data()")
    assert (found["Vs"]["VSAddress"], found["Vs"]["VSPort"], found["Vs"]["Index"]) == ("127.0.0.1", str(port), "1")
    assert (found["Vs"]["Status"], found["Vs"]["Enable"]) == ("up", "1")
    assert int(found["Vs"]["BytesRead"]) > 0
    assert int(found["Vs"]["BytesWritten"]) > 0
    assert [(rs["Port"], int(rs["Conns"]) >= 10) for rs in found["Rs"]] == [
        (str(one.port), True),
        (str(two.port), True),
    ]
    assert int(found["VStotals"]["TotalConns"]) >= 20
    assert int(found["CPU"]["total"]["Idle"]) <= 100
    assert int(found["Memory"]["MBtotal"]) > 0


def test_statistics_without_a_service(sdk: SdkSession) -> None:
    found = sdk("lm.stats()['Response']['Success']['Data']")
    assert "Vs" not in found
    # A sample may be a second old and still hold the service of the test before.
    eventually_equal(lambda: sdk("lm.stats()['Response']['Success']['Data']['VStotals']['ConnsPerSec']"), "0")
    assert "Rs" not in found


def test_the_license_record(sdk: SdkSession) -> None:
    found = sdk("lm.license")
    assert {"uuid", "licenseduntil", "licensetype", "appliancemodel"} <= set(found)
    with pytest.raises(SdkRaised) as raised:
        sdk("lm.get_license_info()")
    assert raised.value.kinds[0] == "CommandNotAvailableException"
    assert sdk("lm.license_as_object.__class__.__name__") == "License"


def test_users_and_their_permissions(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    sdk("lm.add_local_user('operator', 'Secret-word-1')")
    with pytest.raises(SdkRaised) as raised:
        sdk("lm.add_local_user('operator', 'Secret-word-1')")
    assert raised.value.kinds[0] == "UserAlreadyExistsException"

    sdk("other = LoadMaster(HOST, 'operator', 'Secret-word-1', PORT)")
    assert sdk("other.get_virtual_service(index=vs.index).status") == "Up"
    sdk("theirs = other.get_virtual_service(index=vs.index)")
    forbidden = ("theirs.update()", "theirs.delete()", "other['finalpersist'] = 60", "other.add_local_user('abc', 'x')")
    for call in forbidden:
        with pytest.raises(SdkRaised, match="permission") as raised:
            sdk(call)
        assert raised.value.status == 403

    sdk("lm.set_user_perms('operator', ['real', 'vs'])")
    sdk("theirs.idletime = 120; theirs.update()")
    assert sdk("theirs.idletime") == "120"
    sdk("lm.set_user_perms('operator', [])")
    with pytest.raises(SdkRaised, match="permission"):
        sdk("theirs.update()")

    sdk("lm.delete_local_user('operator')")
    with pytest.raises(SdkRaised) as raised:
        sdk("other['version']")
    assert raised.value.kinds[0] == "UnauthorizedAccessError"
    with pytest.raises(SdkRaised, match=r"^Unknown user$"):
        sdk("lm.delete_local_user('operator')")


def test_a_user_without_a_password_is_refused(sdk: SdkSession) -> None:
    with pytest.raises(SdkRaised, match="nopass"):
        sdk("lm.add_local_user('operator')")


def test_the_administrators_password_is_changed() -> None:
    with SteelyardProcess() as own, SdkSession(own) as sdk:
        sdk("lm.change_bal_password('Another-word-2')")
        # The SDK goes on with the old one in the object that changed it.
        for stale in ("lm['version']", "LoadMaster(HOST, USER, PASSWORD, PORT)['version']"):
            with pytest.raises(SdkRaised) as raised:
                sdk(stale)
            assert raised.value.kinds[0] == "UnauthorizedAccessError"
        assert sdk("LoadMaster(HOST, USER, 'Another-word-2', PORT)['version']")
        with pytest.raises(SdkRaised, match="password"):
            sdk("LoadMaster(HOST, USER, 'Another-word-2', PORT).change_bal_password('')")
        own.restart()
        assert sdk("LoadMaster(HOST, USER, 'Another-word-2', PORT)['version']")


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("lm.get_ssos()", "showdomain"),
        ("lm.reboot()", "reboot"),
        ("lm.shutdown()", "shutdown"),
        ("lm.restore_firmware()", "restorepatch"),
        ("lm.update_firmware(file)", "installpatch"),
        ("lm.list_addons()", "listaddon"),
        ("lm.get_diagnostic('ps')", "logging/ps"),
        ("lm.new_user_cert('bal')", "usernewcert"),
    ],
)
def test_a_command_that_is_not_built_is_refused_by_name(
    sdk: SdkSession, tmp_path: Path, port: int, code: str, command: str
) -> None:
    sdk("vs = lm.create_virtual_service('127.0.0.1', port, 'tcp'); vs.save()", port=port)
    file = tmp_path / "upload"
    file.write_bytes(b"some bytes")
    with pytest.raises(SdkRaised) as raised:
        sdk(code, file=str(file))
    assert raised.value.kinds[0] == "KempTechApiException", repr(raised.value)
    assert raised.value.status == 422
    assert "not built in Steelyard yet" in str(raised.value)
    assert command in str(raised.value)


def test_a_template_on_a_new_service_is_refused_and_nothing_is_made(
    sdk: SdkSession, lm: LoadMasterClient, port: int
) -> None:
    with pytest.raises(SdkRaised, match="template"):
        sdk("lm.apply_template('127.0.0.1', port, 'tcp', 'Exchange', 'mail')", port=port)
    assert lm.must("listvs").data.findall("VS") == []


def test_a_backup_is_made_and_brings_the_services_back(
    sdk: SdkSession, lm: LoadMasterClient, tmp_path: Path, port: int
) -> None:
    sdk("vs = lm.create_virtual_service('127.0.0.1', port, 'tcp'); vs.nickname = 'saved'; vs.save()", port=port)
    file = sdk("lm.backup(directory)", directory=str(tmp_path))
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["manifest.json", "base/configuration.json", "vs/configuration.json"]
    sdk("vs.delete()")
    assert lm.must("listvs").data.findall("VS") == []
    sdk("lm.restore_backup(2, file)", file=file)
    assert [found.findtext("NickName") for found in lm.must("listvs").data.findall("VS")] == ["saved"]


def test_changes_while_a_client_uses_the_service_lose_nothing(sdk: SdkSession, one: Origin, port: int) -> None:
    make(sdk, port, one)
    for number in range(5):
        sdk("vs.nickname = name; vs.idletime = seconds; vs.update()", name=f"name{number}", seconds=60 + number)
        assert fetch(f"http://127.0.0.1:{port}/").name == "one"
