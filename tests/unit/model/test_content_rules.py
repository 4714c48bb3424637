"""Content rules as objects, and the commands on them and on where they are attached."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import HTTP, SERVER, TCP, apply

from steelyard.model.commands import (
    AddRule,
    AddService,
    AttachRule,
    ChangeRule,
    ChangeServer,
    ChangeService,
    Command,
    CreateSubService,
    Declare,
    DetachRule,
    DuplicateService,
    MoveRule,
    RemoveRule,
    Restore,
    RulePlace,
    required_permissions,
)
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.content_rule import ContentRule, replacement_parts
from steelyard.model.errors import ConflictError, NotFound, OperatorError

REQUEST, RESPONSE, PRE, BODY = (RulePlace(1, where) for where in ("request", "response", "pre", "body"))
MEMBER = RulePlace(1, member=1)


def rule(name: str = "one", **settings: Any) -> dict[str, Any]:
    kind = settings.get("rule_type", 0)
    given = {"pattern": "x"} if kind != 1 else {}
    if kind in (1, 3):
        given["header"] = "X-A"
    return {"name": name, **given, **settings}


def site(*commands: Command) -> Configuration:
    """A service with one real server, and what these commands make of it."""
    return apply(AddService({**HTTP, "servers": [SERVER]}), *commands)


def refused(command: Command, configuration: Configuration) -> OperatorError | ConflictError:
    with pytest.raises((OperatorError, ConflictError)) as caught:
        command.apply(configuration)
    return caught.value


class TestRule:
    @pytest.mark.parametrize("kind", range(6))
    def test_each_type_is_made_with_what_it_needs(self, kind: int) -> None:
        assert ContentRule.make(rule(rule_type=kind)).rule_type == kind

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"pattern": ""}, "needs a pattern"),
            ({"rule_type": 2, "pattern": ""}, "needs a pattern"),
            ({"rule_type": 1, "header": ""}, "needs the name of a header"),
            ({"rule_type": 3, "header": ""}, "needs the name of a header"),
            ({"rule_type": 1, "header": "body"}, "can be matched, not changed"),
            ({"rule_type": 3, "header": "SRC-IP"}, "can be matched, not changed"),
            ({"rule_type": 1, "header": "a b"}, "header"),
            ({"rule_type": 1, "replacement": "a\r\nb"}, "control character"),
            ({"rule_type": 1, "replacement": "a" * 256}, "too long"),
            ({"rule_type": 1, "pattern": "a"}, "does not use it"),
            ({"rule_type": 2, "header": "X-A"}, "does not use it"),
            ({"rule_type": 3, "ignore_case": True}, "does not use it"),
            ({"rule_type": 4, "must_fail": True}, "does not use it"),
            ({"rule_type": 5, "set_on_match": 1}, "does not use it"),
            ({"replacement": "y"}, "does not use it"),
            ({"header": "Host", "include_host": True}, "belongs to the URL"),
            ({"header": "Host", "include_query": True}, "belongs to the URL"),
            ({"only_on_flag": 3, "only_on_no_flag": 3}, "cannot be set and not set"),
            ({"set_on_match": 10}, "0 to 9"),
            ({"pattern": "(a"}, "does not compile"),
            ({"pattern": "(a+)+$"}, "can blow up"),
            ({"pattern": r"(a)\1"}, "by its number"),
            ({"rule_type": 2, "pattern": r"/(a)\1/"}, "by its number"),
            ({"rule_type": 2, "pattern": "X A"}, "neither the name of a header"),
            ({"rule_type": 2, "pattern": "/(X/"}, "does not compile"),
            ({"rule_type": 4, "replacement": r"\1"}, "the pattern has no groups"),
            ({"rule_type": 4, "pattern": "(a)", "replacement": r"\2"}, "only one group"),
            ({"rule_type": 5, "pattern": "(a)" * 9, "replacement": r"\8"}, "too far"),
            ({"header": "src-ip", "match_type": "exact", "pattern": "10.0.0"}, "an address or a network"),
            ({"pattern": "a\x7f"}, "control character"),
            ({"name": "default"}, "stands for what no rule matches"),
            ({"name": "a b"}, "letters, digits"),
            ({"name": ""}, "empty"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings: dict[str, Any], says: str) -> None:
        with pytest.raises(OperatorError) as caught:
            ContentRule.make(rule(**settings))
        assert says in caught.value.message

    def test_only_regular_expressions_are_judged(self) -> None:
        for kind in ("prefix", "postfix", "exact"):
            assert not ContentRule.make(rule(match_type=kind, pattern="(a+)+$(")).uses_expression

    def test_a_deleted_header_goes_by_name_or_by_expression(self) -> None:
        assert not ContentRule.make(rule(rule_type=2, pattern="X-A.b")).uses_expression
        assert ContentRule.make(rule(rule_type=2, pattern="/^x-/")).uses_expression

    def test_what_begins_with_the_host_may_hold_several_lines_in_a_body(self) -> None:
        pattern = "^a.*b.*c.*$"
        assert ContentRule.make(rule(pattern=pattern))
        with pytest.raises(OperatorError):
            ContentRule.make(rule(pattern=pattern, header="body"))

    def test_a_replacement_is_text_and_groups(self) -> None:
        assert list(replacement_parts(r"a\1b\0\\2\n")) == ["a", 1, "b", 0, "\\", 2, r"\n"]
        assert list(replacement_parts("")) == []

    def test_clients_of_a_network(self) -> None:
        assert str(ContentRule.make(rule(header="src-ip", pattern="10.1.2.3/8")).network) == "10.0.0.0/8"
        assert ContentRule.make(rule(header="src-ip", pattern=r"^10\.")).network is None
        assert ContentRule.make(rule(header="X-IP", pattern="10.0.0.1")).network is None


class TestCommands:
    def test_a_rule_is_made_once(self) -> None:
        made = site(AddRule(rule()))
        assert isinstance(refused(AddRule(rule()), made), ConflictError)

    def test_what_is_not_named_keeps_its_value(self) -> None:
        made = site(AddRule(rule(negate=True)), ChangeRule("one", {"pattern": "y"}))
        assert (made.rules["one"].pattern, made.rules["one"].negate) == ("y", True)
        assert ChangeRule("one", {"pattern": "y"}).apply(made).configuration is made

    def test_name_and_type_in_use_stay(self) -> None:
        made = site(AddRule(rule()), AttachRule(REQUEST, "one"))
        assert refused(ChangeRule("one", {"name": "two"}), made).field == "name"  # type: ignore[union-attr]
        assert "request rules" in refused(ChangeRule("one", {"rule_type": 2}), made).message
        free = apply(DetachRule(REQUEST, "one"), to=made)
        assert apply(ChangeRule("one", {"rule_type": 2}), to=free).rules["one"].rule_type == 2
        with pytest.raises(NotFound):
            ChangeRule("none", {}).apply(made)

    def test_a_rule_in_use_is_removed_only_when_it_is_detached(self) -> None:
        made = site(
            AddRule(rule()),
            AddRule(rule("two")),
            *(AttachRule(place, name) for place in (PRE, REQUEST, MEMBER) for name in ("one", "two")),
        )
        message = refused(RemoveRule("one"), made).message
        assert "tcp/192.0.2.1:80 (pre rules, request rules, member 1)" in message
        service = apply(RemoveRule("one", detach=True), to=made).services[1]
        assert (service.pre_rules, service.request_rules, service.servers[0].rules) == (("two",), ("two",), ("two",))

    @pytest.mark.parametrize(
        ("place", "types"),
        [(PRE, {0}), (REQUEST, {0, 1, 2, 3, 4}), (RESPONSE, {1, 2, 3}), (BODY, {5}), (MEMBER, {0})],
    )
    def test_each_list_takes_its_types(self, place: RulePlace, types: set[int]) -> None:
        for kind in range(6):
            made = site(AddRule(rule(rule_type=kind)))
            if kind in types:
                assert place.names(apply(AttachRule(place, "one"), to=made)) == ("one",)
            else:
                assert f"type {kind}" in refused(AttachRule(place, "one"), made).message

    def test_order_is_kept_and_can_be_moved(self) -> None:
        made = site(*(AddRule(rule(name)) for name in "abc"), *(AttachRule(REQUEST, name) for name in "abc"))
        orders = {1: ("c", "a", "b"), 2: ("a", "c", "b"), 3: ("a", "b", "c"), 99: ("a", "b", "c")}
        for position, order in orders.items():
            assert REQUEST.names(apply(MoveRule(REQUEST, "c", position), to=made)) == order
        assert REQUEST.names(apply(AddRule(rule("d")), AttachRule(REQUEST, "d", 2), to=made)) == ("a", "d", "b", "c")
        assert refused(MoveRule(REQUEST, "c", 0), made).field == "position"
        assert MoveRule(REQUEST, "c", 3).apply(made).configuration is made

    def test_what_is_not_there_is_refused(self) -> None:
        made = site(AddRule(rule()))
        assert "no content rule" in refused(AttachRule(REQUEST, "none"), made).message
        assert "not attached" in refused(DetachRule(REQUEST, "one"), made).message
        assert "not attached" in refused(MoveRule(REQUEST, "one", 1), made).message
        for place in (RulePlace(9, "pre"), RulePlace(1, member=9)):
            with pytest.raises(NotFound):
                AttachRule(place, "one").apply(made)
        attached = apply(AttachRule(REQUEST, "one"), to=made)
        assert isinstance(refused(AttachRule(REQUEST, "one"), attached), ConflictError)
        assert isinstance(refused(ChangeService(1, {"pre_rules": ("one", "one")}), attached), ConflictError)

    def test_default_is_for_members_alone(self) -> None:
        made = apply(AttachRule(MEMBER, "default"), to=site())
        assert made.services[1].servers[0].rules == ("default",)
        assert "no content rule" in refused(AttachRule(REQUEST, "default"), made).message

    def test_services_that_pass_bytes_choose_members_by_what_is_known_of_a_connection(self) -> None:
        name = AddRule(rule("name", header="SSL-SNI", match_type="exact"))
        made = apply(AddService({**TCP, "servers": [SERVER]}), AddRule(rule()), name)
        assert made.rules["name"].header == "ssl-sni"
        assert "read HTTP requests" in refused(AttachRule(REQUEST, "one"), made).message
        assert "read HTTP requests" in refused(AttachRule(REQUEST, "name"), made).message
        assert "reads HTTP requests" in refused(AttachRule(MEMBER, "one"), made).message
        for each in ("name", "default"):
            made = AttachRule(MEMBER, each).apply(made).configuration
        assert "SSL acceleration on first" in str(refused(ChangeService(1, {"service_type": "http"}), made).details())

    def test_what_the_clients_tls_is_is_known_where_it_ends(self) -> None:
        cipher = AddRule(rule("cipher", header="ssl-cipher"))
        made = apply(AddService({**HTTP, "servers": [SERVER]}), cipher)
        for place in (PRE, REQUEST, MEMBER):
            assert "ends TLS only with SSLAcceleration" in refused(AttachRule(place, "cipher"), made).message
        made = ChangeService(1, {"ssl_acceleration": True}).apply(made).configuration
        for place in (PRE, REQUEST, MEMBER):
            made = AttachRule(place, "cipher").apply(made).configuration
        assert "the client's TLS" in refused(ChangeService(1, {"ssl_acceleration": False}), made).message

    def test_a_service_with_rules_for_requests_stays_one_of_requests(self) -> None:
        attached = site(AddRule(rule()), AttachRule(REQUEST, "one"))
        assert "Detach" in str(refused(ChangeService(1, {"service_type": "gen"}), attached).details())

    def test_settings_name_rules_too(self) -> None:
        made = site(
            AddRule(rule()), ChangeService(1, {"request_rules": ("one",)}), ChangeServer(1, 1, {"rules": ("one",)})
        )
        assert (made.services[1].request_rules, made.services[1].servers[0].rules) == (("one",), ("one",))
        assert "no content rule" in refused(ChangeServer(1, 1, {"rules": ("two",)}), made).message

    def test_a_copy_has_the_rules_of_its_original(self) -> None:
        made = site(
            AddRule(rule()), AttachRule(REQUEST, "one"), AttachRule(MEMBER, "one"), DuplicateService(1, port=81)
        )
        copy = made.services[2]
        assert (copy.request_rules, copy.servers[0].rules) == (("one",), ("one",))

    def test_permissions(self) -> None:
        assert required_permissions(AddRule(rule())) == {"rules"}
        assert required_permissions(AttachRule(REQUEST, "one")) == {"vs"}
        assert required_permissions(DetachRule(MEMBER, "one")) == {"real"}


class TestFlags:
    SETS = rule("sets", set_on_match=1)
    NEEDS = rule("needs", only_on_flag=1)

    def test_who_sets_a_flag_comes_before_who_needs_it(self) -> None:
        made = site(AddRule(self.SETS), AddRule(self.NEEDS), AttachRule(REQUEST, "needs"))
        error = refused(AttachRule(REQUEST, "sets"), made)
        assert "loop of flags" in error.message and "sets" in error.message and "needs" in error.message
        for place, position in ((REQUEST, 1), (PRE, None), (MEMBER, None)):
            right = apply(AttachRule(place, "sets", position), to=made)
            if place is REQUEST:
                assert "loop of flags" in refused(MoveRule(REQUEST, "sets", 2), right).message

    def test_a_rule_cannot_wait_for_itself(self) -> None:
        made = site(AddRule(rule("self", set_on_match=2, only_on_flag=2)))
        assert "itself" in refused(AttachRule(REQUEST, "self"), made).message

    def test_two_rules_cannot_wait_for_each_other(self) -> None:
        made = site(
            AddRule(rule("a", set_on_match=1, only_on_flag=2)),
            AddRule(rule("b", set_on_match=2, only_on_flag=1)),
            AttachRule(REQUEST, "a"),
        )
        assert "loop of flags" in refused(AttachRule(REQUEST, "b"), made).message

    def test_a_flag_nobody_sets_may_be_set_by_a_rule_to_come(self) -> None:
        site(AddRule(self.NEEDS), AttachRule(REQUEST, "needs"))

    def test_a_change_of_a_rule_in_use_cannot_make_a_loop(self) -> None:
        made = site(
            AddRule(self.NEEDS), AddRule(rule("later")), AttachRule(REQUEST, "needs"), AttachRule(REQUEST, "later")
        )
        assert "loop of flags" in refused(ChangeRule("later", {"set_on_match": 1}), made).message

    def test_answers_see_the_flags_of_the_request(self) -> None:
        site(
            AddRule(self.SETS),
            AddRule(rule("head", rule_type=2, pattern="X-A", only_on_flag=1)),
            AttachRule(RESPONSE, "head"),
            AttachRule(REQUEST, "sets"),
        )

    def test_the_rules_of_a_sub_service_come_after_those_of_its_parent(self) -> None:
        made = apply(
            AddService(HTTP),
            CreateSubService(1, {"name": "sub"}),
            AddRule(self.SETS),
            AddRule(self.NEEDS),
        )
        sub = RulePlace(2, "request")
        apply(AttachRule(sub, "needs"), AttachRule(REQUEST, "sets"), to=made)
        wrong = apply(AttachRule(REQUEST, "needs"), to=made)
        assert "loop of flags" in refused(AttachRule(sub, "sets"), wrong).message
        assert "loop of flags" in refused(AttachRule(REQUEST, "needs"), apply(AttachRule(sub, "sets"), to=made)).message


class TestWhole:
    MADE = (
        AddRule(rule()),
        AddRule(rule("two", ignore_case=True)),
        AttachRule(REQUEST, "one"),
        AttachRule(MEMBER, "two"),
    )

    def test_rules_survive_the_store(self) -> None:
        made = site(*self.MADE)
        documents: dict[str, dict[str, dict[str, Any]]] = {}
        for kind, key, value in objects_of(made):
            document = stored_document(kind, value)
            if document is not None:
                documents.setdefault(kind, {})[key] = document
        assert from_documents(documents) == made

    def test_a_declaration_replaces_rules(self) -> None:
        made = site(*self.MADE)
        service = {**HTTP, "request_rules": ["one"], "servers": [{**SERVER, "rules": ["default"]}]}
        declared = Declare([service], dict.fromkeys(made.certificates), rules=[rule()]).apply(made).configuration
        assert list(declared.rules) == ["one"]
        assert declared.rules["one"] is made.rules["one"]
        assert declared.services[1].servers[0].rules == ("default",)
        error = refused(Declare([service], dict.fromkeys(made.certificates)), made)
        assert (error.position, "no content rule" in error.message) == ("services[0]", True)
        error = refused(Declare([], rules=[rule(), rule()]), made)
        assert error.position == "rules[1]"

    def test_a_rollback_brings_rules_back(self) -> None:
        made = site(*self.MADE)
        gone = apply(RemoveRule("one", detach=True), to=made)
        back = Restore(3, made).apply(gone).configuration
        assert (back.rules, back.services) == (made.rules, made.services)
