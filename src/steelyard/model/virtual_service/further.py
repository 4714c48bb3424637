"""A further check: what is asked of each real server besides the service's own check.

It has the settings of a service's check under the same names, and a name by which it is told from the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.setting import Setting
from steelyard.model.virtual_service.checks import CheckSettings

#: the service's own check, where it stands among others
MAIN = "main"
#: more would take longer than an interval to read for people, and each is asked of every real server
MOST_FURTHER = 8


class FurtherCheck(CheckSettings):
    """One further check of a service."""

    noun: ClassVar[str] = "further check"

    name: Annotated[
        str,
        Setting(
            None,
            "checks",
            "Name",
            "Names it where several checks are told of.",
            pattern=r"[A-Za-z0-9_.-]{1,32}",
            pattern_says="1 to 32 letters, digits, _, . and -",
            filled=True,
        ),
    ]

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.check_type == "none":
            raise _refused("check_type", "a further check asks something; remove it to ask nothing")
        if self.name == MAIN:
            raise _refused("name", f"{MAIN!r} is the service's own check")
        if self.ldap_endpoint:
            raise _refused("ldap_endpoint", "a further LDAP check signs in as the service's endpoint says")
        if self.check_post_data and self.check_method != 2:
            raise _refused("check_post_data", "POST data needs the check method POST (2)")
        for name, why in self.check_refusals():
            raise _refused(name, why)
        return self

    def settings(self) -> dict[str, Any]:
        """The settings of the check, as a service has them."""
        return {name: getattr(self, name) for name in CheckSettings.model_fields if name != "ldap_endpoint"}


def _refused(name: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"why": why, "name": name})


def check_further(checks: Iterable[FurtherCheck]) -> None:
    """Refuse names that are taken and more checks than a service may have."""
    names = [check.name for check in checks]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ConflictError(f"The service has a further check called {name} already", field="name", with_what=name)
    if len(names) > MOST_FURTHER:
        raise OperatorError(
            f"{len(names)} further checks are more than a service may have",
            field="further_checks",
            value=len(names),
            allowed=f"at most {MOST_FURTHER}",
            remedy="Remove some",
        )


def made_checks(declared: Sequence[Mapping[str, Any]]) -> tuple[FurtherCheck, ...]:
    """Further checks from plain data. An error says which: its position is "further_checks[2]"."""
    made = []
    for number, settings in enumerate(declared):
        with located(f"further_checks[{number}]"):
            made.append(FurtherCheck.make(settings))
    check_further(made)
    return tuple(made)


__all__ = ["MAIN", "MOST_FURTHER", "FurtherCheck", "check_further", "made_checks"]
