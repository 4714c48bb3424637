"""The official Python SDK: content rules. It makes, reads, changes and removes them; attaching is not in it."""

from __future__ import annotations

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.waiting import eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.clients import fetch
from tests.support.origin import Origin

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


def test_a_rule_is_made_read_changed_and_removed(sdk: SdkSession, lm: LoadMasterClient) -> None:
    sdk("rule = lm.create_rule('is_api', '^/api/'); rule.save()")
    read = "again = lm.get_rule('is_api'); [again.name, again.pattern, again.matchtype, again.negate]"
    assert sdk(read) == ["is_api", "^/api/", "Regex", "N"]
    sdk("again.pattern = '/api/'; again.matchtype = 'prefix'; again.negate = 'Y'; again.update()")
    assert sdk(read) == ["is_api", "/api/", "prefix", "Y"]
    assert sdk("[rule.name for rule in lm.get_rules()]") == ["is_api"]
    sdk("again.delete()")
    assert lm.must("showrule").data.findall("*") == []


def test_a_rule_read_and_written_back_stays_the_same(sdk: SdkSession, lm: LoadMasterClient) -> None:
    lm.must("addrule", name="a", pattern="^/a", nocase=1, incquery=1, inchost=1, setonmatch=3, mustfail=1)
    lm.must("addrule", name="b", type=1, header="X-B", replacement="b")
    lm.must("addrule", name="c", type=3, header="X-C", pattern="(c)", replacement=r"<\1>", onlyonflag=3)
    before = lm.must("showrule").body
    sdk("[rule.update() for rule in lm.get_rules()]; None")
    assert lm.must("showrule").body == before


def test_each_type_the_sdk_knows_can_be_made(sdk: SdkSession, lm: LoadMasterClient) -> None:
    sdk(
        """
        for kind in ("1", "2", "3", "4"):
            rule = lm.create_rule("rule" + kind, "x")
            rule.type = kind
            rule.header = "X-A"
            rule.replacement = "y"
            rule.save()
        """
    )
    # the SDK loses the type of a rule it reads, so it never sends one back
    assert sdk("sorted(rule.name for rule in lm.get_rules())") == ["rule1", "rule2", "rule3", "rule4"]
    groups = [element.tag for element in lm.must("showrule").data]
    assert groups == ["AddHeaderRule", "DeleteHeaderRule", "ReplaceHeaderRule", "ModifyURLRule"]


def test_a_pattern_that_can_blow_up_is_refused_with_its_reason(sdk: SdkSession) -> None:
    with pytest.raises(SdkRaised) as raised:
        sdk("lm.create_rule('bad', '(a+)+$').save()")
    assert "can blow up" in str(raised.value)


def test_rules_of_the_sdk_switch_requests(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, two: Origin, port: int
) -> None:
    sdk(
        """
        rule = lm.create_rule("second", "^/second")
        rule.save()
        vs = lm.create_virtual_service("127.0.0.1", port, "tcp")
        vs.vstype = "http"
        vs.save()
        for number in ports:
            vs.create_real_server("127.0.0.1", number).save()
        """,
        port=port,
        ports=[one.port, two.port],
    )
    lm.must("addrsrule", vs=1, rs="127.0.0.1", rsport=two.port, rule="second")
    lm.must("addrsrule", vs=1, rs="127.0.0.1", rsport=one.port, rule="default")
    eventually_equal(lambda: fetch(f"http://127.0.0.1:{port}/second/page").name, "two")
    eventually_equal(lambda: fetch(f"http://127.0.0.1:{port}/page").name, "one")
    names = lm.must("showvs", vs=1).data.findall("Rs/MatchRules/Name")
    assert sorted(name.text or "" for name in names) == ["default", "second"]
