"""The drivers of layer 4 there are, each made when a service needs it."""

from __future__ import annotations

from steelyard.engines.ipvs.driver import IpvsDriver
from steelyard.engines.ipvs.kernel import REMEDY as IPVS_REMEDY
from steelyard.engines.kernel import has_ipvs
from steelyard.engines.layer4.contract import Layer4Driver
from steelyard.engines.nft.driver import NftDriver
from steelyard.model.errors import HostLacks
from steelyard.netd.layer4 import Factories


def _nft() -> Layer4Driver:
    return NftDriver()


def _ipvs() -> Layer4Driver:
    if not has_ipvs():
        raise HostLacks("This host's kernel has no IPVS", lacks="ipvs", remedy=IPVS_REMEDY)
    return IpvsDriver()


FACTORIES: Factories = {"nft": _nft, "ipvs": _ipvs}
