"""Content rules, global parameters, access lists, limits, cipher sets and LDAP endpoints as pages."""

from __future__ import annotations

import pytest
from tests.support.web_forms import disabled_fields, fields_of
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddRule, AddServer, AddService, AttachRule, PutCipherSet, RulePlace
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.rule_matching import Request
from steelyard.web.pages.content_rules import try_out
from steelyard.web.pages.parameters import PAGES


@pytest.fixture
def browser() -> Browser:
    return Browser()


def configured(browser: Browser) -> Configuration:
    return browser.appliance.configuration


# --------------------------------------------------------------- content rules


def test_a_rule_is_made_changed_copied_and_removed(browser: Browser) -> None:
    more = browser.send("/add/content-rule", "apply", name="old", rule_type="4", pattern="/^\\/old/")
    assert "has more settings, which are shown now" in more.text
    assert configured(browser).rules == {}
    answer = browser.post("/add/content-rule", {**fields_of(more.text), "replacement": "/new", "_step": "apply"})
    assert answer.headers["location"] == "/content-rules/old"
    assert configured(browser).rule("old").replacement == "/new"
    assert browser.apply("/content-rules/old", replacement="/newer").status_code == 303
    assert configured(browser).rule("old").replacement == "/newer"
    browser.send("/add/content-rule?like=old", "apply", name="copy")
    assert configured(browser).rule("copy").pattern == "/^\\/old/"
    assert configured(browser).rule("copy").replacement == "/newer"
    browser.post("/content-rules/old/remove", {})
    assert set(configured(browser).rules) == {"copy"}


def test_the_editor_of_a_rule_asks_for_what_its_type_uses(browser: Browser) -> None:
    matching = fields_of(browser.get("/add/content-rule?type=0"))
    assert {"match_type", "pattern", "set_on_match"} <= set(matching)
    assert "replacement" not in matching
    drawn = browser.post("/add/content-rule", {**matching, "rule_type": "1"}, htmx=True)
    adding = fields_of(drawn.text)
    assert {"header", "replacement"} <= set(adding)
    assert "pattern" not in adding


def test_a_rule_that_cannot_be_is_refused_at_its_field(browser: Browser) -> None:
    answer = browser.send("/add/content-rule", "apply", name="bad", pattern="(unclosed")
    assert 'id="error-pattern"' in answer.text
    assert fields_of(answer.text)["pattern"] == ["(unclosed"]


def test_a_rule_in_use_says_where_and_keeps_its_type(browser: Browser) -> None:
    browser.execute(
        AddService({"address": "192.0.2.1", "port": 80, "name": "shop"}),
        AddRule({"name": "one", "pattern": "x"}),
        AttachRule(RulePlace(1, "pre"), "one"),
    )
    page = browser.get("/content-rules/one")
    assert {"name", "rule_type"} <= disabled_fields(page)
    assert "shop (tcp/192.0.2.1:80) (pre rules)" in page
    assert "is detached everywhere first" in browser.get("/content-rules/one/remove")
    browser.post("/content-rules/one/remove", {})
    assert configured(browser).service(1).pre_rules == ()


def rule(**settings: object) -> ContentRule:
    return ContentRule.make({"name": "it", **settings})


@pytest.mark.parametrize(
    ("settings", "request_", "verdict"),
    [
        ({"pattern": "/^\\/shop/"}, Request(target="/shop/1"), "The rule matches"),
        ({"pattern": "/^\\/shop/"}, Request(target="/"), "The rule does not match"),
        ({"pattern": "/^\\/shop/", "negate": True}, Request(target="/"), "The rule matches"),
        ({"pattern": "x", "must_fail": True}, Request(target="/x"), "so the request is refused"),
        ({"pattern": "x", "set_on_match": 3}, Request(target="/x"), "sets flag 3"),
        ({"pattern": "x", "only_on_flag": 3}, Request(target="/x"), "The rule matches"),
        ({"pattern": "a", "header": "ssl-cipher"}, Request(), "not known here"),
        ({"rule_type": 4, "pattern": "/^\\/a/", "replacement": "/b"}, Request(target="/a/1"), "The URL is changed"),
        ({"rule_type": 4, "pattern": "/^\\/a/", "replacement": "/b"}, Request(target="/c"), "stays as it is"),
        ({"rule_type": 1, "header": "X-A", "replacement": "1"}, Request(), "The headers are changed"),
        ({"rule_type": 2, "pattern": "Via"}, Request(), "No header is changed"),
    ],
)
def test_trying_a_rule_out_says_what_it_makes_of_a_request(
    settings: dict[str, object], request_: Request, verdict: str
) -> None:
    assert verdict in try_out(rule(**settings), request_).verdict


