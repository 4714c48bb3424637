"""Which application answers a path: the interfaces for programs keep theirs, everything else is the web interface's."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

#: "/accessv2" is a prefix with anything behind it, LoadMaster's own pages begin with "/progs", and its clients look for
#: an interface of another of its products, which tells them that this is none
_OF_PROGRAMS = ("/access/", "/accessv2", "/access360/", "/api/", "/metrics", "/progs/")


def by_path(programs: ASGIApp, people: ASGIApp) -> ASGIApp:
    """An application in front of both."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        of_programs = scope["type"] == "http" and scope["path"].startswith(_OF_PROGRAMS)
        await (programs if of_programs else people)(scope, receive, send)

    return choose
