"""Which server each slot of a service leads to: round robin in turn, weights interleaved, and the hash of addresses.

nftables chooses a slot, by counting or by a hash of the client's address; here is said who has the slot. Pure, and the
same slots for the same servers, so that a service that is written anew changes nothing it need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from zlib import crc32

from steelyard.plan.nft import MOST_SLOTS

#: slots of a weighted service at most; weights that need more are rounded to a share of this
MOST_WEIGHTED = 1024
#: slots a hash is spread over, at least, so that what a failed server leaves is spread over all others
_HASHED = 64


def interleaved(weights: Sequence[int]) -> tuple[int, ...]:
    """Positions of servers in turn, each as often as its weight says, as evenly spread as they can be.

    It is the order of smooth weighted round robin: weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
    """
    shares = _shares(weights)
    total = sum(shares)
    current = [0] * len(shares)
    order = []
    for _ in range(total):
        for position, share in enumerate(shares):
            current[position] += share
        best = max(range(len(shares)), key=lambda position: (current[position], -position))
        current[best] -= total
        order.append(best)
    return tuple(order)


def _shares(weights: Sequence[int]) -> list[int]:
    """The weights in their lowest terms; rounded, but never to nothing, where their sum would be too large."""
    divisor = gcd(*weights) or 1
    lowest = [weight // divisor for weight in weights]
    total = sum(lowest)
    most = max(MOST_WEIGHTED, min(len(lowest) * 2, MOST_SLOTS))
    if total <= most:
        return lowest
    rounded = [max(1, weight * most // total) if weight else 0 for weight in lowest]
    divisor = gcd(*rounded) or 1
    return [share // divisor for share in rounded]


def hashed(keys: Sequence[str], usable: frozenset[str]) -> tuple[str, ...]:
    """The server of each slot of a source hash; empty when none is usable.

    Every server of the service has its slots, whether it takes clients or not; those of one that does not go to the
    others, each to the one that rates it highest. So a server that fails moves its own clients and nobody else's, and
    they come back with it.
    """
    if not usable:
        return ()
    count = len(keys) * max(1, -(-_HASHED // len(keys)))
    candidates = [key for key in keys if key in usable]
    owners = []
    for slot in range(min(count, MOST_SLOTS)):
        owner = keys[slot % len(keys)]
        if owner not in usable:
            owner = max(candidates, key=lambda key: (crc32(f"{key}/{slot}".encode()), key))
        owners.append(owner)
    return tuple(owners)
