"""Global parameters.

Get, set, getall (`reference/loadmaster-api/01`, 1.7 and 08), showhealth and modhealth (04, 4.5).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from steelyard.api.loadmaster.answers import Answer, Data, Message, Value, YesNo
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import Refusal, missing, not_built
from steelyard.api.loadmaster.identity import IDENTITY, set_identity
from steelyard.api.loadmaster.interfaces import NETWORK, host_parameter
from steelyard.api.loadmaster.known_names import KNOWN_PARAMETERS
from steelyard.api.loadmaster.syslog_hosts import NO_LEVEL, without_hosts
from steelyard.api.loadmaster.values import decoded, is_masked, shown
from steelyard.model.acme_account import LETS_ENCRYPT
from steelyard.model.acme_renewal import AcmeParameters
from steelyard.model.administration_parameters import AdministrationParameters
from steelyard.model.commands import ChangeAcmeAccount, SetParameters
from steelyard.model.commands.acme import account_named
from steelyard.model.configuration import Configuration
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.limits import LimitParameters
from steelyard.model.network import HostParameters
from steelyard.model.notification import EmailParameters, SnmpParameters, SyslogParameters
from steelyard.model.parameters import CheckParameters, NetworkParameters
from steelyard.model.setting import Declared, Settings
from steelyard.model.tls_parameters import TlsParameters

Section = Literal["layer7", "network", "limits", "tls", "syslog", "email", "snmp", "acme", "administration", "host"]

#: other names of the same parameters (08, 8.7 and 13, quirk 10 and table 13.8)
_ALIASES = {"subnetoriginating": "subnetorigin", "limitinput": "l7limitinput", "namserver": "nameserver"}
#: names that a parameter had before, and still has: the Client CPS limit was one of layer 7 once
_OLD_NAMES = {"l7limitinput": "clientcpslimit"}
#: what to do instead
_BACKUP = "Have a timer run `steelyard backup`, see docs/guides/backup.md"
_REMEDIES = {
    "ocspcertchecking": "Only clients' certificates are asked about by OCSP, where a service says OCSPVerify",
    **dict.fromkeys(
        (
            *("backupenable", "backupday", "backuphour", "backupminute", "backuphost", "backupmethod"),
            *("backupsecure", "backupuser", "backuppassword", "backuppath", "backupident"),
        ),
        _BACKUP,
    ),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of the catalogue and the section it lives in."""

    section: Section
    declared: Declared
    #: an old name for it, under which it is listed once more
    old_name: str = ""

    @property
    def name(self) -> str:
        """The name as the appliance spells it."""
        return self.old_name or self.declared.setting.spelled or self.declared.name

    def value(self, configuration: Configuration) -> Value:
        """Its value: yes or no for a boolean, empty text for what is unset."""
        holder: Settings = getattr(configuration, self.section)
        value = getattr(holder, self.declared.name)
        return YesNo(value) if isinstance(value, bool) else shown(self.declared, value)


#: a setting of an ACME account, and a parameter all the same
_DIRECTORY = "directoryurl"


def _catalogue() -> Mapping[str, Parameter]:
    found: dict[str, Parameter] = {}
    sections: tuple[tuple[Section, type[Settings]], ...] = (
        ("layer7", Layer7Parameters),
        ("network", NetworkParameters),
        ("limits", LimitParameters),
        ("tls", TlsParameters),
        ("acme", AcmeParameters),
        ("administration", AdministrationParameters),
        ("host", HostParameters),
        ("syslog", SyslogParameters),
        ("email", EmailParameters),
        ("snmp", SnmpParameters),
    )
    for section, model in sections:
        for name, declared in model.by_wire().items():
            found[name] = Parameter(section, declared)
    for old, new in _OLD_NAMES.items():
        found[old] = replace(found[new], old_name=old)
    return found


CATALOGUE = _catalogue()


