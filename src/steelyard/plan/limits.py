"""How many connections a limit of file descriptors allows.

Pure arithmetic; HAProxy holds two descriptors a connection.
"""

from __future__ import annotations

#: HAProxy's own default `maxconn` (DEFAULT_MAXCONN in its defaults.h). Fewer connections than this serve nobody.
FEWEST_CONNECTIONS = 100

#: Descriptors beyond this are not used: the kernel's own default ceiling (fs.nr_open). HAProxy allocates a table entry
#: for each, and container runtimes hand out limits of 2**30, for which that table would not fit into memory.
MOST_OPEN_FILES = 1_048_576

#: HAProxy's descriptors that no client pays for: 3 a thread (poller and wake-up pipe, up to 64 threads), its standard
#: streams, its command sockets and their users, log sockets, the peers that carry persistence over a reload.
RESERVED_FILES = 256

#: A listening socket is open twice while a reload hands it over.
FILES_PER_LISTENER = 2

#: One towards the client and one towards the real server.
FILES_PER_CONNECTION = 2


def max_connections(open_files: int, listeners: int) -> int:
    """How many client connections HAProxy may hold: (open_files - 256 - 2 x listeners) / 2, never fewer than 100.

    `open_files` is the hard limit of descriptors a process may have, `listeners` the number of listening sockets (an
    address with a range of ports counts each port). Below 456 descriptors (plus the listeners') the floor promises more
    than the limit can keep; `doctor` says so. The formula counts HTTP/1.1 and TCP: each stream of one HTTP/2 connection
    may need a descriptor of its own towards a real server.
    """
    usable = min(open_files, MOST_OPEN_FILES) - RESERVED_FILES - FILES_PER_LISTENER * listeners
    return max(FEWEST_CONNECTIONS, usable // FILES_PER_CONNECTION)


#: Listeners are counted in steps, so that adding a service rarely changes the process-wide limit.
_LISTENER_STEP = 512


def counted_listeners(listeners: int) -> int:
    """Listeners rounded up to the next step."""
    return -(-max(1, listeners) // _LISTENER_STEP) * _LISTENER_STEP
