"""Application templates: the file, what comes with Steelyard, and what using one makes."""

from __future__ import annotations

import pytest
import yaml
from tests.unit.model.making import apply

from steelyard.appliance.shipped_templates import every_template, shipped_templates
from steelyard.model.commands import (
    AddRule,
    AddTemplates,
    MeetPrerequisites,
    RemoveTemplate,
    SetParameters,
    UseTemplate,
)
from steelyard.model.commands.command import Batch, required_permissions
from steelyard.model.commands.templates import try_out, unmet, warning
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.template import Template, read_templates

SITE = """
name: Site
comment: A site
prerequisites:
  - {setting: layer7.drop_on_failure, is: true, path: L7 Configuration, why: clients come back at once}
rules:
  - {name: site_static, pattern: ^/static/}
services:
  - {name: Web, port: 443, service_type: http, ssl_acceleration: true, check_type: http, server_port: 8080}
  - {name: Redirect, port: 80, service_type: http, real_servers: false, error_code: 302, error_url: "https://%h%s"}
next: [Assign the certificate]
"""


def one(text: str = SITE) -> Template:
    (found,) = read_templates(text)
    return found


def test_using_one_makes_every_service_with_its_servers() -> None:
    made = apply(UseTemplate(one(), "192.0.2.1", port=8443, name="Shop", servers=("10.0.0.1", "10.0.0.2")))
    web, redirect = made.services.values()
    assert (web.name, web.port, web.ssl_acceleration) == ("Shop Web", 8443, True)
    assert [(server.address, server.port) for server in web.servers] == [("10.0.0.1", 8080), ("10.0.0.2", 8080)]
    assert (redirect.port, redirect.error_code, redirect.servers) == (80, 302, ())
    assert "site_static" in made.rules


def test_it_is_all_or_nothing() -> None:
    before = apply(UseTemplate(one(), "192.0.2.1"))
    with pytest.raises(ConflictError):
        apply(UseTemplate(one(), "192.0.2.1"), to=before)


def test_a_rule_that_is_the_same_is_used_and_another_one_is_not_overwritten() -> None:
    same = apply(AddRule({"name": "site_static", "pattern": "^/static/"}))
    assert len(apply(UseTemplate(one(), "192.0.2.1"), to=same).rules) == 1
    other = apply(AddRule({"name": "site_static", "pattern": "^/other/"}))
    with pytest.raises(ConflictError, match="another one"):
        apply(UseTemplate(one(), "192.0.2.1"), to=other)


def test_places_have_addresses_of_their_own() -> None:
    edge = one("{name: Edge, services: [{port: 443, place: sip}, {port: 443, place: av}]}")
    made = apply(UseTemplate(edge, "192.0.2.1", addresses={"sip": "192.0.2.1", "av": "192.0.2.2"}))
    assert [service.address for service in made.services.values()] == ["192.0.2.1", "192.0.2.2"]
    with pytest.raises(OperatorError, match="'av'"):
        apply(UseTemplate(edge, "192.0.2.1", addresses={"sip": "192.0.2.1"}))


def test_sub_services_get_the_servers_and_those_that_redirect_do_not() -> None:
    template = shipped_templates()["Exchange 2019 HTTPS Re-encrypted"]
    made = apply(UseTemplate(template, "192.0.2.1", servers=("10.0.0.1",)))
    subs = {service.name: service for service in made.services.values() if service.is_sub}
    assert [server.port for server in subs["OWA"].servers] == [443]
    assert subs["OWA"].check_url == "/owa/healthcheck.htm"
    assert subs["Root redirect"].servers == ()
    assert made.rules["exchange_owa"].ignore_case


def test_what_it_counts_on_is_warned_of_with_the_path() -> None:
    template = one()
    (missing,) = unmet(template, Configuration())
    assert warning(missing).endswith("(L7 Configuration): clients come back at once")
    assert unmet(template, apply(SetParameters("layer7", {"drop_on_failure": True}))) == ()


def test_imported_ones_are_kept_under_names_of_their_own() -> None:
    kept = apply(AddTemplates((one(),)))
    assert list(kept.templates) == ["Site"]
    assert kept.templates["Site"].content.next_steps == ("Assign the certificate",)
    for again in (AddTemplates((one(),)), AddTemplates((one(SITE.replace("Site", "HTTP")),), frozenset({"HTTP"}))):
        with pytest.raises(ConflictError, match="already exists"):
            apply(again, to=kept)
    assert apply(RemoveTemplate("Site"), to=kept).templates == {}
    with pytest.raises(NotFound):
        apply(RemoveTemplate("Other"), to=kept)


