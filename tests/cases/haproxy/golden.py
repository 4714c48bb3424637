"""One golden case: a folder with a configuration, and HAProxy's text or a sequence of changes. See README.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.certificates import authority, revocation_list
from tests.support.strategies import TEMPORARY, material

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.emit.haproxy.configuration import ConfigurationEmitter, certificate_list, globals_text
from steelyard.engines.haproxy.layout import Layout
from steelyard.model import commands
from steelyard.model.access_list import Entries
from steelyard.model.acme_account import DIRECTORIES, LETS_ENCRYPT
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    AddIntermediates,
    AddRule,
    AddService,
    Batch,
    Command,
    CreateSubService,
    KeepRegistration,
    PutCertificate,
    PutCipherSet,
    PutRevocationList,
    RulePlace,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.plan.haproxy import HaproxyPlan

ROOT = Path(__file__).parent
#: the state directory the goldens name; its files do not exist
STATE_DIR = "/var/lib/steelyard"
OPEN_FILES = 20_000
NOTHING = "nothing\n"


def _yaml(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict), f"{path} is no mapping"
    return found


@dataclass(frozen=True)
class Case:
    """A folder. `name` is "feature/case"."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def start(self) -> Path:
        return self.path / ("1-configuration.yaml" if self.is_sequence else "configuration.yaml")

    @property
    def is_sequence(self) -> bool:
        return (self.path / "1-configuration.yaml").exists()

    @property
    def engine(self) -> Mapping[str, bool]:
        """`whole` prints the sections every configuration begins with; `lua` False is a HAProxy without Lua."""
        return {"whole": False, "lua": True, **_yaml(self.start).get("engine", {})}

    def compiler(self) -> Compiler:
        return Compiler(EngineFacts(threads=2, lua=self.engine["lua"], open_files=OPEN_FILES))

    def configuration(self) -> Configuration:
        """What the operator said at the beginning."""
        data = _yaml(self.start)
        known = {"engine", "certificates", "parameters", "rules", "services", "sub_services", "access_lists", "limits"}
        known |= {"cipher_sets", "intermediates", "revocation_lists", "acme"}
        assert not set(data) - known, f"{self.start}: unknown key"
        made = PutCertificate(TEMPORARY, material("steelyard.invalid"), temporary=True).apply(Configuration())
        steps: list[Command] = [PutCertificate(name, material()) for name in data.get("certificates", ())]
        steps += [AddIntermediates(name, (authority(name).certificate,)) for name in data.get("intermediates", ())]
        steps += [
            PutRevocationList(name, revocation_list(authority(of)).decode())
            for name, of in data.get("revocation_lists", {}).items()
        ]
        steps += [SetParameters(section, changes) for section, changes in data.get("parameters", {}).items()]
        steps += [AddRule(settings) for settings in data.get("rules", ())]
        steps += [PutCipherSet(name, tuple(ciphers)) for name, ciphers in data.get("cipher_sets", {}).items()]
        steps += [AddService(settings) for settings in data["services"]]
        steps += [CreateSubService(**settings) for settings in data.get("sub_services", ())]
        steps += [command_of({"command": "AddEntries", **entries}) for entries in data.get("access_lists", ())]
        steps += [command_of(command) for command in data.get("limits", ())]
        if "acme" in data:
            key = AcmeSecret("account", b"its key")
            steps.append(KeepRegistration(LETS_ENCRYPT, DIRECTORIES[LETS_ENCRYPT], "https://ca.example/1", key))
            steps += [AddAcmeCertificate(settings) for settings in data["acme"]]
        configuration = made.configuration
        for step in steps:
            configuration = step.apply(configuration).configuration
        return configuration

    def changes(self) -> Iterator[tuple[int, Command]]:
        """The numbered changes of a sequence, in order."""
        number = 2
        while (path := self.path / f"{number}-change.yaml").exists():
            yield number, command_of(_yaml(path))
            number += 1

    def texts(self, plan: HaproxyPlan) -> dict[str, str]:
        """File name -> content: `haproxy.cfg`, and the certificate list of each listener that has TLS."""
        paths = Layout(Path(STATE_DIR)).paths(lua=self.engine["lua"])
        text = ConfigurationEmitter(paths).text(plan)
        if not self.engine["whole"]:
            text = text.removeprefix(globals_text(plan.settings, paths))
        found = {"haproxy.cfg": text}
        for key, service in plan.services.items():
            if service.certificates():
                found[f"{key}.list"] = certificate_list(service.certificates(), paths)
        return found


def command_of(data: Mapping[str, Any]) -> Command:
    """A command as a case writes it: its name and its settings. New certificates have content of their own."""
    settings = dict(data)
    name = settings.pop("command")
    if name == "Batch":
        return Batch(tuple(command_of(part) for part in settings["commands"]))
    if name == "PutCertificate":
        settings["material"] = material(generation=2)
    if name == "AddIntermediates":
        settings["certificates"] = (authority(settings["name"], kind="rsa").certificate,)
    if name == "PutRevocationList":
        settings["pem"] = revocation_list(authority(settings.pop("of"))).decode()
    if "place" in settings:
        settings["place"] = RulePlace(**settings["place"])
    if "entries" in settings:
        settings["entries"] = Entries.of_lines(settings["entries"])
    made: Command = getattr(commands, name)(**settings)
    return made


def cases(*, sequences: bool) -> list[Case]:
    """Every case of one kind, by name."""
    pattern = "1-configuration.yaml" if sequences else "configuration.yaml"
    return [Case(path.parent) for path in sorted(ROOT.glob(f"*/*/{pattern}"))]
