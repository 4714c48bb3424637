"""Content rules: what requests and answers are matched by and changed with (`reference/loadmaster-api/04`).

A rule is an object of its own; services, sub-service slots and real servers name the rules they use, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.captures import references, refuse_captures
from steelyard.model.regular_expression import group_count, is_between_slashes, refuse_dangerous
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import FRAMING_HEADERS

_SECTION = "content rule"

MATCH, ADD_HEADER, DELETE_HEADER, REPLACE_HEADER, MODIFY_URL, REPLACE_BODY = range(6)
RULE_TYPES = {
    MATCH: "content matching",
    ADD_HEADER: "add header",
    DELETE_HEADER: "delete header",
    REPLACE_HEADER: "replace header",
    MODIFY_URL: "modify URL",
    REPLACE_BODY: "replace text in the response body",
}
#: the name under which a slot takes what no rule matched
DEFAULT_RULE = "default"
#: what a rule can look at in the client's TLS: the name asked for, what was agreed on, serials of certificates
TLS_FIELDS = ("ssl-sni", "ssl-cipher", "ssl-version", "ssl-serialid", "ssl-clientserialid")
#: what a rule looks at when `header` names no header of the request
PSEUDO_HEADERS = frozenset({"src-ip", "method", "body", *TLS_FIELDS})
#: those that a service which passes bytes can look at, too
OF_CONNECTIONS = frozenset({"src-ip", "ssl-sni"})
MOST_RULES = 20_000
#: that a replacement in the body can name: HAProxy keeps nine, and two stand around the pattern
MOST_GROUPS = 7

_NEVER_DELETED = ("connection", "content-length", "host", "transfer-encoding")
_REPLACING = (REPLACE_HEADER, MODIFY_URL, REPLACE_BODY)
_ALL_TYPES = tuple(RULE_TYPES)
#: setting -> the types that use it, in the order of a record (`reference/loadmaster-api/04`, 4.3 and 4.4)
USED_BY: Mapping[str, tuple[int, ...]] = {
    "match_type": (MATCH,),
    "include_host": (MATCH,),
    "negate": (MATCH,),
    "ignore_case": (MATCH, REPLACE_BODY),
    "include_query": (MATCH,),
    "header": (MATCH, ADD_HEADER, REPLACE_HEADER),
    "pattern": (MATCH, DELETE_HEADER, *_REPLACING),
    "replacement": (ADD_HEADER, *_REPLACING),
    "set_on_match": (MATCH,),
    "only_on_flag": _ALL_TYPES,
    "only_on_no_flag": _ALL_TYPES,
    "must_fail": (MATCH,),
}
_REFERENCE = re.compile(r"\\([0-9])")

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HEADER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


class ContentRule(Settings):
    """One content rule. What a type does not use stays at its default."""

    noun: ClassVar[str] = "content rule"

    name: Annotated[
        str,
        Setting(
            "name",
            _SECTION,
            "Rule Name",
            "Name of the rule, for all services.",
            answer="Name",
            max_length=127,
            pattern=_NAME,
            pattern_says="letters, digits, underscore, dot and dash, and not the word default",
            filled=True,
        ),
    ]
    rule_type: Annotated[
        int, Setting("type", _SECTION, "Rule Type", "What the rule does.", answer="Type", choices=RULE_TYPES)
    ] = MATCH
    match_type: Annotated[
        str,
        Setting(
            "matchtype",
            _SECTION,
            "Match Type",
            "How the pattern is compared; `exact` is Steelyard's own.",
            answer="MatchType",
            choices={
                "regex": "regular expression",
                "prefix": "begins with",
                "postfix": "ends with",
                "exact": "is the same",
            },
        ),
    ] = "regex"
    include_host: Annotated[
        bool,
        Setting("inchost", _SECTION, "Include Host in URL", "Put the host name before the URL.", answer="AddHost"),
    ] = False
    ignore_case: Annotated[
        bool,
        Setting("nocase", _SECTION, "Ignore Case", "Take upper and lower case as equal.", answer="CaseIndependent"),
    ] = False
    negate: Annotated[
        bool, Setting("negate", _SECTION, "Negation", "Match what the pattern does not.", answer="Negate")
    ] = False
    include_query: Annotated[
        bool,
        Setting("incquery", _SECTION, "Include Query in URL", "Put the query after the URL.", answer="IncludeQuery"),
    ] = False
    header: Annotated[
        str,
        Setting(
            "header",
            _SECTION,
            "Header Field",
            "Header to look at or to change; empty is the URL, `body` the request body, `src-ip` the client's address,"
            " `method` the method. Of the client's TLS: `ssl-sni` the name it asks for, `ssl-cipher`, `ssl-version`,"
            " `ssl-serialid` and `ssl-clientserialid`, the serials of the certificate shown and of the client's.",
            answer="Header",
            max_length=255,
            pattern=_HEADER,
            pattern_says="a header name",
        ),
    ] = ""
    pattern: Annotated[
        str,
        Setting(
            "pattern",
            _SECTION,
            "Match String",
            "What to look for; a regular expression may stand between slashes.",
            answer="Pattern",
            max_length=250,
        ),
    ] = ""
    replacement: Annotated[
        str,
        Setting(
            "replacement",
            _SECTION,
            "Replacement",
            r"What is put in its place; \1 to \9 stand for what groups of the pattern matched.",
            answer="Replacement",
            max_length=255,
        ),
    ] = ""
    set_on_match: Annotated[
        int,
        Setting("setonmatch", _SECTION, "Set Flag If Matched", "Flag to set.", answer="SetFlagOnMatch", ge=0, le=9),
    ] = 0
    only_on_flag: Annotated[
        int,
        Setting(
            "onlyonflag",
            _SECTION,
            "Perform If Flag Set",
            "Only when that flag is set.",
            answer="OnlyOnFlag",
            ge=0,
            le=9,
        ),
    ] = 0
    only_on_no_flag: Annotated[
        int,
        Setting(
            "onlyonnoflag",
            _SECTION,
            "Perform If Flag is NOT Set",
            "Only when that flag is not set.",
            answer="OnlyOnNoFlag",
            ge=0,
            le=9,
        ),
    ] = 0
    must_fail: Annotated[
        bool, Setting("mustfail", _SECTION, "Fail On Match", "Refuse requests that match.", answer="MustFail")
    ] = False

    @field_validator("name")
    @classmethod
    def _not_default(cls, value: str) -> Any:
        if value == DEFAULT_RULE:
            why = {"why": "stands for what no rule matches", "allowed": "any other name"}
            raise PydanticCustomError("setting", "{why}", why)
        return value

    @field_validator("header")
    @classmethod
    def _spelled(cls, value: str) -> Any:
        return value.lower() if value.lower() in PSEUDO_HEADERS else value

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.rule_type != ADD_HEADER and not self.pattern:
            raise _clash("pattern", "a rule of this type needs a pattern")
        if self.rule_type in (ADD_HEADER, REPLACE_HEADER) and not self.header:
            raise _clash("header", "a rule of this type needs the name of a header")
        if self.rule_type in (ADD_HEADER, REPLACE_HEADER) and self.header in PSEUDO_HEADERS:
            raise _clash("header", f"{self.header!r} can be matched, not changed")
        self._check_framing()
        if self.only_on_flag and self.only_on_flag == self.only_on_no_flag:
            raise _clash("only_on_no_flag", f"flag {self.only_on_flag} cannot be set and not set at once")
        self._check_unused()
        self._check_pattern()
        if self.rule_type in _REPLACING:
            self._check_replacement()
        return self

    def _check_framing(self) -> None:
        """Who can change where a message ends can smuggle a second one past every rule."""
        name = self.header.lower()
        if self.rule_type in (ADD_HEADER, REPLACE_HEADER) and name in FRAMING_HEADERS:
            raise _clash("header", f"{self.header} says where a message ends or what its connection does; not changed")
        if self.rule_type == ADD_HEADER and name == "host":
            raise _clash("header", "a request has one Host; replace it")
        if self.rule_type == DELETE_HEADER:
            gone = sorted(one for one in _NEVER_DELETED if self._deletes(one))
            if gone:
                raise _clash("pattern", f"it would delete {', '.join(gone)}, without which a message has no end")

    def _deletes(self, name: str) -> bool:
        if not is_between_slashes(self.pattern):
            return self.pattern.lower() == name
        try:
            return re.search(self.pattern[1:-1], name, re.IGNORECASE) is not None
        except re.error:
            # what does not compile is refused for that
            return False

    def _check_unused(self) -> None:
        for name, types in USED_BY.items():
            if self.rule_type not in types and getattr(self, name) != type(self).declared()[name].default:
                used = ", ".join(RULE_TYPES[one] for one in types)
                raise _clash(name, f"a rule of type {RULE_TYPES[self.rule_type]} does not use it; it is for {used}")
        if self.rule_type == MATCH and self.header:
            for name in ("include_host", "include_query"):
                if getattr(self, name):
                    raise _clash(name, f"it belongs to the URL, and this rule looks at {self.header!r}")

    def _check_pattern(self) -> None:
        if self.uses_expression:
            lines = self.rule_type == REPLACE_BODY or self.header == "body"
            problem = refuse_dangerous(
                self.pattern,
                ignore_case=self.takes_both_cases,
                lines=lines,
                only_matches=self.rule_type not in _REPLACING,
            )
            if problem is not None:
                raise _clash("pattern", problem)
        elif self.rule_type == DELETE_HEADER and re.fullmatch(_HEADER, self.pattern) is None:
            raise _clash(
                "pattern", "it is neither the name of a header nor, between slashes, a regular expression for names"
            )
        elif self.header == "src-ip" and self.match_type == "exact" and self.network is None:
            raise _clash("pattern", "an exact client address is an address or a network such as 192.0.2.0/24")

    def _check_replacement(self) -> None:
        groups = group_count(self.pattern)
        for number in references(self.replacement):
            if number > groups:
                has = f"only {groups} groups" if groups > 1 else "only one group" if groups else "no groups"
                raise _clash("replacement", rf"\{number} stands for a group, and the pattern has {has}")
            if number > MOST_GROUPS and self.rule_type == REPLACE_BODY:
                raise _clash("replacement", rf"\{number} is too far; in the body \0 to \{MOST_GROUPS} are possible")
        problem = refuse_captures(self.pattern, self.replacement)
        if problem is not None:
            raise _clash("replacement", problem)

    @property
    def uses_expression(self) -> bool:
        """Whether the pattern is a regular expression. That of a deleted header is one only between slashes."""
        if self.rule_type == DELETE_HEADER:
            return is_between_slashes(self.pattern)
        return self.rule_type != ADD_HEADER and (self.rule_type != MATCH or self.match_type == "regex")

    @property
    def takes_both_cases(self) -> bool:
        """Whether upper and lower case are equal to the pattern; in names of headers they always are."""
        return self.ignore_case or self.rule_type == DELETE_HEADER

    @property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The clients a rule on `src-ip` means by an address or a network; None for any other pattern."""
        if self.header != "src-ip" or self.rule_type != MATCH:
            return None
        try:
            return ip_network(self.pattern, strict=False)
        except ValueError:
            return None


def replacement_parts(replacement: str) -> Iterator[str | int]:
    r"""A replacement taken apart: texts, and the numbers of groups (`\0` is the whole match).

    A backslash before anything but a digit stands for itself.
    """
    for number, part in enumerate(_REFERENCE.split(replacement)):
        if number % 2:
            yield int(part)
        elif part:
            yield part


def _clash(name: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"why": why, "name": name})
