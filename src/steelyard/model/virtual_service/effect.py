"""Which settings of a virtual service mean nothing beside the others, and why.

Such a setting is stored and changes nothing: the engines would have the same with any other value of it. Forms leave it
out, or say so where somebody has set it. What would be refused is the matter of `steelyard.model.barred`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.model.virtual_service import NAMED_PERSISTENCE
from steelyard.model.virtual_service.refusals import REDIRECTS
from steelyard.model.virtual_service.tls import protocols_of

Values = Mapping[str, Any]

_WEB_CHECKS = frozenset({"http", "https"})
_BY_SOURCE = frozenset({"src", "cookie-src", "active-cook-src", "cookie-hash-src", "super-src", "rdp-src"})
_ACTIVE = frozenset({"active-cookie", "active-cook-src"})


@dataclass(frozen=True)
class _Rule:
    """These settings mean something where `holds`; elsewhere they do not, because of `why`."""

    names: tuple[str, ...]
    holds: Callable[[Values], bool]
    why: str


def _reads_requests(values: Values) -> bool:
    return values["service_type"] in ("http", "http2")


def _encrypts_to_servers(values: Values) -> bool:
    return bool(values["ssl_reverse"] or (values["ssl_acceleration"] and values["ssl_reencrypt"]))


def _offers(*protocols: str) -> Callable[[Values], bool]:
    return lambda values: not set(protocols).isdisjoint(protocols_of(values["tls_type"]))


#: A setting may be in several; the first that does not hold says why.
_RULES = (
    _Rule(
        ("starttls_mode",),
        lambda v: v["service_type"] == "tls",
        "STARTTLS is for the service type STARTTLS protocols",
    ),
    _Rule(
        ("persistence_timeout", "refresh_persistence"),
        lambda v: v["persistence"] != "none",
        "no persistence mode is chosen",
    ),
    _Rule(
        ("persistence_mask",),
        lambda v: v["persistence"] in _BY_SOURCE,
        "only persistence by source address has a mask",
    ),
    _Rule(
        ("cookie",),
        lambda v: v["persistence"] in NAMED_PERSISTENCE | _ACTIVE,
        "the persistence mode has no cookie or header of its own",
    ),
    _Rule(
        ("query_tag",),
        lambda v: v["persistence"] == "query-hash",
        "only the persistence mode Hash of HTTP Query Item has a query item",
    ),
    _Rule(
        ("adaptive_interval", "adaptive_url", "adaptive_port", "adaptive_min_percent"),
        lambda v: v["schedule"] == "adaptive",
        "only the scheduling method resource based (adaptive) asks load agents",
    ),
    _Rule(
        (
            "certificates",
            "cipher_set",
            "tls13_cipher_set",
            "tls_type",
            "client_certificates",
            "client_certificates_optional",
            "intermediate_certificates",
            "ocsp_verify",
            "pass_cipher",
            "ssl_reencrypt",
            "pass_sni",
            "require_sni",
            "security_header_options",
            "allow_http2",
        ),
        lambda v: v["ssl_acceleration"],
        "TLS does not end here: SSL Acceleration is off",
    ),
    _Rule(
        ("cipher_set",),
        _offers("TLSv1.0", "TLSv1.1", "TLSv1.2"),
        "TLS 1.3 alone is offered, which has cipher suites of its own",
    ),
    _Rule(("tls13_cipher_set",), _offers("TLSv1.3"), "TLS 1.3 is not offered"),
    _Rule(
        ("client_certificates_optional", "intermediate_certificates", "ocsp_verify"),
        lambda v: v["client_certificates"] != 0,
        "clients are not asked for certificates",
    ),
    _Rule(
        ("transparent",),
        lambda v: not (v["ssl_acceleration"] and v["ssl_reencrypt"]),
        "Reencrypt is on, and real servers then see this host",
    ),
    _Rule(
        ("transparent", "subnet_originating"),
        lambda v: not (v["protocol"] == "udp" or v["force_l4"]),
        "at layer 4 real servers see the client's address, or the service's with Source NAT at layer 4",
    ),
    _Rule(
        ("subnet_originating",),
        lambda v: not v["transparent"] or bool(v["ssl_acceleration"] and v["ssl_reencrypt"]),
        "Transparency is on",
    ),
    _Rule(("pass_sni",), lambda v: v["ssl_reencrypt"], "Reencrypt is off"),
    _Rule(
        ("pass_sni",),
        lambda v: not v["reencrypt_sni"],
        "Reencryption SNI Hostname is set, and that name is asked for",
    ),
    _Rule(
        ("reencrypt_sni", "server_verification", "server_authorities"),
        _encrypts_to_servers,
        "real servers are spoken to without TLS: Reencrypt and Reversed SSL are off",
    ),
    _Rule(
        ("cache", "cache_percent", "compress", "http_reschedule"),
        _reads_requests,
        "it is about HTTP messages, and the service type is not HTTP",
    ),
    _Rule(("cache_percent",), lambda v: v["cache"], "caching is off"),
    _Rule(
        ("error_url",),
        lambda v: v["error_code"] in REDIRECTS,
        "the error code is no redirect",
    ),
    _Rule(
        ("error_page",),
        lambda v: v["error_code"] not in REDIRECTS,
        "the error code sends clients elsewhere",
    ),
    _Rule(
        ("standby_port", "non_local_sorry_server"),
        lambda v: bool(v["standby_address"]),
        "there is no sorry server",
    ),
    _Rule(
        ("check_url",),
        lambda v: v["check_type"] in _WEB_CHECKS | {"bdata"},
        "only HTTP and binary checks send one",
    ),
    _Rule(("check_host",), lambda v: v["check_type"] in _WEB_CHECKS | {"dns"}, "only HTTP and DNS checks name a host"),
    _Rule(
        ("check_http11", "check_method", "check_codes", "check_headers", "check_post_data"),
        lambda v: v["check_type"] in _WEB_CHECKS,
        "only HTTP checks have it",
    ),
    _Rule(
        ("check_pattern",),
        lambda v: v["check_type"] in _WEB_CHECKS | {"bdata"},
        "only HTTP and binary checks look for a pattern",
    ),
    _Rule(("check_post_data",), lambda v: v["check_method"] == 2, "the check method is not POST"),
    _Rule(("match_length",), lambda v: v["check_type"] == "bdata", "only binary checks have it"),
    _Rule(("ldap_endpoint",), lambda v: v["check_type"] == "ldap", "only LDAP checks sign in"),
    _Rule(
        ("check_port", "check_interval", "check_timeout", "check_retries", "check_rise", "check_fall"),
        lambda v: v["check_type"] != "none",
        "real servers are not checked",
    ),
    _Rule(("minimum_servers",), lambda v: v["enhanced_checks"], "Enhanced Options are off"),
    _Rule(
        ("check_mode",),
        lambda v: bool(v.get("further_checks")),
        "the service has no further checks",
    ),
    _Rule(
        (
            "esp_logs",
            "input_auth_mode",
            "output_auth_mode",
            "allowed_hosts",
            "allowed_directories",
            "excluded_directories",
        ),
        lambda v: v["esp_enabled"],
        "the edge filter is off",
    ),
)


def without_effect(values: Values) -> dict[str, str]:
    """Setting -> why it has no effect. `values` are those of a service by field name, valid together or not."""
    found: dict[str, str] = {}
    for name, why in _said(values):
        found.setdefault(name, why)
    return found


def _said(values: Values) -> Iterator[tuple[str, str]]:
    for rule in _RULES:
        if not rule.holds(values):
            yield from ((name, rule.why) for name in rule.names)


__all__ = ["without_effect"]
