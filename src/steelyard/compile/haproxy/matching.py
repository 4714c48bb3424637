"""A matching rule as conditions of HAProxy (`reference/behaviour.md`, section 11).

- The host is the one sent, in lower case and without a port. It has no case, so patterns for it have none either.
- A header matches when one of its lines does; one that is not there matches nothing, so a negated rule matches then.
- The body is what has come of it: HAProxy looks at what is in its buffer, of which 15 KB are left for a body.
- Flags are variables of the transaction, so rules for the answer see what the request has set.

The condition is an anonymous one: it ends at the first word that is a closing brace, and its list of patterns at an
empty word. Both are written in another way.
"""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.model.content_rule import ContentRule
from steelyard.model.regular_expression import expression
from steelyard.plan.haproxy import Directive, directive

#: how long a request waits for its body where a rule looks at that; HAProxy then answers 408
BODY_SECONDS = 10
_BODY_BYTES = 16_384

_HOST = "var(txn.host)"
_ASKED_FOR = "var(txn.sni)"
_OF_TLS = {
    "ssl-sni": _ASKED_FOR,
    "ssl-cipher": "ssl_fc_cipher",
    "ssl-version": "ssl_fc_protocol",
    "ssl-serialid": "ssl_f_serial,hex",
    "ssl-clientserialid": "ssl_c_serial,hex",
}
_METHODS = {"regex": "reg", "prefix": "beg", "postfix": "end", "exact": "str"}

Words = tuple[str, ...]


def subject(rule: ContentRule) -> str:
    """The sample expression of what a rule looks at. `prepared` sets the variables it uses."""
    match rule.header:
        case "":
            where = "pathq" if rule.include_query else "path"
            return f"var(txn.host_{where})" if rule.include_host else where
        case "body":
            return "req.body"
        case "src-ip":
            return "src"
        case "method":
            return "method"
        case name if name in _OF_TLS:
            return _OF_TLS[name]
        case name:
            # quotes are the only characters of a header's name that mean something here
            return _HOST if looks_at_host(rule) else f'req.fhdr("{name}")' if "'" in name else f"req.fhdr({name})"


def looks_at_host(rule: ContentRule) -> bool:
    """Whether a rule is about the host name alone."""
    return rule.header.lower() == "host"


def has_no_case(rule: ContentRule) -> bool:
    """Whether what a rule looks at is in lower case already: a host, a name in a TLS hello."""
    return looks_at_host(rule) or rule.header == "ssl-sni"


def ignores_case(rule: ContentRule) -> bool:
    """Whether upper and lower case are the same to a rule."""
    return rule.ignore_case or has_no_case(rule)


def prepared(rules: Iterable[ContentRule]) -> tuple[Directive, ...]:
    """What has to be done before these rules can look at a request."""
    rules = tuple(rules)
    needs = {subject(rule) for rule in rules}
    found: list[Directive] = []
    if "req.body" in needs:
        found.append(
            directive("http-request", "wait-for-body", "time", f"{BODY_SECONDS}s", "at-least", str(_BODY_BYTES))
        )
    if _ASKED_FOR in needs:
        found.append(directive("http-request", "set-var(txn.sni)", "ssl_fc_sni,lower"))
    if any(need.startswith("var(txn.host") for need in needs):
        found.append(directive("http-request", "set-var(txn.host)", "req.fhdr(host),host_only,lower"))
    for where in ("path", "pathq"):
        if f"var(txn.host_{where})" in needs:
            found += [
                directive("http-request", f"set-var(txn.{where})", where),
                # a request without a host has just the rest
                directive(
                    "http-request", f"set-var(txn.host_{where})", f"str(),concat(,txn.host),concat(,txn.{where})"
                ),
            ]
    return tuple(found)


def flag(number: int) -> str:
    """The variable of a flag."""
    return f"txn.flag{number}"


def when_flags_allow(rule: ContentRule) -> Words:
    """Conditions on flags: a rule is looked at only when one is set, or only when one is not."""
    found: Words = ()
    if rule.only_on_flag:
        found += ("{", f"var({flag(rule.only_on_flag)})", "-m", "bool", "}")
    if rule.only_on_no_flag:
        found += ("!{", f"var({flag(rule.only_on_no_flag)})", "-m", "bool", "}")
    return found


def matches(rule: ContentRule) -> Words:
    """The conditions under which a rule matches, flags included."""
    opening = "!{" if rule.negate else "{"
    return (*when_flags_allow(rule), opening, subject(rule), *_comparison(rule), "}")


def _comparison(rule: ContentRule) -> Words:
    if rule.network is not None:
        return ("-m", "ip", "--", str(rule.network))
    method = _METHODS[rule.match_type]
    pattern = expression(rule.pattern) if method == "reg" else rule.pattern
    if pattern == "}":
        method, pattern = "reg", {"beg": r"^\}", "end": r"\}$", "str": r"^\}$"}.get(method, r"\}")
    if not pattern:
        pattern = "^"
    case = ("-i",) if ignores_case(rule) else ()
    return ("-m", method, *case, "--", pattern)
