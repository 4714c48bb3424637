"""Every change an operator can ask for, as values with a pure `apply`."""

from steelyard.model.commands.access_lists import AddEntries, DeclaredLists, RemoveEntries, ReplaceList
from steelyard.model.commands.certificates import PutCertificate, RemoveCertificate
from steelyard.model.commands.command import Batch, Change, Command, required_permissions
from steelyard.model.commands.declare import Declare, Restore
from steelyard.model.commands.limits import (
    AddLimitRule,
    ChangeLimitRule,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
)
from steelyard.model.commands.parameters import SetParameters
from steelyard.model.commands.redirector import AddRedirector
from steelyard.model.commands.rules import AddRule, AttachRule, ChangeRule, DetachRule, MoveRule, RemoveRule, RulePlace
from steelyard.model.commands.servers import AddServer, ChangeServer, EnableAddress, RemoveServer
from steelyard.model.commands.services import AddService, ChangeService, DuplicateService, RemoveService
from steelyard.model.commands.sub_services import AddServerToAll, ChangeSlot, CreateSubService
from steelyard.model.commands.users import AddApiKey, AddUser, ChangePassword, RemoveApiKey, RemoveUser, SetPermissions

__all__ = [
    "AddApiKey",
    "AddEntries",
    "AddLimitRule",
    "AddRedirector",
    "AddRule",
    "AddServer",
    "AddServerToAll",
    "AddService",
    "AddUser",
    "AttachRule",
    "Batch",
    "Change",
    "ChangeLimitRule",
    "ChangePassword",
    "ChangeRule",
    "ChangeServer",
    "ChangeService",
    "ChangeSlot",
    "Command",
    "CreateSubService",
    "Declare",
    "DeclaredLists",
    "DetachRule",
    "DuplicateService",
    "EnableAddress",
    "MoveLimitRule",
    "MoveRule",
    "PutCertificate",
    "RemoveApiKey",
    "RemoveCertificate",
    "RemoveClientLimit",
    "RemoveEntries",
    "RemoveLimitRule",
    "RemoveRule",
    "RemoveServer",
    "RemoveService",
    "RemoveUser",
    "ReplaceList",
    "Restore",
    "RulePlace",
    "SetClientLimit",
    "SetParameters",
    "SetPermissions",
    "required_permissions",
]
