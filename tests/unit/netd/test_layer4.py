"""What of the checking process's words is kept for which service."""

from __future__ import annotations

from steelyard.engines.layer4.fake import FakeLayer4
from steelyard.netd.layer4 import Layer4
from steelyard.plan.layer4 import Layer4Server, Layer4Service, PortRange, Standing

DOWN = Standing(up=False)


def service(key: str, *, checked: bool) -> Layer4Service:
    server = Layer4Server(key="rs1", address="10.0.0.11", port=80)
    address = f"192.0.2.{key.removeprefix('vs')}"
    ports = (PortRange(first=80, last=80),)
    return Layer4Service(
        key=key, protocol="tcp", address=address, ports=ports, schedule="rr", driver="nft", checked=checked,
        servers=(server,),
    )  # fmt: skip


def test_a_checked_service_keeps_its_verdicts_until_others_come() -> None:
    driver = FakeLayer4()
    layer4 = Layer4({"nft": lambda: driver})
    services = {"vs1": service("vs1", checked=True), "vs2": service("vs2", checked=False)}
    layer4.start(services, {("vs1", "rs1"): DOWN, ("vs2", "rs1"): DOWN, ("vs3", "rs1"): DOWN}, ())
    layer4.tell({}, whole=True)
    assert layer4.standings == {("vs1", "rs1"): DOWN}
    assert (driver.standings[("vs1", "rs1")], driver.standings[("vs2", "rs1")]) == (DOWN, Standing())
    layer4.tell({("vs1", "rs1"): Standing()}, whole=True)
    assert layer4.standings == {("vs1", "rs1"): Standing()}
