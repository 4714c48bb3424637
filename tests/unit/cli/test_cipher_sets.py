"""`steelyard cipher-set`."""

from __future__ import annotations

from tests.unit.cli.conftest import Program


def test_a_set_is_made_shown_changed_and_removed(steelyard: Program) -> None:
    assert steelyard.ok("cipher-set", "add", "Odd", "AES128-SHA:AES256-SHA", "AES128-SHA256").startswith(
        "Cipher set Odd"
    )
    assert "AES128-SHA256" in steelyard.ok("cipher-set", "show", "Odd")
    steelyard.ok("cipher-set", "change", "Odd", "AES256-SHA")
    assert steelyard.json("cipher-set", "show", "Odd")["ciphers"] == ["AES256-SHA"]
    listing = steelyard.ok("cipher-set", "list")
    assert "BestPractices" in listing
    assert "Odd" in listing
    steelyard.ok("cipher-set", "remove", "Odd")
    assert steelyard("cipher-set", "show", "Odd").exit_code == 1


def test_an_unknown_cipher_is_refused_by_name(steelyard: Program) -> None:
    found = steelyard("cipher-set", "add", "Odd", "AES128-SHB")
    assert found.exit_code == 1
    assert "AES128-SHB" in found.output
    assert "AES128-SHA" in found.output, "the nearest"
