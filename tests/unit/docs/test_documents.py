"""What the documents name exists: files, headings, commands, options, endpoints, LoadMaster commands, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from tests.support.fake_appliance import FakeAppliance

from steelyard.api.loadmaster.failures import Refusal
from steelyard.api.loadmaster.registry import REGISTRY, find
from steelyard.api.native.app import PREFIX, build_native_app
from steelyard.api.native.batch_operations import MEMBERS
from steelyard.cli.main import app
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.standard import PERSISTENCE_MODES, SCHEDULES

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)

#: commands with a program of their own, which take what the command line hands over
_OWN_PROGRAM = {"serve", "stop", "demo", "doctor", "lab"}


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def _code(text: str) -> Iterator[str]:
    """Lines of console blocks that a person types, continued lines joined, and pieces of code inside sentences."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(("$ ", "# ")):
                yield line[2:]
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", outside)


# --- links ----------------------------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_every_link_leads_to_a_file_and_a_heading_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if urlsplit(target).scheme:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() and found.name == "benchmarks.md":
            continue
        assert found.is_file(), target
        if anchor:
            assert anchor in _anchors(found.read_text("utf-8")), target


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            if not urlsplit(target).scheme:
                waiting.append((page.parent / target).resolve())
    assert {page for page in DOCUMENTS if page.name != "benchmarks.md"} <= seen


# --- the command line -----------------------------------------------------------------------------------------------


@cache
def _program() -> Any:
    return typer.main.get_command(app)


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}


def _used(line: str) -> Iterator[list[str]]:
    """Every use of the program on a line, as words."""
    for part in re.split(r"[|;>]|&&|#", line):
        words = part.replace("$(", " ").replace(")", " ").split()
        for position, word in enumerate(words):
            if word == "steelyard" or word.endswith("/steelyard"):
                yield words[position + 1 :]
                break


@each_document
def test_every_command_and_option_of_the_program_exists(path: Path) -> None:
    for line in _code(path.read_text("utf-8")):
        if re.match(r"(pkill|install|git|cd|systemctl|journalctl|export) ", line) or line.startswith(
            ("python3 -m", "-")
        ):
            continue
        for words in _used(line):
            _check(words, line)


def _check(words: list[str], line: str) -> None:
    command, names = _program(), []
    options = _options(command)
    for word in words:
        if word.startswith("-") and len(word) > 1:
            own = names[:1] and names[0] in _OWN_PROGRAM
            assert own or word.partition("=")[0] in options, f"{word} in {line!r}"
        elif hasattr(command, "commands"):
            assert word in command.commands, f"{word} in {line!r}"
            command = command.commands[word]
            names.append(word)
            options |= _options(command)


def test_every_command_of_the_program_has_its_place_in_the_guide() -> None:
    text = _text("docs/guides/cli.md")
    for name, command in _program().commands.items():
        for inner in getattr(command, "commands", {"": None}):
            assert f"`steelyard {name}{' ' if inner else ''}{inner}`" in text


# --- the APIs -------------------------------------------------------------------------------------------------------


@cache
def _operations() -> dict[str, set[str]]:
    paths = build_native_app(FakeAppliance()).openapi()["paths"]
    return {f"{PREFIX}{path}": {method.upper() for method in operations} for path, operations in paths.items()}


def _fits(path: str) -> bool:
    if path in (PREFIX, f"{PREFIX}/openapi.json"):
        return True
    patterns = (re.sub(r"\\{\w+\\}", r"(\\w+|\\{\\w+\\})", re.escape(known)) for known in _operations())
    return any(re.fullmatch(pattern, path) for pattern in patterns)


@each_document
def test_every_endpoint_of_the_native_api_exists(path: Path) -> None:
    for named in re.findall(r"/api/v1[\w/{}.-]*", path.read_text("utf-8")):
        assert _fits(named.rstrip("./")), named


def test_the_guide_lists_every_endpoint_with_its_methods() -> None:
    rows = re.findall(r"^\| `(/api/v1/[^`]+)` \| ([A-Z, ]+) \|", _text("docs/guides/api.md"), re.MULTILINE)
    assert {path: set(methods.split(", ")) for path, methods in rows} == _operations()


def test_the_guide_lists_every_operation_of_a_batch() -> None:
    text = _text("docs/guides/changes.md")
    assert [name for name in MEMBERS if f"`{name}`" not in text] == []


@each_document
def test_every_command_of_loadmasters_api_that_is_called_is_known(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in re.findall(r"/access/([a-z]+)", text) + re.findall(r'"cmd": "(\w+)"', text):
        find(name)


def test_the_guide_lists_every_command_of_loadmasters_api_that_is_built() -> None:
    section = _text("docs/guides/api.md").partition("Commands that are answered")[2].partition("###")[0]
    listed = [name for name in re.findall(r"`([\w/]+)`", section) if REGISTRY[name].listed]
    # a name that may also stand without its `logging/` is listed with it
    built = {name for name, entry in REGISTRY.items() if entry.listed and f"logging/{name}" not in REGISTRY}
    assert sorted(listed) == sorted(built)


def test_the_example_of_a_command_that_is_not_built_is_one() -> None:
    name = re.findall(r"`Command (\w+) is known but not built", _text("docs/guides/api.md"))[0]
    with pytest.raises(Refusal, match="not built"):
        find(name)


# --- settings -------------------------------------------------------------------------------------------------------


def test_the_guide_lists_every_scheduling_method_and_persistence_mode_that_is_built() -> None:
    text = _text("docs/guides/virtual-services.md")
    rows = set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE))
    declared = VirtualService.declared()
    assert set(SCHEDULES) - declared["schedule"].setting.unbuilt <= rows
    assert set(PERSISTENCE_MODES) - declared["persistence"].setting.unbuilt <= rows
    assert not rows & (declared["schedule"].setting.unbuilt | declared["persistence"].setting.unbuilt)


@each_document
def test_settings_given_to_the_program_exist(path: Path) -> None:
    known = {*VirtualService.declared(), *RealServer.declared()}
    for line in _code(path.read_text("utf-8")):
        if re.match(r"steelyard (vs|rs) (add|set) ", line) and "persistance" not in line:
            for name in re.findall(r"(?<= )(\w+)=", line):
                assert name in known, line
