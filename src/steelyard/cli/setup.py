"""`steelyard setup`: the console of an appliance, in plain lines, for a keyboard or a serial line.

It says where the web interface is, and sets addresses. `--menu` is the menu LoadMaster's console has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from steelyard.cli.backups import CONFIRMATION
from steelyard.cli.connection import local_state_dir
from steelyard.cli.failures import Failure, Misuse, Unreachable
from steelyard.cli.prompts import Ended, Went, ask, confirm, say, secret
from steelyard.cli.quick_setup import QuickSetup
from steelyard.cli.session import Session
from steelyard.cli.setup_targets import Json, NewHost, RunningSteelyard, Target
from steelyard.model.user import ADMINISTRATOR

_HTTPS = 443


def setup(
    session: Session,
    menu: Annotated[bool, typer.Option("--menu", help="The menu of the console: more than the addresses.")] = False,
) -> None:
    """Show where the web interface is, and ask for the addresses of a new appliance, step by step."""
    target = _target(session)
    try:
        if session.json:
            session.show(target.facts(), lambda: "")
        elif menu:
            _menu(session, target)
        else:
            _quick_setup(target)
    except Ended:
        say("Ended.")
        raise typer.Exit(1) from None
    finally:
        target.close()


def _target(session: Session) -> Target:
    running = RunningSteelyard(session.api)
    try:
        running.facts()
    except Unreachable as failure:
        if session.connection.url is not None:
            raise
        state_dir = local_state_dir(session.connection)
        try:
            started_before = (state_dir / "steelyard.db").exists()
        except PermissionError:
            started_before = True
        if started_before:
            raise failure from None
        return NewHost(state_dir, _announce)
    return running


def _announce(password: str) -> None:
    say(f"\nThe administrator is {ADMINISTRATOR!r}. One-time password, shown only now: {password}")


def _quick_setup(target: Target) -> None:
    facts = target.facts()
    say(addresses(facts))
    if facts["network"]["network"] is None:
        raise Misuse("This host has no network interface", "Give it one")
    try:
        changed = QuickSetup(target, facts).run()
    except Ended:
        say("Nothing was changed.")
        raise typer.Exit(1) from None
    if changed:
        say("\n" + addresses(target.facts()))


def addresses(facts: Json) -> str:
    """What a console shows: version, the web interface's URLs, and every address with where it is from."""
    network = facts["network"]
    lines = [f"Steelyard {facts['version']} on {network['host_name']}", "", "Web interface"]
    lines += [f"  {one}" for one in web_interface(facts)]
    lines += ["", "Addresses"]
    sides = ((network["network"], "network side"), (network["farm"], "farm side"))
    named = {side["interface"]: what for side, what in sides if side is not None}
    for side in network["candidates"]:
        what = named.get(side["interface"], "")
        lines.append(f"  {side['interface']:<8} {what:<13} {'' if side['up'] else 'no link; '}{_own(side)}")
    if facts["first_step"] in ("licence", "password"):
        lines += ["", f"The first sign-in there, as {ADMINISTRATOR}, asks for the licence and a new password."]
    return "\n".join(lines)


def _own(side: Mapping[str, Any]) -> str:
    if not side["addresses"]:
        return "no address: no DHCP server has given one, and none was set. Set one by Quick Setup"
    return ", ".join(f"{one}{_came_by(one)}" if one in side["dynamic"] else one for one in side["addresses"])


def _came_by(address: str) -> str:
    return " (by router advertisement)" if ":" in address else " (by DHCP)"


def web_interface(facts: Json) -> list[str]:
    """The URLs by which a browser reaches it, or why none does."""
    web, network = facts["web"], facts["network"]["network"]
    if web is None:
        return ["not started yet: `steelyard serve`, or systemctl start steelyard"]
    port = "" if web["port"] == _HTTPS else f":{web['port']}"
    if web["address"] in ("0.0.0.0", "::"):
        every = [] if network is None else network["addresses"]
        # addresses of services have every bit as their prefix, and are not where people sign in
        found = [one.partition("/")[0] for one in every if not one.endswith(("/32", "/128"))]
        if not found:
            return ["not reachable: the network side has no address yet"]
    else:
        found = [web["address"]]
    urls = [f"https://{f'[{one}]' if ':' in one else one}{port}" for one in found]
    if web["address"].startswith("127.") or web["address"] == "::1":
        return [f"{urls[0]}   from this host alone; start with --admin-address 0.0.0.0 for others"]
    return urls


# -------------------- the menu


def _menu(session: Session, target: Target) -> None:
    choices: Mapping[str, tuple[str, Callable[[], None]]] = {
        "1": ("Quick Setup", lambda: _quick_setup(target)),
        "2": (f"Set the password of {ADMINISTRATOR}", lambda: _set_password(session, target)),
        "3": ("Show addresses", lambda: say(addresses(target.facts()))),
        "4": ("Factory reset", lambda: _factory_reset(session, target)),
    }
    while True:
        facts = target.facts()
        say(f"\nSteelyard {facts['version']} on {facts['network']['host_name']}   {web_interface(facts)[0]}\n")
        for key, (title, _) in choices.items():
            say(f"  {key}  {title}")
        say("  q  Leave\n")
        answer = ask("Choice")
        if answer in ("q", "Q"):
            return
        if isinstance(answer, Went) or answer not in choices:
            say(f"  Choose {', '.join(choices)} or q.")
            continue
        say()
        try:
            choices[answer][1]()
        except _Restarts:
            return
        except typer.Exit:
            # the menu goes on after something that was given up
            continue
        except Failure as failure:
            say(f"  ! {failure}. {failure.error.get('remedy', '')}".rstrip())


class _Restarts(Exception):
    """There is nobody to go on talking to: Steelyard begins anew."""


def _set_password(session: Session, target: Target) -> None:
    if not isinstance(target, RunningSteelyard):
        say("  There is no administrator yet: Quick Setup, or the first start, makes one.")
        return
    say(f"Sets a new password for {ADMINISTRATOR}; web sessions and scripts with the old one end.")
    if confirm("Go on?", otherwise=False) is not True:
        return
    new = secret("New password")
    if secret("New password again") != new:
        say("  ! The two differ. Nothing was changed.")
        return
    session.api.request("PATCH", f"/users/{ADMINISTRATOR}", body={"password": new}, query={"reason": "by the console"})
    say("The password is set.")


def _factory_reset(session: Session, target: Target) -> None:
    if not isinstance(target, RunningSteelyard):
        say("  There is nothing to reset yet.")
        return
    say("Everything goes: services, certificates and keys, users, history, statistics, logs. Traffic ends, and nothing")
    say("brings it back but a backup. The addresses of this host stay.")
    if ask(f"Type {CONFIRMATION} to go on") != CONFIRMATION:
        say("Nothing was reset.")
        return
    found = session.api.request("POST", "/reset", body={"confirm": CONFIRMATION, "network": "keep"})
    say(f"Everything is reset. The first sign-in is as {found['user']}.")
    say(f"One-time password, shown only now: {found['password']}")
    raise _Restarts
