"""The first start: licence, a password of one's own, addresses. Then Home.

What is done is in the configuration, so it goes on where it was, in another browser or after a restart. The gate leads
every other page here until licence and password are done; addresses may be left as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from steelyard.appliance.licence import NAME, OTHERS, licence_text
from steelyard.appliance.network_setup import set_up_network
from steelyard.model.commands import AcceptLicence, ChangeOwnPassword, FinishFirstStart, SetUpNetwork
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks, OperatorError, SteelyardError
from steelyard.model.network import HostParameters, Interface
from steelyard.model.setting import Settings
from steelyard.model.user import ADMINISTRATOR
from steelyard.observe.known_interfaces import taken_over
from steelyard.observe.network_sides import NetworkSides, Side, network_sides, unknown_interfaces
from steelyard.observe.network_state import NetworkState
from steelyard.web.forms.making import complaints_of
from steelyard.web.frame import COOKIE, FIRST_START, Visit, page

_TITLES: Mapping[str, str] = {"licence": "Licence", "password": "Password", "addresses": "Addresses"}
#: fields of the form for addresses; those in `_SEVERAL` are words separated by blanks
_FIELDS = ("network_address", "farm_address", "default_gateway", "name_servers", "search_domains", "host_name")
_SEVERAL = frozenset({"name_servers", "search_domains"})


@dataclass(frozen=True)
class Step:
    """One of the steps at the head of each page."""

    title: str
    number: int
    state: str


def _steps(now: str) -> list[Step]:
    names = list(_TITLES)
    return [
        Step(title, number + 1, "now" if name == now else "done" if number < names.index(now) else "later")
        for number, (name, title) in enumerate(_TITLES.items())
    ]


def _elsewhere(visit: Visit, step: str) -> Response | None:
    """Where this step is not the one to be done: that one, or Home."""
    due = visit.snapshot.configuration.first_step
    if due == step:
        return None
    return RedirectResponse(visit.url(FIRST_START[due]) if due else visit.url("home"), 303)


# -------------------- licence


async def licence(visit: Visit) -> Response:
    """The text, to be accepted."""
    return _elsewhere(visit, "licence") or await _licence(visit)


async def _licence(visit: Visit, *, error: str = "", status: int = 200) -> Response:
    text = await run_in_threadpool(licence_text)
    return visit.render(
        "first_start/licence.html",
        steps=_steps("licence"),
        name=NAME,
        text=text,
        others=OTHERS,
        error=error,
        status=status,
    )


async def accept_licence(visit: Visit) -> Response:
    """Accept it."""
    moved = _elsewhere(visit, "licence")
    if moved is not None:
        return moved
    if not visit.field("accepted"):
        return await _licence(visit, error="Accept the licence to go on.", status=422)
    outcome = await visit.execute(AcceptLicence())
    due = outcome.configuration.first_step
    return visit.go(FIRST_START[due]) if due else visit.go("home")


# -------------------- password


async def password(visit: Visit) -> Response:
    """A new password. Who is here has just signed in with the one for one time, so that is not asked for again."""
    _require_administrator(visit)
    return _elsewhere(visit, "password") or _password(visit, {})


def _require_administrator(visit: Visit) -> None:
    """It is the administrator's password that is due, whoever else there may be already."""
    if visit.user.name != ADMINISTRATOR:
        raise OperatorError(f"{ADMINISTRATOR} has to choose a password first", field="permission")


def _password(visit: Visit, errors: Mapping[str, str], status: int = 200) -> Response:
    return visit.render("first_start/password.html", steps=_steps("password"), errors=errors, status=status)


async def set_password(visit: Visit) -> Response:
    """Set it; a new session goes on."""
    _require_administrator(visit)
    moved = _elsewhere(visit, "password")
    if moved is not None:
        return moved
    new, again = visit.field("new"), visit.field("again")
    errors: dict[str, str] = {}
    if new != again:
        errors["again"] = "The two passwords differ."
    elif await visit.appliance.admission.has(visit.user, new):
        errors["new"] = "Choose another one than the password for one time."
    else:
        try:
            hashed = await run_in_threadpool(visit.appliance.hash_password, new)
        except SteelyardError as refusal:
            errors["new"] = f"{refusal.message}."
    if errors:
        return _password(visit, errors, 422)
    outcome = await visit.execute(ChangeOwnPassword(visit.user.name, hashed))
    visit.site.sessions.end_all_of(visit.user.name)
    token, _ = visit.site.sessions.begin(
        outcome.configuration.users[visit.user.name], visit.session.address, time.time()
    )
    answer = RedirectResponse(visit.url("first-addresses"), 303)
    answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="strict", path="/")
    return answer


# -------------------- addresses


@dataclass(frozen=True)
class Addresses:
    """The page of addresses: what is there, what was typed, what is wrong with it, and why nothing may be typed."""

    sides: NetworkSides | None
    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
    complaint: str = ""
    #: why the network cannot be set here
    barred: str = ""
    remedy: str = ""
    manage: bool = False


async def addresses(visit: Visit) -> Response:
    """The addresses as they are, to be kept or changed."""
    moved = _elsewhere(visit, "addresses")
    return moved if moved is not None else _addresses(visit, await _present(visit))


def _addresses(visit: Visit, shown: Addresses, status: int = 200) -> Response:
    return visit.render(
        "first_start/addresses.html",
        steps=_steps("addresses"),
        shown=shown,
        waiting=visit.appliance.network_waiting(),
        here=visit.request.url.hostname or "",
        status=status,
    )


