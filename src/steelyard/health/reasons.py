"""Why a target or a service is what it is, in an operator's words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from steelyard.health.combining import combined, deciding, pending
from steelyard.health.effects import Wanted
from steelyard.health.known import Known
from steelyard.health.transcript import endpoint
from steelyard.health.verdict import carries
from steelyard.plan.health import Service

#: how the service's first check is called where there are several
MAIN = "main"


def check_names(service: Service) -> tuple[str, ...]:
    """The names of a service's checks, in the order of a target's probes."""
    return (MAIN, *(one.name for one in service.further))


def reason(known: Known) -> str:
    """What the checks of a target said. With several, the one that decided is named."""
    if not known.probes:
        return "checks are off"
    if len(known.probes) == 1:
        return _said(known, 0)
    any_check = known.service.any_check
    names = check_names(known.service)
    if combined(known.votes, any_check=any_check) == "unknown":
        waiting = [name for name, one in zip(names, known.votes, strict=True) if one == "unknown"]
        return f"not checked yet: {', '.join(waiting)}"
    told = (f"{names[at]}: {_said(known, at)}" for at in deciding(known.votes, any_check=any_check))
    return "; ".join(told)


def _said(known: Known, at: int) -> str:
    probe, service = known.probes[at], known.service
    if probe.last is None:
        return "not checked yet"
    words = probe.last.summary()
    if not probe.fresh:
        return words
    more = pending(known.votes[at], probe.state, probe.streak, rise=service.rise, fall=service.fall)
    return f"{words} ({more})" if more else words


def likeness_reason(leader: Known | None, why: str) -> str:
    """Of a target that takes another's verdict."""
    if leader is None:
        return "the server it is checked with is not known"
    where = endpoint(leader.target.address, leader.target.port) if leader.target.address else "a sub-service"
    return f"decided by {leader.target.key} ({where}): {why}"


def followed_reason(targets: Collection[Known], *, shut: bool) -> str:
    """Of the slot of a sub-service with these targets."""
    if not targets:
        return "the sub-service has no real server"
    live = sum(one.target.enabled and carries(one.state) for one in targets)
    words = f"{live or 'none'} of {len(targets)} real servers of the sub-service available"
    return f"{words}; {shut_reason(targets)}" if shut else words


def shut_reason(targets: Iterable[Known]) -> str:
    """Why a service takes no clients although some of its targets are well."""
    targets = tuple(targets)
    dead = [one for one in targets if not (one.target.enabled and carries(one.state))]
    critical = [one.target.key for one in dead if one.target.critical]
    if critical:
        return f"critical and not available: {', '.join(critical)}"
    service = targets[0].service
    return f"{len(targets) - len(dead)} available, at least {min(service.minimum, len(targets))} are needed"


def admin_reason(known: Known, want: Wanted) -> str:
    """Why the administrative state of a target changed."""
    if want.admin == "ready":
        return "needed" if known.target.standby_below else "enabled"
    if want.admin == "maint" and known.standing.drained:
        return "drain time is over"
    return "stands by, enough others are available" if known.target.enabled else "disabled"


__all__ = [
    "MAIN",
    "admin_reason",
    "check_names",
    "followed_reason",
    "likeness_reason",
    "reason",
    "shut_reason",
]
