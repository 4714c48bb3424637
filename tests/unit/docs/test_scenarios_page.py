"""Every requirement of the deployments has tests or a reason, and the page says which."""

from __future__ import annotations

from pathlib import Path

from tests.support.requirement_table import DEPLOYMENTS, PAGE, marked_tests, page, requirements

GUIDES = Path(__file__).parents[3] / "docs" / "guides" / "deployments"


def test_every_number_has_either_a_test_or_a_reason() -> None:
    found = requirements().values()
    assert not [one.number for one in found if not one.tests and not one.not_tested.strip()], "neither test nor reason"
    assert not [one.number for one in found if one.tests and one.not_tested], "both a test and a reason why none"
    assert all(one.says.strip() for one in found)


def test_the_committed_page_is_what_tests_and_reasons_say_now() -> None:
    assert PAGE.read_text("utf-8") == page(requirements()), "run: python -m tests.support.requirement_table"


def test_every_deployment_has_its_guide() -> None:
    assert not [guide for _, _, guide in DEPLOYMENTS.values() if guide and not (GUIDES / guide).exists()]


def test_marks_are_found_on_functions_classes_and_parameters(tmp_path: Path) -> None:
    text = """
import pytest
@pytest.mark.requirement("S1-01", "S1-02")
def test_one(): ...
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.requirement("S1-03"))])
async def test_two(a): ...
@pytest.mark.requirement("S1-04")
class Test:
    def test_three(self): ...
    def helper(self): ...
"""
    (tmp_path / "test_it.py").write_text(text)
    file = f"{tmp_path.name}/test_it.py"
    assert marked_tests(tmp_path) == {
        "S1-01": [f"{file}::test_one"],
        "S1-02": [f"{file}::test_one"],
        "S1-03": [f"{file}::test_two"],
        "S1-04": [f"{file}::Test::test_three"],
    }
