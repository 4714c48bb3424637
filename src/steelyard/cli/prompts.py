"""Questions on a console, the dumbest serial line included: plain lines out, plain lines in, ASCII, no cursor moves."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from enum import Enum
from getpass import getpass

import typer

#: what stands for "empty" and for "the question before"
EMPTY, BACK = "-", "<"
_WIDTH = 79


class Ended(Exception):
    """The person ended the conversation: Ctrl-C, Ctrl-D or the end of the input."""


class Went(Enum):
    """What a person wants instead of answering."""

    BACK = "back"


def say(text: str = "") -> None:
    """Lines for the person, folded for a terminal of 80 columns; what follows a fold stands below its line."""
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        typer.echo(
            textwrap.fill(
                line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
                drop_whitespace=True, replace_whitespace=False,
            )
        )  # fmt: skip


def ask(question: str, present: str = "") -> str | Went:
    """One answer without blanks around it; Enter gives the present value. Raises `Ended`."""
    shown = f" [{present}]" if present else ""
    answer = _line(lambda: input(f"{question}{shown}: ")).strip()
    if answer == BACK:
        return Went.BACK
    if answer == EMPTY:
        return ""
    return answer or present


def confirm(question: str, *, otherwise: bool) -> bool | Went:
    """Yes or no; Enter gives `otherwise`. Raises `Ended`."""
    while True:
        answer = _line(lambda: input(f"{question} [{'Y/n' if otherwise else 'y/N'}]: ")).strip().lower()
        if answer == BACK:
            return Went.BACK
        if answer in ("", "y", "yes", "n", "no"):
            return otherwise if not answer else answer.startswith("y")
        say("  Answer y or n.")


def secret(question: str) -> str:
    """A password, which a terminal does not show; from a pipe it is a line. Raises `Ended`."""
    if sys.stdin.isatty():
        return _line(lambda: getpass(f"{question}: "))
    return _line(lambda: input(f"{question}: "))


def _line(read: Callable[[], str]) -> str:
    try:
        return read()
    except (EOFError, KeyboardInterrupt):
        # the cursor stands behind the question
        say()
        raise Ended from None
    except UnicodeDecodeError:
        # a serial line with the wrong speed or parity
        return "?"
