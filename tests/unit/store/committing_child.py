"""A process that commits until it is killed: `committing_child.py DATABASE COUNT [SEED]`.

It writes the number of each revision to standard output once the store has acknowledged it. A secret in the same
transaction holds the number too.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from steelyard.store.contract import ObjectChange
from steelyard.store.sqlite import SqliteStore


def main(path: str, count: int, seed: int = 0) -> None:
    chance = random.Random(seed)
    store = SqliteStore(Path(path))
    head, objects = store.load()
    services = objects.get("service", {})
    for number in range(head + 1, head + 1 + count):
        keys = chance.sample(range(20), chance.randint(1, 5))
        changes = []
        for key in map(str, keys):
            before = services.get(key)
            after = (
                None if before and chance.random() < 0.3 else {"made": number, "padding": "x" * chance.randint(0, 9000)}
            )
            changes.append(ObjectChange("service", key, before, after))
        store.commit(
            changes,
            author="child",
            origin="test",
            reason="",
            summary=f"{number}",
            at=float(number),
            expected_head=number - 1,
            secrets={"last": str(number).encode()},
        )
        os.write(1, f"{number}\n".encode())
        if chance.random() < 0.2:
            store.withdraw(number, "taken back")
        else:
            store.mark(number, "applied")
            for change in changes:
                if change.after is None:
                    services.pop(change.key)
                else:
                    services[change.key] = change.after
    # Not closed: what is on disk is what a killed process leaves. It waits for that.
    time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
