"""What comes as a file or as pasted text."""

from __future__ import annotations

from pathlib import PurePath

from starlette.datastructures import UploadFile

from steelyard.model.errors import OperatorError
from steelyard.web.frame import Visit


async def uploaded(visit: Visit) -> tuple[bytes, str]:
    """The content that was sent, by file or as text, and the file's name. Raises `OperatorError`."""
    file, text = visit.form.get("file"), visit.field("pasted")
    content, name = b"", ""
    if isinstance(file, UploadFile) and file.filename:
        content, name = await file.read(), file.filename
    if bool(content.strip()) == bool(text.strip()):
        said = "Both a file and pasted text were sent" if content else "Nothing was sent"
        raise OperatorError(said, field="file", remedy="Choose a file, or paste its text, not both")
    return (content, name) if content else (text.encode(), "")


def name_from(file: str) -> str:
    """What a certificate is called when nobody says it: as its file."""
    stem = PurePath(file.replace("\\", "/")).stem
    if not stem:
        raise OperatorError("The certificate needs a name", field="name", remedy="Name it, for example by its host")
    return "".join(character if character.isalnum() or character in ".-_" else "-" for character in stem)
