"""The numbered requirements of the deployments, which tests prove them, and the page that says so.

    python -m tests.support.requirement_table

writes docs/scenarios.md. What a number asks is in tests/scenarios/requirements/*.yaml, together with the reason where
no test proves it; the tests say their numbers with the marker `requirement`. Which tests there are is read from their
text, so that the page can be made, and held against what is committed, without running them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "scenarios.md"

#: of each deployment: what it is, how many numbers it has, and the guide that leads through it
DEPLOYMENTS = {
    "S1": ("One-armed load balancer for Lync Edge servers", 20, "lync-edge.md"),
    "S2": ("Lync front-end pool: everything balanced, then web services alone", 25, "lync-front-end.md"),
    "S3": ("Reverse proxy with edge filtering, directors, chains and zones", 68, "lync-reverse-proxy-esp.md"),
    "S4": ("Two-armed appliance for Lync 2013, from installation to test", 72, "lync-two-arm.md"),
    "S5": ("Lync web services with TLS in the middle", 44, "lync-web-services-tls.md"),
    "X": ("Checks across deployments", 7, None),
}


@dataclass
class Requirement:
    """One number: what it asks, the tests that prove it, or why none does, and what of it does not hold."""

    number: str
    says: str
    not_tested: str = ""
    remark: str = ""
    tests: list[str] = field(default_factory=list)


def numbers(deployment: str) -> list[str]:
    """Every number of a deployment, in order."""
    return [f"{deployment}-{number:02}" for number in range(1, DEPLOYMENTS[deployment][1] + 1)]


def read_requirements() -> dict[str, Requirement]:
    """What the data files say. Raises `ValueError` naming the file for a number or a word that is not known."""
    found: dict[str, Requirement] = {}
    for deployment in DEPLOYMENTS:
        path = TESTS / "scenarios" / "requirements" / f"{deployment.lower()}.yaml"
        data: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
        if list(data) != numbers(deployment):
            raise ValueError(
                f"{path.name} has not exactly {numbers(deployment)[0]} to {numbers(deployment)[-1]} in order"
            )
        for number, values in data.items():
            if unknown := set(values) - {"says", "not_tested", "remark"}:
                raise ValueError(f"{path.name}: {number} has unknown words {sorted(unknown)}")
            found[number] = Requirement(number, **values)
    return found


def marked_tests(directory: Path = TESTS) -> dict[str, list[str]]:
    """Number -> tests marked with it, as `path::name`, sorted."""
    found: dict[str, set[str]] = {}
    for path in sorted(directory.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "requirement(" in text:
            for name, marked in _marks(ast.parse(text)):
                found.setdefault(marked, set()).add(f"{path.relative_to(directory.parent)}::{name}")
    return {number: sorted(tests) for number, tests in found.items()}


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each test with each number it, its class or its parameters are marked with."""
    for node in tree.body:
        yield from _marks_of(node, "", set())


def _marks_of(node: ast.stmt, prefix: str, inherited: set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.ClassDef):
        own = inherited | _said(node.decorator_list)
        for member in node.body:
            yield from _marks_of(member, f"{prefix}{node.name}::", own)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
        for number in sorted(inherited | _said(node.decorator_list)):
            yield f"{prefix}{node.name}", number


def _said(decorators: list[ast.expr]) -> set[str]:
    calls = (one for decorator in decorators for one in ast.walk(decorator) if isinstance(one, ast.Call))
    return {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "requirement"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def requirements() -> dict[str, Requirement]:
    """Every number with its tests. Raises `ValueError` for a marker with a number that there is not."""
    found = read_requirements()
    for number, tests in marked_tests().items():
        if number not in found:
            raise ValueError(f"{', '.join(tests)}: there is no requirement {number}")
        found[number].tests = tests
    return found


def page(found: Mapping[str, Requirement]) -> str:
    """The Markdown of docs/scenarios.md."""
    return "".join(_page(found))


def _page(found: Mapping[str, Requirement]) -> Iterator[str]:
    yield "<!-- Generated by `python -m tests.support.requirement_table`. Do not edit. -->\n\n"
    yield "# The deployments, requirement by requirement\n\n"
    yield (
        "What real deployments ask of a load balancer, number by number, and the tests that show it. `make test` runs"
        " every one of them; one that fails, or that a host cannot run in CI, fails the whole. A number that no test"
        " proves says why.\n\n"
    )
    yield "| Deployment | Numbers | Proven by tests | With a remark | Not tested |\n|---|---|---|---|---|\n"
    for deployment, (title, count, guide) in DEPLOYMENTS.items():
        mine = [found[number] for number in numbers(deployment)]
        name = f"[{title}](guides/deployments/{guide})" if guide else title
        tested, remarks = sum(bool(one.tests) for one in mine), sum(bool(one.remark) for one in mine)
        yield f"| {deployment}: {name} | {count} | {tested} | {remarks} | {count - tested} |\n"
    for deployment, (title, *_) in DEPLOYMENTS.items():
        yield f"\n## {deployment}: {title}\n\n| Number | What it asks | Result | Shown by |\n|---|---|---|---|\n"
        for number in numbers(deployment):
            yield _row(found[number])


def _row(one: Requirement) -> str:
    result = "holds" if one.tests else f"not tested: {one.not_tested}"
    if one.remark:
        result += f"; {one.remark}" if not one.tests else f", but: {one.remark}"
    shown = "<br>".join(f"[{test.partition('::')[2]}](../{test.partition('::')[0]})" for test in one.tests) or "none"
    return f"| {one.number} | {_escaped(one.says)} | {_escaped(result)} | {shown} |\n"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(requirements()), "utf-8")
