"""DNS records made by DNS UPDATE (RFC 2136), and whether servers show them. Every function blocks."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.resolver
import dns.tsig
import dns.tsigkeyring
import dns.update

from steelyard.model.acme_dns import DnsProvider
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError

_SECONDS = 10.0


def change_record(provider: DnsProvider, key: str, record: str, value: str, *, add: bool) -> str:
    """Add a TXT record, or remove it; what was done, in words. Others of that name stay."""
    name = dns.name.from_text(record)
    zone = dns.name.from_text(provider.zone) if provider.zone else _zone_of(provider, name)
    if not name.is_subdomain(zone):
        raise OperatorError(
            f"{record} is not in the zone {provider.zone} of DNS provider {provider.name}",
            field="zone",
            value=provider.zone,
            remedy="Leave the zone empty, so that the server is asked, or name another provider for this name",
        )
    update = dns.update.UpdateMessage(zone)
    if provider.key_name:
        update.use_tsig(_ring(provider, key), dns.name.from_text(provider.key_name), algorithm=provider.algorithm)
    content = dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, [value.encode()])
    if add:
        update.add(name, provider.ttl, content)
    else:
        update.delete(name, content)
    answer = _asked(provider, update)
    if answer.rcode() != dns.rcode.NOERROR:
        raise EngineRefused(
            f"The DNS server {provider.server} refuses the update of {zone}: {dns.rcode.to_text(answer.rcode())};"
            " see that it knows the key and lets it change TXT records of that zone"
        )
    return f"{'added' if add else 'removed'} {record} TXT in zone {zone} on {provider.server}"


def _ring(provider: DnsProvider, key: str) -> dict[dns.name.Name, dns.tsig.Key]:
    try:
        ring: dict[dns.name.Name, dns.tsig.Key] = dns.tsigkeyring.from_text({provider.key_name: key})
    except (ValueError, dns.exception.DNSException) as failure:
        raise OperatorError(
            "The TSIG key is not base64", field="key", remedy="Give it as the server has it"
        ) from failure
    return ring


def _zone_of(provider: DnsProvider, name: dns.name.Name) -> dns.name.Name:
    """The zone a name is in: the server says it in the SOA of its answer, whether the name is there or not."""
    tried = name
    while len(tried) > 1:
        answer = _asked(provider, dns.message.make_query(tried, dns.rdatatype.SOA))
        for section in (answer.answer, answer.authority):
            for found in section:
                if found.rdtype == dns.rdatatype.SOA and name.is_subdomain(found.name):
                    return found.name
        tried = tried.parent()
    raise EngineRefused(f"The DNS server {provider.server} has no zone that {name} is in; name the zone")


def _asked(provider: DnsProvider, message: dns.message.Message) -> dns.message.Message:
    try:
        return dns.query.tcp(message, provider.server, timeout=_SECONDS, port=provider.port)
    except dns.tsig.PeerError as failure:
        raise EngineRefused(
            f"The DNS server {provider.server} does not take the key {provider.key_name}: {failure};"
            " check its name, secret and algorithm, and the clocks of both"
        ) from failure
    except dns.exception.Timeout as failure:
        raise _away(provider.server, provider.port, f"no answer within {_SECONDS:g} s") from failure
    except (OSError, EOFError) as failure:
        raise _away(provider.server, provider.port, getattr(failure, "strerror", None) or "it hung up") from failure
    except dns.exception.DNSException as failure:
        raise EngineRefused(f"What the DNS server {provider.server} answers is not understood: {failure}") from failure


def _away(server: str, port: int, why: str) -> HostLacks:
    return HostLacks(
        f"The DNS server {server} port {port} cannot be reached: {why}",
        lacks="a way to the DNS server",
        remedy="Check its address, and that it takes TCP from this host",
    )


def shows(server: str, port: int, record: str, value: str) -> bool:
    """Whether a DNS server shows that TXT record. One that does not answer does not show it."""
    query = dns.message.make_query(record, dns.rdatatype.TXT)
    try:
        answer = dns.query.tcp(query, server, timeout=_SECONDS, port=port)
    except (OSError, EOFError, dns.exception.DNSException):
        return False
    return any(
        b"".join(one.strings) == value.encode()
        for found in answer.answer
        if found.rdtype == dns.rdatatype.TXT
        for one in found
    )
