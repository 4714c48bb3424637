"""What the kernel keeps of a service that moves to HAProxy, while reloads bring plans with it and without."""

from __future__ import annotations

from steelyard.appliance.hand_over import until_reload
from steelyard.plan.haproxy import Backend, Globals, HaproxyPlan, ServicePlan
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.layer4 import Layer4Service, PortRange

_HAS = KernelPlan(
    layer4={
        key: Layer4Service(
            key=key,
            protocol="tcp",
            address="192.0.2.10",
            ports=(PortRange(first=80, last=80),),
            schedule="rr",
            driver="nft",
        )
        for key in ("vs1", "vs2")
    }
)
_NOTHING = KernelPlan()


def _haproxy(*keys: str) -> HaproxyPlan:
    return HaproxyPlan(
        Globals(1, 1), {key: ServicePlan(key, None, Backend(key, "tcp", ("roundrobin",), (), 60)) for key in keys}
    )


def _kept(coming: HaproxyPlan, *present: HaproxyPlan) -> set[str]:
    return set(until_reload(_HAS, _NOTHING, coming, present).layer4)


def test_it_is_kept_until_haproxy_listens_for_certain() -> None:
    without, with_it = _haproxy(), _haproxy("vs1")
    assert _kept(with_it, without, with_it) == {"vs1"}
    assert _kept(with_it, with_it, with_it) == set()
    # HAProxy has it still, but a reload is taking it away, and only the one after that brings it back
    assert _kept(with_it, with_it, with_it, without) == {"vs1"}


def test_what_nobody_takes_over_goes_at_once() -> None:
    assert _kept(_haproxy(), _haproxy()) == set()
    plan = KernelPlan(layer4={"vs2": _HAS.layer4["vs2"]})
    assert until_reload(_HAS, plan, _haproxy("vs1"), (_haproxy("vs1"),)) is plan
