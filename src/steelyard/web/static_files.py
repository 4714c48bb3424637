"""Files that never change while the process runs. Their address holds a digest of all of them, so browsers keep them.

One digest for the whole folder lets style sheets name fonts by relative addresses.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

FOLDER = Path(__file__).parent / "static"
_FOR_EVER = "public, max-age=31536000, immutable"
#: mimetypes asks the host's tables, which differ
_TYPES = {".css": "text/css", ".js": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}


class StaticFiles:
    """The vendored and own files below `static/`."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files = {
            path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
        }
        summed = hashlib.sha256()
        for name, path in self._files.items():
            summed.update(name.encode() + b"\0" + path.read_bytes())
        self.digest = summed.hexdigest()[:16]

    def address(self, name: str) -> str:
        """The address of a file. Raises `KeyError` when there is none of that name."""
        return f"/static/{self.digest}/{self._files[name].relative_to(self._folder).as_posix()}"

    async def serve(self, request: Request) -> Response:
        """A file; 404 for another digest, so that an old page never mixes with new files."""
        path = self._files.get(request.path_params["name"])
        if path is None or request.path_params["digest"] != self.digest:
            raise HTTPException(404)
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        return FileResponse(path, media_type=kind, headers={"Cache-Control": _FOR_EVER})
