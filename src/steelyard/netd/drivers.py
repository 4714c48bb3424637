"""The drivers of layer 4 there are, each made when a service needs it."""

from __future__ import annotations

from steelyard.engines.ipvs.driver import IpvsDriver
from steelyard.engines.layer4.contract import Layer4Driver
from steelyard.engines.nft.driver import NftDriver
from steelyard.netd.layer4 import Factories


def _nft() -> Layer4Driver:
    return NftDriver()


def _ipvs() -> Layer4Driver:
    # where the kernel has no IPVS it says so when it is to carry something, and has nothing to clear
    return IpvsDriver()


FACTORIES: Factories = {"nft": _nft, "ipvs": _ipvs}
