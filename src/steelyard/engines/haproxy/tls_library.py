"""Which ciphers HAProxy's TLS library has.

The library is HAProxy's own: the wheel brings another OpenSSL than the host's. So HAProxy itself is asked, once, to
read a configuration with a server for each name; it complains of every name it cannot use (2.6 and 2.8), and nothing
runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from subprocess import DEVNULL, PIPE, SubprocessError, run

from steelyard.engines.programs import PROBE_SECONDS
from steelyard.model.ciphers import CIPHERS, TLS13_SUITES

_REFUSED = re.compile(r"unable to set (?:SSL cipher list|TLS 1\.3 cipher suites) to '([^']*)'")


def known_ciphers(path: str) -> frozenset[str] | None:
    """The names that HAProxy at that path can use, of TLS 1.3 too; None when it could not be asked."""
    every = (*CIPHERS, *TLS13_SUITES)
    try:
        answer = run(
            [path, "-c", "-f", "/dev/stdin"],
            input="\n".join(_questions()) + "\n",
            stdout=DEVNULL,
            stderr=PIPE,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, SubprocessError):
        return None
    refused = frozenset(_REFUSED.findall(answer.stderr))
    if answer.returncode and not refused:
        # it did not get as far as the servers
        return None
    known = frozenset(every) - refused
    return known or None


def _questions() -> Iterator[str]:
    yield "global"
    yield "  httpclient.ssl.verify none"
    yield "defaults"
    yield "  timeout connect 1s"
    yield "  timeout server 1s"
    yield "backend question"
    for number, name in enumerate(CIPHERS):
        yield f"  server c{number} 127.0.0.1:1 ssl verify none ciphers {name}"
    for number, name in enumerate(TLS13_SUITES):
        yield f"  server s{number} 127.0.0.1:1 ssl verify none ciphersuites {name}"
