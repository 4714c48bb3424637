"""Every change an operator can ask for, as values with a pure `apply`."""

from steelyard.model.commands.access_lists import AddEntries, DeclaredLists, RemoveEntries, ReplaceList
from steelyard.model.commands.acme import (
    AcmeSecret,
    AddAcmeCertificate,
    ChangeAcmeAccount,
    ChangeAcmeCertificate,
    KeepRegistration,
    PutDnsProvider,
    RemoveAcmeAccount,
    RemoveAcmeCertificate,
    RemoveDnsProvider,
)
from steelyard.model.commands.certificates import (
    AddSigningRequest,
    PutCertificate,
    RemoveCertificate,
    RemoveSigningRequest,
    RestoreCertificates,
)
from steelyard.model.commands.cipher_sets import PutCipherSet, RemoveCipherSet
from steelyard.model.commands.command import Batch, Change, Command, required_permissions
from steelyard.model.commands.declare import Declare, Restore
from steelyard.model.commands.first_start import AcceptLicence, FinishFirstStart, SetUpNetwork
from steelyard.model.commands.further_checks import (
    AddFurtherCheck,
    ChangeFurtherCheck,
    RemoveFurtherCheck,
    ReplaceFurtherChecks,
)
from steelyard.model.commands.intermediates import AddIntermediates, RemoveIntermediate
from steelyard.model.commands.ldap_endpoints import (
    AddLdapEndpoint,
    ChangeLdapEndpoint,
    DeclaredEndpoint,
    RemoveLdapEndpoint,
)
from steelyard.model.commands.limits import (
    AddLimitRule,
    ChangeLimitRule,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
)
from steelyard.model.commands.network import (
    AddAddress,
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddVlan,
    ChangeInterface,
    JoinBond,
    ManageNetwork,
    RemoveAddress,
    RemoveHostsEntry,
    RemoveInterface,
    RemoveRoute,
    UndoNetwork,
)
from steelyard.model.commands.parameters import SetParameters
from steelyard.model.commands.redirector import AddRedirector
from steelyard.model.commands.restore_backup import RestoreBackup
from steelyard.model.commands.revocation_lists import PutRevocationList, RemoveRevocationList
from steelyard.model.commands.rules import AddRule, AttachRule, ChangeRule, DetachRule, MoveRule, RemoveRule, RulePlace
from steelyard.model.commands.servers import AddServer, ChangeServer, EnableAddress, RemoveServer
from steelyard.model.commands.services import AddService, ChangeService, DuplicateService, RemoveService
from steelyard.model.commands.sub_services import AddServerToAll, ChangeSlot, CreateSubService
from steelyard.model.commands.templates import AddTemplates, MeetPrerequisites, RemoveTemplate, UseTemplate
from steelyard.model.commands.users import (
    AddApiKey,
    AddUser,
    ChangeOwnPassword,
    ChangePassword,
    RemoveApiKey,
    RemoveUser,
    SetPermissions,
)
from steelyard.model.commands.weights import SetExternalWeights

__all__ = [
    "AcceptLicence",
    "AcmeSecret",
    "AddAcmeCertificate",
    "AddAddress",
    "AddApiKey",
    "AddBond",
    "AddEntries",
    "AddFurtherCheck",
    "AddHostsEntry",
    "AddIntermediates",
    "AddLdapEndpoint",
    "AddLimitRule",
    "AddRedirector",
    "AddRoute",
    "AddRule",
    "AddServer",
    "AddServerToAll",
    "AddService",
    "AddSigningRequest",
    "AddTemplates",
    "AddUser",
    "AddVlan",
    "AttachRule",
    "Batch",
    "Change",
    "ChangeAcmeAccount",
    "ChangeAcmeCertificate",
    "ChangeFurtherCheck",
    "ChangeInterface",
    "ChangeLdapEndpoint",
    "ChangeLimitRule",
    "ChangeOwnPassword",
    "ChangePassword",
    "ChangeRule",
    "ChangeServer",
    "ChangeService",
    "ChangeSlot",
    "Command",
    "CreateSubService",
    "Declare",
    "DeclaredEndpoint",
    "DeclaredLists",
    "DetachRule",
    "DuplicateService",
    "EnableAddress",
    "FinishFirstStart",
    "JoinBond",
    "KeepRegistration",
    "ManageNetwork",
    "MeetPrerequisites",
    "MoveLimitRule",
    "MoveRule",
    "PutCertificate",
    "PutCipherSet",
    "PutDnsProvider",
    "PutRevocationList",
    "RemoveAcmeAccount",
    "RemoveAcmeCertificate",
    "RemoveAddress",
    "RemoveApiKey",
    "RemoveCertificate",
    "RemoveCipherSet",
    "RemoveClientLimit",
    "RemoveDnsProvider",
    "RemoveEntries",
    "RemoveFurtherCheck",
    "RemoveHostsEntry",
    "RemoveInterface",
    "RemoveIntermediate",
    "RemoveLdapEndpoint",
    "RemoveLimitRule",
    "RemoveRevocationList",
    "RemoveRoute",
    "RemoveRule",
    "RemoveServer",
    "RemoveService",
    "RemoveSigningRequest",
    "RemoveTemplate",
    "RemoveUser",
    "ReplaceFurtherChecks",
    "ReplaceList",
    "Restore",
    "RestoreBackup",
    "RestoreCertificates",
    "RulePlace",
    "SetClientLimit",
    "SetExternalWeights",
    "SetParameters",
    "SetPermissions",
    "SetUpNetwork",
    "UndoNetwork",
    "UseTemplate",
    "required_permissions",
]
