"""Tables of results: printed for people, and kept in docs/benchmarks.md between a pair of markers for each part.

The text around the markers is written by hand; `--write` replaces only what lies between those of the parts that ran.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Table:
    """One table; cells are ready to print."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table with aligned columns, which reads well in a terminal too."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        lines = [_line(self.columns, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
        lines += [_line(row, widths) for row in self.rows]
        text = f"### {self.title}\n\n" + "\n".join(lines) + "\n"
        return text + "".join(f"\n{note}\n" for note in self.notes)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


@dataclass
class Findings:
    """Measured figures against their goals, as rows of one table."""

    title: str
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(self, what: str, measured: str, goal: str = "", *, met: bool | None = None) -> None:
        """One figure. `met` None means that it has no goal."""
        self.rows.append((what, measured, goal, {True: "yes", False: "**no**", None: ""}[met]))

    def below(self, what: str, value: float, goal: float, unit: str, detail: str = "") -> None:
        """A figure that has to be below its goal."""
        shown = f"{value:,.{_digits(value)}f} {unit}{detail}"
        self.figure(what, shown, f"< {goal:g} {unit}", met=value < goal)

    def table(self) -> Table:
        return Table(self.title, ("what", "measured", "goal", "met"), tuple(self.rows), tuple(self.notes))


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which that share lies: the nearest measured one, never an interpolated one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def keep(part: str, facts: str, tables: Sequence[Table]) -> None:
    """Put the results of a part into the document. Raises `LookupError` when its markers are not there."""
    text = DOCUMENT.read_text("utf-8")
    block = f"<!-- {part} -->\n\n{facts}\n\n" + "\n".join(table.markdown() for table in tables) + f"\n<!-- /{part} -->"
    pattern = re.compile(rf"<!-- {re.escape(part)} -->.*?<!-- /{re.escape(part)} -->", re.DOTALL)
    replaced, count = pattern.subn(lambda _: block, text)
    if count != 1:
        raise LookupError(f"{DOCUMENT} has not exactly one place for {part}")
    DOCUMENT.write_text(replaced, "utf-8")
