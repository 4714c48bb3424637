"""HAProxy in a wrapper that refuses what it is told to: what a full host, a lost file or a bug would bring about.

`-c` is refused with words like HAProxy's, or passes and then spoils the file, so that the reload is what fails. Files
switch this on and off, so that a test can do it at any moment.
"""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

SCRIPT = """#!/bin/sh
# The last argument is the configuration.
for last; do :; done
case " $* " in
*" -c "*)
    if [ -e "{folder}/refuse" ]; then
        echo "[ALERT]    (1) : config : [$last:7] : 'bind' : the moon is in the way" >&2
        exit 1
    fi
    case "$last" in */staging/*) ;; *)
        if [ -e "{folder}/refuse-last" ]; then
            echo "[ALERT]    (1) : config : [$last:8] : 'server' : the tide is out" >&2
            exit 1
        fi
        if [ -e "{folder}/spoil" ]; then
            "{haproxy}" "$@" || exit $?
            echo "spoilt by a test" >>"$last"
            exit 0
        fi
    esac ;;
esac
exec "{haproxy}" "$@"
"""


class RefusingHaproxy:
    """The wrapper, in a folder."""

    def __init__(self, folder: Path, haproxy: str | None = None) -> None:
        found = haproxy or shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
        assert found is not None
        self._folder = folder
        self.path = folder / "haproxy-wrapped"
        self.path.write_text(SCRIPT.format(folder=folder, haproxy=found))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def set(self, what: str, on: bool = True) -> None:
        """`what` is "refuse" (any check), "refuse-last" (the check before a reload), "spoil" (the reload itself)."""
        marker = self._folder / what
        if on:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)

    def refuse_nothing(self) -> None:
        """Be HAProxy itself again."""
        for what in ("refuse", "refuse-last", "spoil"):
            self.set(what, on=False)
