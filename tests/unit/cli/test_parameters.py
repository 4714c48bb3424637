"""`steelyard parameters`."""

from __future__ import annotations

from tests.unit.cli.conftest import Program


def test_parameters_are_shown_and_changed(steelyard: Program) -> None:
    assert "300" in steelyard.ok("parameters", "show", "layer7")
    said = steelyard.ok("parameters", "set", "layer7", "drain_time=600", "not_cached=.php,.cgi")
    assert said.startswith("Parameters of layer7 changed")
    shown = steelyard.json("parameters", "show", "layer7")
    assert (shown["drain_time"], shown["not_cached"]) == (600, [".php", ".cgi"])


def test_an_unknown_section_is_misuse(steelyard: Program) -> None:
    found = steelyard("parameters", "set", "layer9", "x=1")
    assert found.exit_code == 2
    assert "layer7" in found.output


def test_a_bad_extension_is_refused_by_name(steelyard: Program) -> None:
    found = steelyard("parameters", "set", "layer7", "not_cached=php")
    assert found.exit_code == 1
    assert "not_cached" in found.output
