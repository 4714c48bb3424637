"""Templates. Everything that is put into one is escaped; a name that is not there is an error, never an empty place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from steelyard.web import wording

FOLDER = Path(__file__).parent / "templates"


def environment(**names: Any) -> Environment:
    """The templates of the folder; `names` are known in all of them."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    made.filters.update(
        ago=wording.ago,
        bits=wording.bits,
        duration=wording.duration,
        kilobytes=wording.kilobytes,
        look=wording.look,
        moment=wording.moment,
        plural=wording.plural,
        ports=wording.ports,
        thousands=wording.thousands,
    )
    made.globals.update(names)
    return made
