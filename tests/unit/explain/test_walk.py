"""The steps without an engine: what is asked of it, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.certificates import authority
from tests.support.strategies import material

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.explain.situation import (
    Answer,
    CountersAsked,
    Question,
    Record,
    RecordAsked,
    ServerNow,
    ServersAsked,
    Situation,
)
from steelyard.explain.walk import explain
from steelyard.model.access_list import Entries
from steelyard.model.commands import (
    AddEntries,
    AddIntermediates,
    AddRule,
    AddService,
    ChangeService,
    Command,
    PutCertificate,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.observe.status import AllStates, Verdict

UP = ServerNow(up=True, admin="ready", weight=100)
DOWN = ServerNow(up=False, admin="ready", weight=100)
DRAINS = ServerNow(up=True, admin="drain", weight=100)


@dataclass
class Engine:
    """Answers the questions of an explanation, and remembers them."""

    records: Mapping[str, Record] = field(default_factory=dict)
    servers: Mapping[str, ServerNow] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        match question:
            case RecordAsked(table):
                return self.records.get(table)
            case ServersAsked():
                return {name: self.servers.get(name, UP) for name in (f"rs{n}" for n in range(1, 20))}
            case CountersAsked():
                return self.counters


def _configuration(*commands: Command, **service: Any) -> Configuration:
    servers = [{"address": f"10.0.0.{n}", "port": 80} for n in (1, 2, 3)]
    data = {"address": "192.0.2.1", "port": 80, "service_type": "http", "servers": servers} | service
    configuration = Configuration()
    for command in (*commands, AddService(data)):
        configuration = command.apply(configuration).configuration
    return configuration


def _explained(configuration: Configuration, engine: Engine, **request: Any) -> Explanation:
    compiler = Compiler(EngineFacts(threads=2, lua=True, open_files=20_000))
    verdicts = {f"vs1/rs{n}": Verdict("up" if engine.servers.get(f"rs{n}", UP).up else "down") for n in (1, 2, 3)}
    situation = Situation(
        configuration,
        AllStates(configuration, verdicts),
        compiler.service_context(configuration),
        lambda service: compiler.family(service, configuration),
    )
    steps = explain(situation, configuration.service(1), Request(**({"client": "198.51.100.7"} | request)))
    answer: Answer = None
    while True:
        try:
            answer = engine.answer(steps.send(answer))
        except StopIteration as end:
            found: Explanation = end.value
            return found


def _ports(found: Explanation) -> list[int]:
    return [server.index for server in found.result.servers]


def test_only_what_matters_is_asked() -> None:
    engine = Engine()
    _explained(_configuration(), engine)
    assert engine.asked == [ServersAsked("vs1")]
    engine = Engine()
    _explained(_configuration(enabled=False), engine)
    assert engine.asked == []


def test_a_record_decides_and_one_of_a_server_that_is_down_does_not() -> None:
    configuration = _configuration(persistence="src")
    found = _explained(configuration, Engine({"vs1": Record(2, 12.0)}))
    assert (found.result.kind, _ports(found)) == ("server", [2])
    found = _explained(configuration, Engine({"vs1": Record(2, 12.0)}, {"rs2": DOWN}))
    assert (found.result.kind, _ports(found)) == ("candidates", [1, 3])
    found = _explained(configuration, Engine({"vs1": Record(2, 12.0)}, {"rs2": DRAINS}))
    assert (found.result.kind, _ports(found)) == ("server", [2])
    found = _explained(configuration, Engine({}, {"rs2": DRAINS}))
    assert (found.result.kind, _ports(found)) == ("candidates", [1, 3])


def test_the_record_of_the_service_that_is_followed() -> None:
    configuration = _configuration(persistence="src")
    servers = [{"address": f"10.0.0.{n}", "port": 443} for n in (3, 2, 1)]
    leader = AddService(
        {"address": "192.0.2.1", "port": 443, "service_type": "http", "persistence": "src", "servers": servers}
    )
    configuration = leader.apply(configuration).configuration
    configuration = ChangeService(1, {"follow_vs": 2}).apply(configuration).configuration
    # the leader's server 4 is 10.0.0.3, which is server 3 here
    found = _explained(configuration, Engine({"vs2": Record(4, 12.0)}))
    assert _ports(found) == [3]
    found = _explained(configuration, Engine({"vs2": Record(4, 12.0), "vs1": Record(1, 12.0)}))
    assert _ports(found) == [1]


def test_fixed_weighting_names_the_best_that_has_weight() -> None:
    configuration = _configuration(schedule="fixed")
    nothing = ServerNow(up=True, admin="ready", weight=0)
    found = _explained(configuration, Engine({}, {"rs1": nothing, "rs3": nothing}))
    assert (found.result.kind, _ports(found)) == ("server", [2])


def test_what_comes_when_no_server_is_available() -> None:
    dead = {f"rs{n}": DOWN for n in (1, 2, 3)}
    found = _explained(_configuration(), Engine({}, dead))
    assert (found.result.kind, found.result.status) == ("answered", 503)
    redirect = _configuration(error_code=302, error_url="https://%h:8443/down%s")
    headers = (("Host", "SHOP.example:80"),)
    found = _explained(redirect, Engine({}, dead), headers=headers, target="/a?b=%41")
    assert (found.result.status, found.result.location) == (302, "https://shop.example:8443/down/a?b=%41")
    found = _explained(redirect, Engine({}, dead), headers=(("Host", 'x"y'),))
    assert found.result.location == "https://192.0.2.1:8443/down/"
    sorry = _configuration(standby_address="10.9.9.9", standby_port=81)
    found = _explained(sorry, Engine({}, dead))
    assert str(found.result.servers[0]) == "sorry server 10.9.9.9:81"


def test_a_pattern_is_shown_as_it_is_written() -> None:
    servers = [{"address": "10.0.0.1", "port": 80, "rules": ["owa"]}]
    configuration = _configuration(AddRule({"name": "owa", "pattern": r"/^\/owa.*/"}), servers=servers)
    (step,) = [step for step in _explained(configuration, Engine(), target="/owa/x").steps if "content" in step.name]
    assert step.details == (r"rule owa matches: the URL '/owa/x' matches '/^\/owa.*/'",)


def test_each_rule_is_told_with_its_reason() -> None:
    servers = [{"address": "10.0.0.1", "port": 80, "rules": ["a"]}, {"address": "10.0.0.2", "port": 80, "rules": ["b"]}]
    rules = (
        AddRule({"name": "a", "match_type": "prefix", "pattern": "/a"}),
        AddRule({"name": "b", "header": "X-B", "pattern": "^yes$", "negate": True}),
    )
    configuration = _configuration(*rules, servers=servers)
    found = _explained(configuration, Engine(), target="/b")
    (step,) = [step for step in found.steps if step.name == "content switching"]
    assert step.details == (
        "rule a does not match: the URL '/b' does not begin with '/a'",
        "rule b matches: header X-B that is not there does not match '^yes$', and the rule is negated",
    )
    assert _ports(found) == [2]
    found = _explained(configuration, Engine(), target="/b", headers=(("X-B", "yes"),))
    assert (found.result.kind, found.result.status) == ("answered", 404)


def test_limits_that_are_reached_and_what_is_answered() -> None:
    for answer, told in ((0, ("closed", 0)), (1, ("answered", 429)), (2, ("answered", 503))):
        limits = SetParameters("limits", {"answer": answer})
        configuration = _configuration(limits, requests_per_second=5)
        found = _explained(configuration, Engine(counters={"gpc0_rate(1000)": 5}))
        assert (found.result.kind, found.result.status) == told
        assert _explained(configuration, Engine(counters={"gpc0_rate(1000)": 4})).result.kind == "candidates"
    configuration = _configuration(SetParameters("limits", {"answer": 1}), max_connections=2)
    assert _explained(configuration, Engine(counters={"conn_cur": 2})).result.kind == "closed"


def test_access_lists_close_the_connection() -> None:
    configuration = _configuration()
    configuration = AddEntries(1, "block", Entries.of([("198.51.100.0/24", "")])).apply(configuration).configuration
    engine = Engine()
    found = _explained(configuration, engine)
    assert found.result.kind == "closed"
    assert "198.51.100.0/24" in found.steps[-1].details[0]
    assert engine.asked == []


def test_a_certificate_the_client_has_to_show_is_told() -> None:
    staff = AddIntermediates("staff", (authority("Explained Staff").certificate,))
    imported = PutCertificate("shop", material())
    configuration = _configuration(
        staff, imported, ssl_acceleration=True, certificates=("shop",), client_certificates=1
    )
    found = _explained(configuration, Engine())
    assert "the client has to show one of any authority that is here" in [step.says for step in found.steps]
    optional = {"client_certificates_optional": True, "intermediate_certificates": ("staff",)}
    found = _explained(ChangeService(1, optional).apply(configuration).configuration, Engine())
    assert "the client may show one of staff" in [step.says for step in found.steps]


def test_the_address_a_real_server_sees_is_told_where_somebody_has_chosen_it() -> None:
    def says(**service: Any) -> list[str]:
        found = _explained(_configuration(**service), Engine())
        return [step.says for step in found.steps if step.name == "source"]

    assert says() == []
    assert says(transparent=True) == [
        "the real server sees the client's address, unless the client is on its own network"
    ]
    encrypted = {"ssl_acceleration": True, "ssl_reencrypt": True}
    assert says(transparent=True, **encrypted) == ["the real server sees this host's address"]