def test_a_template_that_cannot_be_used_is_not_kept() -> None:
    broken = one("{name: Broken, services: [{port: 80, schedule: best}]}")
    with pytest.raises(OperatorError) as refused:
        apply(AddTemplates((broken,)))
    assert "Schedule" in refused.value.message
    assert "services[0]" in str(refused.value.position)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1", "no template"),
        ("{", "no template"),
        ("name: [", "no template"),
        ("{name: X}", "1 to 64"),
        ("{name: X, services: [{port: 80}], more: 1}", "'more'"),
        ("{name: X, services: [{port: 80, address: 1.2.3.4}]}", "'address'"),
        ("{name: X, services: [{name: Y}]}", "port"),
        ("{name: X, services: [{port: 80, server_port: 99999}]}", "server_port"),
        ("{name: '', services: [{port: 80}]}", "name"),
        ("{name: X, services: [{port: 80}], prerequisites: [{setting: a.b, is: 1, path: p, why: w}]}", "parameter"),
        ("{templates: []}", "templates"),
        ("templates: [{name: X, services: [{port: 80}]}, {name: X, services: [{port: 80}]}]", "twice"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("name: !!python/object/apply:os.system [id]", "no template"),
        ("x" * 1_000_001, "1,000,000"),
        ("[" * 5000, "no template"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(OperatorError) as refused:
        read_templates(text)
    assert says in refused.value.message


def test_a_file_reads_back_the_same() -> None:
    assert one(one().file()) == one()


@pytest.mark.parametrize("name", sorted(shipped_templates()))
def test_every_template_that_comes_with_steelyard_can_be_used(name: str) -> None:
    template = shipped_templates()[name]
    try_out(template)
    assert template.comment
    assert one(template.file()).content == template.content


def test_the_families_of_the_reference_are_there() -> None:
    names = "\n".join(every_template(Configuration()))
    for family in (
        "Lync 2010 Front End", "Lync Internal 2013 HLB Only", "Lync Reverse Proxy 2013",
        "Lync Office Web Apps Server 2013",
        "Skype for Business 2015", "Skype for Business 2019", "Skype for Business SE", "Exchange 2010", "Exchange 2013",
        "Exchange 2016", "Exchange 2019", "Exchange SE", "AD FS", "RD Gateway", "SharePoint", "SMTP", "LDAPS", "DNS",
        "Syslog", "RADIUS", "MySQL", "PostgreSQL", "MQTT", "Kubernetes API", "MinIO",
    ):  # fmt: skip
        assert family in names


def test_the_files_are_plain_yaml() -> None:
    assert yaml.safe_load(one().file())["services"][0]["port"] == 443


def test_content_rules_need_their_own_permission() -> None:
    plain = shipped_templates()["HTTP"]
    assert required_permissions(UseTemplate(plain, "192.0.2.1")) == {"vs"}
    assert required_permissions(Batch((UseTemplate(one(), "192.0.2.1"),))) == {"vs", "rules"}


@pytest.mark.requirement("S4-69")
def test_what_a_template_counts_on_is_set_at_one_stroke() -> None:
    template = shipped_templates()["Lync Internal 2013 HLB Only"]
    before = Configuration()
    assert unmet(template, before)
    after = apply(MeetPrerequisites(template), to=before)
    assert unmet(template, after) == ()
    found = (after.network.server_nat, after.network.subnet_originating, after.layer7.drop_on_failure)
    assert (*found, after.layer7.drain_time) == (False, True, True, 86400)
    assert apply(MeetPrerequisites(template), to=after) == after
    assert required_permissions(MeetPrerequisites(template)) == {"root"}


def test_a_value_that_no_setting_takes_is_named_when_it_is_set() -> None:
    text = SITE.replace("layer7.drop_on_failure, is: true", "layer7.drain_time, is: 86401")
    with pytest.raises(OperatorError, match="86401") as refused:
        apply(MeetPrerequisites(one(text)))
    assert (refused.value.position, refused.value.field) == ("layer7.drain_time", "drain_time")
