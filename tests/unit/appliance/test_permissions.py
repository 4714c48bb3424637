"""What a user may do to users: nobody can give himself more than he has."""

from __future__ import annotations

import pytest

from steelyard.appliance.contract import Actor
from steelyard.appliance.road import check_permission
from steelyard.model.commands import AddUser, Batch, ChangePassword, RemoveUser, SetPermissions
from steelyard.model.commands.command import Command
from steelyard.model.errors import OperatorError
from steelyard.model.user import User


def actor(name: str, *permissions: str) -> Actor:
    return Actor(User.make({"name": name, "password_hash": "-", "permissions": permissions}), "api")


ORDINARY = (AddUser("anna", "-", ("vs",)), ChangePassword("anna", "-"), SetPermissions("anna", ("vs", "real")))
POWERFUL = (
    AddUser("anna", "-", ("root",)),
    AddUser("anna", "-", ("users",)),
    ChangePassword("bal", "-"),
    SetPermissions("anna", ("vs", "root")),
    Batch((RemoveUser("anna"), ChangePassword("bal", "-"))),
)


@pytest.mark.parametrize("command", ORDINARY, ids=lambda command: command.summary)
def test_user_administration_is_enough_for_ordinary_users(command: Command) -> None:
    check_permission(command, actor("ulla", "users"))
    with pytest.raises(OperatorError) as refusal:
        check_permission(command, actor("root-like", "root"))
    assert refusal.value.field == "permission"


@pytest.mark.parametrize("command", POWERFUL, ids=lambda command: command.summary)
def test_only_the_administrator_gives_power_away(command: Command) -> None:
    check_permission(command, actor("bal"))
    with pytest.raises(OperatorError, match="Only bal may do that"):
        check_permission(command, actor("ulla", "users", "root"))
