"""From a service and from each of its real servers one gets to what was recorded of it."""

from __future__ import annotations

import html
import re

import pytest
from tests.unit.web.rig import Browser

from steelyard.model.commands import AddService


@pytest.fixture
def browser() -> Browser:
    made = Browser()
    servers = [{"address": "10.0.0.1", "port": 80}, {"address": "10.0.0.2", "port": 80}]
    made.execute(AddService({"address": "192.0.2.50", "port": 80, "name": "shop", "servers": servers}))
    return made


def graphs(page: str) -> set[str]:
    found = re.findall(r'href="(/statistics/graphs\?[^"]*)"', page)
    return {html.unescape(one) for one in found}


@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("/virtual-services/1", "service/1"),
        ("/virtual-services/1", "service/1/2"),
        ("/virtual-services/1/real-servers/2", "service/1/2"),
        ("/virtual-services/1/real-servers/2/checks", "service/1/2"),
    ],
)
def test_graphs_are_one_step_away(browser: Browser, path: str, about: str) -> None:
    target = f"/statistics/graphs?object={about}&span=hour"
    assert target in graphs(browser.get(path))
    page = browser.get(target)
    assert "shop" in page
