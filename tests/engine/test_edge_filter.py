"""The edge filter on real traffic: hosts, directories, sub-services, changes without a reload."""

from __future__ import annotations

import pytest
from tests.engine.rig import Rig, Service
from tests.support.clients import Http2Client, Reply
from tests.support.origin import Origin

from steelyard.model.commands import ChangeService, CreateSubService

FIVE = "meet.example.com dialin.example.com lyncdiscover.example.com lyncweb.example.com *.web.example.com"


def ask(service: Service, host: str, path: str = "/", **request: object) -> Reply:
    headers = {"Host": host, **request.pop("headers", {})}  # type: ignore[dict-item]
    return service.fetch(path, headers=headers, **request)


@pytest.fixture
def lync(rig: Rig, one: Origin) -> Service:
    """As the vendor's paper has it: delegated to the server, allowed hosts only, all logs."""
    return rig.http(one, esp_enabled=True, input_auth_mode=0, allowed_hosts=FIVE, esp_logs=7)


def test_only_allowed_hosts_pass_and_others_get_a_page(lync: Service, one: Origin) -> None:
    for host in ("meet.example.com", "MEET.example.COM:443", "lyncweb.example.com.", "a.web.example.com"):
        assert ask(lync, host, "/meet/ann").name == "one", host
    one.clear()
    for host in ("example.com", "web.example.com", "evil.com", "meet.example.com.evil.com"):
        reply = ask(lync, host, "/meet/ann")
        assert (reply.status, reply.header("content-type")) == (403, "text/html; charset=utf-8"), host
        assert "<h1>Access denied</h1>" in reply.text
        assert reply.header("cache-control") == "no-store"
    assert one.request_count == 0


def test_a_refused_client_may_go_on_with_its_connection(lync: Service) -> None:
    with lync.connect() as client:
        assert client.request("/", headers={"Host": "evil.com"}, body=b"x" * 1000, method="POST").status == 403
        assert client.request("/", headers={"Host": "meet.example.com"}).name == "one"


def test_a_challenge_of_the_server_passes_untouched(lync: Service) -> None:
    reply = ask(lync, "meet.example.com", "/status/401")
    assert (reply.status, reply.header("www-authenticate")) == (401, 'Basic realm="origin"')


def test_no_allowed_host_refuses_everything(rig: Rig, one: Origin) -> None:
    service = rig.http(one, esp_enabled=True)
    assert ask(service, "meet.example.com").status == 403
    with rig.without_reload():
        service.change(allowed_hosts="meet.example.com")
    assert ask(service, "meet.example.com").status == 200


def test_hosts_and_directories_change_without_a_reload(rig: Rig, lync: Service) -> None:
    lync.change(allowed_directories="/owa*")
    with rig.without_reload():
        lync.change(allowed_hosts=f"{FIVE} new.example.com")
        assert ask(lync, "new.example.com", "/owa").status == 200
        lync.change(allowed_hosts="new*.example.org [::1] x_y.example.net")
        assert ask(lync, "meet.example.com", "/owa").status == 403
        assert ask(lync, "new7.example.org", "/owa").status == 200
        assert ask(lync, "[::1]:80", "/owa").status == 200
        assert ask(lync, "x_y.example.net", "/owa").status == 200
        lync.change(allowed_directories="/ecp /a*b", excluded_directories="/public/*/pictures")
        assert [ask(lync, "[::1]", path).status for path in ("/owa", "/ecp", "/ecp/x", "/ecpx", "/axb", "/ax")] == [
            *(403, 200, 200, 403, 200, 403)
        ]
        assert ask(lync, "[::1]", "/public/x/pictures").status == 200


def test_entries_of_every_sign_come_through_the_runtime_socket(rig: Rig, lync: Service) -> None:
    odd = "/a'b\"c;d(e)f,g$h&i=j~k!l:m@n+o[p]q{r}s|t^u`v<w>x%7e*"
    lync.change(allowed_directories="/owa*")
    with rig.without_reload():
        lync.change(allowed_directories=f"/owa* {odd} /q.+(*)x")
    assert ask(lync, "meet.example.com", odd[:-1] + "z").status == 200
    assert ask(lync, "meet.example.com", "/q.+()x").status == 200
    assert ask(lync, "meet.example.com", "/qa+()x").status == 403
    # and the same from the files, after a reload
    lync.change(idle_time=700)
    assert ask(lync, "meet.example.com", odd[:-1] + "z").status == 200
    assert ask(lync, "meet.example.com", "/q.+()x").status == 200


def test_directories(rig: Rig, one: Origin) -> None:
    service = rig.http(
        one,
        esp_enabled=True,
        allowed_hosts="a.com",
        allowed_directories="/owa* /ews/exchange.asmx",
        excluded_directories="/owa2/calendar /pub",
    )
    passed = ("/owa", "/OWA/x", "/owa?x=/../y", "/EWS/Exchange.asmx", "/ews/exchange.asmx/x", "/pub/a", "/pub")
    refused = ("/", "/ecp", "/ews", "/ews/exchange.asmxx", "/publ", "/o%77a", "/x?/owa")
    assert [path for path in passed if ask(service, "a.com", path).status != 200] == []
    assert [path for path in refused if ask(service, "a.com", path).status != 403] == []


def test_http_2_is_filtered(rig: Rig, one: Origin) -> None:
    service = rig.http(
        one, esp_enabled=True, allowed_hosts="a.com", ssl_acceleration=True, allow_http2=True, allowed_directories="/x*"
    )
    with Http2Client() as client:
        assert client.request(service.url + "/x", headers={"Host": "a.com"}).name == "one"
        assert client.request(service.url + "/x", headers={"Host": "b.com"}).status == 403
        assert client.request(service.url + "/y", headers={"Host": "a.com"}).status == 403


def test_switched_off_it_lets_everything_pass(rig: Rig, lync: Service) -> None:
    lync.change(esp_enabled=False)
    assert ask(lync, "evil.com", "/a/../b").status == 200


def test_health_checks_are_not_filtered(rig: Rig, one: Origin) -> None:
    service = rig.http(
        one, esp_enabled=True, allowed_hosts="a.com", check_type="http", check_url="/health", allowed_directories="/x"
    )
    assert ask(service, "a.com", "/x").name == "one"


@pytest.mark.parametrize("subs", [1, 2])
def test_sub_services_filter_for_themselves(rig: Rig, one: Origin, two: Origin, subs: int) -> None:
    """One is reached as a backend of the parent's, two are balanced and reached over listeners of their own."""
    parent = rig.service((), service_type="http", servers=[], esp_enabled=True, allowed_hosts="a.com b.com")
    for origin in (one, two)[:subs]:
        outcome = rig.do(CreateSubService(parent.index))
        assert isinstance(outcome.key, int)
        sub = Service(rig, outcome.key)
        rig.do(ChangeService(sub.index, {"esp_enabled": True, "allowed_directories": "/owa*"}))
        sub.add(origin).wait_until("up")
    answers = [ask(parent, host, path) for host, path in (("a.com", "/owa"), ("c.com", "/owa"), ("a.com", "/ecp"))]
    assert [reply.status for reply in answers] == [200, 403, 403]
    rig.do(ChangeService(sub.index, {"allowed_hosts": "b.com"}))
    assert {ask(parent, "a.com", "/owa").status for _ in range(4)} == ({403} if subs == 1 else {200, 403})
    assert ask(parent, "b.com", "/owa").status == 200
