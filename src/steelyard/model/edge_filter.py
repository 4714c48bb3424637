"""Which requests the edge filter lets in (`reference/behaviour.md`, section 14).

A host or a directory is judged by its text, and real servers decode that text in ways of their own. What is matched is
always literal text at the beginning, or all of the path; so a server that decodes comes to the same directory, unless
the path holds what leads out of a directory. Such paths are refused as they are, never put right: what is judged is
what the server gets. Encoded slashes alone lead nowhere and SharePoint sends them, so they pass.

The expressions are of the kind that PCRE and Python read alike. All are searched for without regard to case. A group is
never repeated without bound where a match means a refusal: PCRE gives up when it runs out of stack, and HAProxy takes
that for no match.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

#: one whole Host header: a name, with or without the last dot, or an IPv6 literal; and a port
HOST_HEADER = r"^([a-z0-9_-]+(\.[a-z0-9_-]+){0,126}\.?|\[[0-9a-f:.]+\])(:[0-9]*)?$"
#: the longest name (RFC 1035, 2.3.4) with a port
LONGEST_HOST = 262

#: what no path may hold as it is: a second slash at the beginning (some servers read a host there), what is no visible
#: ASCII, a backslash, a fragment, and a segment of dots alone, also before parameters (`/..;/` leads up in Tomcat)
UNCLEAR = r"^//|[^\x21-\x7e]|[\\#]|/\.+(;|/|$)"

_SLASH = r"(/|%2f|%5c|%ef%bc%8f|%ef%bc%bc)"
#: also what Windows' best fit and Unicode's compatibility forms make of them
_DOT = r"(\.|%2e|%ef%bc%8e|%ef%b9%92|%e2%80%a[456])"
_ENCODED = (
    # no two digits: servers differ in what they make of it; %uXXXX too
    r"%([^0-9a-f]|[0-9a-f]?$|[0-9a-f][^0-9a-f])",
    # control characters: naive servers end the path at a NUL
    r"%[01][0-9a-f]|%7f",
    # more bytes than the character needs: %c0%ae is a dot to naive decoders
    r"%c[01]|%e0%[89]|%f0%8|%f8%8|%fc%8",
    # encoded twice; a percent sign in a name, %25, is encoded once
    r"%25(25|2e|2f|5c|00|c[01]%25|e0%25|f[08c]%25|ef%25bc%25|u00)",
    # a segment of dots, maybe with blanks (which Windows drops), up to anything that ends a segment once it is decoded
    rf"{_SLASH}(%20){{0,8}}{_DOT}({_DOT}|%20){{0,8}}(;|%3b|%3f|%23|{_SLASH}|$)",
    # and longer ones
    rf"({_DOT}|%20){{9}}",
)
#: what no path that holds a percent sign may hold
UNCLEAR_ENCODED = "|".join(_ENCODED)

#: versions a request line may name; HTTP/2 has none
VERSIONS = ("1.0", "1.1")
#: what no header may hold: HAProxy 2.6 passes a NUL on, and servers differ in what they make of it
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
#: headers by which servers take another path or protocol than the request's own
OTHER_PATHS = ("X-Original-URL", "X-Rewrite-URL")

#: why a request is refused, as the filter's rules call it, and in words
REASONS = {
    "version": "the protocol version is neither HTTP/1.0 nor HTTP/1.1",
    "target": "the request target is no path on this host",
    "header": "a header holds a control character",
    "path": "the path could lead out of its directory",
    "name": "the Host header is absent, repeated or no host name",
    "host": "the host is not allowed",
    "directory": "the directory is not allowed",
}

#: any characters but those at which some servers end a path: what is behind them would not count there
_WITHIN = "[^;%]*(?:%(?!3b|3f|23)[^;%]*)*"
#: more make matching slow: its time grows with the power of them
_MOST_STARS = 2
_PORT = re.compile(":[0-9]*$")
_HOST = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*\.?(:[0-9]{1,5})?")
_LITERAL = re.compile(r"\[(?P<address>[0-9A-Fa-f:.]+)\](:[0-9]{1,5})?")
HOSTS_SAY = "host names separated by blanks, * for any characters (at most 2 in a name): mail.example.com *.example.com"
DIRECTORIES_SAY = "paths separated by blanks, * for any characters, once inside and at the end: /* /owa* /a/*/docs*"


@dataclass(frozen=True)
class Patterns:
    """Texts to compare with: whole, by their beginning, by their end, and regular expressions; all in lower case."""

    whole: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()

    def match(self, text: str) -> bool:
        """Whether a text in lower case matches any of them."""
        return (
            text in self.whole
            or text.startswith(self.beginnings)
            or text.endswith(self.ends)
            or any(re.search(expression, text) for expression in self.expressions)
        )


def _expression(pattern: str, star: str, end: str) -> str:
    return "^" + star.join(re.escape(part) for part in pattern.split("*")) + end


def refuse_hosts(text: str) -> str | None:
    """Why a list of hosts cannot be used; None when it can."""
    for entry in text.split():
        literal = _LITERAL.fullmatch(entry)
        if literal is not None:
            try:
                ipaddress.IPv6Address(literal["address"])
            except ValueError:
                return f"{entry!r} is no IPv6 address in brackets"
        elif _HOST.fullmatch(entry) is None:
            return f"{entry!r} is no host name"
        elif entry.count("*") > _MOST_STARS:
            return f"{entry!r} holds more than {_MOST_STARS} *"
    return None


def host_patterns(text: str) -> Patterns:
    """A list of hosts as patterns. A name and the same name with a last dot are one."""
    whole: list[str] = []
    ends: list[str] = []
    expressions: list[str] = []
    for entry in text.lower().split():
        literal = _LITERAL.fullmatch(entry)
        if literal is not None:
            whole.append(f"[{ipaddress.IPv6Address(literal['address'])}]")
            continue
        name = _PORT.sub("", entry).removesuffix(".")
        if "*" not in name:
            whole += [name, f"{name}."]
        elif name.startswith("*") and "*" not in name[1:] and len(name) > 1:
            ends += [name[1:], f"{name[1:]}."]
        else:
            expressions.append(_expression(name, ".*", r"\.?$"))
    return Patterns(_once(whole), (), _once(ends), _once(expressions))


def refuse_directories(text: str) -> str | None:
    """Why a list of directories cannot be used; None when it can."""
    for entry in text.split():
        path = _encoded(entry)
        if not entry.startswith("/"):
            return f"{entry!r} does not begin with /"
        if "?" in entry:
            return f"{entry!r} holds a ?: a query is no part of a directory"
        if entry.rstrip("*").count("*") > 1 or entry.endswith("**"):
            return f"{entry!r} holds more than one * inside and one at the end"
        if is_unclear(path):
            return f"{entry!r} could lead out of its directory, and such requests are refused"
    return None


def directory_patterns(text: str) -> Patterns:
    """A list of directories as patterns. One without * is itself and all below it."""
    whole: list[str] = []
    beginnings: list[str] = []
    expressions: list[str] = []
    for entry in text.split():
        path = _encoded(entry)
        if "*" not in path:
            whole += [path] if not path.endswith("/") else []
            beginnings.append(path if path.endswith("/") else f"{path}/")
        elif path.index("*") == len(path) - 1:
            beginnings.append(path[:-1])
        elif path.endswith("*"):
            expressions.append(_expression(path[:-1], _WITHIN, ""))
        else:
            expressions.append(_expression(path, _WITHIN, "$"))
    return Patterns(_once(whole), _once(beginnings), (), _once(expressions))


def _encoded(entry: str) -> str:
    """As clients send it: other than ASCII in UTF-8 and encoded, in lower case."""
    return quote(entry, safe="".join(map(chr, range(0x21, 0x7F)))).lower()


def _once(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def is_unclear(path: str) -> bool:
    """Whether a path could mean another directory to the server than it says."""
    return bool(re.search(UNCLEAR, path) or ("%" in path and re.search(UNCLEAR_ENCODED, path, re.IGNORECASE)))


def judge(
    hosts: Patterns | None,
    directories: Patterns | None,
    *,
    target: str,
    host_headers: tuple[str, ...],
    method: str = "GET",
    version: str = "1.1",
) -> str | None:
    """Why a request is refused, one of `REASONS`; None when it is let in.

    `hosts` or `directories` None lets every one in. `target` is that of the request line; for HTTP/2, which has the
    version "2", its path and query.
    """
    if version not in (*VERSIONS, "2"):
        return "version"
    if not target.startswith("/") or method == "CONNECT":
        return "target"
    return next(_faults(hosts, directories, target, host_headers), None)


def _faults(
    hosts: Patterns | None, directories: Patterns | None, target: str, host_headers: tuple[str, ...]
) -> Iterator[str]:
    path = target.partition("?")[0]
    if is_unclear(path):
        yield "path"
    name = host_headers[0].lower() if len(host_headers) == 1 else ""
    if len(name) > LONGEST_HOST or re.search(HOST_HEADER, name) is None:
        yield "name"
    elif hosts is not None and not hosts.match(_PORT.sub("", name)):
        yield "host"
    if directories is not None and not directories.match(path.lower()):
        yield "directory"
