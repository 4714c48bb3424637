"""Replacing the whole configuration: declared by an operator, or taken from an earlier revision.

Users and API keys are never replaced this way: a declaration cannot hold secrets, and a rollback must not bring back
old passwords. What is declared again keeps its index, so that doing it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from cryptography import x509
from pydantic_core import PydanticCustomError

from steelyard.model.certificate import Material
from steelyard.model.commands.access_lists import DeclaredLists, with_declared
from steelyard.model.commands.certificates import PutCertificate
from steelyard.model.commands.cipher_sets import check_admin_cipher_set, declared_sets
from steelyard.model.commands.command import Change
from steelyard.model.commands.declared_acme import DeclaredAcme, with_declared_acme
from steelyard.model.commands.declared_follows import with_follows, without_follows
from steelyard.model.commands.declared_limits import DeclaredLimit, with_declared_limits
from steelyard.model.commands.declared_network import DeclaredNetwork, with_declared_network
from steelyard.model.commands.declared_subs import DeclaredSubs, place_subs
from steelyard.model.commands.intermediates import declared_intermediates
from steelyard.model.commands.ldap_endpoints import DeclaredEndpoint, declared_endpoints
from steelyard.model.commands.network import refuse_unmanaged
from steelyard.model.commands.parameter_secrets import put_away, with_kept
from steelyard.model.commands.revocation_lists import declared_revocation_lists
from steelyard.model.commands.rules import declared_rules
from steelyard.model.commands.services import AddService, new_server, with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, located
from steelyard.model.network import HostParameters
from steelyard.model.parameters import SECTIONS
from steelyard.model.real_server import RealServer, checked_address
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class Declare:
    """The configuration an operator wants, whole. Certificates without material must exist; absent ones are removed.

    `services` are plain settings with `servers` or `sub_services`; they are recognised by address, port and protocol,
    their servers by address and port, their sub-services by name. A setting that is left out takes its default.
    """

    services: Sequence[Mapping[str, Any]]
    certificates: Mapping[str, Material | None] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    access_lists: Sequence[DeclaredLists] = field(default=(), repr=False)
    rules: Sequence[Mapping[str, Any]] = ()
    cipher_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    client_limits: Sequence[DeclaredLimit] = ()
    limit_rules: Sequence[Mapping[str, Any]] = ()
    ldap_endpoints: Sequence[DeclaredEndpoint] = field(default=(), repr=False)
    intermediates: Mapping[str, x509.Certificate] = field(default_factory=dict)
    #: None leaves these as they are
    revocation_lists: Mapping[str, str] | None = field(default=None, repr=False)
    acme: DeclaredAcme | None = field(default=None, repr=False)
    network: DeclaredNetwork | None = None
    #: made up at random for the secrets among the parameters; those that are not declared stay
    place: str = field(default="", repr=False)
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"declare the configuration: {len(self.services)} services, {len(self.certificates)} certificates"

    def apply(self, configuration: Configuration) -> Change:
        secrets: dict[str, bytes] = {}
        old = configuration
        self._refuse_own_ciphers()
        wanted, hidden = self._parameters(configuration)
        wanted, secrets = self._certificates(wanted)
        secrets |= hidden
        endpoints, passwords = declared_endpoints(configuration, self.ldap_endpoints)
        secrets |= passwords
        wanted = with_declared_limits(wanted, self.client_limits, self.limit_rules)
        wanted = replace(
            wanted,
            services={},
            rules=declared_rules(configuration, tuple(self.rules)),
            cipher_sets=declared_sets(configuration, self.cipher_sets),
            intermediates=declared_intermediates(configuration, self.intermediates),
            ldap_endpoints=endpoints,
        )
        if self.revocation_lists is not None:
            lists = declared_revocation_lists(wanted, self.revocation_lists)
            wanted = replace(wanted, revocation_lists=lists)
        check_admin_cipher_set(wanted)
        known = {_identity(s.address, s.port, s.protocol): s for s in old.services.values() if not s.is_sub}
        families: list[DeclaredSubs] = []
        fresh: list[tuple[int, Mapping[str, Any]]] = []
        for number, declared in enumerate(self.services):
            settings = without_follows(declared)
            key = _identity(settings.get("address"), settings.get("port"), settings.get("protocol", "tcp"))
            before = known.pop(key, None)
            if before is None:
                fresh.append((number, settings))
                continue
            with located(f"services[{number}]"):
                wanted = self._keep(wanted, before, settings)
            families.append(DeclaredSubs(number, before, tuple(settings.get("sub_services", ()))))
        wanted = place_subs(wanted, old, [one for one in families if one.declared], _kept_servers)
        for number, service in fresh:
            with located(f"services[{number}]"):
                wanted = AddService(_plain(service)).apply(wanted).configuration
        wanted = self._followings(wanted)
        forget: tuple[str, ...] = ()
        if self.acme is not None:
            wanted, forget = with_declared_acme(wanted, old, self.acme)
        if self.network is not None:
            wanted = with_declared_network(wanted, self.network)
        return Change(with_declared(wanted, self.access_lists), None, secrets, forget)

    def _refuse_own_ciphers(self) -> None:
        """What is declared is all there is, and `ciphers` would make a set that is not."""
        for number, settings in enumerate(self.services):
            if settings.get("ciphers"):
                with located(f"services[{number}]"):
                    raise OperatorError(
                        "Ciphers makes a cipher set, and a declaration names its sets itself",
                        field="ciphers",
                        remedy="Declare the set under cipher_sets and name it in cipher_set",
                    )

    def _followings(self, wanted: Configuration) -> Configuration:
        """Services may follow each other, so who follows whom is said when all are there."""
        for number, settings in enumerate(self.services):
            if settings.get("follow_vs") or without_follows(settings) != dict(settings):
                key = _identity(settings.get("address"), settings.get("port"), settings.get("protocol", "tcp"))
                found = next(s for s in wanted.services.values() if _identity(s.address, s.port, s.protocol) == key)
                with located(f"services[{number}]"):
                    if settings.get("follow_vs"):
                        wanted = with_service(wanted, found.changed({"follow_vs": settings["follow_vs"]}))
                    wanted = with_follows(wanted, found.index, settings)
        return wanted

    def _parameters(self, configuration: Configuration) -> tuple[Configuration, dict[str, bytes]]:
        models = SECTIONS
        for section in self.parameters:
            if section not in models:
                raise OperatorError(
                    f"{section!r} is no section of parameters",
                    field=section,
                    allowed=", ".join(models),
                    remedy="Rename it",
                )
        parts: dict[str, Any] = {}
        secrets: dict[str, bytes] = {}
        for section, model in models.items():
            before = getattr(configuration, section)
            if section == "host" and section not in self.parameters:
                # whoever declares services does not mean to give up the network they are reached by
                continue
            with located(f"parameters.{section}"):
                given = model.make(with_kept(before, dict(self.parameters.get(section, {}))))
                made, more = put_away(section, before, given, self.place)
            if isinstance(before, HostParameters) and isinstance(made, HostParameters):
                refuse_unmanaged(before, made)
            parts[section] = before if made == before else made
            secrets |= more
        return replace(configuration, **parts), secrets

    def _certificates(self, configuration: Configuration) -> tuple[Configuration, dict[str, bytes]]:
        secrets: dict[str, bytes] = {}
        ordered = configuration.acme_certificates.keys() if self.acme is None else self.acme.ordered()
        kept = {
            name: certificate
            for name, certificate in configuration.certificates.items()
            if name in self.certificates or certificate.temporary or name in ordered
        }
        # what the certificates are for is declared later
        result = replace(configuration, certificates=kept, services={})
        for name, material in self.certificates.items():
            if material is None:
                if name not in kept:
                    raise OperatorError(
                        f"Certificate {name!r} is declared without content and does not exist here",
                        field="certificates",
                        value=name,
                        remedy="Give its PEM",
                    )
                continue
            same = name in kept and kept[name].chain_pem == material.chain_pem
            if same and material.key_id in (None, kept[name].key_id):
                continue
            change = PutCertificate(name, material, replace=True).apply(result)
            result = change.configuration
            secrets.update(change.secrets)
        return result, secrets

    def _keep(self, wanted: Configuration, before: VirtualService, settings: Mapping[str, Any]) -> Configuration:
        """The declared service with the index, and the servers with the indexes, of the one that exists."""
        data = _plain(settings)
        data.pop("sub_services", None)
        wanted, servers = _kept_servers(wanted, before, data.pop("servers", ()))
        empty = replace(wanted, services={})
        change = AddService(data).apply(empty)
        (declared_service,) = change.configuration.services.values()
        made_service = declared_service.changed({"index": before.index, "servers": servers})
        return with_service(wanted, before if made_service == before else made_service)


def _kept_servers(
    wanted: Configuration, before: VirtualService, declared: Sequence[Mapping[str, Any]]
) -> tuple[Configuration, tuple[RealServer, ...]]:
    """The declared servers with the indexes of those that exist."""
    known = {_identity(server.address, server.port): server for server in before.servers}
    servers: list[RealServer] = []
    for number, settings in enumerate(declared):
        old = known.get(_identity(settings.get("address"), settings.get("port")))
        with located(f"servers[{number}]"):
            if old is None:
                wanted, made = new_server(wanted, settings)
            else:
                made = RealServer.make({**settings, "index": old.index})
        servers.append(old if made == old else made)
    return wanted, tuple(servers)


def _identity(address: Any, *others: Any) -> tuple[str, ...]:
    """What an object is recognised by. Malformed values are left to the model, which says what is wrong with them."""
    with suppress(PydanticCustomError):
        address = checked_address(address)
    return (str(address), *map(str, others))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("index", "follow_vs")}


@dataclass(frozen=True)
class Restore:
    """Go back to the configuration of an earlier revision; users, counters and the first start stay as they are.

    Revocation lists stay too: an earlier one would let clients in again whose certificates were revoked since.
    """

    revision: int
    then: Configuration = field(repr=False)
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"roll back to revision {self.revision}"

    def apply(self, configuration: Configuration) -> Change:
        temporary = {n: c for n, c in configuration.certificates.items() if c.temporary}
        return Change(
            replace(
                self.then,
                users=configuration.users,
                counters=configuration.counters,
                first_start=configuration.first_start,
                revocation_lists=configuration.revocation_lists,
                certificates={**self.then.certificates, **temporary},
            )
        )
