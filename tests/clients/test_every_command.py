"""Every command of the interface in both versions: what it answers, and that it says no more than its form has.

The form of each is that of `reference/loadmaster-api/12`, 12.4.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.clients.conftest import empty
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import authority, leaf
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from steelyard.model.certificate_backup import NONCE_BYTES, SALT_BYTES, CertificateBackup, SavedCertificate, seal

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

MESSAGE = "Command completed ok"


@dataclass(frozen=True)
class Case:
    """A command and its form: the children of `Data` in v1 and the members in v2; neither means a message."""

    command: str
    parameters: dict[str, object] = field(default_factory=dict)
    v1: frozenset[str] = frozenset()
    v2: frozenset[str] | None = None
    upload: bytes | None = None
    message: str | None = MESSAGE

    def __str__(self) -> str:
        return self.command


def case(command: str, *members: str, v2: tuple[str, ...] | None = None, **parameters: object) -> Case:
    upload = parameters.pop("upload", None)
    assert upload is None or isinstance(upload, bytes)
    in_v2 = frozenset(members) if v2 is None else frozenset(v2)
    return Case(command, parameters, frozenset(members), in_v2, upload, None if members else MESSAGE)


SERVICE: dict[str, Any] = {"vs": "1"}
ADDRESS: dict[str, Any] = {"vs": "127.0.0.1", "prot": "tcp"}
SERVER: dict[str, Any] = {"vs": "1", "rs": "!{server}"}
#: some members of a service's record; more may be there
RECORD = ("Status", "Index", "VSAddress", "VSPort", "Rs")
STATS = ("CPU", "Memory", "Network", "VStotals", "Vs", "Rs", "TPS", "Timestamp")
BUNDLE = leaf("every.example").bundle()
AUTHORITY = authority("Every Authority").pem
PASS_PHRASE = "open sesame"
TEMPLATE = b"{name: %s, services: [{port: 80}]}"
BACKUP = seal(
    CertificateBackup((SavedCertificate("saved", leaf("every.example").pem.decode(), leaf("every.example").key_pem),)),
    PASS_PHRASE,
    salt=bytes(SALT_BYTES),
    nonce=bytes(NONCE_BYTES),
    at=datetime(2026, 1, 1, tzinfo=UTC),
    n=16,
)
#: the tag of each family's list
_LIMIT_TAGS = {
    "clientmaxclimit": "ClientMaxcLimit",
    "clientcpslimit": "ClientCpsLimit",
    "clientrpslimit": "ClientRpsLimit",
    "afeclientlimit": "ClientLimit",
}
#: built, and tried elsewhere: their answers are texts of their own, or they need another HAProxy
ELSEWHERE = {
    *(
        "logging/listsyslogfiles",
        "logging/clearlogs",
        "logging/savelogs",
        "logging/listextlogfiles",
        "logging/clearextlogs",
        "logging/saveextlogs",
        "logging/isextesplogenabled",
        "logging/enableextesplog",
    ),
    # what they answer is the host's
    *("showroute", "gethosts"),
    # these change the host, in a network namespace of its own
    *("modiface", "addadditional", "deladditional", "createbond", "addbond", "delbond", "unbond"),
    *("addvlan", "delvlan", "addroute", "delroute", "addhostsentry", "delhostsentry"),
    *("backupcert", "exportvstmplt", "backup", "restore"),
    *("clientbandwidthlimitlist", "clientbandwidthlimitadd", "clientbandwidthlimitdel"),
    # these are for an appliance that is not set up yet
    *("accepteula", "accepteula2", "set_initial_passwd"),
    # these need an authority
    *("registeracmeaccount", "fetchacmeaccount", "acmeaccountinfo"),
    *("addacmecert", "renewacmecert", "delacmecert", "getacmecert", "listacmecert"),
}

CASES = [
    case("listvs", "VS"),
    case("showvs", *RECORD, **SERVICE),
    case("modvs", *RECORD, **SERVICE, NickName="changed"),
    case("addvs", "Status", "Index", "VSAddress", "VSPort", **ADDRESS, port="{port}"),
    case("delvs", **SERVICE),
    case("dupvs", **SERVICE, newport="{port}"),
    case("dupvip", **SERVICE, newport="{port}"),
    case("vstotals", "VS", "SubVS", "RS"),
    case("listtemplates", "template"),
    Case("uploadtemplate", upload=TEMPLATE % b"fresh", message="Installed 1 new template."),
    case("deltemplate", name="ours"),
    case("showrs", "Rs", **SERVER),
    case("showrschecks", "Check", **SERVER),
    case("showiface", "Interface"),
    case("addrs", "Rs", **SERVICE, rs="127.0.0.1", rsport="{port}"),
    Case("modrs", {**SERVER, "weight": "5"}, v2=frozenset({"Rs"})),
    case("delrs", **SERVER),
    case("enablers", rs="127.0.0.1"),
    case("disablers", rs="127.0.0.1"),
    case("modifycipherset", name="mine", value="AES128-SHA:AES256-SHA"),
    case("getcipherset", "cipherset", name="Default"),
    case("delcipherset", name="spare"),
    case("listcert", "cert"),
    case("readcert", "certificate", cert="every"),
    case("addcert", cert="new", upload=BUNDLE),
    case("addcert", cert="every", replace="1", upload=BUNDLE),
    case("delcert", cert="every"),
    case("getacmerenewperiod", "acmerenewperiod", "renewperiod"),
    case("setacmerenewperiod", renewperiod="20"),
    case("getacmedirectoryurl", "acmedirectoryurl", "directoryurl"),
    case("setacmedirectoryurl", directoryurl="https://acme.example/directory"),
    case("getacmekid", "acmekid"),
    case("setacmekid", acmetype="2", kid="key-1"),
    case("getacmehmac", "acmehmac"),
    case("setacmehmac", acmetype="2", hmac="c2VjcmV0"),
    case("delacmeconfig", acmetype="2"),
    case("listintermediate", "cert"),
    case("readintermediate", "certificate", cert="authority"),
    case("addintermediate", cert="new", upload=AUTHORITY),
    case("delintermediate", cert="authority"),
    case("restorecert", password=PASS_PHRASE, type="vs", upload=BACKUP),
    case("showldaplist", "EndPoint"),
    case("showldapendpoint", "name", "ldaptype", "timeout", v2=("Data",), name="directory"),
    case("addldapendpoint", name="new", server="127.0.0.1"),
    case("modifyldapendpoint", name="directory", timeout="9"),
    case("deleteldapendpoint", name="directory"),
    case("aclcontrol", "Blocklist", v2=("list",), list="block"),
    case("aclcontrol", "VS", v2=("VS_IP", "list"), listvs="allow", vsip="1"),
    case("aclcontrol", "aclstatus", isenabled=""),
    case("aclcontrol", add="block", addr="203.0.113.9", comment="noisy"),
    case("aclcontrol", addvs="allow", vsip="1", addr="127.0.0.0/8"),
    case("aclcontrol", drop="1"),
    *(
        case(f"aclcontrol/{flag}", tag)
        for flag, tag in (
            ("isenabled", "aclstatus"),
            ("isdrop", "aclmethod"),
            ("isifblock", "aclblockall"),
            ("iswuiblock", "aclwuiblock"),
            ("wuiaddr", "wuiaddr"),
        )
    ),
    case("showrule", "MatchContentRule", "AddHeaderRule", "ReplaceBodyRule"),
    case("addrule", "MatchContentRule", name="fresh", pattern="^/a"),
    case("modrule", "MatchContentRule", name="match", pattern="^/b"),
    case("delrule", name="match"),
    case("addprerule", **SERVICE, rule="match"),
    case("addrequestrule", **SERVICE, rule="header"),
    case("addresponserule", **SERVICE, rule="header"),
    case("addresponsebodyrule", **SERVICE, rule="body"),
    case("addrsrule", **SERVER, rule="match"),
    case("delprerule", **SERVICE, rule="used_match"),
    case("delrequestrule", **SERVICE, rule="used_header"),
    case("delresponserule", **SERVICE, rule="used_header"),
    case("delresponsebodyrule", **SERVICE, rule="used_body"),
    case("delrsrule", **SERVER, rule="used_match"),
    case("addnocache", param=".cgi"),
    case("delnocache", param=".php"),
    case("addnocompress", param=".cgi"),
    case("delnocompress", param=".zip"),
    case("uploadvserrfile", **SERVICE, upload=b"<h1>Closed</h1>"),
    *(
        each
        for family in ("clientmaxclimit", "clientcpslimit", "clientrpslimit", "afeclientlimit")
        for each in (
            case(f"{family}list", _LIMIT_TAGS[family]),
            case(f"{family}add", l7addr="203.0.113.0/24", l7limit="7"),
            case(f"{family}del", l7addr="198.51.100.0/24"),
        )
    ),
    case("listlimitrules", "Limits"),
    case("addlimitrule", name="api", pattern="^/api", limit="9", match="0"),
    case("modlimitrule", name="limited", limit="8"),
    case("movelimitrule", name="limited", position="1"),
    case("dellimitrule", name="limited"),
    case("stats", *STATS),
    case("get", "version", param="version"),
    case("get", "boottime", param="boottime"),
    case("get", "activetime", param="activetime"),
    case("get", "serialnumber", param="serialnumber"),
    case("get", "hastatus", param="hastatus"),
    case("get", "admincert", param="admincert"),
    case("get", "finalpersist", param="finalpersist"),
    case("getall", "version", "serialnumber", "finalpersist"),
    case("set", param="finalpersist", value="300"),
    case("set", param="enableapi", value="yes"),
    case("showhealth", "RetryInterval", "Timeout", "RetryCount"),
    case("modhealth", RetryCount="1"),
    case("showadaptive", "AdaptiveURL", "AdaptivePort", "AdaptiveInterval", "MinPercent"),
    case("modadaptive", AdaptiveURL="/agent", MinPercent="10"),
    case("licenseinfo", "uuid", "ActivationDate"),
    case("readeula", "Magic", "Eula"),
    case("accesskey", "AccessKey"),
    case("listapi", "version", "commands"),
    Case("notice", message=None),
    case("userlist", "User"),
    case("usershow", "User", v2=("Name", "Perms"), user="tester"),
    case("useraddlocal", user="another", password="Secret-word-1"),
    case("userdellocal", user="tester"),
    case("userchangelocpass", user="tester", password="Secret-word-2", radius="0"),
    case("usersetperms", user="tester", perms="vs,real"),
    case("usersetsyspassword", currpassword="{password}", password="{password}"),
    case("addapikey", "apikeys"),
    case("addapikey", "apikeys", user="tester"),
    case("listapikeys", "apikeys"),
    case("delapikey", "apikeys", key="{key}"),
]


class Given:
    """A service with a real server, a certificate, a user and two API keys, made anew after what changes anything."""

    def __init__(self, steelyard: SteelyardProcess, client: LoadMasterClient) -> None:
        self.client = client
        self._native = steelyard.native
        self._known: dict[str, object] = {"password": steelyard.password}
        self._revision = 0
        self._returns = True

    def parameters(self, case: Case) -> dict[str, object]:
        """Those of a case, filled in."""
        # who has been removed does not come back with an earlier configuration
        self._returns = not case.command.startswith(("user", "addapikey", "delapikey"))
        return {name: str(value).format(**self._known) for name, value in case.parameters.items()}

    def prepare(self) -> None:
        """Have everything there, and no more."""
        if self._returns and self._revision == self._now():
            return
        if self._returns and self._revision:
            self._native.post("/rollback", json={"revision": self._revision}).raise_for_status()
        else:
            self.clear()
            self._make()
        self._revision, self._returns = self._now(), True

    def _now(self) -> int:
        return int(self._native.get("/status").json()["revision"])

    def _make(self) -> None:
        lm = self.client
        lm.must("addvs", vs="127.0.0.1", port=free_port(), prot="tcp", vstype="http")
        server = lm.must("addrs", vs=1, rs="127.0.0.1", rsport=free_port()).text("Rs/RsIndex")
        lm.must("addcert", cert="every", body=BUNDLE)
        lm.must("addintermediate", cert="authority", body=AUTHORITY)
        lm.must("modifycipherset", name="spare", value="AES128-SHA")
        lm.must("addldapendpoint", name="directory", server="127.0.0.1")
        lm.must("useraddlocal", user="tester", password="Secret-word-1")
        for name in ("", "used_"):
            lm.must("addrule", name=f"{name}match", pattern="^/x")
            lm.must("addrule", name=f"{name}header", type=1, header="X-A", replacement="a")
            lm.must("addrule", name=f"{name}body", type=5, pattern="x", replacement="y")
        for where, name in (("pre", "match"), ("request", "header"), ("response", "header"), ("responsebody", "body")):
            lm.must(f"add{where}rule", vs=1, rule=f"used_{name}")
        lm.must("addrsrule", vs=1, rs=f"!{server}", rule="used_match")
        lm.must("uploadtemplate", body=TEMPLATE % b"ours")
        lm.must("addlimitrule", name="limited", pattern="^/l", limit=5, match=0)
        for family in _LIMIT_TAGS:
            lm.must(f"{family}add", l7addr="198.51.100.0/24", l7limit=5)
        lm.must("addapikey")
        keys = [found.text for found in lm.must("addapikey").data.findall("apikeys/key")]
        self._known |= {"port": free_port(), "server": server, "key": keys[0]}

    def clear(self) -> None:
        """Remove it, and what cases have made."""
        lm = self.client
        for found in lm.must("listapikeys").data.findall("apikeys/key"):
            lm.must("delapikey", key=found.text)
        for name in ("limited", "api"):
            lm.call("dellimitrule", name=name)
        for name in ("ours", "fresh"):
            lm.call("deltemplate", name=name)
        for what, usual in (("cache", ".php"), ("compress", ".zip")):
            lm.call(f"delno{what}", param=".cgi")
            lm.call(f"addno{what}", param=usual)
        for family in _LIMIT_TAGS:
            lm.call(f"{family}del", l7addr="198.51.100.0/24")
        empty(lm)


@pytest.fixture(scope="module")
def given(steelyard: SteelyardProcess) -> Iterator[Given]:
    with LoadMasterClient(steelyard.url, steelyard.user, steelyard.password) as client:
        yield Given(steelyard, client)


@pytest.fixture
def lm(given: Given) -> LoadMasterClient:
    """The raw client, as administrator."""
    return given.client


@pytest.fixture
def filled(given: Given) -> Callable[[Case], dict[str, object]]:
    """Gives the parameters of a case for what is there."""
    given.prepare()
    return given.parameters


@pytest.mark.parametrize("case", CASES, ids=str)
def test_v1(lm: LoadMasterClient, filled: Callable[[Case], dict[str, object]], case: Case) -> None:
    answer = lm.must(case.command, filled(case), body=case.upload)
    assert answer.media_type == "text/xml"
    assert answer.root is not None
    assert answer.root.attrib == {"stat": "200", "code": "ok"}
    assert [child.tag for child in answer.root] == ["Success"]
    if case.v1:
        assert case.v1 <= {child.tag for child in answer.data}
        assert not (answer.root.findtext("Success") or "").strip()
        return
    assert answer.root.find("Success/Data") is None
    assert answer.message == case.message or (case.message is None and answer.message)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_v2(lm: LoadMasterClient, filled: Callable[[Case], dict[str, object]], case: Case) -> None:
    members = filled(case)
    if case.upload is not None:
        members["data"] = base64.b64encode(case.upload).decode()
    status, answer = lm.v2(case.command, **members)
    assert (status, answer["code"], answer["status"]) == (200, 200, "ok"), answer
    assert [*answer][:: len(answer) - 1] == ["code", "status"]
    assert (case.v2 or frozenset()) <= set(answer)
    if case.v1:
        assert "message" not in answer
    else:
        assert answer["message"] == case.message or (case.message is None and answer["message"])
        assert set(answer) - {"code", "status", "message"} == (case.v2 or frozenset())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_user_without_permissions_may_read_and_no_more(
    steelyard: SteelyardProcess, filled: Callable[[Case], dict[str, object]], case: Case
) -> None:
    reads = ("list", "show", "get", "stats", "vstotals", "readcert", "readintermediate", "licenseinfo", "notice")
    reads += ("userlist", "usershow", "readeula", "accesskey")
    parameters = filled(case)
    with LoadMasterClient(steelyard.url, "tester", "Secret-word-1") as client:
        answer = client.call(case.command, parameters, body=case.upload)
        status, _ = client.v2(case.command, **parameters, data=base64.b64encode(case.upload or b"").decode())
    expected = 403
    shows = case.command.endswith("limitlist") or case.command.startswith(("aclcontrol/is", "aclcontrol/wuiaddr"))
    if (
        shows
        or case.command.startswith((*reads, "addapikey"))
        or {"list", "listvs", "isenabled"} & set(case.parameters)
    ):
        expected = 200
    elif case.command == "delapikey":
        expected = 422  # the key of another user is unknown to this one
    assert (answer.status, status) == (expected, expected), answer.body


def test_listapi_names_exactly_the_commands_that_work(
    lm: LoadMasterClient, filled: Callable[[Case], dict[str, object]]
) -> None:
    found = {element.text for element in lm.must("listapi").data.findall("commands/cmd")}
    named = {case.command for case in CASES if not case.command.startswith("aclcontrol/")}
    assert found == named - {"dupvip"} | ELSEWHERE
    _, answer = lm.v2("listapi")
    assert set(answer["commands"]["cmd"]) == found


#: commands of LoadMaster that later steps build
# fmt: off
NOT_BUILT = [
    "adddomain", "showdomain",
    "reboot", "shutdown",
    "installpatch", "addvxlan", "listfqdns", "addfqdn", "logging/ping",
    "tcpdump", "addowaspcustomrule", "getwafsettings",
    "cluster/status",
]
# fmt: on


@pytest.mark.parametrize("command", NOT_BUILT)
def test_other_commands_are_refused_clearly(lm: LoadMasterClient, command: str) -> None:
    v1, (status, v2) = lm.call(command), lm.v2(command.replace("/", "."))
    assert (v1.status, status, v2["code"], v2["status"]) == (422, 422, 422, "fail")
    assert v1.message == v2["message"]
    assert "not built in Steelyard yet" in v1.message
    assert command in v1.message


@pytest.mark.parametrize("command", ["installpatch", "addaddon", "ssoimages"])
@pytest.mark.parametrize("size", [100, 2_000_000])
def test_an_upload_that_is_not_built_is_refused_as_such_whatever_its_bytes(
    lm: LoadMasterClient, command: str, size: int
) -> None:
    refused = lm.call(command, body=bytes(range(256)) * (size // 256 + 1))
    assert refused.status == 422
    assert "not built in Steelyard yet" in refused.message


def test_a_command_nobody_knows(lm: LoadMasterClient) -> None:
    for name in ("nosuch", "logging/nosuch", "listvs/nosuch", "list", ""):
        v1, (status, v2) = lm.call(name), lm.v2(name.replace("/", ".")) if name else (405, {"message": None})
        assert (v1.status, v1.message, status) == (405, "Unknown command", 405), name
        assert v2["message"] in ("Unknown command", None)


SETTINGS_NOT_BUILT: dict[str, Any] = {
    "Verify": 1,
    "InterceptMode": 2,
    "Intercept": 1,
    "QoS": 8,
    "AltAddress": "127.0.0.1",
    "MultiConnect": 1,
    "Transactionlimit": 5,
    "ResponseStatusRemap": "Y",
    "template": "Exchange",
}


@pytest.mark.parametrize("name", SETTINGS_NOT_BUILT)
def test_a_setting_that_is_not_built_is_refused_by_name_and_nothing_changes(
    lm: LoadMasterClient, filled: Callable[[Case], dict[str, object]], name: str
) -> None:
    before = lm.must("showvs", vs=1).body
    for value in (SETTINGS_NOT_BUILT[name], str(SETTINGS_NOT_BUILT[name])):
        status, answer = lm.v2("modvs", **{"vs": 1, name: value})
        assert status == 422, f"{name}={value!r} was accepted"
        assert name.lower() in answer["message"].lower()
        refused = lm.call("modvs", {"vs": 1, name: value})
        assert (refused.status, refused.message) == (422, answer["message"])
    assert lm.must("showvs", vs=1).body == before


def test_unknown_parameters_are_ignored(lm: LoadMasterClient, filled: Callable[[Case], dict[str, object]]) -> None:
    before = lm.must("showvs", vs=1).body
    assert lm.must("modvs", vs=1, nosuch="1", colour="red").body == before
    assert lm.v2("modvs", vs=1, nosuch={"a": [1]}, colour=None)[0] == 200
    assert lm.must("showvs", vs=1).body == before


def test_secrets_never_reach_the_log_or_an_answer(lm: LoadMasterClient, steelyard: SteelyardProcess) -> None:
    word, key = "Very-Secret-Word-7", lm.must("addapikey").data.findall("apikeys/key")[-1].text or ""
    lm.must("useraddlocal", user="secretive", password=word)
    lm.call("userchangelocpass", user="secretive", password=word + "2")
    lm.call("addcert", {"cert": "broken", "password": word}, body=b"-----BEGIN PRIVATE KEY-----\n" + word.encode())
    lm.v2("useraddlocal", user="secretive", password=word)
    with LoadMasterClient(steelyard.url, api_key=key) as client:
        client.must("listvs")
        assert client.v2("nosuch")[0] == 405
    lm.must("delapikey", key=key)
    for answer in (lm.must("userlist"), lm.must("usershow", user="secretive"), lm.must("getall")):
        assert word.encode() not in answer.body
    logged = [steelyard.log, *(file.read_text("utf-8", "replace") for file in _logs(steelyard))]
    for secret in (word, key, steelyard.password):
        assert not any(secret in text for text in logged)


def _logs(steelyard: SteelyardProcess) -> Iterator[Any]:
    return (file for file in (steelyard.state_dir / "log").rglob("*") if file.is_file())