async def _present(visit: Visit) -> Addresses:
    try:
        state = await visit.appliance.network()
    except HostLacks as failure:
        return Addresses(None, {}, barred=failure.message, remedy=failure.remedy)
    configuration = visit.snapshot.configuration
    sides = network_sides(state, configuration)
    values = {
        "network_address": sides.network.address if sides.network else "",
        "farm_address": sides.farm.address if sides.farm else "",
        "default_gateway": sides.default_gateway,
        "name_servers": " ".join(sides.name_servers),
        "search_domains": " ".join(sides.search_domains),
        "host_name": sides.host_name,
    }
    barred, remedy = await _barred(visit, state, sides)
    return Addresses(sides, values, barred=barred, remedy=remedy, manage=sides.managed)


async def _barred(visit: Visit, state: NetworkState, sides: NetworkSides) -> tuple[str, str]:
    """Why the network cannot be set here, and what to do about it."""
    if sides.network is None:
        return "This host has no network interface.", ""
    if sides.managed:
        return "", ""
    try:
        await visit.preview(taken_over(state))
    except HostLacks as failure:
        return f"The host owns its network. {failure.message}.", failure.remedy
    except SteelyardError as failure:
        return f"The network cannot be taken over as it is: {failure.message}.", ""
    return "", ""


async def set_addresses(visit: Visit) -> Response:
    """Apply what was typed, or leave all as it is; then the first start is over, unless a change waits to be kept."""
    moved = _elsewhere(visit, "addresses")
    if moved is not None:
        return moved
    if visit.field("do") == "apply":
        answer = await _apply(visit)
        if answer is not None:
            return answer
    await visit.execute(FinishFirstStart())
    visit.session.say("Steelyard is set up.")
    return visit.go("home")


async def _apply(visit: Visit) -> Response | None:
    """The page again, when something is wrong or waits; None when all is done."""
    present = await _present(visit)
    typed = {name: visit.field(name).strip() for name in _FIELDS}
    manage = present.manage or bool(visit.field("manage"))
    if present.sides is None or present.sides.network is None or present.barred:
        return _addresses(visit, present, 422)
    if all(typed[name] == present.values[name] for name in _FIELDS) and manage == present.manage:
        return None
    if not manage:
        said = {"manage": "Tick this, or leave the addresses as they are."}
        return _addresses(visit, Addresses(present.sides, typed, said), 422)
    command = _command(
        await visit.appliance.network(), visit, present.sides.network, present.sides.farm, typed, present
    )
    try:
        await set_up_network(visit.appliance, command, visit.actor, reason="first start")
    except (OperatorError, ConflictError, EngineRefused, HostLacks) as failure:
        if isinstance(failure, OperatorError) and failure.field == "permission":
            raise
        return _addresses(visit, _refused(present, typed, failure), 422)
    return visit.go("first-addresses") if visit.appliance.network_waiting() is not None else None


def _command(
    state: NetworkState, visit: Visit, network: Side, farm: Side | None, typed: Mapping[str, str], present: Addresses
) -> SetUpNetwork:
    def changed(name: str) -> str | None:
        return typed[name] if typed[name] != present.values[name] else None

    configuration = visit.snapshot.configuration
    host: dict[str, Any] = {
        name: tuple(typed[name].replace(",", " ").split()) if name in _SEVERAL else typed[name]
        for name in ("name_servers", "search_domains", "host_name")
        if changed(name) is not None
    }
    farm_side = farm.interface if farm is not None and changed("farm_address") is not None else ""
    return SetUpNetwork(
        network_side=network.interface,
        network_address=changed("network_address"),
        farm_side=farm_side,
        farm_address=changed("farm_address"),
        gateway=changed("default_gateway"),
        host=host,
        found=unknown_interfaces(state, configuration, (network.interface, farm_side)),
        take_over=None if configuration.host.managed else taken_over(state),
    )


def _refused(present: Addresses, typed: Mapping[str, str], failure: SteelyardError) -> Addresses:
    """What was typed, with the refusal at its field where there is one."""
    name = str(getattr(failure, "field", ""))
    name = "default_gateway" if name == "default_gateway6" else name
    model: type[Settings] = HostParameters
    if isinstance(failure, OperatorError) and name in ("network_address", "farm_address"):
        model, failure.field = Interface, "address"
    at_field, above = complaints_of(model, failure, shown=lambda _: name in _FIELDS)
    complaint = next(iter(at_field.values()), above)
    said = ""
    if complaint is not None:
        allowed = f"Allowed: {complaint.allowed}" if complaint.allowed not in complaint.message else ""
        said = ". ".join(part.rstrip(".") for part in (complaint.message, allowed, complaint.remedy) if part) + "."
    return Addresses(
        present.sides,
        typed,
        {name: said} if name in _FIELDS else {},
        complaint="" if name in _FIELDS else said,
        manage=True,
    )


ROUTES = [
    page("/first-start/licence", licence, name="first-licence"),
    page("/first-start/licence", accept_licence, name="first-licence", methods=("POST",)),
    page("/first-start/password", password, name="first-password"),
    page("/first-start/password", set_password, name="first-password", methods=("POST",)),
    page("/first-start/addresses", addresses, name="first-addresses"),
    page("/first-start/addresses", set_addresses, name="first-addresses", methods=("POST",)),
]
