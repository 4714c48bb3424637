"""Signing in and out, and the change of one's own password."""

from __future__ import annotations

import json
import logging
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from steelyard.model.commands import ChangeOwnPassword
from steelyard.model.errors import SteelyardError
from steelyard.model.severity import Severity
from steelyard.model.user import User
from steelyard.observe.events.event import Event, one_line
from steelyard.web.frame import COOKIE, Site, Visit, find_session, frame_context, page
from steelyard.web.wording import duration, moment, plural

log = logging.getLogger("steelyard.web")

_LONGEST_NAME, _LONGEST_PASSWORD = 64, 1024
_NOTE = "signed in "
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
    # a name that cannot be one is counted for its address alone
    known_as = name if 0 < len(name) <= _LONGEST_NAME and name.isprintable() else "?"
    locked = site.guessing.locked_for(known_as, address, now, parameters.failed_sign_ins)
    if locked:
        log.warning("sign-in of %r from %s refused: locked for %d s more", known_as, address, locked)
        said = f"Too many wrong passwords. Nobody can sign in as this user from your address for {duration(locked)}."
        return _form(request, said=said, following=following, user=known_as, status=429)
    user = None
    if len(password) <= _LONGEST_PASSWORD:
        user = await run_in_threadpool(site.appliance.authenticate, name, password)
    if user is None and name not in site.appliance.snapshot().configuration.users:
        # as much work as for a user there is, so that the time tells nobody which names there are
        await run_in_threadpool(site.appliance.hash_password, "no such user")
    if user is None:
        return _refused(request, site, known_as, address, following, parameters.failed_sign_ins)
    site.guessing.succeeded(name, address)
    # a browser that had a session gets a new token, never the old one
    site.sessions.end(request.cookies.get(COOKIE, ""))
    token, session = site.sessions.begin(user, address, now, most_of_user=parameters.concurrent_sessions)
    session.before = _noted(site, user, address, now)
    if session.before:
        session.say(session.before, "info")
    log.info("%s signed in from %s", user.name, address)
    answer = RedirectResponse(inside(following), 303)
    answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="strict", path="/")
    return answer


def _refused(request: Request, site: Site, name: str, address: str, following: str, most: int) -> Response:
    now = time.time()
    log.warning("sign-in of %r from %s refused: user or password is wrong", name, address)
    _count_failure(site, name)
    if not site.guessing.failed(name, address, now, most):
        return _form(request, said=_WRONG, following=following, user=name, status=401)
    left = site.guessing.locked_for(name, address, now, most)
    log.warning("locked after wrong passwords: %r from %s for %d s", name, address, left)
    text = f"Too many wrong passwords for user {name} from {address}; locked for {duration(left)}"
    site.appliance.events().publish(Event("sign_in_locked", Severity.WARN, one_line(text), now, about=address))
    said = f"{_WRONG} That was once too often: nobody can sign in as this user from your address for {duration(left)}."
    return _form(request, said=said, following=following, user=name, status=429)


def _notes(site: Site, name: str) -> dict[str, str]:
    """What is known of the last sign-in of a user."""
    kept = site.appliance.events().log.notes(_NOTE + name).get(_NOTE + name)
    found: dict[str, str] = json.loads(kept) if kept else {}
    return found


def _count_failure(site: Site, name: str) -> None:
    if name in site.appliance.snapshot().configuration.users:
        notes = _notes(site, name)
        notes["failures"] = str(int(notes.get("failures", "0")) + 1)
        site.appliance.events().log.note({_NOTE + name: json.dumps(notes)})


def _noted(site: Site, user: User, address: str, now: float) -> str:
    """Keep this sign-in; says what is known of the one before, empty at the first."""
    before = _notes(site, user.name)
    site.appliance.events().log.note({_NOTE + user.name: json.dumps({"at": str(now), "from": address})})
    failures = int(before.get("failures", "0"))
    wrong = f" {plural(failures, 'failed attempt')} since then." if failures else ""
    if "at" not in before:
        return wrong and f"First sign-in.{wrong}"
    return f"Last sign-in: {moment(float(before['at']))} from {before['from']}.{wrong}"


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
    parameters = visit.snapshot.configuration.administration
    now, address = time.time(), visit.session.address
    if visit.site.guessing.locked_for(visit.user.name, address, now, parameters.failed_sign_ins):
        errors["old"] = "Too many wrong passwords. Wait ten minutes."
    elif await run_in_threadpool(visit.appliance.authenticate, visit.user.name, old) is None:
        visit.site.guessing.failed(visit.user.name, address, now, parameters.failed_sign_ins)
        errors["old"] = "This is not your present password."
    elif new == old:
        errors["new"] = "Choose another one than the present password."
    elif new != again:
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
