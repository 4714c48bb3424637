"""Answers to the HTTP-01 challenges of ACME authorities (RFC 8555, 8.3), given by HAProxy itself.

The rule stands before every other rule that reads requests, so that neither limits nor the edge filter nor content
rules keep an authority out, and real servers see none of it; what is no known challenge goes on as any request does.
Which challenges there are is a lookup, so that one comes and goes at run time. Services that answer have the rule as
long as a certificate names them. A refusal of whole connections, by access lists or limits of connections, comes before
any request can be read and holds for authorities too.
"""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.compile.haproxy.part import Family
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, directive, lookup_path

#: where authorities look, with the token behind it
CHALLENGE_PATH = "/.well-known/acme-challenge/"
_LOOKUP = "acme-challenges"


def with_challenges(
    service: VirtualService, family: Family, directives: tuple[Directive, ...]
) -> tuple[Directive, ...]:
    """The rules of a frontend with the one for challenges.

    Rules of connections stay before it, since HAProxy wants those first, and what keeps requests out of the log.
    """
    if not family.answers_challenges or not _answers(service):
        return directives
    first = 0
    for number, one in enumerate(directives, 1):
        if one.words[0] == "tcp-request" or one.words[:3] == ("http-request", "set-log-level", "silent"):
            first = number
    logged = any(one.words[0] == "log" for one in directives)
    return (*directives[:first], *_rules(logged=logged), *directives[first:])


def _rules(*, logged: bool) -> tuple[Directive, ...]:
    known = f"path,map_str({lookup_path(_LOOKUP)})"
    asked = ("if", "{", "path", "-m", "beg", CHALLENGE_PATH, "}", "{", known, "-m", "found", "}")
    answer = directive(
        *("http-request", "return", "status", "200", "content-type", "application/octet-stream"),
        *("lf-string", f"%[{known}]", "hdr", "Cache-Control", "no-store"),
        *asked,
    )
    # a log is of requests that the edge filter has judged
    return (directive("http-request", "set-log-level", "silent", *asked), answer) if logged else (answer,)


def challenge_lookups(
    configuration: Configuration, services: frozenset[int], challenges: Mapping[str, str]
) -> tuple[Lookup, ...]:
    """The lookup of the challenges there are; none where no rule reads it, since HAProxy then does not know it."""
    found = (configuration.services.get(index) for index in services)
    if not any(one is not None and _answers(one) for one in found):
        return ()
    return (Lookup(_LOOKUP, tuple(sorted(challenges.items()))),)


def _answers(service: VirtualService) -> bool:
    return service.is_http and service.enabled and not service.is_sub
