"""The program `steelyard`, also as `python -m steelyard`."""

from __future__ import annotations

import sys

from steelyard.cli.local import LOCAL, run_local
from steelyard.cli.memory import uncollected


def main() -> None:
    """Run the command that is asked for, importing what it needs and no more."""
    if len(sys.argv) > 1 and sys.argv[1] in LOCAL:
        run_local(sys.argv[1], sys.argv[2:])
        return
    with uncollected():
        from steelyard.cli.main import main as every_command
    every_command()


if __name__ == "__main__":
    main()
