"""What a user may do to users: nobody can give himself more than he has."""

from __future__ import annotations

import pytest

from steelyard.appliance.contract import Actor
from steelyard.appliance.road import check_permission
from steelyard.model.commands import AddApiKey, AddUser, Batch, ChangePassword, RemoveApiKey, RemoveUser, SetPermissions
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.user import MAX_API_KEYS, User


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


def test_a_removed_api_key_is_forgotten_and_so_is_the_seventeenth() -> None:
    configuration = AddUser("anna", "-").apply(Configuration()).configuration
    for number in range(MAX_API_KEYS):
        change = AddApiKey("anna", f"digest{number}", b"key").apply(configuration)
        configuration = change.configuration
        assert change.forget == ()
    assert AddApiKey("anna", "one more", b"key").apply(configuration).forget == ("apikey/digest0",)
    assert RemoveApiKey("anna", "digest3").apply(configuration).forget == ("apikey/digest3",)
    assert len(RemoveUser("anna").apply(configuration).forget) == MAX_API_KEYS
