"""Telling whoever supervises this process that it works, by systemd's protocol (sd_notify(3)).

A unit of `Type=notify` counts as started from then on, and units ordered after it begin: so the control plane finds
the checking process by its socket and starts none of its own.
"""

from __future__ import annotations

import contextlib
import os
import socket

_VARIABLE = "NOTIFY_SOCKET"


def say_ready() -> None:
    """Say once that this process is ready; nothing happens where nobody asked to be told.

    The variable goes, so that programs started later do not speak in this one's name.
    """
    address = os.environ.pop(_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    # a supervisor that is gone, or whose queue is full, is no reason to end
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # "@" stands for the zero byte of Linux's abstract names
        sender.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)
