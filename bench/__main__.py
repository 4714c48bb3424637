"""`python -m bench [PART ...] [--quick] [--write] [--wait SECONDS]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module

from bench.machine import Lacking, facts, wait_for_quiet
from bench.report import Table, keep
from steelyard.engines.kernel import raise_open_files

#: part -> module and function; imported only when the part runs
PARTS = {
    "data-plane": ("bench.data_plane", "data_plane"),
    "features": ("bench.features", "features"),
    "scale": ("bench.scale", "scale"),
    "changes": ("bench.changes", "changes"),
    "checks": ("bench.checks", "checks"),
    "agents": ("bench.agents", "agents"),
    "layer4": ("bench.layer4", "layer4"),
    "web": ("bench.web", "web"),
}


def main() -> int:
    """Run the parts asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Steelyard on this machine.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: for trying the benchmark out")
    parser.add_argument("--write", action="store_true", help="keep the results in docs/benchmarks.md")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long each part may wait for other work to end"
    )
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]!r} is no part; there are {', '.join(PARTS)}")
    raise_open_files()
    for part in given.parts or PARTS:
        module, name = PARTS[part]
        measure: Callable[..., list[Table]] = getattr(import_module(module), name)
        try:
            wait_for_quiet(given.wait)
            told = facts()
            tables = measure(quick=given.quick)
        except Lacking as lacking:
            print(f"{part}: {lacking}", file=sys.stderr)
            return 1
        print(f"\n## {part}\n\n{told}\n\n" + "\n".join(table.markdown() for table in tables), flush=True)
        if given.write:
            keep(part, told, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
