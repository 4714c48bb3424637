"""The pages of the templates that come with Steelyard are committed as they are made."""

from __future__ import annotations

from pathlib import Path

from steelyard.appliance.shipped_templates import shipped_templates
from steelyard.cli.template_docs import template_pages
from steelyard.model.commands.templates import try_out
from steelyard.model.template import read_templates

DOCS = Path(__file__).parents[3] / "docs"


def test_the_committed_pages_are_what_the_templates_say_now() -> None:
    committed = {path.name: path.read_text("utf-8") for path in (DOCS / "templates").glob("*.md")}
    assert committed == dict(template_pages()), "run: python -m steelyard.cli.template_docs docs/templates"


def test_every_template_has_its_part_with_what_to_do_next() -> None:
    text = "\n".join(template_pages().values())
    for name in shipped_templates():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert "| Service |" in section, name
        assert "\nNext:\n\n1. " in section, name


def test_the_example_of_the_guide_can_be_used() -> None:
    guide = (DOCS / "guides" / "templates.md").read_text("utf-8")
    (template,) = read_templates(guide.partition("```yaml\n")[2].partition("```")[0])
    try_out(template)


def test_the_guide_counts_them() -> None:
    assert f"[{len(shipped_templates())} come with Steelyard]" in (DOCS / "guides" / "templates.md").read_text("utf-8")
