"""The drivers of layer 4 there are, each made when a service needs it."""

from __future__ import annotations

from steelyard.engines.layer4.contract import Layer4Driver
from steelyard.engines.nft.driver import NftDriver
from steelyard.model.errors import HostLacks
from steelyard.netd.layer4 import Factories


def _nft() -> Layer4Driver:
    return NftDriver()


def _ipvs() -> Layer4Driver:
    raise HostLacks("Layer 4 by IPVS is not built", lacks="a driver of layer 4", remedy="Set ForceL7 on the service")


FACTORIES: Factories = {"nft": _nft, "ipvs": _ipvs}
