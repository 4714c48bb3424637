"""What the edge filter takes for its lists, and that no path it lets in is another directory to any server."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from tests.support.path_decoders import DECODERS

from steelyard.model.edge_filter import directory_patterns, host_patterns, is_unclear, judge
from steelyard.model.errors import OperatorError
from steelyard.model.virtual_service import VirtualService

#: pieces that lead out of directories, alone or put together
PIECES = (
    *("/", "//", "\\", "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "%25252f", "%c0%af", "%e0%80%af", "%f0%80%80%af"),
    *("%ef%bc%8f", "%ef%bc%bc", "%u2215", "%u002f", "%c1%9c"),
    *(".", "..", "...", "%2e", "%2E", "%2e%2e", "%252e", "%c0%ae", "%e0%80%ae", "%f8%80%80%80%ae", "%u002e"),
    *("%ef%bc%8e", "%e2%80%a5", "%ef%b9%92", "%fc%80%80%80%80%ae", "%25c0%25ae", "%%32%65", "%%35c", "%2%65"),
    *(";", "%3b", ";x=1", "%00", "%0a", "%09", "%20", "%3f", "%23", "#", "%", "%zz", "%25", "+"),
    *("public", "private", "PRIVATE", "a", "x.aspx", "%70rivate"),
)
PATHS = some.lists(some.sampled_from(PIECES), min_size=1, max_size=9).map("".join)

ORDINARY = (
    "/",
    "/owa/",
    "/owa/auth/logon.aspx",
    "/owa/ev.owa2",
    "/ews/exchange.asmx",
    "/Microsoft-Server-ActiveSync",
    "/autodiscover/autodiscover.xml",
    "/mapi/emsmdb/",
    "/rpc/rpcproxy.dll",
    "/owa/7f9a@example.com/service.svc",
    "/sites/team/Shared%20Documents/M%C3%BCller%20%26%20S%C3%B6hne.docx",
    "/sites/team/100%25.docx",
    "/sites/team/a%2Bb.docx",
    "/sites/team/notes%20v1.2...final.txt",
    "/sites/team/%23tag.docx",
    "/_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fteam')/Files",
    "/_api/web/siteusers(@v)",
    "/_api/web/getuserbylogin('i%3A0%23.w%7Ccorp%5Cann')",
    "/sites/x//Forms/AllItems.aspx",
    "/meet/ann/7KB2;x=1",
    "/.well-known/acme-challenge/abc",
    "/lync/%E4%BC%9A%E8%AD%B0",
    "/a/..b/b../c",
)


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_paths_are_clear(path: str) -> None:
    assert not is_unclear(path)


@pytest.mark.parametrize(
    "allowed",
    [
        ("/public*", lambda path: path.startswith("/public")),
        ("/public", lambda path: path == "/public" or path.startswith("/public/")),
        ("/public/*/a", lambda path: path.startswith("/public/") and path.rstrip("/").endswith("/a")),
    ],
    ids=lambda allowed: allowed[0],
)
@settings(max_examples=400)
@given(path=PATHS)
@example("/%2e%2e%2fprivate")
@example("/..%3fprivate")
def test_no_server_makes_another_directory_of_a_path_that_is_let_in(allowed, path: str) -> None:  # type: ignore[no-untyped-def]
    text, inside = allowed
    reason = judge(host_patterns("a.com"), directory_patterns(text), target="/public" + path, host_headers=("a.com",))
    if reason is not None:
        return
    for name, decoder in DECODERS.items():
        assert inside(decoder("/public" + path).lower()), (name, decoder("/public" + path))


@pytest.mark.parametrize(
    ("listed", "yes", "no"),
    [
        ("a.com", ["a.com", "A.COM", "a.com.", "a.com:443", "a.com.:1", "a.com:"], ["b.com", "a.com.b", "xa.com", ""]),
        ("A.COM:80 b.org.", ["a.com", "a.com:443", "b.org"], ["a.com,b.org"]),
        ("*.a.com", ["x.a.com", "x.y.a.com", "x.a.com.:8"], ["a.com", ".a.com", "xa.com", "x.a.com.evil"]),
        ("mail*.a.com", ["mail.a.com", "mail7.a.com."], ["xmail.a.com", "mail.a.comx"]),
        ("*", ["anything", "[::1]:80"], ["", "a b", "a/b", "a@b", "a\tb", "a..b"]),
        ("[::1]:443", ["[::1]", "[::1]:80"], ["::1", "[::2]", "::1:80"]),
        ("", [], ["a.com", ""]),
    ],
)
def test_hosts(listed: str, yes: list[str], no: list[str]) -> None:
    def let_in(host: str) -> bool:
        return judge(host_patterns(listed), None, target="/", host_headers=(host,)) is None

    assert [host for host in yes if not let_in(host)] == []
    assert [host for host in no if let_in(host)] == []


@pytest.mark.parametrize(
    ("listed", "yes", "no"),
    [
        ("/*", ["/", "/x", "/x/y.z"], []),
        ("/owa*", ["/owa", "/OWA/x", "/owax"], ["/ow", "/", "//owa"]),
        ("/owa", ["/owa", "/Owa/", "/owa/x"], ["/owax", "/owa;x", "/ow"]),
        ("/owa/", ["/owa/", "/owa/x"], ["/owa"]),
        ("/a /b*", ["/a", "/b", "/bc"], ["/c", "/ab"]),
        ("/sites/*/docs", ["/sites/x/docs", "/sites/x/y/docs"], ["/sites/docs", "/sites/x/docs/y", "/sites/x%3f/docs"]),
        ("/Büro*", ["/B%C3%BCro", "/b%c3%bcro/x"], ["/buro"]),
    ],
)
def test_directories(listed: str, yes: list[str], no: list[str]) -> None:
    patterns = directory_patterns(listed)
    assert [path for path in yes if not patterns.match(path.lower())] == []
    assert [path for path in no if patterns.match(path.lower())] == []


def service(**more: object) -> VirtualService:
    return VirtualService.make(
        {"index": 1, "address": "10.0.0.1", "port": 80, "service_type": "http", "esp_enabled": True, **more}
    )


@pytest.mark.parametrize(
    ("given_settings", "says"),
    [
        ({"allowed_hosts": "a b@c"}, "AllowedHosts"),
        ({"allowed_hosts": "a.com/owa"}, "is no host name"),
        ({"allowed_hosts": "https://a.com"}, "is no host name"),
        ({"allowed_hosts": "a..com"}, "is no host name"),
        ({"allowed_hosts": "*a*b*c"}, "more than 2"),
        ({"allowed_directories": "/a*b*c"}, "more than one"),
        ({"allowed_directories": "/a**"}, "more than one"),
        ({"allowed_hosts": "[1::2::3]"}, "no IPv6"),
        ({"allowed_hosts": "::1"}, "is no host name"),
        ({"allowed_hosts": "a\nb"}, "control character"),
        ({"allowed_directories": "owa*"}, "does not begin with /"),
        ({"allowed_directories": "/owa?x=1"}, "query"),
        ({"allowed_directories": "/owa/../ecp"}, "lead out"),
        ({"allowed_directories": "/%2e%2e/"}, "lead out"),
        ({"allowed_directories": "/x#y"}, "lead out"),
        ({"allowed_directories": "/x\\y"}, "lead out"),
        ({"allowed_directories": "/" + "a" * 254}, "too long"),
        ({"excluded_directories": "a"}, "ExcludedDirectories"),
        ({"excluded_domains": "a"}, "not built"),
        ({"input_auth_mode": 2}, "InputAuthMode=2"),
        ({"output_auth_mode": 3}, "OutputAuthMode=3"),
        ({"esp_logs": 8}, "ESPLogs"),
        ({"service_type": "gen"}, "service type must be http"),
        ({"port": 443}, "SSL acceleration"),
        ({"extra_ports": ("440-450",)}, "SSL acceleration"),
        ({"transparent": True}, "Transparent"),
        ({"sso_domain": "X"}, "not built"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given_settings: dict[str, object], says: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        service(**given_settings)
    assert says in refusal.value.message


def test_lists_may_be_spread_over_blanks() -> None:
    assert service(allowed_hosts="  a.com   b.com ").allowed_hosts == "a.com b.com"
