"""LDAP endpoints: what they may say, their passwords, and who uses them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import HTTP, TCP, apply

from steelyard.appliance.differences import differences
from steelyard.model.commands import (
    AddLdapEndpoint,
    AddService,
    ChangeLdapEndpoint,
    ChangeService,
    Declare,
    DeclaredEndpoint,
    RemoveLdapEndpoint,
    Restore,
)
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.configuration import Configuration, document_of, from_documents, objects_of
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.ldap_endpoint import LDAPS, LdapEndpoint

OFFICE = {"name": "office", "user": "cn=probe", "servers": ["192.0.2.10", "192.0.2.11:1389", "2001:db8::1"]}
SECRET = Password("k1", "hunter2")


def test_servers_are_canonical_and_have_the_port_of_the_protocol() -> None:
    endpoint = LdapEndpoint.make({"name": "a", "servers": ["192.0.2.10", "192.0.2.11:01389", "2001:DB8:0::1"]})
    assert endpoint.servers == ("192.0.2.10", "192.0.2.11:1389", "[2001:db8::1]")
    assert endpoint.places() == (("192.0.2.10", 389), ("192.0.2.11", 1389), ("2001:db8::1", 389))
    assert endpoint.changed({"security": LDAPS}).places()[0] == ("192.0.2.10", 636)
    assert LdapEndpoint.make({"name": "a", "servers": ["[2001:db8::1]:1636"]}).places() == (("2001:db8::1", 1636),)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"servers": ["ldap.example"]}, "servers"),
        ({"servers": ["192.0.2.10:0"]}, "servers"),
        ({"servers": ["192.0.2.10:70000"]}, "servers"),
        ({"servers": ["[192.0.2.10"]}, "servers"),
        ({"servers": [f"192.0.2.{number}" for number in range(9)]}, "servers"),
        ({"name": "with blank"}, "name"),
        ({"name": ""}, "name"),
        ({"security": 3}, "security"),
        ({"timeout": 4}, "timeout"),
        ({"timeout": 61}, "timeout"),
        ({"user": "a\nb"}, "user"),
        ({"validation_interval": 61}, "validation_interval"),
        ({"referrals": 1}, "referrals"),
        ({"base": "x" * 513}, "base"),
        ({"pasword": "x"}, "pasword"),
    ],
)
def test_bad_settings_are_refused_by_field(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(OperatorError) as refused:
        AddLdapEndpoint({"name": "a", **settings}).apply(Configuration())
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("settings", "password"),
    [({"user": "cn=a"}, None), ({}, SECRET), ({"user": "cn=a"}, Password("k", ""))],
)
def test_half_an_account_is_refused(settings: dict[str, Any], password: Password | None) -> None:
    with pytest.raises(OperatorError):
        AddLdapEndpoint({"name": "a", **settings}, password).apply(Configuration())


def test_the_password_goes_to_the_secrets_and_nowhere_else() -> None:
    command = AddLdapEndpoint(OFFICE, SECRET)
    change = command.apply(Configuration())
    assert change.secrets == {"ldap/k1": b"hunter2"}
    documents = [document_of(value) for _, _, value in objects_of(change.configuration)]
    said = [line for one in differences(Configuration(), change.configuration) for line in one.lines]
    assert "password: changed (not shown)" in said
    for text in (repr(command), command.summary, repr(change), str(documents), str(said)):
        assert "hunter2" not in text


def test_changes_keep_the_password_unless_there_is_another() -> None:
    configuration = apply(AddLdapEndpoint(OFFICE, SECRET), ChangeLdapEndpoint("office", {"timeout": 9}))
    assert configuration.ldap_endpoint("office").password_key == "ldap/k1"
    change = ChangeLdapEndpoint("office", {}, Password("k2", "other")).apply(configuration)
    assert change.configuration.ldap_endpoint("office").password_key == "ldap/k2"
    assert (change.secrets, change.forget) == ({"ldap/k2": b"other"}, ())
    none = apply(ChangeLdapEndpoint("office", {"user": ""}, Password("k3", "")), to=configuration)
    assert none.ldap_endpoint("office").password_key == ""
    for bad in ({"name": "x"}, {"password_key": "ldap/k9"}):
        with pytest.raises(OperatorError):
            ChangeLdapEndpoint("office", bad).apply(configuration)


def test_one_in_use_stays_and_one_that_is_unknown_is_not_used() -> None:
    used = apply(AddLdapEndpoint({"name": "office"}), AddService({**TCP, "ldap_endpoint": "office"}))
    with pytest.raises(ConflictError):
        RemoveLdapEndpoint("office").apply(used)
    with pytest.raises(ConflictError):
        AddLdapEndpoint({"name": "office"}).apply(used)
    free = apply(ChangeService(1, {"ldap_endpoint": ""}), RemoveLdapEndpoint("office"), to=used)
    assert free.ldap_endpoints == {}
    for command in (RemoveLdapEndpoint("office"), ChangeLdapEndpoint("office", {})):
        with pytest.raises(NotFound):
            command.apply(free)
    with pytest.raises(OperatorError) as refused:
        ChangeService(1, {"ldap_endpoint": "office"}).apply(free)
    assert (refused.value.field, refused.value.allowed) == ("ldap_endpoint", "none made yet")


def test_documents_declarations_and_rollbacks_keep_them() -> None:
    made = apply(AddLdapEndpoint(OFFICE, SECRET), AddService({**HTTP, "ldap_endpoint": "office"}))
    documents: dict[str, dict[str, Any]] = {}
    for kind, key, value in objects_of(made):
        documents.setdefault(kind, {})[key] = document_of(value)
    assert from_documents(documents).ldap_endpoints == made.ldap_endpoints
    again = Declare([{**HTTP, "ldap_endpoint": "office"}], ldap_endpoints=[DeclaredEndpoint(OFFICE)]).apply(made)
    assert again.configuration.ldap_endpoints == made.ldap_endpoints
    assert again.secrets == {}
    fresh = Declare([], ldap_endpoints=[DeclaredEndpoint(OFFICE, SECRET)]).apply(Configuration())
    assert fresh.secrets == {"ldap/k1": b"hunter2"}
    with pytest.raises(OperatorError) as refused:
        Declare([], ldap_endpoints=[DeclaredEndpoint(OFFICE)]).apply(Configuration())
    assert (refused.value.position, refused.value.field) == ("ldap_endpoints[0]", "password")
    with pytest.raises(ConflictError):
        Declare([], ldap_endpoints=[DeclaredEndpoint({"name": "a"})] * 2).apply(Configuration())
    gone = apply(Declare([]), to=made)
    assert gone.ldap_endpoints == {}
    assert apply(Restore(1, made), to=gone).ldap_endpoints == made.ldap_endpoints
