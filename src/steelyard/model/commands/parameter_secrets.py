"""Secrets among the parameters: what is given is kept under a name of its own, and the parameter holds that name.

The name is made up by the caller, at random: a digest of a password that people choose could be guessed.
"""

from __future__ import annotations

from typing import TypeVar

from steelyard.model.setting import Settings

_Section = TypeVar("_Section", bound=Settings)


def put_away(section: str, before: Settings, after: _Section, place: str) -> tuple[_Section, dict[str, bytes]]:
    """Replace secrets that are new by the names of their places. Returns the section and what is to be kept.

    An empty secret is none. Raises `ValueError` without a `place`, which is a fault of the caller.
    """
    names: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    for name, declared in type(after).declared().items():
        given = getattr(after, name)
        if not declared.setting.secret or not given or given == getattr(before, name):
            continue
        if not place:
            raise ValueError(f"{section}.{name} is a secret, and no place was given to keep it")
        names[name] = f"{section}/{name}/{place}"
        kept[names[name]] = given.encode()
    return (after.changed(names) if names else after), kept


def with_kept(before: Settings, given: dict[str, object]) -> dict[str, object]:
    """The settings of a declaration, with the secrets there are where it says nothing of them."""
    secrets = {name for name, declared in type(before).declared().items() if declared.setting.secret}
    return {name: getattr(before, name) for name in secrets if getattr(before, name)} | given