def _unknown(name: str) -> Refusal:
    if name in KNOWN_PARAMETERS:
        return not_built(f"Parameter {name}", _REMEDIES.get(name))
    return Refusal(422, "Unknown parameter value")


def _named(call: Call) -> tuple[str, str]:
    """The name as it was asked for, and as it is looked up."""
    asked = call.parameters.required("param")
    name = asked.lower()
    return asked, _ALIASES.get(name, name)


async def get(call: Call) -> Answer:
    """One parameter, present and empty when unset.

    It is answered under the spelling it was asked for: the Python SDK looks for exactly that, and others do not mind
    case.
    """
    asked, name = _named(call)
    if name in IDENTITY:
        spelled, value = name, IDENTITY[name](call)
    elif name == _DIRECTORY:
        spelled, value = name, account_named(call.configuration, LETS_ENCRYPT).directory_url
    elif name == NO_LEVEL:
        spelled, value = name, ""
    elif name in NETWORK:
        spelled, value = name, await host_parameter(call, name)
    else:
        parameter = CATALOGUE.get(name)
        if parameter is None:
            raise _unknown(name)
        spelled, value = parameter.name, parameter.value(call.configuration)
    # Letters beyond ASCII can fold into a known name; they cannot be part of a tag.
    return Data({asked if asked.isascii() else spelled: value})


async def getall(call: Call) -> Answer:
    """Every parameter that is set."""
    members = {name: value(call) for name, value in IDENTITY.items()}
    state = await call.appliance.network()
    members |= {name: await host_parameter(call, name, state) for name in NETWORK}
    configuration = call.configuration
    for parameter in CATALOGUE.values():
        if parameter.section == "host":
            continue
        members[parameter.name] = parameter.value(configuration)
    return Data({name: value for name, value in members.items() if value != ""})


async def set_(call: Call) -> Answer:
    """Change one parameter. The document's v2 example names the value `val`; clients say `value`."""
    _, name = _named(call)
    raw = call.parameters.raw("value" if "value" in call.parameters else "val")
    if raw is None:
        raise missing("value")
    if name in IDENTITY:
        set_identity(call, name, raw)
        return Message()
    if name in NETWORK and not call.configuration.host.managed and raw == await host_parameter(call, name):
        # a script that writes back what it has read changes nothing, whoever owns the network
        return Message()
    if name == NO_LEVEL:
        await call.execute(SetParameters("syslog", without_hosts(call.configuration.syslog, raw)))
        return Message()
    if name == _DIRECTORY:
        await call.execute(ChangeAcmeAccount(LETS_ENCRYPT, {"directory_url": str(raw).strip()}))
        return Message()
    parameter = CATALOGUE.get(name)
    if parameter is None:
        raise _unknown(name)
    if is_masked(parameter.declared, raw):
        return Message()
    value = decoded(parameter.declared, raw)
    changes = {parameter.declared.name: value}
    await call.execute(SetParameters(parameter.section, changes, secrets.token_hex(16)))
    return Message()


async def showhealth(call: Call) -> Answer:
    """Global timing of checks; strings in v2."""
    checks = call.configuration.checks
    return Data(
        {
            declared.setting.spelled or name: str(getattr(checks, name))
            for name, declared in CheckParameters.declared().items()
        }
    )


async def modhealth(call: Call) -> Answer:
    """Change it. A longer time-out or more attempts raise the interval to attempts x time-out + 1 on their own."""
    by_wire = CheckParameters.by_wire()
    changes: dict[str, Any] = {
        by_wire[name].name: decoded(by_wire[name], call.parameters.raw(name))
        for name in call.parameters
        if name in by_wire
    }
    await call.execute(SetParameters("checks", changes))
    return Message()


COMMANDS = (
    Entry("get", get),
    Entry("getall", getall),
    Entry("set", set_, "root"),
    Entry("showhealth", showhealth),
    Entry("modhealth", modhealth, "root"),
)
