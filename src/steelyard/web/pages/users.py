"""Users: who may change what, passwords, and one's own API keys."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from steelyard.model.commands import (
    AddApiKey,
    AddUser,
    Batch,
    ChangePassword,
    Command,
    RemoveApiKey,
    RemoveUser,
    SetPermissions,
)
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.user import ADMINISTRATOR, PERMISSIONS, User
from steelyard.web.confirming import Question, confirmed
from steelyard.web.frame import Visit, page

_BOTH = ("GET", "POST")
#: characters of an API key that tell its owner which one it is
_HINT = 6
#: what LoadMaster's words mean
_MEANINGS = {
    "real": "add, change, enable and disable real servers",
    "vs": "change and remove virtual services",
    "addvs": "add virtual services",
    "rules": "content rules",
    "backup": "back up and restore the configuration",
    "certs": "import, replace and remove certificates",
    "cert3": "intermediate certificates",
    "certbackup": "back up certificates with their keys",
    "users": "users without All Permissions",
    "root": "everything",
    "geo": "global balancing",
}


async def users(visit: Visit) -> Response:
    """Everybody who may sign in."""
    found = list(visit.snapshot.configuration.users.values())
    return visit.render(
        "pages/users.html", users=found, words=PERMISSIONS, administrator=ADMINISTRATOR, may=visit.may("users")
    )


async def add_user(visit: Visit) -> Response:
    """Make a user with a password to begin with."""
    return await _edit(visit, None)


async def modify_user(visit: Visit) -> Response:
    """Permissions, and another password."""
    return await _edit(visit, visit.snapshot.configuration.user(visit.request.path_params["name"]))


@dataclass(frozen=True)
class _Typed:
    """What stands in the form, but for passwords."""

    name: str = ""
    permissions: tuple[str, ...] = ()
    one_time: bool = True


async def _edit(visit: Visit, user: User | None) -> Response:
    typed = _Typed() if user is None else _Typed(user.name, user.permissions)
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        permissions = tuple(one for one in PERMISSIONS if visit.field(f"permission-{one}"))
        typed = _Typed(visit.field("name").strip(), permissions, bool(visit.field("one_time")))
        try:
            said = await _carried_out(visit, user, typed)
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
        else:
            visit.session.say(said)
            return visit.go("users")
    return visit.render(
        "pages/user.html",
        user=user,
        given=typed,
        permissions=[(key, words, _MEANINGS[key]) for key, words in PERMISSIONS.items()],
        administrator=ADMINISTRATOR,
        failure=failure,
        status=200 if failure is None else 422,
    )


async def _carried_out(visit: Visit, user: User | None, typed: _Typed) -> str:
    password, again = visit.field("password"), visit.field("again")
    if password != again:
        raise OperatorError("The two passwords differ", field="again", remedy="Type the same one twice")
    if user is None:
        hashed = await run_in_threadpool(visit.appliance.hash_password, password)
        await visit.execute(AddUser(typed.name, hashed, typed.permissions, one_time=typed.one_time))
        return f"User {typed.name} was added."
    commands: list[Command] = []
    if user.name != ADMINISTRATOR and set(typed.permissions) != set(user.permissions):
        commands.append(SetPermissions(user.name, typed.permissions))
    if password:
        commands.append(ChangePassword(user.name, await run_in_threadpool(visit.appliance.hash_password, password)))
    if not commands:
        raise OperatorError("Nothing is changed", field="permissions", remedy="Change permissions or type a password")
    await visit.execute(commands[0] if len(commands) == 1 else Batch(tuple(commands)))
    return f"User {user.name} was changed."


async def remove_user(visit: Visit) -> Response:
    """Ask, and remove a user with all API keys."""
    name = visit.request.path_params["name"]
    back = visit.url("users")
    question = Question(f"Delete user {name}?", "Delete", back, back, f"User {name} was deleted")
    return await confirmed(visit, RemoveUser(name), question)


async def api_keys(visit: Visit) -> Response:
    """One's own keys; a new one is shown this once."""
    user = visit.snapshot.configuration.user(visit.user.name)
    made = ""
    if visit.request.method == "POST":
        remove = visit.field("remove")
        if remove:
            await visit.execute(RemoveApiKey(user.name, remove))
            visit.session.say("The API key is no longer valid.")
            return visit.go("api-keys")
        made, digest, kept = visit.appliance.new_api_key()
        await visit.execute(AddApiKey(user.name, digest, kept))
        user = visit.appliance.snapshot().configuration.user(user.name)
    keys = [(key_id, key[:_HINT]) for key_id, key in zip(user.api_keys, visit.appliance.api_keys(user), strict=True)]
    return visit.render("pages/api_keys.html", keys=keys, made=made)


ROUTES = [
    page("/users", users, name="users"),
    page("/users/add", add_user, name="add-user", belongs="users", methods=_BOTH),
    page("/users/of/{name}", modify_user, name="user", belongs="users", methods=_BOTH),
    page("/users/of/{name}/remove", remove_user, name="remove-user", belongs="users", methods=_BOTH),
    page("/api-keys", api_keys, name="api-keys", belongs="users", methods=_BOTH),
]
