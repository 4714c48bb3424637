"""Clients inside a machine of tests, two for each address: one keeps its connection, one makes one for each request.

python inside_clients.py ADDRESS:PORT ...   (until its standard input ends)

The last line of standard output is JSON: by address, how many requests were answered, and what failed.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections import Counter
from typing import Any

_PAUSE = 0.005
_PATIENCE = 10.0


def _client(place: str, keep: bool, stop: threading.Event, found: dict[str, Any]) -> None:
    address, _, port = place.rpartition(":")
    connection = None
    while not stop.wait(_PAUSE):
        try:
            connection = connection or http.client.HTTPConnection(address, int(port), timeout=_PATIENCE)
            connection.request("GET", "/")
            reply = connection.getresponse()
            reply.read()
            if reply.status == 200:
                found["answered"] += 1
            else:
                found["failed"][f"status {reply.status}"] += 1
            if reply.will_close or not keep:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as failure:
            found["failed"][f"{'kept' if keep else 'new'}: {failure!r}"] += 1
            if connection is not None:
                connection.close()
            connection = None


def main() -> None:
    stop = threading.Event()
    found: dict[str, dict[str, Any]] = {place: {"answered": 0, "failed": Counter()} for place in sys.argv[1:]}
    threads = [
        threading.Thread(target=_client, args=(place, keep, stop, found[place]))
        for place in found
        for keep in (True, False)
    ]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
