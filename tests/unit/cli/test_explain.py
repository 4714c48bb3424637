"""`steelyard explain`: what it asks and what it prints."""

from __future__ import annotations

from tests.unit.cli.conftest import Program


def _made(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "192.0.2.10:80", "--name", "web", "persistence=src")


def test_the_steps_and_what_comes_of_it_are_printed(steelyard: Program) -> None:
    _made(steelyard)
    printed = steelyard.ok("explain", "http://192.0.2.10/a?b=1", "--client", "198.51.100.7")
    assert "takes the connection" in printed
    assert "for 198.51.100.7" in printed
    assert "The request goes to 10.0.0.1:8080 (real server 1 of service 1): asked for GET /a?b=1" in printed


def test_a_service_may_be_named(steelyard: Program) -> None:
    _made(steelyard)
    found = steelyard.json("explain", "/x", "--service", "web", "-X", "POST", "-H", "X-Team: a", "-H", "X-Team: b")
    assert found["result"]["why"] == "asked for POST /x"


def test_a_malformed_header_is_refused(steelyard: Program) -> None:
    _made(steelyard)
    result = steelyard("explain", "/x", "--service", "web", "-H", "X-Team")
    assert result.exit_code == 2
    assert "'X-Team' is no header" in result.output


def test_a_url_that_leads_nowhere_names_the_services_there_are(steelyard: Program) -> None:
    _made(steelyard)
    result = steelyard("explain", "http://192.0.2.11/")
    assert result.exit_code == 1
    assert "No virtual service listens on 192.0.2.11 port 80" in result.output
