"""Edge filtering: which hosts and directories are let in (`reference/behaviour.md`, section 14)."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService


def edge_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    return Part()
