"""The logs of the edge filter: who was let in, who was refused and why."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.responses import Response

from steelyard.observe.edge_events import KINDS, Kind
from steelyard.observe.edge_files import KEPT, EdgeFiles
from steelyard.web.frame import Visit, page

#: lines of a page; a search looks at the newest so many
_LINES, _SEARCHED = 200, 10_000
_TITLES: dict[Kind, tuple[str, str]] = {
    "connection": ("Connection", "Connections, with what became of them"),
    "security": ("Security", "Requests that were refused, and why"),
    "user": ("User", "Who asked for what"),
}


@dataclass(frozen=True)
class LogFile:
    """One file."""

    name: str
    size: int
    at: float


def _files(files: EdgeFiles, kind: Kind) -> list[LogFile]:
    found = []
    for number in range(KEPT):
        path = files.path(kind, number)
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append(LogFile(path.name, status.st_size, status.st_mtime))
    return found


def _kind(visit: Visit) -> Kind:
    return next((one for one in KINDS if one == visit.query("kind")), "security")


async def edge_logs(visit: Visit) -> Response:
    """The last lines of a log, those that hold some words, and its files."""
    kind, words = _kind(visit), visit.query("q").strip()
    files = visit.appliance.edge_files()
    lines = await asyncio.to_thread(files.tail, kind, _SEARCHED if words else _LINES)
    wanted = words.lower().split()
    fitting = [line for line in lines if all(word in line.lower() for word in wanted)]
    logging = [one for one in visit.snapshot.configuration.services.values() if one.esp_logs]
    return visit.render(
        "pages/edge_logs.html",
        kind=kind,
        kinds=[(one, _TITLES[one][0]) for one in KINDS],
        about=_TITLES[kind][1],
        words=words,
        lines=fitting[-_LINES:],
        more=len(fitting) > _LINES or len(lines) >= (_SEARCHED if words else _LINES),
        files=await asyncio.to_thread(_files, files, kind),
        logging=logging,
    )


async def download(visit: Visit) -> Response:
    """The files of a log as an archive."""
    kind = _kind(visit)
    content = await asyncio.to_thread(visit.appliance.edge_files().archive, (kind,))
    name = f"edge-{kind}-{visit.site.host_name()}-{datetime.now(UTC):%Y-%m-%d}.tar.gz"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type="application/gzip", headers=headers)


ROUTES = [
    page("/events/edge-logs", edge_logs, name="edge-logs", belongs="events"),
    page("/events/edge-logs/download", download, name="download-edge-logs", belongs="events"),
]
