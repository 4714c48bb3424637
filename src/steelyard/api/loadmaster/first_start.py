"""Initial configuration (`reference/loadmaster-api/09`, 9.1): the licence, and the administrator's first password.

LoadMaster's order is readeula, accepteula, accepteula2, a licence key, set_initial_passwd; the key is left out, because
there is none. The text is anybody's to read and accept; the password needs the one for one time, which LoadMaster does
not ask for: there, whoever comes first has the appliance.
"""

from __future__ import annotations

import hmac
import html
import secrets

from starlette.concurrency import run_in_threadpool

from steelyard.api.loadmaster.answers import Answer, Data, Message
from steelyard.api.loadmaster.call import READ, Call, Entry, as_boolean
from steelyard.api.loadmaster.failures import Refusal, missing
from steelyard.appliance.licence import OTHERS, licence_text
from steelyard.model.commands import AcceptLicence, Batch, ChangePassword, FinishFirstStart
from steelyard.model.errors import OperatorError
from steelyard.model.first_start import CLOSED, FirstStep
from steelyard.model.user import ADMINISTRATOR

#: LoadMaster's words for what it is licensed as
_TYPES = ("trial", "perm", "free")
_CALLS_NOBODY = "Steelyard sends nothing to anybody."
_SECRET = secrets.token_bytes(32)


def _magic(step: str) -> str:
    """What the next step has to say; nobody can say it without the step before."""
    return hmac.digest(_SECRET, step.encode(), "sha256").hex()[:32]


def refuse_before_first_start(step: FirstStep, entry: Entry) -> None:
    """Raise `Refusal` for any other command while the licence or the password is due."""
    if step in CLOSED and not entry.first:
        raise _not_set_up(step)


def _not_set_up(step: FirstStep) -> Refusal:
    due = (
        "accept its licence by readeula, accepteula and accepteula2"
        if step == "licence"
        else f"give {ADMINISTRATOR} a password by set_initial_passwd"
    )
    return Refusal(403, f"This appliance is not set up yet: {due}, or sign in to the web interface")


def _require_magic(call: Call, step: str) -> None:
    given = call.parameters.required("magic")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), _magic(step).encode()):
        raise Refusal(422, "Invalid magic: it is the one that the step before has answered")


def _require_due(call: Call, step: FirstStep) -> None:
    due = call.configuration.first_step
    if step == "password" and due == "licence":
        raise _not_set_up(due)
    if due != step:
        raise Refusal(405, f"{call.name} is for the first start, and that is past this step")


async def readeula(call: Call) -> Answer:
    """The licence, and what accepteula has to say."""
    text = html.escape(await run_in_threadpool(licence_text), quote=False)
    return Data({"Magic": _magic("readeula"), "Eula": f"<html><body><pre>{text}</pre></body></html>"})


async def accepteula(call: Call) -> Answer:
    """The licence is accepted as soon as the next step is done: accepteula2, with the word this one answers."""
    _require_due(call, "licence")
    _require_magic(call, "readeula")
    given = (call.parameters.text("type") or "free").strip().lower()
    if given not in _TYPES:
        allowed = ", ".join(_TYPES)
        raise OperatorError(f"type {given[:40]!r} is none; allowed: {allowed}", field="type", allowed=allowed)
    return Data({"Magic": _magic("accepteula"), "Eula2": f"<html><body><p>{_CALLS_NOBODY} {OTHERS}</p></body></html>"})


async def accepteula2(call: Call) -> Answer:
    """LoadMaster asks here whether it may call its makers. Nothing does that, so yes and no are the same."""
    _require_due(call, "licence")
    _require_magic(call, "accepteula")
    as_boolean("accept", call.parameters.required("accept"))
    await call.execute(AcceptLicence())
    return Message()


async def set_initial_passwd(call: Call) -> Answer:
    """Give the administrator a password; the first start is over with it."""
    _require_due(call, "password")
    password = call.parameters.text("passwd")
    if not password:
        raise missing("passwd")
    hashed = await run_in_threadpool(call.appliance.hash_password, password)
    await call.execute(Batch((ChangePassword(ADMINISTRATOR, hashed), FinishFirstStart())))
    return Message()


async def accesskey(call: Call) -> Answer:
    """What LoadMaster's makers know a machine by; here it only tells two machines apart."""
    return Data({"AccessKey": f"{int(call.host.serial_number()):016x}"})


COMMANDS = (
    Entry("readeula", readeula, READ, first="open"),
    Entry("accepteula", accepteula, READ, first="open"),
    Entry("accepteula2", accepteula2, READ, first="open"),
    Entry("set_initial_passwd", set_initial_passwd, "users", first="signed"),
    Entry("accesskey", accesskey, READ, first="signed"),
)

_NO_LICENCE = "Steelyard needs no licence key: after accepteula2 go on with set_initial_passwd"
REFUSED = dict.fromkeys(
    (
        *("alsilicensetypes", "alsilicense", "license", "aslgetlicensetypes", "aslactivate"),
        *("killaslinstance", "kill_instance", "kill_spla_instance"),
    ),
    _NO_LICENCE,
)
