from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Program


def test_a_list_is_imported_shown_and_exported(steelyard: Program, tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    file.write_text("10.0.0.0/8 # inside\n2001:db8::1\n")
    assert "Block list for all services imported" in steelyard.ok("access", "import", "block", str(file))
    assert steelyard.ok("access", "export", "block") == "10.0.0.0/8 # inside\n2001:db8::1/128\n"
    assert "inside" in steelyard.ok("access", "show", "block")
    steelyard.ok("access", "import", "--add", "block", "-", stdin="192.0.2.1\n")
    assert steelyard.json("access", "list") == [{"scope": "all", "block": 3, "allow": 0, "otherwise": "allow"}]


def test_entries_of_a_service(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "192.0.2.10:80", "name=web")
    steelyard.ok("access", "add", "allow", "10.0.0.1", "10.0.0.2", "--vs", "web", "--comment", "office")
    assert [each["comment"] for each in steelyard.json("access", "show", "allow", "--vs", "web")] == ["office"] * 2
    assert steelyard.ok("access", "decide", "web", "11.0.0.1").startswith("refused: it is not in the allow list")
    assert steelyard.ok("access", "decide", "web", "10.0.0.1").startswith("let in: ")
    steelyard.ok("access", "remove", "allow", "10.0.0.1", "--vs", "web")
    assert steelyard.ok("access", "export", "allow", "--vs", "web") == "10.0.0.2/32 # office\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("access", "add", "grey", "10.0.0.1"), "no access list"),
        (("access", "add", "block", "nonsense"), "Invalid address"),
        (("access", "import", "block", "/no/such/file"), "cannot be read"),
        (("access", "show", "block", "--vs", "nobody"), "no virtual service"),
    ],
)
def test_mistakes_are_told(steelyard: Program, arguments: tuple[str, ...], said: str) -> None:
    result = steelyard(*arguments)
    assert result.exit_code != 0
    assert said in result.output
