"""The configuration of the Lync lab: what a person would make of the shipped templates, in one change.

Left out is what loopback has not got: UDP (layer 4) and transparency, so the A/V edge is balanced by TCP as a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.appliance.shipped_templates import shipped_templates
from steelyard.cli.lab_templates import CHECKS, moved
from steelyard.lab.lync import Lync
from steelyard.model.certificate import read_upload
from steelyard.model.commands import Batch, Command, PutCertificate, SetParameters, UseTemplate
from steelyard.model.template import TemplateService

CERTIFICATE = "LyncLab"
#: what the templates count on and a host whose network is not Steelyard's can have
_LAYER7 = {"drop_on_failure": True, "drain_time": 86_400}


def lync_deployed(lync: Lync, *, affinity: bool = True, ports: bool = True) -> Command:
    """Everything in one change. `affinity`: persistence as the templates have it, or none anywhere; `ports`: the
    reverse proxy leads to the external web site's ports, or to the same port as its own.
    """
    certificate = read_upload(lync.authority.issue(*lync.certified).pem)
    commands: list[Command] = [
        SetParameters("checks", CHECKS),
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
