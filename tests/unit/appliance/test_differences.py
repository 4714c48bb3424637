"""Configurations compared for people."""

from __future__ import annotations

from tests.support.certificates import authority, leaf, revocation_list
from tests.support.strategies import material
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.appliance.differences import differences
from steelyard.appliance.signing import signing_request
from steelyard.model.commands import (
    AddIntermediates,
    AddServer,
    AddService,
    AddUser,
    ChangePassword,
    ChangeServer,
    ChangeService,
    ChangeSlot,
    CreateSubService,
    PutCertificate,
    PutRevocationList,
    RemoveServer,
    RemoveService,
    SetParameters,
)


def test_certificates_are_told_without_their_content_and_keys() -> None:
    inside = authority("Differences Authority").certificate
    made = apply(
        PutCertificate("new", material()),
        AddIntermediates("inside", [inside]),
        signing_request("asked", {}, ("asked.example",), "ec-p256"),
    )
    found = {one.title: one.lines for one in differences(apply(), made)}
    assert found == {
        "certificate new": ("certificate: new content", "private key: changed (not shown)", "key_type: ECC"),
        "intermediate certificate inside": ("certificate: new content",),
        "signing request asked": ("request: new content", "private key: changed (not shown)", "key_type: ECC"),
    }


BASE = apply(AddService({**HTTP, "servers": [SERVER]}), AddUser("ann", "hunter2"))


def test_a_new_service_shows_what_differs_from_the_defaults() -> None:
    (found,) = differences(apply(), apply(AddService({**HTTP, "name": "shop", "servers": [SERVER]})))
    assert (found.kind, found.key, found.action) == ("service", "1", "add")
    assert found.title == "virtual service 1 shop (tcp/192.0.2.1:80)"
    assert found.lines == (
        "name: shop",
        "service_type: http",
        "check_type: http",
        "real server 1 10.0.0.1:8080: added",
    )


def test_a_change_shows_old_and_new_in_words() -> None:
    after = apply(
        ChangeService(1, {"enabled": False, "extra_ports": ["81", "82"], "name": "shop", "idle_time": 5}), to=BASE
    )
    (found,) = differences(BASE, after)
    assert found.action == "change"
    assert found.lines == (
        "enabled: on -> off",
        "name: (none) -> shop",
        "extra_ports: (none) -> 81-82",
        "idle_time: 660 -> 5",
    )


def test_real_servers_are_shown_by_number_and_address() -> None:
    after = apply(
        ChangeServer(1, 1, {"weight": 5}), AddServer(1, {**SERVER, "port": 9, "weight": 7, "enabled": False}), to=BASE
    )
    (found,) = differences(BASE, after)
    assert found.lines == (
        "real server 1 10.0.0.1:8080: weight: 1000 -> 5",
        "real server 2 10.0.0.1:9: added (weight: 7, enabled: off)",
    )
    (found,) = differences(BASE, apply(RemoveServer(1, 1), to=BASE))
    assert found.lines == ("real server 1 10.0.0.1:8080: removed",)


def test_what_is_gone_is_named() -> None:
    (found,) = differences(BASE, apply(RemoveService(1), to=BASE))
    assert (found.action, found.title, found.lines) == ("remove", "virtual service 1 tcp/192.0.2.1:80", ())


def test_secrets_are_never_shown() -> None:
    after = apply(
        ChangePassword("ann", "hunter3"),
        AddUser("bob", "hunter4"),
        PutCertificate("shop", material(generation=2), replace=True),
        to=BASE,
    )
    found = differences(BASE, after)
    text = "\n".join(line for one in found for line in one.lines)
    assert "hunter" not in text
    assert material(generation=2).key_id not in text
    assert "BEGIN" not in text
    assert "password_hash: changed (not shown)" in text
    assert "private key: changed (not shown)" in text


def test_parameters_are_named_by_their_section() -> None:
    (found,) = differences(BASE, apply(SetParameters("layer7", {"drain_time": 60}), to=BASE))
    assert (found.kind, found.key, found.lines) == ("parameters", "layer7", ("drain_time: 300 -> 60",))


def test_counters_are_no_difference() -> None:
    after = apply(AddServer(1, {**SERVER, "port": 9}), RemoveServer(1, 2), to=BASE)
    assert after != BASE
    assert differences(BASE, after) == ()


def test_sub_services_are_objects_of_their_own_and_slots_lines_of_their_parent() -> None:
    parent = apply(AddService(HTTP))
    made = apply(CreateSubService(1, {"name": "blue"}, {"weight": 5}), to=parent)
    below, sub = differences(parent, made)
    assert below.lines == ("slot 1 of sub-service 2: added (weight: 5)",)
    assert sub.title == "virtual service 2 blue 2 of virtual service 1"
    (changed,) = differences(made, apply(ChangeSlot(1, 1, {"enabled": False}), to=made))
    assert changed.lines == ("slot 1 of sub-service 2: enabled: on -> off",)
    gone, _ = differences(made, apply(RemoveService(2), to=made))
    assert gone.lines == ("slot 1 of sub-service 2: removed",)


def test_a_revocation_list_is_told_by_its_time_and_length() -> None:
    staff = authority("Differing Staff")
    start = apply(AddIntermediates("staff", (staff.certificate,)))
    pem = revocation_list(staff, leaf("ann.example", issuer=staff, kind="ec")).decode()
    (found,) = differences(start, apply(PutRevocationList("crl", pem), to=start))
    assert found.title == "revocation list crl"
    (line,) = found.lines
    assert line.endswith("UTC, 1 certificates revoked")
