"""curl, both versions of the interface, the way administrators script it; envelopes byte for byte."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.clients.curl import Curl
from tests.clients.traffic import answering, wait_for_origins
from tests.clients.waiting import eventually, eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import authority, leaf
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess
from tests.support.tls_client import tls_hello_fetch

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy", "curl")]

COMPLETED = (
    b'<?xml version="1.0" encoding="ISO-8859-1"?>\n'
    b'<Response stat="200" code="ok">\n<Success>Command completed ok</Success>\n</Response>\n'
)


def failed(status: int, text: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        f'<Response stat="{status}" code="fail">\n<Error>{text}</Error>\n</Response>\n'
    ).encode()


def data(body: bytes) -> ElementTree.Element:
    found = ElementTree.fromstring(body).find("Success/Data")
    assert found is not None, body
    return found


@pytest.fixture
def curl(steelyard: SteelyardProcess, lm: LoadMasterClient) -> Iterator[Curl]:
    yield Curl(steelyard)


def add(curl: Curl, port: int, *origins: Origin, more: str = "") -> None:
    """Service 1 with real servers, by v1."""
    assert curl(f"/access/addvs?vs=127.0.0.1&port={port}&prot=tcp&vstype=http{more}").status == 200
    for origin in origins:
        assert curl(f"/access/addrs?vs=1&rs=127.0.0.1&rsport={origin.port}").status == 200
    if origins:
        wait_for_origins(port, *[origin.name for origin in origins])


def test_v1_from_service_to_traffic_and_back(curl: Curl, one: Origin, two: Origin, port: int) -> None:
    add(curl, port, one, two, more="&NickName=web+shop&Schedule=wrr")
    shown = data(curl("/access/showvs?vs=1").body)
    assert shown.findtext("NickName") == "web shop"
    first = shown.findtext("Rs/RsIndex")

    changed = curl(f"/access/modrs?vs=1&rs=%21{first}&weight=3000")
    assert (changed.status, changed.headers["content-type"], changed.body) == (200, "text/xml", COMPLETED)
    eventually_equal(lambda: answering(port, 40), {"one": 30, "two": 10})

    assert curl("/access/disablers?rs=127.0.0.1").body == COMPLETED
    eventually_equal(lambda: answering(port, 1), {"503": 1})
    assert curl("/access/enablers?rs=127.0.0.1").body == COMPLETED
    wait_for_origins(port, "one", "two")

    assert curl(f"/access/delrs?vs=1&rs=%21{first}").body == COMPLETED
    eventually_equal(lambda: answering(port), {"two": 8})
    assert curl(f"/access/delvs?vs=127.0.0.1&port={port}&prot=tcp").body == COMPLETED
    gone = curl(f"/access/showvs?vs=127.0.0.1&port={port}&prot=tcp")
    assert (gone.status, gone.headers["content-type"], gone.body) == (422, "text/xml", failed(422, "Unknown VS"))


def test_v2_from_service_to_traffic_and_back(curl: Curl, one: Origin, two: Origin, port: int) -> None:
    added = curl.v2("addvs", vs="127.0.0.1", port=port, prot="tcp", VStype="http", Schedule="wrr")
    assert (added.status, added.headers["content-type"]) == (200, "application/json")
    assert (added.json["Index"], added.json["VSPort"], added.json["Layer"]) == (1, str(port), 7)
    first = curl.v2("addrs", vs=1, rs="127.0.0.1", rsport=one.port).json["Rs"][0]["RsIndex"]
    curl.v2("addrs", vs="1", rs="127.0.0.1", rsport=str(two.port))
    wait_for_origins(port, "one", "two")

    changed = curl.v2("modrs", vs=1, rs=f"!{first}", weight="3000").json
    assert (changed["message"], [found["Weight"] for found in changed["Rs"]]) == ("Command completed ok", [3000])
    eventually_equal(lambda: answering(port, 40), {"one": 30, "two": 10})

    done = {"code": 200, "message": "Command completed ok", "status": "ok"}
    assert curl.v2("delrs", vs=1, rs=f"!{first}").json == done
    eventually_equal(lambda: answering(port), {"two": 8})
    deleted = curl.v2("delvs", vs=1)
    assert (deleted.json, list(deleted.json)) == (done, ["code", "message", "status"])
    gone = curl.v2("showvs", vs=1)
    assert (gone.status, gone.json) == (422, {"code": 422, "message": "Unknown VS", "status": "fail"})
    assert curl.v2("listvs").json == {"code": 200, "status": "ok"}


def test_a_list_without_services_is_empty_data(curl: Curl) -> None:
    assert curl("/access/listvs").body == (
        b'<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        b'<Response stat="200" code="ok">\n<Success><Data></Data></Success>\n</Response>\n'
    )


def test_a_real_server_record_byte_for_byte(curl: Curl, one: Origin, port: int) -> None:
    add(curl, port, one)
    index = data(curl("/access/showvs?vs=1").body).findtext("Rs/RsIndex")
    eventually(lambda: curl(f"/access/showrs?vs=1&rs=%21{index}").text, lambda text: "<Status>Up<" in text)
    assert curl(f"/access/showrs?vs=1&rs=%21{index}").text == (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<Response stat="200" code="ok">\n<Success><Data><Rs>\n'
        f"<Status>Up</Status>\n<VSIndex>1</VSIndex>\n<RsIndex>{index}</RsIndex>\n<Addr>127.0.0.1</Addr>\n"
        f"<Port>{one.port}</Port>\n<DnsName></DnsName>\n<Forward>nat</Forward>\n<Weight>1000</Weight>\n"
        "<Limit>0</Limit>\n<RateLimit>0</RateLimit>\n<Follow>0</Follow>\n<Enable>Y</Enable>\n"
        "<Critical>N</Critical>\n<Nrules>0</Nrules>\n</Rs>\n</Data></Success>\n</Response>\n"
    )


def test_a_form_post_carries_long_parameters_beside_the_query(curl: Curl, port: int) -> None:
    add(curl, port)
    long = "/" + "x" * 120 + "?&=+"
    posted = curl("/access/modvs?vs=1", "--data-urlencode", f"CheckUrl={long}", "-d", "CheckType=http")
    assert data(posted.body).findtext("CheckUrl") == long
    whole = curl("/access/modvs", "-d", "vs=1&NickName=from+a+form")
    assert data(whole.body).findtext("NickName") == "from a form"


def test_a_certificate_is_uploaded_as_raw_bytes(curl: Curl, tmp_path: Path, one: Origin, port: int) -> None:
    certified = leaf("curl.example", issuer=authority("Curl Root"))
    file = certified.write(tmp_path, "curl")
    # curl names a form as the media type of --data-binary; the body is a file all the same.
    uploaded = curl("/access/addcert?cert=curl&replace=0", "-X", "POST", "--data-binary", f"@{file}")
    assert (uploaded.status, uploaded.body) == (200, COMPLETED)
    again = curl("/access/addcert?cert=curl&replace=0", "--data-binary", f"@{file}")
    assert again.status == 422
    listed = data(curl("/access/listcert").body)
    assert [(found.findtext("name"), found.findtext("type")) for found in listed.findall("cert")] == [("curl", "RSA")]
    read = data(curl("/access/readcert?cert=curl").body).findtext("certificate") or ""
    assert read.strip() == certified.pem.decode().strip()
    assert b"PRIVATE" not in curl("/access/readcert?cert=curl").body

    add(curl, port, more="&SSLAcceleration=1&CertFile=curl")
    eventually_equal(lambda: _hello(port), certified.fingerprint)
    assert curl("/access/delcert?cert=curl").body == failed(422, "Certfile still associated with a VS")

    renewed = leaf("curl.example", issuer=authority("Curl Root"), generation=2)
    replaced = curl("/access/addcert?cert=curl&replace=1", "-T", renewed.write(tmp_path, "renewed"), "-X", "POST")
    assert replaced.body == COMPLETED
    eventually_equal(lambda: _hello(port), renewed.fingerprint)


def _hello(port: int) -> str | None:
    try:
        return tls_hello_fetch("127.0.0.1", port, sni="curl.example").fingerprint
    except OSError:
        return None


def test_a_certificate_is_uploaded_as_base64_in_v2(curl: Curl) -> None:
    certified = leaf("curl.example", issuer=authority("Curl Root"))
    bundle = base64.b64encode(certified.pkcs12(b"secret")).decode()
    wrong = curl.v2("addcert", cert="pfx", data=bundle, password="no")
    assert (wrong.status, "password" in wrong.json["message"]) == (422, True)
    assert curl.v2("addcert", cert="pfx", data=bundle, password="secret", replace=False).json["code"] == 200
    listed = curl.v2("listcert").json["cert"]
    assert [(found["name"], found["type"], len(found["modulus"])) for found in listed] == [("pfx", "RSA", 512)]
    assert curl.v2("addcert", cert="pfx", data="!!!").json["message"] == "data is not valid base64"
    assert curl.v2("delcert", cert="pfx").json["code"] == 200


def test_api_keys(curl: Curl) -> None:
    made = data(curl("/access/addapikey").body)
    keys = [found.text or "" for found in made.findall("apikeys/key")]
    assert [(len(key), key.isalnum(), key.isascii()) for key in keys[-1:]] == [(44, True, True)]
    key = keys[-1]
    try:
        curl.credentials = None
        assert curl(f"/access/listvs?apikey={key}").status == 200
        assert curl("/access/listvs", "-d", f"apikey={key}").status == 200
        assert curl(f"/access/listvs?APIKEY={key}").status == 200
        assert curl(f"/access/listvs?apikey={key[:-1]}").status == 401
        assert curl.post_json({"cmd": "listvs", "apikey": key}).status == 200
        assert curl.post_json({"cmd": "listapikeys", "apikey": key}).json["apikeys"] == keys
        # The key wins over user and password; an empty key is none.
        assert curl.post_json({"cmd": "listvs", "apikey": key, "apiuser": "bal", "apipass": "wrong"}).status == 200
        assert curl.v2("listvs", apikey="").status == 200
        assert curl.v2("listvs", apikey="wrong").status == 401
    finally:
        curl.credentials = f"{curl.user}:{curl.password}"
        removed = curl(f"/access/delapikey?key={key}")
    assert [found.text for found in data(removed.body).findall("apikeys/key")] == keys[:-1]
    curl.credentials = None
    assert curl(f"/access/listvs?apikey={key}").status == 401


def test_v2_takes_a_get_and_ignores_what_follows_its_path(curl: Curl) -> None:
    for path in ("/accessv2?cmd=listvs", "/accessv2/anything?cmd=listvs", "/accessv2/?cmd=get&param=version"):
        got = curl(path)
        assert (got.status, got.json["status"]) == (200, "ok")
    curl.credentials = None
    assert curl("/accessv2?cmd=listvs").status == 401


@pytest.mark.parametrize("path", ["/access/LISTVS", "/access/ListVs", "/access/listvs/"])
def test_the_case_of_a_command_does_not_matter(curl: Curl, path: str) -> None:
    assert curl(path).status == 200


def test_the_case_of_parameters_does_not_matter(curl: Curl, port: int) -> None:
    made = curl(f"/access/addvs?VS=127.0.0.1&PORT={port}&Prot=TCP&NICKNAME=loud&vstype=HTTP&checkUSE1.1=Yes")
    assert made.status == 200, made.body
    shown = data(made.body)
    assert [shown.findtext(name) for name in ("NickName", "VStype", "CheckUse1.1", "Protocol")] == [
        "loud",
        "http",
        "Y",
        "tcp",
    ]


def test_without_credentials_there_is_a_challenge_and_no_answer(curl: Curl) -> None:
    curl.credentials = None
    for path in ("/access/listvs", "/access/nosuchcommand", "/access/set?param=enableapi&value=yes"):
        refused = curl(path)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert b"<Response" not in refused.body
    assert curl.post_json({"cmd": "listvs"}).status == 401
    assert curl.post_json({"cmd": "nosuch"}).status == 401


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/access/nosuchcommand", 405, "Unknown command"),
        ("/access/showvs", 400, "vs: Address Value missing"),
        ("/access/showvs?vs_index=1", 400, "vs: Address Value missing"),
        ("/access/showvs?vs=127.0.0.1", 400, "port: String Value missing"),
        ("/access/showvs?vs=127.0.0.1&port=80", 400, "prot: String Value missing"),
        ("/access/showvs?vs=9", 422, "Unknown VS"),
        ("/access/get", 400, "param: String Value missing"),
        ("/access/get?param=nosuch", 422, "Unknown parameter value"),
        ("/access/set?param=finalpersist", 400, "value: String Value missing"),
        ("/access/addvs?port=80&prot=tcp", 400, "vs: Address Value missing"),
        ("/access/readcert?cert=none", 422, "Unknown certificate"),
        ("/access/delcert?cert=none", 422, "Unknown certificate"),
        ("/access/addrs?vs=9&rs=127.0.0.1&rsport=80", 422, "Unknown VS"),
    ],
)
def test_errors_have_loadmasters_own_words(curl: Curl, path: str, status: int, text: str) -> None:
    refused = curl(path)
    assert (refused.status, refused.headers["content-type"], refused.body) == (status, "text/xml", failed(status, text))
    command, _, query = path.removeprefix("/access/").partition("?")
    members = dict(pair.split("=") for pair in query.split("&") if pair)
    assert curl.v2(command, **members).json == {"code": status, "message": text, "status": "fail"}


@pytest.mark.parametrize(
    "query",
    [
        "NickName=a%0Abind%20:1",
        "NickName=a%00b",
        "CheckUrl=/%0d%0aX-Evil:1",
        "CheckHost=a%0ab",
        "Cookie=a%0ab&Persist=cookie",
        "%0aNickName=x",
    ],
)
def test_control_characters_are_refused(curl: Curl, one: Origin, port: int, query: str) -> None:
    add(curl, port, one)
    before = curl("/access/showvs?vs=1").body
    refused = curl(f"/access/modvs?vs=1&{query}")
    assert refused.status == 422
    assert b"control character" in refused.body
    assert curl("/access/showvs?vs=1").body == before
    assert answering(port) == {"one": 8}


@pytest.mark.parametrize(
    "body", [b'{"cmd": "listvs"', b"", b"[]", b'"listvs"', b"\xff\xfe", b"null", b'{"cmd": 5}', b"[" * 5000]
)
def test_half_a_json_is_refused(curl: Curl, tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "body"
    file.write_bytes(body)
    refused = curl("/accessv2", "--data-binary", f"@{file}")
    assert refused.status in (400, 405)
    assert refused.json["status"] == "fail"
    assert b"Traceback" not in refused.body


def test_a_body_that_is_too_long_is_refused(curl: Curl, tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"x" * (15 * 1024 * 1024))
    for path in ("/access/addcert?cert=big", "/access/modvs?vs=1", "/accessv2"):
        refused = curl(path, "--data-binary", f"@{file}")
        assert refused.status == 413
        assert b"too long" in refused.body


def test_markup_in_values_comes_back_as_text(curl: Curl, port: int) -> None:
    add(curl, port)
    refused = curl("/access/modvs?vs=1&Schedule=%3CVS%3E%26%22%27")
    assert refused.status == 422
    assert ElementTree.fromstring(refused.body).findtext("Error")
    unknown = curl("/access/showvs?vs=%3Cscript%3E")
    assert ElementTree.fromstring(unknown.body).find("Error/script") is None


def test_a_service_and_a_real_server_on_ipv6(curl: Curl, port: int) -> None:
    with Origin("six", address="::1") as six:
        made = data(curl(f"/access/addvs?vs=0:0::1&port={port}&prot=tcp&vstype=http").body)
        assert made.findtext("VSAddress") == "::1"
        assert curl(f"/access/addrs?vs=::1&port={port}&prot=tcp&rs=::1&rsport={six.port}").status == 200
        eventually_equal(lambda: answering(port, address="[::1]"), {"six": 8})
        again = curl(f"/access/addvs?vs=0:0:0:0:0:0:0:1&port={port}&prot=tcp")
        assert again.status == 422


def test_a_real_server_by_its_name(curl: Curl, one: Origin, port: int) -> None:
    add(curl, port)
    added = data(curl(f"/access/addrs?vs=1&rs=localhost&rsport={one.port}").body)
    assert (added.findtext("Rs/Addr"), added.findtext("Rs/DnsName")) == ("127.0.0.1", "localhost")
    wait_for_origins(port, "one")
    assert curl(f"/access/modrs?vs=1&rs=localhost&rsport={one.port}&weight=7").body == COMPLETED
    assert data(curl(f"/access/showrs?vs=1&rs=127.0.0.1&rsport={one.port}").body).findtext("Rs/Weight") == "7"
    unknown = curl(f"/access/addrs?vs=1&rs=no-such-host.invalid&rsport={one.port}")
    assert (unknown.status, b"resolved" in unknown.body) == (422, True)


def test_a_real_server_that_leads_back_to_its_service_is_refused(curl: Curl, one: Origin, port: int) -> None:
    """A single connection would go round until no service had one left."""
    add(curl, port, one)
    # Without rsport the real server gets the port of the service.
    for query in ("vs=1&rs=127.0.0.1", f"vs=1&rs=127.0.0.1&rsport={port}"):
        refused = curl(f"/access/addrs?{query}")
        assert (refused.status, b"leads back" in refused.body) == (422, True)
    assert b"leads back" in curl(f"/access/modrs?vs=1&rs=127.0.0.1&rsport={one.port}&newport={port}").body

    # A service may be the real server of another one, in one direction.
    before = free_port()
    assert curl(f"/access/addvs?vs=127.0.0.1&port={before}&prot=tcp&vstype=http").status == 200
    assert curl(f"/access/addrs?vs=2&rs=127.0.0.1&rsport={port}").status == 200
    wait_for_origins(before, "one")
    assert b"leads back" in curl(f"/access/addrs?vs=1&rs=127.0.0.1&rsport={before}").body
    assert answering(before) == {"one": 8}


def test_a_copy_of_a_service(curl: Curl, one: Origin, port: int) -> None:
    add(curl, port, one, more="&Idletime=77")
    for command in ("dupvs", "dupvip"):
        other = free_port()
        copied = curl(f"/access/{command}?vs=1&newport={other}")
        assert copied.body == COMPLETED, copied.text
        wait_for_origins(other, "one")
        shown = data(curl(f"/access/showvs?vs=127.0.0.1&port={other}&prot=tcp").body)
        assert shown.findtext("Idletime") == "77"


def test_old_clients_switch_the_interface_on_by_a_page(curl: Curl) -> None:
    assert curl("/progs/doconfig/enableapi/set/yes").status == 200
    assert curl("/progs/status/logout").status == 200
    assert curl("/access/set?param=enableapi&value=yes").body == COMPLETED
    assert curl("/access/set?param=enableapi&value=1").status == 422
    curl.credentials = None
    assert curl("/progs/doconfig/enableapi/set/yes").status == 401
