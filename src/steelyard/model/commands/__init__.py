"""Every change an operator can ask for, as values with a pure `apply`."""

from steelyard.model.commands.certificates import PutCertificate, RemoveCertificate
from steelyard.model.commands.command import Batch, Change, Command, required_permissions
from steelyard.model.commands.declare import Declare, Restore
from steelyard.model.commands.parameters import SetParameters
from steelyard.model.commands.servers import AddServer, ChangeServer, EnableAddress, RemoveServer
from steelyard.model.commands.services import AddService, ChangeService, DuplicateService, RemoveService
from steelyard.model.commands.users import AddApiKey, AddUser, ChangePassword, RemoveApiKey, RemoveUser, SetPermissions

__all__ = [
    "AddApiKey",
    "AddServer",
    "AddService",
    "AddUser",
    "Batch",
    "Change",
    "ChangePassword",
    "ChangeServer",
    "ChangeService",
    "Command",
    "Declare",
    "DuplicateService",
    "EnableAddress",
    "PutCertificate",
    "RemoveApiKey",
    "RemoveCertificate",
    "RemoveServer",
    "RemoveService",
    "RemoveUser",
    "Restore",
    "SetParameters",
    "SetPermissions",
    "required_permissions",
]
