"""Two plans of the kernel: what leads from one to the other, in words, and whether it may cut an administrator off."""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.plan.kernel import KernelPlan, changed
from steelyard.plan.network import HostNetwork, NetworkPlan
from steelyard.plan.sources import SourcesPlan

_NOTHING = HostNetwork()


def describe_network(old: NetworkPlan, new: NetworkPlan) -> tuple[str, ...]:
    """The operations on the network in the order they are run."""
    if old is new or old == new:
        return ()
    return tuple(_words(old, new))


def _words(old: NetworkPlan, new: NetworkPlan) -> Iterator[str]:
    was, becomes = old.host or _NOTHING, new.host or _NOTHING
    if new.host is not None:
        for name, link in becomes.links.items():
            before = was.links.get(name)
            if before is None and link.kind != "port":
                on = f", VLAN {link.tag} on {link.lower}" if link.kind == "vlan" else f", a bond ({link.mode})"
                yield f"make interface {name}{on}"
            if (before.members if before else ()) != link.members:
                yield f"bond {name} of {', '.join(link.members) or 'no port'}"
            if link.mtu and (before is None or before.mtu != link.mtu):
                yield f"set the MTU of {name} to {link.mtu}"
            if old.host is not None:
                yield from (
                    f"add address {one} to {name}"
                    for one in link.addresses
                    if not before or one not in before.addresses
                )
    yield from (
        f"add address {one.address} to {one.interface}" for key, one in new.held.items() if old.held.get(key) != one
    )
    if old.host is not None and new.host is not None:
        yield from (
            f"route {one.destination} through {one.gateway}"
            for key, one in becomes.routes.items()
            if was.routes.get(key) != one
        )
    for key, route in new.routes.items():
        if old.routes.get(key) != route:
            yield f"route {route.destination} through {route.gateway} in table {route.table}"
    for key, rule in new.rules.items():
        if old.rules.get(key) != rule:
            yield f"route {rule}"
    for key, rule in old.rules.items():
        if key not in new.rules:
            yield f"no longer route {rule}"
    for key, route in old.routes.items():
        if key not in new.routes:
            yield f"remove route {route.destination} through {route.gateway} from table {route.table}"
    if new.host is not None:
        yield from (
            f"remove route {one.destination} through {one.gateway}"
            for key, one in was.routes.items()
            if key not in becomes.routes
        )
    yield from (
        f"remove address {one.address} from {one.interface}"
        for key, one in old.held.items()
        if new.held.get(key) != one
    )
    if new.host is not None:
        for name, link in was.links.items():
            kept = becomes.links[name].addresses if name in becomes.links else ()
            yield from (f"remove address {one} from {name}" for one in link.addresses if one not in kept)
        yield from (
            f"remove interface {name}"
            for name, one in was.links.items()
            if name not in becomes.links and one.kind != "port"
        )
        if old.host is not None:
            yield from _names(was, becomes)
    if old.forwards != new.forwards and new.forwards is not None:
        yield f"forward what is balanced and what comes from {', '.join(new.forwards) or 'nowhere'}, and nothing else"
    elif old.forwards != new.forwards:
        yield "forward every packet"
    if old.sources != new.sources:
        yield from _sources(new.sources)
    if old.strict != new.strict:
        which = "only by the interface that has the address" if new.strict else "by any interface"
        yield f"take packets to addresses of this host {which}"
    for name in sorted(old.sysctls.keys() | new.sysctls.keys()):
        if old.sysctls.get(name) != new.sysctls.get(name):
            value = new.sysctls.get(name, "what it was")
            yield f"set net.{name.replace('/', '.')} to {value}"


def _sources(new: SourcesPlan) -> Iterator[str]:
    if new.transparent:
        servers = len({one.address for one in new.transparent})
        yield f"take in the answers of {servers} real servers to clients' addresses"
    for one in new.leaving:
        ports = f" to {one.protocol} port {one.first}-{one.last}" if one.protocol else ""
        yield f"have what real server {one.server} starts{ports} leave with {one.source}"
    if new.masqueraded:
        yield f"have what begins in {', '.join(new.masqueraded)} leave with this host's address"
    if new.empty:
        yield "change no source addresses any more"


def _names(old: HostNetwork, new: HostNetwork) -> Iterator[str]:
    if new.host_name is not None and new.host_name != old.host_name:
        yield f"name the host {new.host_name}"
    if new.name_servers is not None and (new.name_servers, new.search_domains) != (
        old.name_servers,
        old.search_domains,
    ):
        yield f"use the name servers {', '.join(new.name_servers) or 'none'}"
    if new.hosts is not None and new.hosts != (old.hosts or ()):
        yield f"write {len(new.hosts)} addresses to the hosts file"


def may_cut_off(old: KernelPlan, new: KernelPlan) -> bool:
    """Whether an administrator may be unable to reach this host afterwards.

    What is only added takes nothing away, but a route does: packets that went elsewhere follow it. Giving the network
    up changes nothing; taking it over may, when it was another at that time.
    """
    was, becomes = old.network.host, new.network.host
    if becomes is None or was is becomes:
        return False
    if was is None:
        return True
    if was.routes != becomes.routes:
        return True
    for name, link in was.links.items():
        after = becomes.links.get(name)
        if after is None:
            return True
        if (link.kind, link.lower, link.tag, link.mode, link.members, link.mtu) != (
            *(after.kind, after.lower, after.tag, after.mode),
            *(after.members, after.mtu),
        ):
            return True
        if not set(link.addresses) <= set(after.addresses):
            return True
    return any(link.members for name, link in becomes.links.items() if name not in was.links)


def describe_layer4(old: KernelPlan, new: KernelPlan) -> Iterator[str]:
    """The changes of layer-4 services, in words."""
    for key, service in changed(old, new).layer4.items():
        if service is None:
            yield f"remove layer-4 service {key} from the kernel ({old.layer4[key].driver})"
        else:
            word = "change" if key in old.layer4 else "add"
            yield f"{word} layer-4 service {key} in the kernel ({service.driver})"
