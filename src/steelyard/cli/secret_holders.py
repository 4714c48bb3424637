"""Objects that the native API has by name and that hold a secret, which goes in and never comes out.

The secret comes from a file, the environment or the keyboard, never as a word of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from urllib.parse import quote

from steelyard.cli import values
from steelyard.cli.connection import read_secret
from steelyard.cli.session import Session
from steelyard.model.setting import Settings


@dataclass(frozen=True)
class SecretHolders:
    """One kind: where the API has them, what they are called, and where the secret belongs and comes from."""

    path: str
    model: type[Settings]
    member: str
    prompt: str
    variable: str

    def place(self, name: str) -> str:
        """Where one is."""
        return f"{self.path}/{quote(name, safe='')}"

    def add(self, session: Session, name: str, pairs: Sequence[str] | None, file: Path | None, *, ask: bool) -> None:
        """Make one."""
        body = {"name": name, **values.settings(self.model, pairs or ()), **self._secret(file, ask)}
        session.report(session.write("POST", self.path, body), f"{self.model.noun} {name} made")

    def change(self, session: Session, name: str, pairs: Sequence[str] | None, file: Path | None, *, ask: bool) -> None:
        """Change one; the secret stays unless another is given."""
        body = {**values.settings(self.model, pairs or ()), **self._secret(file, ask)}
        session.report(session.write("PATCH", self.place(name), body), f"{self.model.noun} {name} changed")

    def remove(self, session: Session, name: str) -> None:
        """Remove one."""
        session.report(session.write("DELETE", self.place(name)), f"{self.model.noun} {name} removed")

    def _secret(self, file: Path | None, ask: bool) -> dict[str, str]:
        found = getpass(f"{self.prompt}: ") if ask else read_secret(file, self.variable)
        return {} if found is None else {self.member: found}
