"""Accounts, and names proved by DNS, at a real ACME authority and a real name server. None needs HAProxy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from tests.support.acme_authority import HMAC, KEY, KEY_NAME, KID, ZONE, AcmeAuthority, acme_authority, name_server
from tests.support.fake_appliance import FakeAppliance

from steelyard.appliance.acme_state import AcmeState
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    AddService,
    ChangeAcmeAccount,
    ChangeAcmeCertificate,
    Command,
    PutDnsProvider,
)
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError
from steelyard.store.contract import SecretMissing

pytestmark = [pytest.mark.engine, pytest.mark.needs("pebble", "knotd")]

HOOK = """#!{python}
import os, sys
import dns.update, dns.query, dns.tsigkeyring
action, domain, record, value = sys.argv[1:]
assert os.environ["ACME_ACTION"] == action and "HOME" not in os.environ
update = dns.update.UpdateMessage("{zone}", keyring=dns.tsigkeyring.from_text({{"{key_name}": "{key}"}}))
if action == "present":
    update.add(record + ".", 1, "TXT", value)
else:
    update.delete(record + ".", "TXT", value)
print(action, domain, dns.query.tcp(update, "127.0.0.1", port={port}).rcode())
"""


@pytest.fixture(scope="module")
def dns_port() -> Iterator[int]:
    with name_server() as port:
        yield port


@pytest.fixture(scope="module")
def authority(dns_port: int) -> Iterator[AcmeAuthority]:
    with acme_authority(dns_port) as found:
        yield found


class Orders:
    """An appliance in memory with an account at the authority."""

    def __init__(self, authority: AcmeAuthority, directory: Path) -> None:
        self.authority = authority
        self.appliance = FakeAppliance(hooks=directory, real_authorities=True)
        self.acme = self.appliance.acme
        self.actor = self.appliance.administrator()

    async def do(self, command: Command) -> None:
        await self.appliance.execute(command, self.actor)

    async def account(self, name: str, authority: AcmeAuthority, hmac: str = "", **more: object) -> None:
        settings = {"directory_url": authority.directory_url, "authority_pem": authority.authority_pem}
        secret = AcmeSecret(f"hmac-{name}", hmac.encode()) if hmac else None
        await self.do(ChangeAcmeAccount(name, settings | more, secret))

    async def register(self, name: str) -> None:
        await self.acme.register(name, self.actor, agree=True)

    async def add(self, name: str, *domains: str, provider: str) -> None:
        data = {"name": name, "account": "test", "domains": domains, "dns_provider": provider, "key_type": "ec-p256"}
        await self.do(AddAcmeCertificate(data))

    async def order(self, name: str) -> set[str]:
        """The names of the certificate that is issued."""
        await self.acme.order(name, self.actor)
        leaf = self.appliance.configuration.certificate(name).leaf()
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(found.get_values_for_type(x509.DNSName))

    def state(self, name: str) -> AcmeState:
        return self.acme.states()[name]

    async def provider(self, *, new: bool = False, **settings: object) -> None:
        key = AcmeSecret("tsig", KEY.encode()) if "key_name" in settings else None
        await self.do(PutDnsProvider("knot", settings, key, new=new))

    def hook(self, name: str, text: str) -> None:
        path = self.acme.hooks / name
        path.write_text(text)
        path.chmod(0o700)


@pytest.fixture
async def orders(authority: AcmeAuthority, tmp_path: Path) -> Orders:
    found = Orders(authority, tmp_path)
    await found.account("test", authority)
    await found.register("test")
    return found


async def test_a_wildcard_by_dns_update(orders: Orders) -> None:
    """What fails comes first: Pebble takes one order in a hundred as proved when an earlier one of the names was."""
    port = orders.authority.dns_port
    await orders.provider(new=True, kind="rfc2136", server="127.0.0.1", port=port, key_name=KEY_NAME)
    await orders.add("wild", ZONE, f"*.{ZONE}", provider="knot")
    # what the server refuses
    await orders.do(PutDnsProvider("knot", {}, AcmeSecret("other", b"d3Jvbmcga2V5IGZvciBzdXJl")))
    with pytest.raises(EngineRefused, match=f"does not take the key {KEY_NAME}"):
        await orders.order("wild")
    await orders.do(PutDnsProvider("knot", {"key_name": ""}, AcmeSecret("none", b"")))
    with pytest.raises(EngineRefused, match="refuses the update"):
        await orders.order("wild")
    await orders.provider(key_name=KEY_NAME, zone="other.test")
    with pytest.raises(OperatorError, match="not in the zone"):
        await orders.order("wild")
    await orders.provider(zone="", port=1)
    with pytest.raises(HostLacks, match="cannot be reached"):
        await orders.order("wild")
    # a server that never shows the record
    await orders.provider(port=port, check_servers=("127.0.0.1:1",), check_seconds=1)
    with pytest.raises(EngineRefused, match="does not show the record"):
        await orders.order("wild")
    assert orders.state("wild").failures == 5

    await orders.provider(check_servers=(), check_seconds=60)
    assert await orders.order("wild") == {ZONE, f"*.{ZONE}"}
    output = orders.state("wild").output
    assert output.count(f"added _acme-challenge.{ZONE} TXT in zone {ZONE}.") == 2
    assert output.count("removed") == 2 and KEY not in output


async def test_a_wildcard_by_a_hook(orders: Orders) -> None:
    """What fails comes first, as with the update."""
    words = {"python": sys.executable, "zone": ZONE, "key_name": KEY_NAME, "key": KEY}
    orders.hook("fails", "#!/bin/sh\necho no such zone; exit 3\n")
    await orders.provider(new=True, program="fails")
    await orders.add("hooked", f"*.hooked.{ZONE}", provider="knot")
    with pytest.raises(EngineRefused, match="exit code 3") as refusal:
        await orders.order("hooked")
    assert refusal.value.words == "no such zone\n"

    orders.hook("hangs", "#!/bin/sh\necho asking; sleep 60 & sleep 60\n")
    await orders.provider(program="hangs", program_seconds=1)
    with pytest.raises(EngineRefused, match="within 1 s and was killed") as refusal:
        await orders.order("hooked")
    assert refusal.value.words == "asking\n"

    await orders.provider(program="nothing-there")
    with pytest.raises(HostLacks, match="no hook nothing-there"):
        await orders.order("hooked")
    orders.hook("open", "#!/bin/sh\n")
    (orders.acme.hooks / "open").chmod(0o777)
    await orders.provider(program="open")
    with pytest.raises(HostLacks, match="Anybody may write"):
        await orders.order("hooked")

    orders.hook("update.py", HOOK.format(port=orders.authority.dns_port, **words))
    await orders.provider(program="update.py", program_seconds=60)
    assert await orders.order("hooked") == {f"*.hooked.{ZONE}"}
    assert orders.state("hooked").output == f"present hooked.{ZONE} 0\ncleanup hooked.{ZONE} 0\n"


async def test_a_proof_that_the_authority_does_not_find(orders: Orders) -> None:
    """The hook says that it made the record, and made none."""
    orders.hook("lies", "#!/bin/sh\nexit 0\n")
    await orders.provider(new=True, program="lies")
    await orders.add("lost", f"lost.{ZONE}", provider="knot")
    with pytest.raises(EngineRefused) as refusal:
        await orders.order("lost")
    said = refusal.value.details()
    assert f"lost.{ZONE}" in said["message"] and "TXT" in said["message"]
    assert "urn:ietf:params:acme:error:" in said["words"] and "record" in said["remedy"]


async def test_a_dry_run_proves_names_and_brings_no_certificate(orders: Orders) -> None:
    port = orders.authority.dns_port
    await orders.provider(new=True, kind="rfc2136", server="127.0.0.1", port=port, key_name=KEY_NAME)
    await orders.add("dry", f"dry.{ZONE}", provider="knot")
    url = orders.authority.directory_url
    assert await orders.acme.rehearse("dry", orders.actor, url) == url
    assert "dry" not in orders.appliance.configuration.certificates
    with pytest.raises(OperatorError, match="A dry run needs a directory"):
        await orders.acme.rehearse("dry", orders.actor)


async def test_an_account_bound_to_one_at_the_authority_and_taken_over(orders: Orders, dns_port: int) -> None:
    with acme_authority(dns_port, bound=True) as bound:
        await orders.account("bound", bound)
        with pytest.raises(OperatorError, match="bound"):
            await orders.register("bound")
        await orders.account("bound", bound, hmac="d3Jvbmc", kid=KID)
        with pytest.raises(EngineRefused, match="binding") as refusal:
            await orders.register("bound")
        assert "kid and hmac" in refusal.value.details()["remedy"]
        await orders.account("bound", bound, hmac=HMAC, kid=KID, email="admin@acme.example")
        with pytest.raises(OperatorError, match="terms of service"):
            await orders.acme.register("bound", orders.actor)
        await orders.register("bound")
        account = orders.appliance.configuration.acme_accounts["bound"]
        # again is the same account, with another address to write to
        await orders.acme.register("bound", orders.actor, email="other@acme.example", agree=True)
        assert orders.appliance.configuration.acme_accounts["bound"].uri == account.uri
        key = orders.appliance.secret(account.key_place)
        await orders.account("copy", bound)
        await orders.acme.fetch("copy", key, None, orders.actor)
        copy = orders.appliance.configuration.acme_accounts["copy"]
        assert (copy.uri, copy.email) == (account.uri, "other@acme.example")
        assert HMAC not in repr(account) and "PRIVATE" not in repr(orders.appliance.configuration)
    await orders.account("gone", bound)
    with pytest.raises(HostLacks, match="cannot be reached"):
        await orders.register("gone")


async def test_other_authorities_for_tls_are_not_believed(orders: Orders) -> None:
    await orders.do(ChangeAcmeAccount("plain", {"directory_url": orders.authority.directory_url}))
    with pytest.raises(HostLacks, match="not believed") as refusal:
        await orders.register("plain")
    assert "authority_pem" in refusal.value.remedy
    url = f"{orders.authority.management}/roots/0"
    await orders.do(ChangeAcmeAccount("odd", {"directory_url": url, "authority_pem": orders.authority.authority_pem}))
    with pytest.raises(EngineRefused, match="not ACME"):
        await orders.register("odd")


async def test_a_lost_account_key_is_told(orders: Orders) -> None:
    service = {"address": "10.0.0.1", "port": 80, "service_type": "http"}
    await orders.do(AddService(service))
    data = {"name": "keyless", "account": "test", "domains": ("a.acme.test",), "challenge_services": (1,)}
    await orders.do(AddAcmeCertificate(data))
    place = orders.appliance.configuration.acme_accounts["test"].key_place
    orders.appliance.forget(place)
    with pytest.raises(SecretMissing):
        orders.appliance.secret(place)
    with pytest.raises(OperatorError, match="not here any more"):
        await orders.order("keyless")
    # the next registration makes a new one
    await orders.register("test")
    assert orders.appliance.secret(orders.appliance.configuration.acme_accounts["test"].key_place)
    await orders.do(ChangeAcmeCertificate("keyless", {"country": "DE"}))
