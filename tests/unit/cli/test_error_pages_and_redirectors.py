"""`steelyard vs redirector` and `steelyard vs error-page`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Program


def test_a_redirector_is_made_in_one_line(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:443", "--type", "http", "ssl_acceleration=yes", "--name", "shop")
    assert steelyard.ok("vs", "redirector", "shop").startswith("Virtual service 2 redirects to 1: revision ")
    assert "➜ Redirect" in steelyard.ok("vs", "list")
    assert steelyard.json("vs", "show", "2")["error_url"] == "https://%h%s"
    refused = steelyard("vs", "redirector", "shop")
    assert (refused.exit_code, "already exists" in refused.stderr) == (1, True)


def test_a_page_is_set_shown_and_removed(steelyard: Program, tmp_path: Path) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80")
    file = tmp_path / "sorry.html"
    file.write_bytes(b"<!doctype html>\n<p>Back at nine</p>" + b" " * 9000)
    assert steelyard.ok("vs", "error-page", "set", "1", str(file)).startswith("Error page of 1 set: revision ")
    assert steelyard.json("vs", "error-page", "show", "1")["media_type"] == "text/html; charset=utf-8"
    assert "Back at nine" in steelyard.ok("vs", "error-page", "show", "1")
    assert "characters)" in steelyard.ok("vs", "show", "1"), "a long page is not printed in the list of settings"
    steelyard.ok("vs", "error-page", "remove", "1")
    assert steelyard("vs", "error-page", "show", "1").exit_code == 1
    assert steelyard("vs", "error-page", "set", "1", str(tmp_path / "none")).exit_code == 2
