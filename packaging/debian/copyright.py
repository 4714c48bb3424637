"""Writes the package's copyright file: Steelyard's own licence, and those of the Python packages it brings.

python3 copyright.py SITE-PACKAGES >copyright
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions

_OWN = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: steelyard
Comment: The Python packages below come with their licences in full, each in its directory
 /opt/steelyard/lib/python3.*/site-packages/NAME-VERSION.dist-info.

Files: *
Copyright: The Steelyard authors
License: Apache-2.0
 The full text is in /usr/share/common-licenses/Apache-2.0.
"""


def licence(found: Distribution) -> str:
    """What a package says of its licence, in one line."""
    said = found.metadata
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    classified = [
        line.rpartition(" :: ")[2] for line in said.get_all("Classifier", ()) if line.startswith("License ::")
    ]
    if classified:
        return ", ".join(classified)
    return str(said.get("License") or "see its directory").strip().splitlines()[0]


def main() -> None:
    """One paragraph a package, in the order of their names."""
    print(_OWN, end="")
    for found in sorted(distributions(path=[sys.argv[1]]), key=lambda each: each.name.lower()):
        if found.name == "steelyard":
            continue
        who = found.metadata.get("Author") or found.metadata.get("Author-email") or f"the authors of {found.name}"
        short = "".join(c if c.isalnum() else "-" for c in found.name.lower())
        print(f"\nFiles: opt/steelyard/lib/python3.*/site-packages/*/{short}*")
        print(f"Comment: {found.name} {found.version}")
        print(f"Copyright: {' '.join(who.split())}")
        print(f"License: {short}\n {licence(found)}")


if __name__ == "__main__":
    main()
