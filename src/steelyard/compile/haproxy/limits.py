"""Limits of connections, requests and bandwidth (`reference/behaviour.md`, section 13)."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService


def limits_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    return Part()
