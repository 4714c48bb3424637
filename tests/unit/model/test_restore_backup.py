"""Restoring a backup: what becomes of the configuration that is here, what is left out and why, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from tests.support.certificates import authority, leaf, revocation_list
from tests.support.strategies import TEMPORARY, configurations, material, with_certificates
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.model.access_list import EVERY_SERVICE, Entries
from steelyard.model.backup import (
    ATTRIBUTES,
    NETWORK,
    PARTS,
    Part,
    Saved,
    kept_beside,
    needed_secrets,
    parts_named,
    parts_of_bits,
)
from steelyard.model.commands import (
    AddApiKey,
    AddEntries,
    AddIntermediates,
    AddLdapEndpoint,
    AddRule,
    AddService,
    AddUser,
    ChangeService,
    CreateSubService,
    ManageNetwork,
    PutCertificate,
    PutRevocationList,
    RestoreBackup,
    SetParameters,
    required_permissions,
)
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.commands.whole import refuse_broken
from steelyard.model.configuration import Configuration, Counters
from steelyard.model.errors import ConflictError, OperatorError, SteelyardError
from steelyard.model.network import Interface
from steelyard.model.user import ONLY_ADMINISTRATOR

EVERYTHING = frozenset(PARTS)
SHOP = {**HTTP, "name": "shop", "servers": [SERVER]}
BASE, SERVICES = frozenset[Part](("base",)), frozenset[Part](("vs",))


def secrets_of(configuration: Configuration) -> dict[str, bytes]:
    found = {need.name: b"secret" for need in needed_secrets(configuration)}
    return found | {name: b"secret" for name, _ in kept_beside(configuration)}


def complete(configuration: Configuration, *, without: str = "") -> Saved:
    secrets = {name: value for name, value in secrets_of(configuration).items() if not without or without not in name}
    return Saved(configuration, EVERYTHING, True, secrets, 7, "0.1")


def plain(configuration: Configuration) -> Saved:
    certificates = {name: one for name, one in configuration.certificates.items() if not one.temporary}
    return Saved(replace(configuration, users={}, certificates=certificates), EVERYTHING, False, {}, 7, "0.1")


def administered(*commands: Any, to: Configuration | None = None) -> Configuration:
    return apply(AddUser("bal", "scrypt$00$00"), *commands, to=to or with_certificates())


def restored(command: RestoreBackup, to: Configuration) -> Configuration:
    return command.apply(to).configuration


def test_every_part_of_a_configuration_belongs_to_a_part_of_a_backup() -> None:
    """A new kind of object that nobody saves would be lost with the appliance."""
    shared_out = {name for part in PARTS for name in ATTRIBUTES[part]}
    elsewhere = {*NETWORK, "users", "access_lists", "counters", "revocation_lists"}
    assert {one.name for one in fields(Configuration)} == shared_out | elsewhere


@settings(max_examples=60, deadline=None)
@given(configurations(), configurations())
def test_everything_restored_is_everything_that_was_saved(saved: Configuration, here: Configuration) -> None:
    command = RestoreBackup(complete(saved), EVERYTHING)
    found = restored(command, here)
    most = max(saved.counters.next_server, here.counters.next_server)
    assert found == replace(saved, users=found.users, counters=Counters(next_server=most))
    again = command.apply(found)
    assert again.configuration == found
    assert all(again.configuration.services[index] is one for index, one in found.services.items())


@settings(max_examples=40, deadline=None)
@given(configurations(), configurations())
def test_one_part_leaves_the_other_as_it_is(saved: Configuration, here: Configuration) -> None:
    found = restored(RestoreBackup(complete(saved), SERVICES), here)
    assert found.services == saved.services
    assert found.layer7 == here.layer7
    try:
        found = restored(RestoreBackup(complete(saved), BASE), here)
    except SteelyardError:
        # limits of all services that one here is above
        return
    assert found.services == here.services
    assert found.layer7 == saved.layer7


def test_services_keep_their_indexes_and_no_index_is_used_again() -> None:
    saved = administered(AddService(SHOP))
    here = administered(AddService({**SHOP, "port": 81}), AddService({**SHOP, "port": 82}))
    found = restored(RestoreBackup(complete(saved), EVERYTHING), here)
    assert [one.index for one in found.services[1].servers] == [1]
    assert found.counters.next_server == 3
    # a counter that somebody has turned back in the file
    behind = replace(saved, counters=Counters(next_server=1))
    assert restored(RestoreBackup(complete(behind), EVERYTHING), Configuration()).counters.next_server == 2


# --- users


def test_a_complete_backup_brings_users_and_forgets_the_keys_of_those_that_go() -> None:
    saved = administered(AddUser("anna", "scrypt$01$01"), AddApiKey("anna", "a" * 64, b"anna's"))
    here = administered(AddUser("eve", "scrypt$02$02"), AddApiKey("eve", "e" * 64, b"eve's"))
    change = RestoreBackup(complete(saved), EVERYTHING).apply(here)
    assert list(change.configuration.users) == ["bal", "anna"]
    assert change.forget == (f"apikey/{'e' * 64}",)
    assert f"apikey/{'a' * 64}" in change.secrets


@pytest.mark.parametrize("how", [plain, complete])
def test_users_stay_where_there_are_none_or_it_was_asked(how: Callable[[Configuration], Saved]) -> None:
    saved = how(administered(AddUser("anna", "scrypt$01$01")))
    here = administered(AddUser("eve", "scrypt$02$02"))
    command = RestoreBackup(
        saved, EVERYTHING, users=not saved.complete, here=frozenset(secrets_of(saved.configuration))
    )
    assert list(restored(command, here).users) == ["bal", "eve"]
    (said,) = command.left_out(here)
    assert said.startswith("Users, passwords and API keys stay")


def test_bringing_users_back_is_for_the_administrator_alone() -> None:
    saved = administered()
    assert required_permissions(RestoreBackup(complete(saved), EVERYTHING)) == {"root", ONLY_ADMINISTRATOR}
    assert required_permissions(RestoreBackup(complete(saved), EVERYTHING, users=False)) == {"root"}
    assert required_permissions(RestoreBackup(complete(saved), SERVICES)) == {"root"}
    assert required_permissions(RestoreBackup(plain(saved), EVERYTHING)) == {"root"}


def test_a_backup_without_the_administrator_is_refused() -> None:
    saved = replace(administered(AddUser("anna", "scrypt$01$01")))
    without = replace(saved, users={name: one for name, one in saved.users.items() if name != "bal"})
    with pytest.raises(OperatorError, match="no user bal"):
        RestoreBackup(complete(without), EVERYTHING).apply(administered())


# --- secrets that are missing


def _needy() -> Configuration:
    endpoint = {"name": "directory", "servers": ["192.0.2.9"], "user": "cn=reader"}
    tls = {**HTTP, "port": 443, "service_type": "http", "ssl_acceleration": True, "certificates": ("shop",)}
    return administered(
        PutCertificate("shop", material()),
        AddService(tls),
        AddLdapEndpoint(endpoint, Password("p1", "secret")),
        SetParameters("email", {"server": "mail.example", "user": "me", "password": "secret"}, "p2"),
        to=Configuration(),
    )


def test_a_backup_whose_secrets_are_nowhere_is_refused_with_a_list() -> None:
    with pytest.raises(OperatorError) as caught:
        RestoreBackup(plain(_needy()), EVERYTHING).apply(administered())
    for what in ("private key of certificate shop", "password of LDAP endpoint directory", "emailpassword"):
        assert what in caught.value.message
    assert "restorecert" in str(caught.value.remedy)


def test_secrets_that_are_here_are_as_good_as_those_of_the_file() -> None:
    saved = plain(_needy())
    here = frozenset(need.name for need in needed_secrets(saved.configuration))
    change = RestoreBackup(saved, EVERYTHING, here=here).apply(administered())
    assert change.secrets == {}
    assert change.configuration.services[1].certificates == ("shop",)
    assert change.configuration.ldap_endpoints["directory"].password_key == "ldap/p1"


def test_an_incomplete_restore_leaves_out_what_needs_them_and_says_so() -> None:
    command = RestoreBackup(plain(_needy()), EVERYTHING, incomplete=True)
    found = restored(command, administered())
    assert list(found.certificates) == [TEMPORARY]
    assert found.services[1].certificates == ()
    assert (found.ldap_endpoints["directory"].user, found.ldap_endpoints["directory"].password_key) == ("", "")
    assert (found.email.server, found.email.password) == ("mail.example", "")
    said = command.left_out(administered())
    assert len([one for one in said if one.startswith("Not in the file and not here: ")]) == 3


def test_only_the_secrets_of_the_parts_that_are_restored_are_missed() -> None:
    command = RestoreBackup(plain(_needy()), BASE, here=frozenset({"email/password/p2"}))
    assert restored(command, administered()).email.server == "mail.example"


def test_secrets_nobody_refers_to_are_not_taken() -> None:
    saved = complete(_needy())
    more = replace(saved, secrets={**saved.secrets, "key/other": b"x", "apikey/other": b"y"})
    assert set(RestoreBackup(more, EVERYTHING).apply(administered()).secrets) == set(saved.secrets)


# --- what is here and stays


def _network(name: str, address: str) -> ManageNetwork:
    return ManageNetwork(True, (Interface.make({"name": name, "number": 0, "kind": "port", "address": address}),))


def test_the_network_stays_unless_it_is_asked_for() -> None:
    saved, here = administered(_network("eth0", "192.0.2.5/24")), administered(_network("ens3", "198.51.100.5/24"))
    command = RestoreBackup(complete(saved), EVERYTHING)
    assert list(restored(command, here).interfaces) == ["ens3"]
    assert "network" in command.left_out(here)[0]
    assert command.left_out(saved) == ()
    command = RestoreBackup(complete(saved), EVERYTHING, network="restore")
    assert list(restored(command, here).interfaces) == ["eth0"]
    assert command.left_out(here) == ()


def test_the_temporary_certificate_is_that_of_the_file_if_its_key_is_there() -> None:
    saved = with_certificates()
    own = apply(PutCertificate("f" * 32, material(generation=2), temporary=True), to=Configuration())
    assert TEMPORARY in restored(RestoreBackup(complete(saved), EVERYTHING), own).certificates
    assert "f" * 32 not in restored(RestoreBackup(complete(saved), EVERYTHING), own).certificates
    found = restored(RestoreBackup(plain(saved), EVERYTHING, incomplete=True), own)
    assert [one.name for one in found.certificates.values() if one.temporary] == ["f" * 32]


def test_a_newer_revocation_list_stays() -> None:
    root = authority("Restoring Root")
    trusted = AddIntermediates("root", (root.certificate,))
    older, newer = (
        revocation_list(root, *revoked, days=days).decode()
        for revoked, days in (((), (-3, 7)), ((leaf("gone.example", issuer=root),), (-1, 7)))
    )
    saved = administered(trusted, PutRevocationList("clients", older))
    here = administered(trusted, PutRevocationList("clients", newer))
    command = RestoreBackup(complete(saved), EVERYTHING)
    assert restored(command, here).revocation_lists["clients"].pem == newer
    assert command.left_out(here) == ("Revocation list clients stays: the one here is newer",)
    other_way = RestoreBackup(complete(here), EVERYTHING)
    assert restored(other_way, saved).revocation_lists["clients"].pem == newer
    assert other_way.left_out(saved) == ()


def test_access_lists_go_with_what_they_are_for() -> None:
    saved = administered(
        AddService(SHOP),
        AddEntries(EVERY_SERVICE, "block", Entries.of_lines(("192.0.2.1",))),
        AddEntries(1, "block", Entries.of_lines(("192.0.2.2",))),
    )
    here = administered(AddService(SHOP), AddEntries(1, "allow", Entries.of_lines(("192.0.2.3",))))
    assert list(restored(RestoreBackup(complete(saved), BASE), here).access_lists) == [EVERY_SERVICE, 1]
    found = restored(RestoreBackup(complete(saved), SERVICES), here)
    assert found.access_lists == {1: saved.access_lists[1]}
    assert restored(RestoreBackup(complete(here), EVERYTHING), saved).access_lists == here.access_lists


# --- what does not hold together


def _with_service(**changes: Any) -> Configuration:
    made = administered(AddService(SHOP))
    return replace(made, services={1: made.services[1].model_copy(update=changes)})


BROKEN: dict[str, tuple[Configuration, str]] = {
    "a certificate that is not there": (_with_service(certificates=("gone",)), "no certificate here"),
    "a cipher set that is not there": (_with_service(cipher_set="gone"), "no cipher set here"),
    "a rule that is not there": (_with_service(request_rules=("gone",)), "gone"),
    "an LDAP endpoint that is not there": (_with_service(ldap_endpoint="gone"), "no LDAP endpoint"),
    "a leader that is not there": (_with_service(follow_vs=9), "FollowVSID"),
    "a service that follows itself": (_with_service(follow_vs=1), "follows itself"),
    "an index that is another": (_with_service(index=2), "stored as 1"),
    "a sub-service without a place": (_with_service(parent=3, address="", port=0), "no place in its parent"),
    "access lists of no service": (
        replace(
            administered(),
            access_lists=apply(AddService(SHOP), AddEntries(1, "block", Entries.of_lines(("192.0.2.2",)))).access_lists,
        ),
        "not there",
    ),
    "a certificate that is none": (
        replace(
            administered(),
            certificates={
                "x": with_certificates().certificates[TEMPORARY].model_copy(update={"name": "x", "chain_pem": "x"})
            },
        ),
        "cannot be read",
    ),
    "a rule under another name": (
        replace(administered(), rules={"other": apply(AddRule({"name": "one", "pattern": "/x"})).rules["one"]}),
        "stored as other",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_hold_together_is_refused(what: str) -> None:
    configuration, says = BROKEN[what]
    with pytest.raises((OperatorError, ConflictError)) as caught:
        RestoreBackup(complete(configuration), EVERYTHING).apply(Configuration())
    assert says in caught.value.message


def test_services_bring_their_certificates() -> None:
    saved = administered(PutCertificate("shop", material()), AddService(SHOP), to=Configuration())
    saved = apply(
        ChangeService(1, {"service_type": "http", "ssl_acceleration": True, "certificates": ("shop",)}), to=saved
    )
    assert restored(RestoreBackup(complete(saved), SERVICES), administered()).services == saved.services


@settings(max_examples=60, deadline=None)
@given(configurations(most=5))
def test_whatever_commands_have_led_to_holds_together(configuration: Configuration) -> None:
    refuse_broken(configuration)


def test_families_hold_together() -> None:
    made = administered(AddService({**HTTP, "service_type": "http"}), CreateSubService(1), CreateSubService(1))
    refuse_broken(made)
    parent = made.services[1]
    swapped = parent.model_copy(update={"slots": (parent.slots[0], parent.slots[0])})
    with pytest.raises(OperatorError, match="index"):
        refuse_broken(replace(made, services={**made.services, 1: swapped}))


# --- parts


def test_loadmasters_bits() -> None:
    assert parts_of_bits(15) == parts_of_bits(3) == EVERYTHING
    assert (parts_of_bits(1), parts_of_bits(2), parts_of_bits(6), parts_of_bits(9)) == (BASE, SERVICES, SERVICES, BASE)
    for bits in (0, 16, -1, 4, 8, 12):
        with pytest.raises(OperatorError):
            parts_of_bits(bits)
    assert parts_named(()) == EVERYTHING
    with pytest.raises(OperatorError, match="no part"):
        parts_named(("geo",))


def test_a_part_that_the_file_has_not_is_said() -> None:
    saved = replace(complete(administered()), parts=BASE)
    assert RestoreBackup(saved, EVERYTHING).left_out(administered()) == ("The file has no virtual services",)
    with pytest.raises(OperatorError, match="holds no virtual services"):
        RestoreBackup(saved, SERVICES).apply(administered())
