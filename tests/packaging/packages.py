"""Packages to try: the one of this tree, built as it is released, and one of a later version made from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LATER = "99.0.0"


def build(directory: Path) -> Path:
    """The package of this tree. Where dependencies are kept from an earlier build, they are not fetched again."""
    done = subprocess.run(
        [ROOT / "packaging" / "debian" / "build", "--cache", ROOT / "build" / "debian", directory],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"COMPRESSION": "zstd"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1])


def later(package: Path, directory: Path) -> Path:
    """The same files as version 99.0.0."""
    tree = directory / "later"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {LATER}-1", control.read_text(), flags=re.MULTILINE))
    (module,) = tree.glob("opt/steelyard/lib/python3.*/site-packages/steelyard/__init__.py")
    module.write_text(re.sub(r'^__version__ = ".*"$', f'__version__ = "{LATER}"', module.read_text(), flags=re.M))
    sums = tree / "DEBIAN" / "md5sums"
    # the one file that differs is not checked against the old sum
    own = str(module.relative_to(tree))
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if not line.endswith(f" {own}\n")))
    made = directory / f"steelyard_{LATER}-1_test.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, made], check=True)
    shutil.rmtree(tree)
    return made
