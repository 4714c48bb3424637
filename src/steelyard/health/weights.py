"""The arithmetic of weights that move. Pure.

A *share* says how much of its static weight a server gets: 1 is all of it, `LEAST_SHARE` the least there is. So no
load and no slowness takes a server out: whether it is up is decided by the checks alone.

- A load of L percent gives the share of what is free, 1 - L/100. Loads are averaged over the last `LOADS` polls, which
  makes a steady share of a load that jumps to and fro.
- Response times give the fastest server the share 1 and one that takes twice as long half of that. Times are averaged
  over the last `TIMES` good checks. What lies below `NOISE_MS` counts as that: such times tell more about this host.
- Shares move at most by `STEP` at a time, so what follows from them (other loads, other times) is seen before the next
  step. Steps keep the order of shares whose aims are in the same order.
- HAProxy's weights run from 0 to 256 and mean something only next to each other (2.6 manual, `weight`). The largest
  static weight is 256 there, and nothing is less than 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: HAProxy's largest weight
MOST = 256
LEAST_SHARE = 0.05
STEP = 0.2
LOADS, TIMES = 4, 6
#: milliseconds
NOISE_MS = 5.0
#: What an agent may say beyond 100 percent, and what LoadMaster's documents say of it. It counts as 100.
BEYOND = {101: "the server is down", 102: "the server is disabled by its administrator"}


def average(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)


def share_of_load(load: float) -> float:
    """What a server with this load (0 idle, 100 and more overloaded) gets of its static weight."""
    return max(LEAST_SHARE, 1 - min(max(load, 0.0), 100.0) / 100)


def shares_of_times(times: Mapping[str, float]) -> dict[str, float]:
    """What each server gets of its static weight, from response times in milliseconds."""
    heard = {name: max(NOISE_MS, time) for name, time in times.items()}
    fastest = min(heard.values(), default=NOISE_MS)
    return {name: max(LEAST_SHARE, fastest / time) for name, time in heard.items()}


def moved(share: float, aim: float, step: float = STEP) -> float:
    """The share after one step towards its aim."""
    return min(max(aim, share - step), share + step)


def engine_weight(weight: float, largest: float) -> int:
    """HAProxy's weight of a server, where `largest` is the largest weight a server of its service can have."""
    return min(MOST, max(1, round(MOST * weight / largest)))
