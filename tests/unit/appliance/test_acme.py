"""Orders by themselves: when they are made, what is kept of them, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.jwk import JWKEC
from tests.support.fake_appliance import FakeAppliance

from steelyard.appliance.acme_state import AcmeState, read_state
from steelyard.model.acme_problem import AuthorityRefused
from steelyard.model.commands import (
    AddAcmeCertificate,
    AddService,
    ChangeAcmeCertificate,
    PutDnsProvider,
    RemoveAcmeCertificate,
)
from steelyard.model.commands.acme import state_place
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError

REFUSAL = AuthorityRefused("no", words="{}", remedy="Wait")


@pytest.fixture
async def appliance(tmp_path: Path) -> FakeAppliance:
    """With an account, a service, and an order for a certificate."""
    found = FakeAppliance(hooks=tmp_path)
    actor = found.administrator()
    await found.acme.register("letsencrypt", actor, agree=True)
    await found.execute(AddService({"address": "10.0.0.1", "port": 80, "service_type": "http"}), actor)
    settings = {"name": "shop", "domains": ["shop.example"], "challenge_services": [1], "key_type": "ec-p256"}
    await found.execute(AddAcmeCertificate(settings), actor)
    return found


async def settled(appliance: FakeAppliance, now: datetime | None = None) -> None:
    """A look, and what it begins."""
    appliance.acme.look(now or datetime.now(UTC))
    await asyncio.gather(*appliance.acme._orders.values(), return_exceptions=True)
    await asyncio.sleep(0)


def orders(appliance: FakeAppliance) -> int:
    return len(appliance.authorities.orders)


async def test_a_new_certificate_is_ordered_at_once_and_then_before_its_end(appliance: FakeAppliance) -> None:
    await settled(appliance)
    assert orders(appliance) == 1 and "shop" in appliance.configuration.certificates
    await settled(appliance)
    assert orders(appliance) == 1
    due = appliance.acme.states()["shop"].due
    assert due is not None and 59 <= (due - datetime.now(UTC)).days <= 60
    await settled(appliance, due + timedelta(seconds=1))
    assert orders(appliance) == 2
    author = [entry.author for entry in appliance.history()]
    assert author[:2] == ["acme", "acme"]


async def test_a_failure_waits_is_told_and_is_told_to_be_over(appliance: FakeAppliance) -> None:
    appliance.authorities.objects["issue"] = REFUSAL
    await settled(appliance)
    await settled(appliance)
    assert orders(appliance) == 1
    assert appliance.told == [("ACME certificate shop", "Certificate shop was not issued by ACME: no")]
    later = datetime.now(UTC) + timedelta(hours=1)
    await settled(appliance, later)
    assert orders(appliance) == 2 and appliance.acme.states()["shop"].failures == 2
    assert len(appliance.told) == 1
    assert "next attempt" in next(iter(appliance.acme.problems()))
    del appliance.authorities.objects["issue"]
    await settled(appliance, later + timedelta(hours=1))
    assert appliance.told[1:] == [("ACME certificate shop", None)] and not appliance.acme.problems()
    assert not appliance.challenges


async def test_what_came_of_it_outlives_the_process(appliance: FakeAppliance) -> None:
    appliance.authorities.objects["order"] = REFUSAL
    await settled(appliance)
    known = appliance.acme.states()["shop"]
    appliance.acme._states.clear()
    assert appliance.acme.states()["shop"] == known
    actor = appliance.administrator()
    await appliance.execute(RemoveAcmeCertificate("shop"), actor)
    assert state_place("shop") in appliance.forgotten


def test_a_damaged_state_is_nothing_known() -> None:
    for kept in (b"", b"{}", b"[]", b'{"failures": 1}', b"\xff"):
        assert read_state("shop", kept) == AcmeState("shop")


async def test_two_who_ask_at_once_get_one_order(appliance: FakeAppliance) -> None:
    actor = appliance.administrator()
    await asyncio.gather(*(appliance.acme.order("shop", actor) for _ in range(3)))
    assert orders(appliance) == 1


async def test_an_answer_that_cannot_be_shown_ends_the_order(appliance: FakeAppliance) -> None:
    appliance.show_fails = EngineRefused("HAProxy says no")
    with pytest.raises(EngineRefused, match="HAProxy says no"):
        await appliance.acme.order("shop", appliance.administrator())
    assert appliance.acme.states()["shop"].failures == 1


async def test_an_order_that_was_changed_meanwhile_brings_nothing(appliance: FakeAppliance) -> None:
    actor = appliance.administrator()
    task = asyncio.create_task(appliance.acme.order("shop", actor))
    await asyncio.sleep(0)
    await appliance.execute(RemoveAcmeCertificate("shop"), actor)
    with pytest.raises(Exception, match=r"changed meanwhile|Unknown"):
        await task
    assert "shop" not in appliance.configuration.certificates
    assert not appliance.acme.states() and not appliance.acme.problems() and not appliance.told


async def test_a_disk_without_room_loses_the_note_alone(appliance: FakeAppliance) -> None:
    appliance.keep_fails = HostLacks("disk full", lacks="room", remedy="Make room")
    await settled(appliance)
    assert "shop" in appliance.configuration.certificates


async def test_a_hook_that_fails_half_way_is_called_to_clean_up(appliance: FakeAppliance, tmp_path: Path) -> None:
    actor, log = appliance.administrator(), tmp_path / "log"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1 $2 $3" >>{log}\n[ "$1$2" != presentb.example.com ]\n')
    hook.chmod(0o700)
    await appliance.execute(PutDnsProvider("hooks", {"program": "hook"}, new=True), actor)
    settings = {"name": "wild", "domains": ["a.example.com", "b.example.com", "c.example.com"], "dns_provider": "hooks"}
    await appliance.execute(AddAcmeCertificate(settings), actor)
    with pytest.raises(EngineRefused, match=r"failed to present for b\.example\.com"):
        await appliance.acme.order("wild", actor)
    assert log.read_text().splitlines() == [
        "present a.example.com _acme-challenge.a.example.com",
        "present b.example.com _acme-challenge.b.example.com",
        "cleanup a.example.com _acme-challenge.a.example.com",
        "cleanup b.example.com _acme-challenge.b.example.com",
    ]


async def test_other_names_are_ordered_at_once_and_nothing_is_by_itself_where_that_is_off(
    appliance: FakeAppliance,
) -> None:
    await settled(appliance)
    actor = appliance.administrator()
    await appliance.execute(ChangeAcmeCertificate("shop", {"automatic": False, "domains": ["other.example"]}), actor)
    await settled(appliance)
    assert orders(appliance) == 1 and appliance.acme.states()["shop"].due is None
    await appliance.execute(ChangeAcmeCertificate("shop", {"automatic": True}), actor)
    await settled(appliance)
    assert appliance.authorities.orders[1:] == [(appliance.authorities.orders[0][0], ("other.example",))]


async def test_the_end_of_the_process_does_not_wait_for_an_authority(appliance: FakeAppliance) -> None:
    hangs = threading.Event()
    appliance.authorities.delays = hangs.wait
    appliance.acme.look(datetime.now(UTC))
    await asyncio.sleep(0.05)
    assert appliance.acme.states()["shop"].under_way
    async with asyncio.timeout(2):
        await appliance.acme.close()
    assert not appliance.acme.states()["shop"].under_way and not appliance.acme.states()["shop"].failures
    hangs.set()


async def test_account_keys_in_every_form(appliance: FakeAppliance) -> None:
    actor = appliance.administrator()
    known = next(iter(appliance.authorities.accounts))
    key = load_pem_private_key(known, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    jwk = JWKEC(key=key).json_dumps().encode()
    for upload, password in ((known, None), (known, "unneeded"), (locked, "open sesame"), (jwk, None)):
        await appliance.acme.fetch("letsencrypt", upload, password, actor)
    for upload, password, field in (
        (locked, None, "password"),
        (locked, "wrong", "password"),
        (b"{}", None, "data"),
        (b"nonsense", None, "data"),
        (b"\xff\x00", None, "data"),
    ):
        with pytest.raises(OperatorError) as refusal:
            await appliance.acme.fetch("letsencrypt", upload, password, actor)
        assert refusal.value.field == field
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(AuthorityRefused, match="no such account"):
        await appliance.acme.fetch("letsencrypt", other, None, actor)


async def test_what_is_changed_after_a_failure_is_ordered_at_once(appliance: FakeAppliance) -> None:
    actor = appliance.administrator()
    appliance.authorities.objects["order"] = REFUSAL
    await settled(appliance)
    del appliance.authorities.objects["order"]
    await settled(appliance)
    assert "shop" not in appliance.configuration.certificates
    await appliance.execute(ChangeAcmeCertificate("shop", {"domains": ["other.example"]}), actor)
    assert state_place("shop") in appliance.forgotten
    await settled(appliance)
    assert "shop" in appliance.configuration.certificates


async def test_a_name_that_is_used_again_begins_anew(appliance: FakeAppliance) -> None:
    actor = appliance.administrator()
    appliance.authorities.objects["order"] = REFUSAL
    await settled(appliance)
    settings = appliance.configuration.acme_certificates["shop"].model_dump()
    await appliance.execute(RemoveAcmeCertificate("shop"), actor)
    await settled(appliance)
    await appliance.execute(AddAcmeCertificate(settings), actor)
    assert appliance.acme.states()["shop"].failures == 0
