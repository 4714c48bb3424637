"""Caching of answers in memory (`reference/behaviour.md`, section 12)."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService


def caching_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    return Part()
