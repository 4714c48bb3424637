"""Shipped templates in a lab: on moved ports, with settings of the lab's own; and when what they made is ready.

Left out is what loopback has not got: UDP (layer 4) and transparency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steelyard.appliance.appliance import Appliance
from steelyard.lab.ports import Ports
from steelyard.model.template import Template, TemplateService, template_text

#: seconds; the shortest there are, so that what is changed shows at once
CHECKS = {"interval": 2, "timeout": 1, "retries": 1}


def moved(
    template: Template, ports: Ports, place: str, changed: Callable[[TemplateService], Mapping[str, Any]]
) -> Template:
    """A template's services of one place, on moved ports, with other settings."""
    services = []
    for one in template.content.services:
        if one.place != place or one.settings.get("protocol") == "udp":
            continue
        settings = {**one.settings, "server_port": one.server_port, **changed(one)}
        settings |= {"real_servers": one.real_servers, "transparent": False, "use_for_snat": False}
        for name in ("port", "server_port", "check_port"):
            if settings.get(name):
                settings[name] = ports.of(int(settings[name]))
        if "extra_ports" in settings:
            settings["extra_ports"] = [_moved(one, ports) for one in settings["extra_ports"]]
        services.append(settings)
    return template_text(template.name, template.comment, services, template.content.rules)


def _moved(extra: str, ports: Ports) -> str:
    return "-".join(str(ports.of(int(one))) for one in extra.split("-"))


def unready(appliance: Appliance) -> list[str]:
    """Names of services with a real server that is not up."""
    states, services = appliance.states(), appliance.snapshot().configuration.services
    return [
        service.name
        for index, service in services.items()
        if any(one.status != "Up" for one in states[index].servers.values())
    ]


def unchecked(appliance: Appliance) -> list[str]:
    """Names of services with a real server that has not been checked, where some may be down on purpose."""
    states, services = appliance.states(), appliance.snapshot().configuration.services
    return [
        service.name
        for index, service in services.items()
        if any(one.status != "Up" and not one.reason for one in states[index].servers.values())
    ]
