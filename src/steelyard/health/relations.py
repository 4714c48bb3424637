"""Who takes whose state: slots their sub-service's, targets that are checked as another one that one's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steelyard.health.combining import combined
from steelyard.health.effects import Together
from steelyard.health.known import Known, TargetName
from steelyard.health.reasons import followed_reason, likeness_reason, reason
from steelyard.health.verdict import State

#: what the targets of a service decide together when they decide nothing
ALONE = Together()


class Relations:
    """The relations among targets. `known` and `together` are the board's own and change with it."""

    def __init__(self, known: Mapping[str, Mapping[str, Known]], together: Mapping[str, Together]) -> None:
        self._known = known
        self._together = together
        #: service -> the slots that follow it
        self._followers: dict[str, set[TargetName]] = {}
        #: target -> those that take its verdict
        self._likenesses: dict[TargetName, set[TargetName]] = {}

    def enter(self, known: Known) -> None:
        """A target has come."""
        if known.target.checked_as:
            self._likenesses.setdefault(target_name(known.target.checked_as), set()).add(known.name)
        elif known.target.follows:
            self._followers.setdefault(known.target.follows, set()).add(known.name)

    def leave(self, known: Known) -> None:
        """A target has gone."""
        self._followers.get(known.target.follows, set()).discard(known.name)
        self._likenesses.get(target_name(known.target.checked_as), set()).discard(known.name)

    def followers(self, service: str) -> list[TargetName]:
        """The slots that have the state of a service."""
        return sorted(self._followers.get(service, ()))

    def likenesses(self, leader: TargetName) -> list[TargetName]:
        """The targets that take a target's verdict."""
        return sorted(self._likenesses.get(leader, ()))

    def find(self, name: TargetName) -> Known | None:
        """What is known of one target."""
        return self._known.get(name[0], {}).get(name[1])

    def with_followers(self, services: Iterable[str]) -> list[str]:
        """These services and those with targets whose state is made from theirs."""
        named = dict.fromkeys(services)
        waiting = list(named)
        while waiting:
            service = waiting.pop()
            following = self.followers(service)
            if self._likenesses:
                following += [name for key in self._known.get(service, {}) for name in self.likenesses((service, key))]
            for follower, _ in following:
                if follower not in named:
                    named[follower] = None
                    waiting.append(follower)
        return list(named)

    def decider(self, known: Known) -> Known | None:
        """The target whose checks decide the state of this one; None when that one is not there.

        The control plane refuses loops; a plan from elsewhere that has one must not end this process.
        """
        seen = {known.name}
        while known.target.checked_as:
            found = self.find(target_name(known.target.checked_as))
            if found is None or found.name in seen:
                return None
            seen.add(found.name)
            known = found
        return known

    def state_of(self, known: Known) -> State:
        """The state that follows from what decides a target."""
        if known.target.checked_as:
            leader = self.find(target_name(known.target.checked_as))
            return known.state if leader is None else leader.state
        if known.target.follows:
            return self._state_of_service(known.target.follows)
        return combined(known.votes, any_check=known.service.any_check) if known.probes else "unchecked"

    def why(self, known: Known) -> str:
        """Why a target is what it is."""
        decider = self.decider(known)
        if decider is None:
            return likeness_reason(None, "")
        service = decider.target.follows
        if service:
            shut = self._together.get(service, ALONE).shut
            words = followed_reason(tuple(self._known.get(service, {}).values()), shut=shut)
        else:
            words = reason(decider)
        return words if decider is known else likeness_reason(decider, words)

    def _state_of_service(self, service: str) -> State:
        """The state of a slot: that of the best target of its sub-service that may have new clients."""
        if self._together.get(service, ALONE).shut:
            return "down"
        states = {one.state for one in self._known.get(service, {}).values() if one.target.enabled}
        order: tuple[State, ...] = ("up", "unchecked", "unknown")
        return next((state for state in order if state in states), "down")


def target_name(text: str) -> TargetName:
    """The name of a target written "service/target"."""
    service, _, target = text.partition("/")
    return service, target


__all__ = ["ALONE", "Relations", "target_name"]
