"""Signing in and out, and the change of one's own password."""

from __future__ import annotations

import logging
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from steelyard.appliance.admission import Door, LockedOut
from steelyard.appliance.sign_in_notes import SignIns
from steelyard.model.commands import ChangeOwnPassword
from steelyard.model.errors import SteelyardError
from steelyard.model.first_start import CLOSED
from steelyard.web.frame import COOKIE, Site, Visit, find_session, frame_context, page
from steelyard.web.wording import duration, moment, plural

log = logging.getLogger("steelyard.web")

_DOOR: Door = "web interface"
_WRONG = "User or password is wrong."


def address_of(request: Request) -> str:
    """The address a request comes from."""
    return request.client.host if request.client is not None else "unknown"


def inside(path: str) -> str:
    """A path of this site to go on to; anything else, another host above all, is the home page."""
    fits = path.startswith("/") and not path.startswith(("//", "/\\")) and all(letter >= " " for letter in path)
    return path if fits else "/"


async def show(request: Request) -> Response:
    """The sign-in page."""
    if find_session(request, touch=False) is not None:
        return RedirectResponse(inside(request.query_params.get("next", "/")), 303)
    said = ""
    if request.query_params.get("lost"):
        said = "Your session has ended, so what you sent was not carried out. Sign in and repeat it."
    elif COOKIE in request.cookies:
        said = "Your session has ended. Sign in to go on where you were."
    return _form(request, said=said, following=request.query_params.get("next", "/"))


def _form(request: Request, *, said: str = "", following: str = "/", user: str = "", status: int = 200) -> HTMLResponse:
    site: Site = request.app.state.site
    context = {
        **frame_context(request, None),
        "said": said,
        "kind": "down" if status != 200 else "info",
        "following": inside(following),
        "user": user,
        "banner": site.appliance.snapshot().configuration.administration.banner,
        "first_start": site.appliance.snapshot().configuration.first_step in CLOSED,
    }
    return HTMLResponse(site.templates.get_template("sign_in.html").render(context), status)


async def sign_in(request: Request) -> Response:
    """Check user and password; a session begins, or the failure counts."""
    site: Site = request.app.state.site
    form = await request.form(max_fields=10, max_files=0, max_part_size=8192)
    name, password, following = (str(form.get(key, "")) for key in ("user", "password", "next"))
    address, now = address_of(request), time.time()
    parameters = site.appliance.snapshot().configuration.administration
    if parameters.banner and not form.get("accepted"):
        return _form(request, said="Accept the text first.", following=following, user=name, status=422)
    try:
        user = await site.appliance.admission.admit(name, password, address, _DOOR)
    except LockedOut as locked:
        said = (
            "Too many wrong passwords. "
            f"Nobody can sign in as this user from your address for {duration(locked.seconds)}."
        )
        return _form(request, said=said, following=following, user=name, status=429)
    if user is None:
        return _form(request, said=_WRONG, following=following, user=name, status=401)
    # a browser that had a session gets a new token, never the old one
    site.sessions.end(request.cookies.get(COOKIE, ""))
    token, session = site.sessions.begin(user, address, now, most_of_user=parameters.concurrent_sessions)
    session.before = _said_of(site.appliance.admission.notes.signed_in(user.name, address, now))
    if session.before:
        session.say(session.before, "info")
    log.info("%s signed in from %s", user.name, address)
    answer = RedirectResponse(inside(following), 303)
    answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="strict", path="/")
    return answer


def _said_of(before: SignIns) -> str:
    """What the one who signs in is told of the sign-in before; empty at the first."""
    wrong = f" {plural(before.failures, 'failed attempt')} since then." if before.failures else ""
    if before.at is None:
        return wrong and f"First sign-in.{wrong}"
    return f"Last sign-in: {moment(before.at)} from {before.address}.{wrong}"


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    visit.site.sessions.end(visit.request.cookies.get(COOKIE, ""))
    log.info("%s signed out", visit.user.name)
    answer = RedirectResponse(visit.url("sign-in"), 303)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict", path="/")
    return answer


async def show_password(visit: Visit) -> Response:
    """The page to change one's own password."""
    return visit.render("change_password.html", following=inside(visit.query("next", "/")), errors={})


async def change_password(visit: Visit) -> Response:
    """Change it; other sessions of the user end."""
    old, new, again = (visit.field(name) for name in ("old", "new", "again"))
    following = inside(visit.field("next", "/"))
    errors: dict[str, str] = {}
    now, address = time.time(), address_of(visit.request)
    try:
        if await visit.appliance.admission.admit(visit.user.name, old, address, _DOOR) is None:
            errors["old"] = "This is not your present password."
    except LockedOut as locked:
        errors["old"] = f"Too many wrong passwords. Wait {duration(locked.seconds)}."
    if not errors and new == old:
        errors["new"] = "Choose another one than the present password."
    elif not errors and new != again:
        errors["again"] = "The two new passwords differ."
    if not errors:
        try:
            hashed = await run_in_threadpool(visit.appliance.hash_password, new)
        except SteelyardError as refusal:
            errors["new"] = f"{refusal.message}."
        else:
            outcome = await visit.execute(ChangeOwnPassword(visit.user.name, hashed))
            visit.site.sessions.end_all_of(visit.user.name)
            user = outcome.configuration.users[visit.user.name]
            token, session = visit.site.sessions.begin(user, address, now)
            session.say("Your password was changed. Other sessions of yours have ended.")
            answer = RedirectResponse(following, 303)
            answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="strict", path="/")
            return answer
    return visit.render("change_password.html", following=following, errors=errors, status=422)


ROUTES = [
    Route("/sign-in", show, name="sign-in", methods=["GET"]),
    Route("/sign-in", sign_in, name="begin-session", methods=["POST"]),
    page("/sign-out", sign_out, name="sign-out", methods=("POST",)),
    page("/password", show_password, name="change-password"),
    page("/password", change_password, name="change-password", methods=("POST",)),
]
