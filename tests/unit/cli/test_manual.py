from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from steelyard.cli.manual import commands, completion, manual_page

#: what bash-completion's own function finds out about the line
_BASH = """
_init_completion() {{
    cword=$COMP_CWORD words=("${{COMP_WORDS[@]}}")
    cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
}}
_filedir() {{ COMPREPLY=(FILES); }}
source {script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_steelyard
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "steelyard"
    path.write_text(completion())
    return path


def _complete(script: Path, *words: str) -> list[str]:
    text = _BASH.format(script=shlex.quote(str(script)), words=" ".join(map(shlex.quote, words)), count=len(words))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_every_command_has_its_place_in_the_page() -> None:
    page = manual_page()
    for command in commands():
        if command.words:
            assert " ".join(("steelyard", *command.words)).replace("-", "\\-") in page


def test_no_line_of_text_is_taken_for_a_request() -> None:
    known = {".TH", ".SH", ".SS", ".TP", ".B", ".BR", ".I", ".RI", ".PP", ".RS", ".RE", ".br"}
    assert {line.split()[0] for line in manual_page().splitlines() if line.startswith((".", "'"))} <= known


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (("steelyard", "v"), {"vs", "version"}),
        (("steelyard", "vs", "er"), {"error-page"}),
        (("steelyard", "vs", "error-page", "s"), {"set", "show"}),
        (("steelyard", "vs", "add", "127.0.0.1:80", "--ty"), {"--type"}),
        (("steelyard", "--js"), set()),
        (("steelyard", "serve", "--admin-p"), {"--admin-port"}),
    ],
)
def test_bash_completes_commands_and_options(script: Path, words: tuple[str, ...], some: set[str]) -> None:
    assert set(_complete(script, *words)) == some


def test_files_are_completed_where_files_belong(script: Path) -> None:
    assert _complete(script, "steelyard", "apply", "my") == ["FILES"]
    assert _complete(script, "steelyard", "vs", "list", "--state-dir", "/v") == ["FILES"]