def test_trying_a_rule_out_shows_what_is_changed_into_what() -> None:
    tried = try_out(rule(rule_type=4, pattern="/^\\/old\\/(.*)$/", replacement="/new/\\1"), Request(target="/old/x"))
    assert tried.lines == (("URL", "/old/x", "/new/x"),)
    request = Request(headers=(("Via", "a"), ("X-A", "1")))
    assert try_out(rule(rule_type=2, pattern="Via"), request).lines == (("Via", "a", ""),)
    assert try_out(rule(rule_type=3, header="X-A", pattern="1", replacement="2"), request).lines == (("X-A", "1", "2"),)
    assert try_out(rule(rule_type=5, pattern="a", replacement="b"), Request(), b"banana").lines == (
        ("Body", "banana", "bbnbnb"),
    )


def test_the_tester_of_a_rule_on_its_page(browser: Browser) -> None:
    browser.execute(AddRule({"name": "it", "pattern": "/^www\\.example/", "header": "Host"}))
    page = browser.get("/content-rules/it?target=/&host=www.example.com&client=192.0.2.1&headers=")
    assert "The rule matches" in page
    assert "www.example.com" in page
    assert "is no address" in browser.get("/content-rules/it?target=/&client=nobody")
    assert "is no header" in browser.get("/content-rules/it?target=/&client=192.0.2.1&headers=nonsense")


# ------------------------------------------------------------------- parameters


@pytest.mark.parametrize("name", [one.path for one in PAGES])
def test_every_page_of_parameters_is_drawn_and_changes_nothing_untouched(browser: Browser, name: str) -> None:
    assert "No setting is changed" in browser.send(name, "review").text


def test_parameters_are_changed(browser: Browser) -> None:
    browser.apply("/check-parameters", interval="30")
    assert configured(browser).checks.interval == 30
    browser.apply("/check-parameters/adaptive", port="8081")
    assert configured(browser).adaptive.port == 8081
    browser.apply("/layer7-configuration", drain_time="60", drop_on_failure="1")
    assert (configured(browser).layer7.drain_time, configured(browser).layer7.drop_on_failure) == (60, True)
    browser.apply("/afe-configuration", not_cached=".php .cgi")
    assert configured(browser).layer7.not_cached == (".php", ".cgi")
    browser.apply("/network-options", connection_timeout="900")
    assert configured(browser).network.connection_timeout == 900
    assert 'id="error-interval"' in browser.send("/check-parameters", "review", interval="9999").text


# ----------------------------------------------------------------- access lists


def test_access_lists_are_filled_asked_emptied(browser: Browser) -> None:
    browser.execute(AddService({"address": "192.0.2.1", "port": 80}))
    change = "/access-lists/change"
    browser.post(
        change, {"scope": "0", "list": "block", "do": "add", "entries": "203.0.113.0/24 # a bot\n198.51.100.7"}
    )
    page = browser.get("/access-lists?client=203.0.113.9")
    assert "a bot" in page
    assert "203.0.113.0/24 is in the block list for all services" in page
    browser.post(change, {"scope": "0", "list": "block", "do": "remove", "address": "203.0.113.0/24"})
    assert configured(browser).access_lists[0].entries("block") == [("198.51.100.7/32", "")]
    browser.post(change, {"scope": "1", "list": "allow", "do": "add", "entries": "10.0.0.0/8"})
    assert "10.0.0.0/8" in browser.get("/virtual-services/1/access")
    assert browser.client.get("/access-lists/1/allow.txt").text == "10.0.0.0/8\n"
    browser.post(change, {"scope": "0", "list": "block", "do": "add", "entries": "10.0.0.0/8\n300.1.1.1"})
    page = browser.get("/access-lists")
    assert "Nothing was changed. line 2: Invalid address: 300.1.1.1" in page


