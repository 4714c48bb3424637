"""Document migrations: one pure function for each step of the schema version.

Every stored document, in the current objects and in history, is always of the schema this program knows: a rollback to
a revision from before an upgrade needs no special case. Version 1 is the first; steps[0] leads from 1 to 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from steelyard.model.errors import InternalError
from steelyard.store.contract import Document

#: (kind, document) -> document of the next version. Returns the document itself for kinds it does not concern.
Step = Callable[[str, Document], Document]


@dataclass(frozen=True, slots=True)
class Schema:
    """The steps known to a program; its version follows from them."""

    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        return 1 + len(self.steps)

    def migrate(self, kind: str, document: Document, version: int) -> Document:
        """The document, brought from `version` to this schema's. `InternalError` names the step that failed."""
        for reached, step in enumerate(self.steps[version - 1 :], start=version + 1):
            try:
                document = step(kind, document)
            except Exception as failure:
                # The cause goes to the log; its words may quote the document.
                raise InternalError(f"A {kind} document cannot be migrated to schema {reached}") from failure
        return document


CURRENT = Schema()
