"""The licence of this software, as the installed distribution has it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

from steelyard.model.errors import InternalError

NAME = "Apache License, Version 2.0"
#: what carries the traffic has licences of its own
OTHERS = (
    "Traffic is carried by HAProxy (GPL-2.0-or-later) and by the Linux kernel (GPL-2.0). The licences of the Python"
    " packages are in their own distributions."
)


@cache
def licence_text() -> str:
    """The whole text. Raises `InternalError` when the installation has none."""
    try:
        text = distribution("steelyard").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        text = None
    if not text:
        raise InternalError("This installation of Steelyard lacks the text of its licence")
    return text.strip("\n")
