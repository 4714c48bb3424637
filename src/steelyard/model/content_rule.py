"""Content rules: what requests and answers are matched by and changed with (`reference/loadmaster-api/04`).

A rule is an object of its own; services, sub-service slots and real servers name the rules they use, in order.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.regular_expression import refuse_dangerous
from steelyard.model.setting import Setting, Settings

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
#: what a rule looks at when `header` names no header of the request
PSEUDO_HEADERS = frozenset({"src-ip", "method", "body"})
MOST_RULES = 20_000

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
            " `method` the method.",
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

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.rule_type != ADD_HEADER and not self.pattern:
            raise _clash("pattern", "a rule of this type needs a pattern")
        if self.rule_type in (ADD_HEADER, REPLACE_HEADER) and not self.header:
            raise _clash("header", "a rule of this type needs the name of a header")
        if self.rule_type in (ADD_HEADER, REPLACE_HEADER) and self.header in PSEUDO_HEADERS:
            raise _clash("header", f"{self.header!r} can be matched, not changed")
        if self.uses_expression:
            problem = refuse_dangerous(self.pattern)
            if problem is not None:
                raise _clash("pattern", problem)
        return self

    @property
    def uses_expression(self) -> bool:
        """Whether the pattern is a regular expression."""
        return self.rule_type != ADD_HEADER and (self.rule_type != MATCH or self.match_type == "regex")


def _clash(name: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"why": why, "name": name})
