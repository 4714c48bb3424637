"""Content switching as it is described, rule by rule: what compiled rules are compared with."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from steelyard.model.content_rule import ContentRule
from steelyard.model.rule_matching import Request, matches

PATTERNS = ("a", "ab", "/a", "/ab", "/a/", "b.c", "/B", ".c", "a.b.c", "#a", "a b", "^/a", "^/a.*", "^a", "b$")
PATTERNS += (r"^\/a.*", "/^a\\.b$/", "^/(a|b)$", "a+b", "^.*b$", "^/[ab]", "x", "^/a$", "^A\\.b", "#", "^#/a b")
HOSTS = ("a", "ab", "a.b", "A.b:80", "a.b.c", "b.c", "[::1]:80", "x")
PATHS = ("/", "/a", "/ab", "/A", "/a/", "/a/b", "/b", "/aab", "/b.c", "/x", "/~a")
QUERIES = ("", "?", "?a", "?b.c")


def asked(host: str, target: str) -> Request:
    """A request for a target of a host."""
    return Request(target=target, headers=(("Host", host),))


def first_match(rules: Iterable[ContentRule], request: Request) -> ContentRule | None:
    """The first rule that matches."""
    return next((rule for rule in rules if matches(rule, request)), None)


def rules(*, most: int = 12) -> st.SearchStrategy[list[ContentRule]]:
    """Lists of matching rules that have much to do with each other. Names are their places in the list."""
    about_url = st.fixed_dictionaries({"include_host": st.booleans(), "include_query": st.booleans()})
    about = st.one_of(st.just({"header": "Host"}), st.just({}), about_url)
    settings = st.fixed_dictionaries(
        {
            "pattern": st.sampled_from(PATTERNS),
            "match_type": st.sampled_from(("regex", "prefix", "postfix", "exact")),
            "ignore_case": st.booleans(),
            "negate": st.integers(0, 9).map(lambda number: number == 0),
        }
    )
    one = st.tuples(about, settings).map(lambda both: both[0] | both[1])
    return st.lists(one, min_size=1, max_size=most).map(
        lambda found: [ContentRule.make({"name": f"r{number}", **one}) for number, one in enumerate(found)]
    )


def requests() -> st.SearchStrategy[Request]:
    """Requests that those rules have to do with."""
    targets = st.builds(lambda path, query: path + query, st.sampled_from(PATHS), st.sampled_from(QUERIES))
    return st.builds(asked, st.sampled_from(HOSTS), targets)
