"""A service that moves from the kernel to HAProxy: the kernel keeps it until HAProxy listens for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.plan.haproxy import HaproxyPlan
from steelyard.plan.kernel import KernelPlan


def until_reload(
    has: KernelPlan, kernel: KernelPlan, coming: HaproxyPlan, present: Iterable[HaproxyPlan]
) -> KernelPlan:
    """The kernel's plan with those services it `has` that HAProxy is to take over.

    `coming` is the newest plan of HAProxy. `present` are those it has, or may have before that one comes: what it runs,
    what a reload is bringing, what one that is put off would have brought. HAProxy listens for certain for what is in
    all of them.
    """
    plans = tuple(present)
    moving = {
        key: service
        for key, service in has.layer4.items()
        if key not in kernel.layer4 and key in coming.services and any(key not in plan.services for plan in plans)
    }
    if not moving:
        return kernel
    sysctls = {**kernel.network.sysctls, **has.network.sysctls}
    return KernelPlan.model_construct(
        layer4={**kernel.layer4, **moving}, network=kernel.network.model_copy(update={"sysctls": sysctls})
    )
