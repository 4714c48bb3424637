"""The configuration of the Lync lab: what a person would make of the shipped templates, in one change.

Left out is what loopback has not got: UDP (layer 4) and transparency, so the A/V edge is balanced by TCP as a proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.appliance.appliance import Appliance
from steelyard.appliance.shipped_templates import shipped_templates
from steelyard.lab.lync import Lync
from steelyard.lab.ports import Ports
from steelyard.model.certificate import read_upload
from steelyard.model.commands import Batch, Command, PutCertificate, SetParameters, UseTemplate
from steelyard.model.template import Template, TemplateService, template_text

CERTIFICATE = "LyncLab"
#: seconds; the shortest there are, so that what is changed shows at once
_CHECKS = {"interval": 2, "timeout": 1, "retries": 1}
#: what the templates count on and a host whose network is not Steelyard's can have
_LAYER7 = {"drop_on_failure": True, "drain_time": 86_400}


def deployed(lync: Lync, *, affinity: bool = True, ports: bool = True) -> Command:
    """Everything in one change. `affinity`: persistence as the templates have it, or none anywhere; `ports`: the
    reverse proxy leads to the external web site's ports, or to the same port as its own.
    """
    certificate = read_upload(lync.authority.issue(*lync.certified).pem)
    commands: list[Command] = [
        SetParameters("checks", _CHECKS),
        SetParameters("layer7", _LAYER7),
        PutCertificate(CERTIFICATE, certificate),
    ]

    def use(template: str, what: str, servers: Sequence[str], place: str = "", same_ports: bool = False) -> None:
        def changed(service: TemplateService) -> Mapping[str, Any]:
            more: dict[str, Any] = {} if affinity else {"persistence": "none"}
            return more | ({"server_port": 0, "check_port": 0} if same_ports else {})

        made = moved(shipped_templates()[template], lync.ports, place, changed)
        tls = [CERTIFICATE] if any(one.has_tls for one in made.content.services) else []
        commands.append(UseTemplate(made, lync.virtual(what), servers=servers, certificates=tls))

    use("Lync Internal 2013 HLB Only", "pool", lync.front_ends)
    use("Lync Director 2013 HLB", "director", lync.directors)
    use("Lync Office Web Apps Server 2013", "office-web-apps", lync.office_web_apps)
    use("Lync Reverse Proxy 2013", "reverse-proxy", lync.front_ends, same_ports=not ports)
    use("Lync Edge Internal 2013", "edge", lync.edges_inside)
    for place in ("access", "conf", "av"):
        use("Lync Edge External 2013", place, lync.edges_outside(place), place)
    return Batch(tuple(commands))


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
