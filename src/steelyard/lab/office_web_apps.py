"""Office Web Apps: discovery for the pool, and presentations that lie in the memory of the server they began at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from steelyard.lab.http import Answer, Headers, Request, said
from steelyard.lab.memory import Memory, new_identifier
from steelyard.lab.organisation import Organisation

DISCOVERY_PATH = "/hosting/discovery"
PRESENTATION_PATH = "/p/presentations"
_ONE = re.compile(r"^/p/presentations/([0-9a-f]+)(?:/slides/(\d+))?$")


@dataclass(frozen=True)
class OfficeWebAppsSite:
    """The pages of one server of the farm."""

    server: str
    organisation: Organisation
    memory: Memory

    async def __call__(self, request: Request) -> Answer:
        answer = self._answer(request)
        return Answer(answer.status, answer.body, answer.media, (("X-Lab-Server", self.server), *answer.headers))

    def _told(self, request: Request, status: int = 200, headers: Headers = (), **more: Any) -> Answer:
        return said(request.seen() | {"role": "office-web-apps"} | more, status, headers)

    def _answer(self, request: Request) -> Answer:
        path = request.path.lower().rstrip("/")
        if path == DISCOVERY_PATH:
            return self._discovery()
        if path == PRESENTATION_PATH and request.method == "POST":
            presentation = new_identifier()
            self.memory.presentations[presentation] = 0
            return self._told(request, 201, presentation=presentation)
        matched = _ONE.match(path)
        if matched is None:
            return self._told(request, 200 if path in ("", "/lab/seen") else 404)
        presentation, slide = matched.groups()
        if presentation not in self.memory.presentations:
            error = f"{self.server} has no presentation {presentation}"
            return self._told(request, 410, presentation=presentation, error=error)
        self.memory.presentations[presentation] += 1
        return self._told(request, presentation=presentation, slide=int(slide or 0))

    def _discovery(self) -> Answer:
        base = self.organisation.ports.url(self.organisation.office_web_apps)
        actions = "".join(
            f"<action name={quoteattr(name)} ext={quoteattr(ext)} urlsrc={quoteattr(base + path)}/>"
            for name, ext, path in (
                ("present", "pptx", "m/Presenter.aspx"),
                ("attend", "pptx", "m/ParticipantFrame.aspx"),
                ("view", "docx", "wv/wordviewerframe.aspx"),
            )
        )
        body = '<?xml version="1.0" encoding="utf-8"?><wopi-discovery><net-zone name="external-https">'
        body += f'<app name="PowerPoint" checkLicense="true">{actions}</app></net-zone></wopi-discovery>'
        return Answer(200, body.encode(), "text/xml; charset=utf-8")