# ----------------------------------------------------------------------- limits


def test_limits_of_all_of_clients_and_by_rule(browser: Browser) -> None:
    browser.apply("/limits", max_connections="5000", client_requests_per_second="10")
    assert configured(browser).limits.max_connections == 5000
    client = {"kind": "requests_per_second", "network": "10.0.0.0/8", "limit": "100", "do": "set"}
    browser.post("/limits/clients", client)
    assert configured(browser).limit_entries.requests_per_second == {"10.0.0.0/8": 100}
    browser.post("/limits/clients", {**client, "limit": "many"})
    assert "is no number" in browser.get("/limits")
    browser.post("/limits/clients", {**client, "do": "remove"})
    assert configured(browser).limit_entries.requests_per_second == {}
    for name in ("login", "search"):
        browser.send("/add/limit-rule", "apply", name=name, pattern=f"/{name}", limit="5")
    browser.post("/limits/rules/search/arrange", {"do": "up"})
    assert [one.name for one in configured(browser).limit_entries.rules] == ["search", "login"]
    browser.apply("/limits/rules/login", limit="7")
    browser.post("/limits/rules/search/arrange", {"do": "remove"})
    assert [(one.name, one.limit) for one in configured(browser).limit_entries.rules] == [("login", 7)]


# ------------------------------------------------------------ cipher sets, directories


def test_cipher_sets_are_copied_ordered_and_removed(browser: Browser) -> None:
    assert "never changes" in browser.get("/cipher-sets/BestPractices")
    browser.send("/add/cipher-set?like=BestPractices", "apply", name="mine")
    assert configured(browser).cipher_sets["mine"].ciphers
    two = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    browser.apply("/cipher-sets/mine", ciphers=two)
    assert configured(browser).cipher_sets["mine"].ciphers == tuple(two)
    browser.post("/cipher-sets/mine/remove", {})
    assert configured(browser).cipher_sets == {}


def test_a_cipher_set_in_use_is_not_removed(browser: Browser) -> None:
    browser.execute(
        PutCipherSet("mine", ("ECDHE-RSA-AES128-GCM-SHA256",)),
        AddService({"address": "192.0.2.1", "port": 443, "ssl_acceleration": True, "cipher_set": "mine"}),
    )
    assert "That cannot be done now" in browser.get("/cipher-sets/mine/remove")


def test_an_ldap_endpoint_with_its_password(browser: Browser) -> None:
    made = {"name": "dir", "servers": "192.0.2.10 [2001:db8::1]:389", "user": "cn=check", "password": "S3cret!"}
    browser.send("/add/ldap-endpoint", "apply", **made)
    endpoint = configured(browser).ldap_endpoint("dir")
    assert endpoint.servers == ("192.0.2.10", "[2001:db8::1]:389")
    assert browser.appliance.secret(endpoint.password_key) == b"S3cret!"
    page = browser.get("/ldap-endpoints/dir")
    assert "S3cret!" not in page
    browser.apply("/ldap-endpoints/dir", timeout="10")
    assert configured(browser).ldap_endpoint("dir").password_key == endpoint.password_key
    reviewed = browser.send("/ldap-endpoints/dir", "review", password="0ther!")
    assert "0ther!" not in reviewed.text.replace(fields_of(reviewed.text)["csrf"][0], "")
    browser.post("/ldap-endpoints/dir/remove", {})
    assert configured(browser).ldap_endpoints == {}


def test_an_endpoint_in_use_is_told_of(browser: Browser) -> None:
    browser.send("/add/ldap-endpoint", "apply", name="dir")
    browser.execute(AddService({"address": "192.0.2.1", "port": 389, "check_type": "ldap", "ldap_endpoint": "dir"}))
    browser.execute(AddServer(1, {"address": "10.0.0.1", "port": 389}))
    assert "192.0.2.1:389" in browser.get("/ldap-endpoints")
    assert "is used by virtual service" in browser.get("/ldap-endpoints/dir/remove")
