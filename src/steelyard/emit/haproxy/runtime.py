"""Operations as HAProxy runtime commands (management guide of 2.6, section 9.3).

`add server` needs HAProxy 2.6 to be free of experimental mode. `del server` wants maintenance and no connection, so
`RemoveServer` prints three commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from steelyard.emit.haproxy.configuration import EnginePaths
from steelyard.emit.haproxy.server import server_words
from steelyard.emit.haproxy.words import quote_command, quote_entry
from steelyard.model.errors import InternalError
from steelyard.plan.haproxy import lookup_path
from steelyard.plan.operations import (
    AddServer,
    AssignCertificate,
    ChangeLookup,
    DropSessions,
    LoadCertificate,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    ReplaceLookup,
    ReplaceTrust,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
    UnloadCertificate,
    WithdrawCertificate,
)


def _name(backend: str, server: str) -> str:
    return quote_command(f"{backend}/{server}")


def commands(operation: Operation) -> tuple[str, ...]:
    """The operation as commands, in order. Those that carry a payload, certificates and whole lookups, are not here."""
    match operation:
        case AddServer(backend, server):
            words = " ".join(quote_command(word) for word in server_words(server))
            return (f"add server {_name(backend, server.name)} {words}",)
        case RemoveServer(backend, server):
            name = _name(backend, server)
            return (
                f"set server {name} state maint",
                f"shutdown sessions server {name}",
                f"del server {name}",
            )
        case Release(backend, server):
            return (f"set server {_name(backend, server)} state ready",)
        case SetState(backend, server, state):
            return (f"set server {_name(backend, server)} state {state}",)
        case SetHealth(backend, server, up):
            return (f"set server {_name(backend, server)} health {'up' if up else 'down'}",)
        case SetWeight(backend, server, weight):
            return (f"set server {_name(backend, server)} weight {weight:d}",)
        case SetAddress(backend, server, address, port):
            suffix = "" if port is None else f" port {port:d}"
            return (f"set server {_name(backend, server)} addr {quote_command(address)}{suffix}",)
        case SetMaxConnections(backend, server, limit):
            return (f"set maxconn server {_name(backend, server)} {limit:d}",)
        case DropSessions(backend, server):
            return (f"shutdown sessions server {_name(backend, server)}",)
        case ChangeLookup():
            return _lookup_commands(operation)
        case AssignCertificate() | WithdrawCertificate() | UnloadCertificate():
            raise InternalError("Operations on certificates name files, see certificate_command")
        case ReplaceCertificate() | LoadCertificate() | ReplaceTrust() | ReplaceLookup():
            raise InternalError("Certificates and whole lookups are sent as a payload, not as a command line")


def certificate_command(
    operation: AssignCertificate | WithdrawCertificate | UnloadCertificate, paths: EnginePaths
) -> str:
    """An operation on the certificates of a listener as a command: they are called by their files."""
    words: tuple[str, ...]
    match operation:
        case AssignCertificate(listener, certificate):
            words = ("add ssl crt-list", paths.certificate_list(listener), paths.certificate(certificate))
        case WithdrawCertificate(listener, certificate):
            words = ("del ssl crt-list", paths.certificate_list(listener), paths.certificate(certificate))
        case UnloadCertificate(certificate):
            words = ("del ssl cert", paths.certificate(certificate))
    return " ".join((words[0], *(quote_command(word) for word in words[1:])))


def lookup_kind(is_map: bool) -> str:
    """HAProxy's word for it."""
    return "map" if is_map else "acl"


def _lookup_commands(operation: ChangeLookup) -> tuple[str, ...]:
    where = f"{lookup_kind(operation.is_map)} {lookup_path(operation.lookup)}"
    return (
        *(f"del {where} {quote_command(key)}" for key in operation.removed),
        *(f"add {where} {_entry(entry)}" for entry in operation.added),
        *(f"set {where} {_entry(entry)}" for entry in operation.changed),
    )


def _entry(entry: tuple[str, str]) -> str:
    return " ".join(quote_command(word) for word in entry if word)


def lookup_lines(entries: Iterable[tuple[str, str]]) -> list[str]:
    """Entries as lines of a lookup's file or of a payload."""
    return [f"{quote_entry(key)} {quote_entry(value)}" if value else quote_entry(key) for key, value in entries]


def lookup_text(entries: Sequence[tuple[str, str]]) -> str:
    """The content of a lookup's file.

    Most are plain ASCII, which is seen by a few looks at the whole: with 100,000 entries, looking at each takes longer
    than everything else that is done to change one.
    """
    text = "".join([f"{key} {value}\n" if value else f"{key}\n" for key, value in entries])
    bare = text.replace("\n", "")
    plain = bare.isascii() and bare.isprintable()
    # each entry is one line, each value has one blank before it, and no line is empty or begins with a blank or "#"
    plain = plain and text.count("\n") == len(entries) and text.count(" ") == sum([bool(value) for _, value in entries])
    if plain and not text.startswith(("\n", " ", "#")) and not any(bad in text for bad in ("\n\n", "\n ", "\n#")):
        return text
    return "".join(f"{line}\n" for line in lookup_lines(entries))
