"""`python -m steelyard.cli.manual DIRECTORY`: the manual page and the completion of bash, from the commands themselves.

For packages: both are files, so that neither needs the program to run. The completion knows commands and options; what
a service or a certificate is called it does not ask for, since that would wait for the appliance at each key.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from steelyard import __version__
from steelyard.cli.local import LOCAL, local_app
from steelyard.cli.main import app

#: panel of the options that every command has; they are told once
_EVERYWHERE = "Connection"

_HEAD = r""".TH STEELYARD 1 "" "Steelyard {version}" "User Commands"
.SH NAME
steelyard \- application delivery controller that answers LoadMaster's API
.SH SYNOPSIS
.B steelyard
.RI [ options ]
.I command
.RI [ arguments ]
.SH DESCRIPTION
Shows and changes a Steelyard, by the socket of the one on this host or by
.B \-\-url
that of another; and runs things on this host:
.BR serve ,
.BR stop ,
.B doctor
and others.
.PP
.B steelyard settings
lists what can be set of an object. Every change can be tried with
.B \-\-dry\-run
and shows up in
.BR "steelyard history" .
"""

_FOOT = r""".SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Refused; the reason and a remedy are on standard error.
.TP
.B 2
Called in a wrong way.
.TP
.B 3
No Steelyard can be reached.
.SH FILES
.TP
.I /etc/default/steelyard
Where the administration interface of this host's service answers.
.TP
.I /var/lib/steelyard
Configuration, history and keys of this host's service.
.SH SEE ALSO
.BR steelyard\-health (8),
.BR steelyard\-netd (8),
.BR haproxy (1),
.BR nft (8);
guides in
.I /usr/share/doc/steelyard/guides
"""

_COMPLETION = r"""# completion of bash for steelyard(1), from its commands
_steelyard() {
    local cur prev words cword
    _init_completion || return
    local -A words_of=(
@TABLE@
    )
    local place='steelyard ' word
    for word in "${words[@]:1:cword-1}"; do
        [[ $word == -* ]] && continue
        [[ -n ${words_of["$place$word "]+here} ]] && place="$place$word "
    done
    if [[ $prev == --*file || $prev == --*dir || $prev == --state-dir ]]; then
        _filedir
    elif [[ $cur == -* ]]; then
        local candidates=() each
        for each in ${words_of[$place]}; do [[ $each == -* ]] && candidates+=("$each"); done
        mapfile -t COMPREPLY < <(compgen -W "${candidates[*]}" -- "$cur")
    else
        local candidates=() each
        for each in ${words_of[$place]}; do [[ $each == -* ]] || candidates+=("$each"); done
        mapfile -t COMPREPLY < <(compgen -W "${candidates[*]}" -- "$cur")
        [[ ${#COMPREPLY[@]} -gt 0 ]] || _filedir
    fi
} && complete -F _steelyard steelyard
"""


@dataclass(frozen=True)
class Command:
    """A command: its words after `steelyard`, what it says of itself, its parameters, the commands below it."""

    words: tuple[str, ...]
    help: str
    parameters: tuple[Any, ...]
    below: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        return [name for each in self.parameters for name in (*each.opts, *each.secondary_opts) if name[0] == "-"]


def commands() -> Iterator[Command]:
    """Every command, those with others below them first."""
    yield from _walk((), typer.main.get_command(app))


def _walk(words: tuple[str, ...], found: Any) -> Iterator[Command]:
    if len(words) == 1 and words[0] in LOCAL:
        # the command proper is a program of its own
        found = typer.main.get_command(local_app(words[0]))
    below = {name: each for name, each in getattr(found, "commands", {}).items() if not each.hidden}
    parameters = tuple(each for each in found.params if not getattr(each, "hidden", False))
    yield Command(words, (found.help or "").strip(), parameters, tuple(below))
    for name, each in below.items():
        yield from _walk((*words, name), each)


def manual_page() -> str:
    """The manual page in roff."""
    every = list(commands())
    parts = [_HEAD.format(version=__version__), ".SH OPTIONS\n", *_options(every[0], everywhere=True), ".SH COMMANDS\n"]
    for command in every[1:]:
        if command.below:
            parts.append(f".SS steelyard {_plain(' '.join(command.words))}\n{_text(command.help)}")
            continue
        arguments = " ".join(_argument(each) for each in command.parameters if each.param_type_name == "argument")
        parts.append(f".TP\n.B {_plain(' '.join(('steelyard', *command.words)))} {_plain(arguments)}\n")
        parts.append(_text(command.help))
        options = list(_options(command, everywhere=False))
        if options:
            parts += [".RS\n", *options, ".RE\n"]
    return "".join((*parts, _FOOT))


def _options(command: Command, *, everywhere: bool) -> Iterator[str]:
    for each in command.parameters:
        panel = getattr(each, "rich_help_panel", None)
        if each.param_type_name != "option" or (panel == _EVERYWHERE and not everywhere):
            continue
        names = ", ".join((*each.opts, *each.secondary_opts))
        value = "" if each.is_flag else f" {each.metavar or str(each.name).upper()}"
        yield f".TP\n.B {_plain(names)}{_plain(value)}\n{_text(each.help or '')}"


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or str(parameter.name).upper())
    name += "..." if parameter.nargs == -1 else ""
    return name if parameter.required else f"[{name}]"


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _text(text: str) -> str:
    """Lines of text: a dot or a quote at the start of one would be a request to roff."""
    lines = []
    for line in text.splitlines():
        escaped = _plain(line.strip())
        lines.append(".br" if not escaped else f"\\&{escaped}" if escaped[0] in ".'" else escaped)
    return "".join(f"{line}\n" for line in lines)


def completion() -> str:
    """The script for bash."""
    rows = []
    for command in commands():
        place = "".join(f"{word} " for word in ("steelyard", *command.words))
        rows.append(f'        ["{place}"]="{" ".join((*command.below, *command.options, "--help"))}"')
    return _COMPLETION.replace("@TABLE@", "\n".join(rows))


def main() -> None:
    """Write both into the directory that is named."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m steelyard.cli.manual DIRECTORY")
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "steelyard.1").write_text(manual_page(), "utf-8")
    (directory / "steelyard.bash").write_text(completion(), "utf-8")


if __name__ == "__main__":
    main()
