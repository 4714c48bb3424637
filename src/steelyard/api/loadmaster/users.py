"""Commands on users and API keys (`reference/loadmaster-api/09`, 9.2 and 01, 1.3)."""

from __future__ import annotations

import hashlib

from starlette.concurrency import run_in_threadpool

from steelyard.api.loadmaster.answers import Answer, Data, Items, Message, Record
from steelyard.api.loadmaster.authentication import DOOR
from steelyard.api.loadmaster.call import READ, Call, Entry
from steelyard.api.loadmaster.failures import Refusal, missing, not_built
from steelyard.model.commands import AddApiKey, AddUser, ChangePassword, RemoveApiKey, RemoveUser, SetPermissions
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.user import ADMINISTRATOR, User


def _record(user: User) -> Record:
    return {"Name": user.name, "Perms": "root" if user.name == ADMINISTRATOR else ",".join(user.permissions)}


def _refuse_remote(call: Call, *names: str) -> None:
    for name in names:
        if call.parameters.flag(name):
            raise not_built(f"Parameter {name}")


async def userlist(call: Call) -> Answer:
    """Local users; the built-in administrator is not one of them."""
    users = call.configuration.users.values()
    return Data({"User": tuple(_record(user) for user in users if user.name != ADMINISTRATOR)})


async def usershow(call: Call) -> Answer:
    """One user: under `User` in v1, members at top level in v2."""
    record = _record(call.configuration.user(call.parameters.required("user")))
    if call.version == 2:
        return Data(record)
    return Data({"User": record})


async def useraddlocal(call: Call) -> Answer:
    """Make a user."""
    name = call.parameters.required("user")
    _refuse_remote(call, "radius", "nopass")
    password = call.parameters.text("password")
    if not password:
        raise missing("password")
    if name in call.configuration.users:
        raise ConflictError("User already exists.", field="user", with_what=name)
    await call.execute(AddUser(name, await run_in_threadpool(call.appliance.hash_password, password)))
    return Message()


async def userdellocal(call: Call) -> Answer:
    """Remove a user."""
    await call.execute(RemoveUser(call.parameters.required("user")))
    return Message()


async def userchangelocpass(call: Call) -> Answer:
    """Give a local user another password; the administrator's is changed by usersetsyspassword alone."""
    name = call.parameters.required("user")
    _refuse_remote(call, "radius")
    password = call.parameters.text("password")
    if not password:
        raise missing("password")
    call.configuration.user(name)
    if name == ADMINISTRATOR:
        raise OperatorError(f"The password of {name} is changed by usersetsyspassword", field="user")
    await call.execute(ChangePassword(name, await run_in_threadpool(call.appliance.hash_password, password)))
    return Message()


async def usersetperms(call: Call) -> Answer:
    """Replace a user's permissions; an empty list takes all away."""
    name = call.parameters.required("user")
    given = call.parameters.raw("perms")
    if given is None:
        raise missing("perms")
    words = given if isinstance(given, list) else str(given).replace(",", " ").split()
    await call.execute(SetPermissions(name, tuple(str(word).strip().lower() for word in words)))
    return Message()


async def usersetsyspassword(call: Call) -> Answer:
    """Change the administrator's password; the current one must be given."""
    current, password = call.parameters.text("currpassword"), call.parameters.text("password")
    if not current:
        raise missing("currpassword")
    if not password:
        raise missing("password")
    if await call.appliance.admission.admit(ADMINISTRATOR, current, call.address, DOOR) is None:
        raise OperatorError("The current password is wrong", field="currpassword")
    await call.execute(ChangePassword(ADMINISTRATOR, await run_in_threadpool(call.appliance.hash_password, password)))
    return Message()


def _keys(call: Call, user: User) -> Data:
    return Data({"apikeys": Items("key", tuple(call.appliance.api_keys(user)))})


def _owner(call: Call) -> User:
    """Whose keys are meant. Another one's need user administration; nobody else touches the administrator's."""
    name = (call.parameters.text("user") or "").strip() or call.actor.name
    if name != call.actor.name:
        call.need("users")
        if name == ADMINISTRATOR:
            raise Refusal(403, f"The API keys of {name} are changed by {name} alone")
    return call.configuration.user(name)


async def addapikey(call: Call) -> Answer:
    """Make a key; the oldest of more than sixteen is dropped. Answers all keys of the user, the new one last."""
    owner = _owner(call)
    _, key_id, secret = call.appliance.new_api_key()
    outcome = await call.execute(AddApiKey(owner.name, key_id, secret))
    return _keys(call, outcome.configuration.user(owner.name))


async def listapikeys(call: Call) -> Answer:
    """The keys of the caller."""
    return _keys(call, call.configuration.user(call.actor.name))


async def delapikey(call: Call) -> Answer:
    """Take a key away. Answers those that remain."""
    key = call.parameters.required("key")
    owner = _owner(call)
    key_id = hashlib.sha256(key.encode()).hexdigest()
    outcome = await call.execute(RemoveApiKey(owner.name, key_id))
    return _keys(call, outcome.configuration.user(owner.name))


COMMANDS = (
    Entry("userlist", userlist),
    Entry("usershow", usershow),
    Entry("useraddlocal", useraddlocal, "users"),
    Entry("userdellocal", userdellocal, "users"),
    Entry("userchangelocpass", userchangelocpass, "users"),
    Entry("usersetperms", usersetperms, "users"),
    Entry("usersetsyspassword", usersetsyspassword, "users", first="signed"),
    Entry("addapikey", addapikey, READ),
    Entry("listapikeys", listapikeys, READ),
    Entry("delapikey", delapikey, READ),
)
