"""`steelyard template`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program


def test_a_template_is_listed_shown_used_and_exported(steelyard: Program, appliance: MemoryAppliance) -> None:
    assert "Lync Reverse Proxy 2013" in steelyard.ok("template", "list")
    shown = steelyard.ok("template", "show", "Lync Edge External 2013")
    assert "place: av" in shown
    assert "Enable Server NAT" in shown
    said = steelyard.ok(
        "template", "use", "HTTPS Offloaded", "192.0.2.1", "--rs", "10.0.0.1", "--name", "Shop", "--port", "8443"
    )
    assert "Virtual services 1, 2 made" in said
    assert "then: Assign the certificate" in said
    assert appliance.configuration.services[1].port == 8443
    assert "service_type: http" in steelyard.ok("template", "export", "1")


def test_places_have_addresses_of_their_own(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("template", "use", "Lync Edge External 2013", "access=192.0.2.1", "conf=192.0.2.2", "av=192.0.2.3")
    assert {one.address for one in appliance.configuration.services.values()} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert steelyard("template", "use", "HTTP", "192.0.2.1", "192.0.2.2").exit_code == 2


def test_yours_come_from_a_file_and_go(steelyard: Program, appliance: MemoryAppliance, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("{name: Site, services: [{port: 80}]}")
    assert "1 template imported" in steelyard.ok("template", "add", str(file))
    assert "Template Site removed" in steelyard.ok("template", "remove", "Site")
    assert "cannot be read" in steelyard("template", "add", str(tmp_path / "nothing.yaml")).output
    assert steelyard("template", "remove", "HTTP").exit_code == 1
