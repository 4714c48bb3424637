"""The file of a backup: a gzip-compressed tar, the same bytes for the same configuration.

    manifest.json              what it is, who made it, the digest of every other file
    base/configuration.json    {kind: {key: document}}, in the schema the manifest names
    base/secrets.json          {name: base64}, of a complete backup alone
    vs/...

A complete one is that archive, sealed (`model.sealed_file`). Whoever reads one reads what somebody else wrote: sizes
are bounded before anything is unpacked, only these names are taken, and only as plain files. Nothing is kept on disk.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeGuard

from pydantic import ValidationError

from steelyard.model.backup import PARTS, Documents, Part, Saved, documents_of, kept_beside, needed_secrets, part_of
from steelyard.model.configuration import Configuration, from_documents
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.sealed_file import Kind, seal_file, unseal_file
from steelyard.store.migrations import CURRENT, Schema

FORMAT: Final = "steelyard-backup"
VERSION: Final = 1
#: unpacked, and unpacked bytes for each packed one
MOST_BYTES = 200 * 1024 * 1024
MOST_RATIO = 200
#: this much may come of anything: a small file of zeros is no bomb
_HARMLESS = 1024 * 1024
#: what is written stays well below what is read
_OWN_RATIO = 100

KIND = Kind(b"STEELYARD-BACKUP ", "backup", "Send a file that `steelyard backup` or the command backup has made")

_MANIFEST = "manifest.json"
_DOCUMENTS, _SECRETS = "configuration.json", "secrets.json"
_NAMES = frozenset({_MANIFEST, *(f"{part}/{name}" for part in PARTS for name in (_DOCUMENTS, _SECRETS))})
#: an archive of something else need not be looked through
_MOST_MEMBERS = 100
_GZIP = b"\x1f\x8b"
_ANOTHER = "Send another copy of the file"


def is_sealed(data: bytes) -> bool:
    """Whether a password is needed to read it."""
    return KIND.begins(data)


# --- writing


def pack(saved: Saved, *, schema: Schema = CURRENT) -> bytes:
    """The archive. It has secrets if the backup is complete."""
    files: dict[str, bytes] = {}
    for part, documents in documents_of(saved.configuration, complete=saved.complete).items():
        if part not in saved.parts:
            continue
        files[f"{part}/{_DOCUMENTS}"] = _json(documents)
        if saved.complete:
            files[f"{part}/{_SECRETS}"] = _json(_secrets_of(saved, part))
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "product": saved.product,
        "schema": schema.version,
        "revision": saved.revision,
        "complete": saved.complete,
        "parts": [part for part in PARTS if part in saved.parts],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    archive = _tar({_MANIFEST: _json(manifest), **dict(sorted(files.items()))})
    packed = gzip.compress(archive, 9, mtime=0)
    # a page of blanks packs better than anybody would believe
    return packed if len(archive) <= _OWN_RATIO * len(packed) else gzip.compress(archive, 0, mtime=0)


def seal(archive: bytes, pass_phrase: str, *, salt: bytes, nonce: bytes, at: datetime, **cost: int) -> bytes:
    """The archive under a pass phrase; the arguments are those of `seal_file`."""
    return seal_file(KIND, archive, pass_phrase, salt=salt, nonce=nonce, at=at, **cost)


def _secrets_of(saved: Saved, part: Part) -> dict[str, str]:
    names = {need.name for need in needed_secrets(saved.configuration) if need.part == part}
    names |= {name for name, of in kept_beside(saved.configuration) if of == part}
    return {name: base64.b64encode(saved.secrets[name]).decode() for name in sorted(names & saved.secrets.keys())}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# --- reading


def read_backup(data: bytes, password: str | None, *, schema: Schema = CURRENT) -> Saved:
    """What a file holds, brought to `schema`. Takes a while: call it in a thread.

    Raises `OperatorError` for a foreign, damaged, forged or newer file, and for a wrong password.
    """
    if is_sealed(data):
        if not password:
            raise OperatorError(
                "The backup is encrypted", field="password", remedy="Give the password it was made with"
            )
        return _unpacked(unseal_file(KIND, data, password), schema, sealed=True)
    if not data.startswith(_GZIP):
        raise _foreign(data)
    if password:
        raise OperatorError(
            "The backup is not encrypted, so that no password can be right for it",
            field="password",
            remedy="Leave the password out, if you know where the file comes from",
        )
    return _unpacked(data, schema, sealed=False)


def _foreign(data: bytes) -> OperatorError:
    says, remedy = "The file is no backup made by Steelyard", KIND.remedy
    if not data:
        says = "The file is empty"
    elif data.startswith(b"STEELYARD-CERTIFICATES "):
        says, remedy = "The file is a backup of certificates", "Restore it by `steelyard cert restore` or restorecert"
    elif data.lstrip()[:1] in (b"{", b"["):
        says += ", but a document"
        remedy = "A configuration document is brought back by `steelyard apply`"
    elif data.startswith(b"SQLite format 3\0"):
        says += ", but a database"
        remedy = "A database takes its place in the state directory while Steelyard is stopped"
    return OperatorError(says, field="data", remedy=remedy)


def _damaged(why: str) -> OperatorError:
    return OperatorError(f"The backup is damaged: {why}", field="data", remedy=_ANOTHER)


def _refused(why: str) -> OperatorError:
    return OperatorError(f"The backup is refused: {why}", field="data", remedy=KIND.remedy)


def _unpacked(packed: bytes, schema: Schema, *, sealed: bool) -> Saved:
    files = _files(_inflated(packed))
    if _MANIFEST not in files:
        raise OperatorError(
            "The file is an archive, but no backup made by Steelyard: it has no manifest.json. If it is a LoadMaster's,"
            " its format is known to nobody else",
            field="data",
            remedy="Read the running LoadMaster through its API (listvs, showvs, listcert and so on) instead; its"
            " certificates come as PEM or PFX files",
        )
    manifest = _object(_MANIFEST, files.pop(_MANIFEST))
    complete, parts = _checked(manifest, files, schema)
    if complete and not sealed:
        raise _refused("it holds secrets in the clear, which no Steelyard writes")
    documents: dict[str, dict[str, Any]] = {}
    secrets: dict[str, bytes] = {}
    for part in parts:
        of_part = _object(f"{part}/{_DOCUMENTS}", files[f"{part}/{_DOCUMENTS}"])
        _take(documents, of_part, part, schema, manifest)
        if complete:
            secrets |= _secrets(part, _object(f"{part}/{_SECRETS}", files[f"{part}/{_SECRETS}"]))
    configuration = _configuration(documents, manifest)
    _genuine(secrets)
    return Saved(configuration, frozenset(parts), complete, secrets, manifest["revision"], str(manifest.get("product")))


def _inflated(packed: bytes) -> bytes:
    """The archive, within the bounds. Raises `OperatorError`."""
    most = min(MOST_BYTES, max(_HARMLESS, MOST_RATIO * len(packed)))
    machine = zlib.decompressobj(wbits=31)
    try:
        found = machine.decompress(packed, most + 1)
    except zlib.error as failure:
        raise _damaged(f"it cannot be unpacked ({failure})") from None
    if len(found) > most:
        raise _refused(f"it would unpack to more than {most // 1024} KiB")
    if not machine.eof:
        raise _damaged("it is cut off")
    if machine.unused_data:
        raise _damaged("something follows its end")
    return found


def _files(archive: bytes) -> dict[str, bytes]:
    """The files of an archive by name; only names and kinds that a backup has. Raises `OperatorError`."""
    found: dict[str, bytes] = {}
    foreign: list[str] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            for number, member in enumerate(opened):
                if foreign and (_MANIFEST in found or number > _MOST_MEMBERS):
                    # whatever it is, it is none of ours
                    break
                if member.isdir() and member.name in PARTS:
                    continue
                if member.name not in _NAMES:
                    foreign.append(member.name)
                    continue
                if not member.isreg() or member.sparse is not None:
                    raise _refused(f"{member.name} in it is no plain file")
                if member.name in found:
                    raise _refused(f"{member.name} is in it twice")
                content = opened.extractfile(member)
                found[member.name] = b"" if content is None else content.read()
                if len(found[member.name]) != member.size:
                    raise _damaged(f"{member.name} in it is cut off")
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, OSError):
        raise _damaged("its archive cannot be read") from None
    if foreign and _MANIFEST in found:
        name = foreign[0].encode("unicode_escape").decode("ascii")[:80]
        raise _refused(f"it holds {name}, which is no file of a backup")
    return found


def _object(name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise _damaged(f"{name} in it is no JSON") from None
    if not isinstance(found, dict):
        raise _damaged(f"{name} in it is no JSON object")
    return found


def _checked(manifest: dict[str, Any], files: Mapping[str, bytes], schema: Schema) -> tuple[bool, list[Part]]:
    """Whether it is complete, and its parts. Raises `OperatorError` unless it is one this Steelyard can read."""
    if manifest.get("format") != FORMAT:
        raise _refused("its manifest names another format")
    made_by = f"it was {_made_by(manifest)}"
    version, of_schema, revision = (manifest.get(name) for name in ("version", "schema", "revision"))
    if not (_whole(version) and _whole(of_schema) and _whole(revision)):
        raise _damaged("its manifest lacks version, schema or revision")
    if version > VERSION or of_schema > schema.version:
        raise OperatorError(
            f"The backup is newer than this Steelyard: {made_by}, its schema is {of_schema}, this one knows"
            f" {schema.version}",
            field="data",
            allowed=f"schema 1 to {schema.version}",
            remedy="Restore it with a Steelyard of that version or later",
        )
    if version < 1 or of_schema < 1:
        raise _refused(f"there has never been schema {of_schema} or format {version}")
    complete, named = manifest.get("complete"), manifest.get("parts")
    if not isinstance(complete, bool) or not isinstance(named, list) or not named:
        raise _damaged("its manifest does not say what it holds")
    for one in named:
        if one not in PARTS:
            raise OperatorError(
                f"The backup holds the part {str(one)[:40]!r}, which this Steelyard does not know: {made_by}",
                field="data",
                remedy="Restore it with a Steelyard of that version or later",
            )
    parts: list[Part] = [part for part in PARTS if part in named]
    wanted = {f"{part}/{name}" for part in parts for name in ((_DOCUMENTS, _SECRETS) if complete else (_DOCUMENTS,))}
    if files.keys() != wanted:
        raise _damaged("its files are not those its manifest names")
    digests = manifest.get("sha256")
    if not isinstance(digests, dict) or digests.keys() != wanted:
        raise _damaged("its manifest lacks digests")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != digests[name]:
            raise _damaged(f"{name} in it is not what its manifest says")
    return complete, parts


def _made_by(manifest: Mapping[str, Any]) -> str:
    return f"made by Steelyard {str(manifest.get('product'))[:40]}"


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _take(
    documents: dict[str, dict[str, Any]], found: Documents, part: Part, schema: Schema, manifest: Mapping[str, Any]
) -> None:
    """Add a part's documents, brought to the schema. Raises `OperatorError` for what has no place there."""
    for kind, objects in found.items():
        if not isinstance(objects, dict):
            raise _damaged(f"its {kind[:40]} are no objects")
        for key, document in objects.items():
            try:
                belongs = part_of(kind, key)
            except ValueError:
                belongs = None
            if belongs != part:
                raise OperatorError(
                    f"The backup holds {kind[:40]} {key[:40]} in its part {part}, which this Steelyard does not know"
                    f" there; it was {_made_by(manifest)}",
                    field="data",
                    remedy="Restore it with a Steelyard of that version or later",
                )
            if not isinstance(document, dict):
                raise _damaged(f"{kind} {key[:40]} in it is no object")
            documents.setdefault(kind, {})[key] = schema.migrate(kind, document, manifest["schema"])


def _configuration(documents: Mapping[str, Mapping[str, Any]], manifest: Mapping[str, Any]) -> Configuration:
    try:
        return from_documents(documents)
    except SteelyardError as failure:
        failure.message = f"The backup, {_made_by(manifest)}, is refused: {failure.message}"
        raise
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _refused("an object in it is not one of the configuration's") from None


def _secrets(part: Part, found: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value, validate=True) for name, value in found.items()}
    except (TypeError, ValueError, binascii.Error):
        raise _damaged(f"the secrets of its part {part} cannot be read") from None


def _genuine(secrets: Mapping[str, bytes]) -> None:
    """Keys are named by their digest: another key under that name would take the place of one that is here."""
    for name, value in secrets.items():
        place, _, digest = name.partition("/")
        if place in ("key", "apikey") and hashlib.sha256(value).hexdigest() != digest:
            raise _refused("a key in it is not the one its name says")


__all__ = ["KIND", "is_sealed", "pack", "read_backup", "seal"]
