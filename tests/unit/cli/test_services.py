"""`steelyard vs`, `rs` and `cert`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.observe.status import Verdict

Read = Callable[[], dict[str, Any]]


def test_a_service_is_made_in_one_line(steelyard: Program) -> None:
    said = steelyard.ok("vs", "add", "127.0.0.1:80", "--rs", "127.0.0.1:9001", "schedule=lc", "extra_ports=81,90-95")
    assert said == "Virtual service 1 made: revision 4, with one hitless reload\n"
    service = steelyard.json("vs", "show", "1")
    assert (service["schedule"], service["extra_ports"], service["service_type"]) == ("lc", ["81", "90-95"], "http")


def test_the_list_shows_state_as_shape_and_word(steelyard: Program, appliance: MemoryAppliance, web: Read) -> None:
    appliance.verdicts = {"vs1/rs1": Verdict("up"), "vs1/rs2": Verdict("down", "connection refused")}
    said = steelyard.ok("vs", "list")
    assert "● Up" in said and "web" in said and "1 of 2 available" in said
    shown = steelyard.ok("vs", "show", "web")
    assert "✖ Down" in shown and "connection refused" in shown and "[::1]:9002" in shown
    assert "service_type" in shown and "idle_time" not in shown
    assert "idle_time" in steelyard.ok("vs", "show", "web", "--all")


def test_a_service_of_udp_or_of_every_port_says_that_it_is_at_layer_4(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:53", "--udp", "check_type=dns")
    steelyard.ok("vs", "add", "127.0.0.1:*", "--rs", "127.0.0.2:*")
    shown = steelyard.ok("vs", "show", "127.0.0.1:53")
    assert "Operating at Layer 4, carried by nftables: UDP services run at layer 4" in shown
    listed = steelyard.ok("vs", "list")
    assert "udp/127.0.0.1:53" in listed and "tcp/127.0.0.1:*" in listed
    assert steelyard.json("rs", "list", "127.0.0.1:*")[0]["port"] == 0
    assert "ADDRESS:PORT" in steelyard("vs", "add", "127.0.0.1:0").stderr


def test_what_a_service_lacks_is_said_when_it_is_changed_and_shown(steelyard: Program, web: Read) -> None:
    assert "!" not in steelyard.ok("vs", "show", "web")
    said = steelyard.ok("vs", "set", "web", "ssl_acceleration=yes", "check_type=https", "esp_enabled=yes")
    for text in (said, steelyard.ok("vs", "show", "web")):
        words = " ".join(text.split())
        assert "! No certificate is assigned: clients are shown a temporary, self-signed one." in words
        assert "! Checks speak TLS to the real servers, but clients' requests reach them without it." in words
        assert "! The edge filter has no allowed hosts, so it refuses every request." in words
    said = steelyard.ok("vs", "set", "web", "ssl_reencrypt=yes", "allowed_hosts=shop.example")
    assert said.count("!") == 1 and "No certificate" in said


@pytest.mark.parametrize("word", ["1", "web", "127.0.0.1:8080", "tcp/127.0.0.1:8080"])
def test_a_service_goes_by_index_name_or_address(steelyard: Program, web: Read, word: str) -> None:
    steelyard.ok("vs", "set", word, "schedule=wrr")
    assert web()["schedule"] == "wrr"


def test_an_unknown_or_ambiguous_name_is_refused(steelyard: Program, web: Read) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:8081", "--name", "web")
    ambiguous = steelyard("vs", "show", "web")
    assert (ambiguous.exit_code, "Give the index" in ambiguous.stderr) == (1, True)
    unknown = steelyard("vs", "show", "shop")
    assert (unknown.exit_code, "There is no virtual service 'shop'" in unknown.stderr) == (1, True)
    assert steelyard("vs", "show", "99").exit_code == 1


def test_services_are_switched_copied_and_removed(steelyard: Program, web: Read) -> None:
    assert "without a reload" in steelyard.ok("vs", "disable", "web")
    assert web()["enabled"] is False
    assert "nothing to do" in steelyard.ok("vs", "disable", "web")
    steelyard.ok("vs", "enable", "web")
    assert "Virtual service 2 made from 1" in steelyard.ok("vs", "duplicate", "web", "127.0.0.1:8085")
    steelyard.ok("vs", "remove", "127.0.0.1:8085")
    assert [service["index"] for service in steelyard.json("vs", "list")] == [1]


def test_a_dry_run_shows_the_plan(steelyard: Program, appliance: MemoryAppliance, web: Read) -> None:
    before = appliance.snapshot()
    said = steelyard.ok("vs", "remove", "web", "--dry-run")
    assert "- web (tcp/127.0.0.1:8080)" in said and "One hitless reload: a listener" in said
    assert "No reload" in steelyard.ok("vs", "set", "web", "schedule=lc", "--dry-run")
    assert steelyard.json("vs", "set", "web", "schedule=lc", "--dry-run")["dry_run"] is True
    assert steelyard.ok("vs", "set", "web", "schedule=rr", "--dry-run") == "Nothing to do\n"
    assert appliance.snapshot() == before


def test_a_person_is_asked_before_a_service_goes(steelyard: Program, web: Read) -> None:
    steelyard.interactive = True
    assert steelyard("vs", "remove", "web", stdin="n\n").exit_code == 1
    assert len(steelyard.json("vs", "list")) == 1
    assert steelyard("vs", "remove", "web", stdin="y\n").exit_code == 0
    assert steelyard.json("vs", "list") == []


def test_a_refusal_is_one_line_with_its_remedy(steelyard: Program, web: Read) -> None:
    refused = steelyard("vs", "set", "web", "shedule=lc")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "Error: 'shedule' is not a setting of a virtual service. Did you mean 'schedule'?\n"
    as_json = steelyard("vs", "set", "web", "port=99999", "--json")
    assert as_json.exit_code == 1 and '"field": "port"' in as_json.stderr


def test_what_the_command_line_does_not_have_is_misuse(steelyard: Program, web: Read) -> None:
    for arguments in (("vs", "add", "127.0.0.1"), ("vs", "set", "web", "schedule"), ("vs", "list", "--what"), ("vz",)):
        assert steelyard(*arguments).exit_code == 2, arguments


def test_reason_and_waiting_are_passed_on(steelyard: Program, appliance: MemoryAppliance, web: Read) -> None:
    steelyard.ok("vs", "set", "web", "name=shop", "--reason", "new brand", "--no-wait")
    assert appliance.history(1)[0].reason == "new brand"
    assert appliance.waits[-1] is False


def test_real_servers_are_added_changed_switched_and_removed(steelyard: Program, web: Read) -> None:
    assert "Real server 3 added" in steelyard.ok("rs", "add", "web", "127.0.0.1:9003", "weight=500")
    steelyard.ok("rs", "set", "web", "127.0.0.1:9003", "weight=200")
    steelyard.ok("rs", "disable", "web", "3")
    assert [(s["weight"], s["enabled"]) for s in web()["servers"]][2] == (200, False)
    assert "○ Disabled" in steelyard.ok("rs", "list", "web")
    steelyard.ok("rs", "enable", "web", "3")
    steelyard.ok("rs", "remove", "web", "::1")
    assert [s["index"] for s in steelyard.json("rs", "list", "web")] == [1, 3]
    ambiguous = steelyard("rs", "remove", "web", "127.0.0.1")
    assert (ambiguous.exit_code, "1 (127.0.0.1:9001), 3 (127.0.0.1:9003)" in ambiguous.stderr) == (1, True)
    assert steelyard("rs", "remove", "web", "10.0.0.1").exit_code == 1


def test_checks_are_shown(steelyard: Program, appliance: MemoryAppliance, web: Read) -> None:
    assert "No check" in steelyard.ok("rs", "checks", "web", "1")
    appliance.checks = [
        {
            "started": 1_700_000_000.0,
            "duration_ms": 1.25,
            "sent": "HEAD / HTTP/1.0",
            "received": "HTTP/1.1 403",
            "outcome": "bad",
            "reason": "403 is not a good status",
        }
    ]
    said = steelyard.ok("rs", "checks", "web", "1")
    assert "HEAD / HTTP/1.0" in said and "1.2 ms" in said and "403 is not a good status" in said


def test_names_are_shown_as_they_are(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "check_pattern=[red]:smile:[/red]", "check_method=1")
    assert "[red]:smile:[/red]" in steelyard.ok("vs", "show", "1")


def test_certificates_are_imported_replaced_listed_and_removed(steelyard: Program, tmp_path: Path) -> None:
    shop, other = certificates.leaf("shop.test"), certificates.leaf("other.test")
    pem, p12, password = tmp_path / "shop.pem", tmp_path / "other.p12", tmp_path / "password"
    pem.write_bytes(shop.bundle())
    p12.write_bytes(other.pkcs12(b"open sesame"))
    password.write_text("open sesame\n")
    assert "Certificate shop imported" in steelyard.ok("cert", "add", "shop", str(pem))
    assert "shop.test" in steelyard.ok("cert", "list")
    wrong = steelyard("cert", "replace", "shop", str(p12))
    assert (wrong.exit_code, "pass phrase" in wrong.stderr) == (1, True)
    steelyard.ok("cert", "replace", "shop", str(p12), "--certificate-password-file", str(password))
    assert [c["names"] for c in steelyard.json("cert", "list") if not c["temporary"]] == [["other.test"]]
    assert steelyard("cert", "replace", "typo", str(pem)).exit_code == 1
    assert steelyard("cert", "add", "x", str(tmp_path / "missing")).exit_code == 2
    steelyard.ok("cert", "remove", "shop")
    steelyard.ok("cert", "add", "piped", "-", stdin=shop.bundle())
