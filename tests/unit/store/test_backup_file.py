"""The file of a backup: what is written is read, and nothing else is. Every refusal says what to do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.strategies import configurations, material, private_key, with_certificates
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.model.backup import PARTS, Saved, kept_beside, needed_secrets
from steelyard.model.commands import AddApiKey, AddService, AddUser
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.store.backup_file import MOST_BYTES, pack, read_backup, seal
from steelyard.store.contract import Document
from steelyard.store.migrations import CURRENT, Schema

PASSWORD = "a password of the file"
KEY = "an API key"
SHOP = {**HTTP, "name": "shop", "servers": [SERVER]}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def full() -> Configuration:
    key = AddApiKey("bal", digest(KEY), KEY.encode())
    return apply(AddUser("bal", "scrypt$00$00"), key, AddService(SHOP), to=with_certificates())


def secrets_of(configuration: Configuration) -> dict[str, bytes]:
    found = {need.name: private_key(need.name.partition("/")[2]) for need in needed_secrets(configuration)}
    return found | {name: KEY.encode() for name, _ in kept_beside(configuration)}


def complete(configuration: Configuration) -> Saved:
    return Saved(configuration, frozenset(PARTS), True, secrets_of(configuration), 7, "0.1")


def sealed(archive: bytes, password: str = PASSWORD) -> bytes:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return seal(archive, password, salt=bytes(16), nonce=bytes(12), at=at, n=16)


@cache
def plain_file() -> bytes:
    return pack(Saved(full(), revision=7, product="0.1"))


@cache
def complete_file() -> bytes:
    return sealed(pack(complete(full())))


def refused(data: bytes, password: str | None = None, *, schema: Schema = CURRENT) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        read_backup(data, password, schema=schema)
    assert caught.value.remedy, "a refusal says what to do"
    return caught.value


# --- what is written is read


@settings(max_examples=40, deadline=None)
@given(configurations())
def test_every_configuration_comes_back_as_it_was(configuration: Configuration) -> None:
    saved = complete(configuration)
    found = read_backup(sealed(pack(saved)), PASSWORD)
    assert found == saved


def test_a_plain_backup_holds_nothing_secret() -> None:
    found = read_backup(plain_file(), None)
    assert (found.complete, found.revision, found.product) == (False, 7, "0.1")
    assert dict(found.secrets) == {}
    assert found.configuration.users == {}
    assert not any(one.temporary for one in found.configuration.certificates.values())
    text = gzip.decompress(plain_file())
    for secret in (b"PRIVATE KEY", b"scrypt$", KEY.encode(), digest(KEY).encode()):
        assert secret not in text


def test_the_same_configuration_gives_the_same_bytes() -> None:
    assert pack(Saved(full(), revision=7, product="0.1")) == plain_file()
    with tarfile.open(fileobj=io.BytesIO(plain_file())) as archive:
        members = archive.getmembers()
    assert [one.name for one in members] == ["manifest.json", "base/configuration.json", "vs/configuration.json"]
    assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in members} == {(0, 0, 0, "", 0o600)}


def test_what_packs_better_than_anything_is_read_all_the_same() -> None:
    """A hundred error pages of blanks would otherwise look like a bomb."""
    page = base64.b64encode(b" " * 15_000).decode()
    services = (
        AddService({**HTTP, "port": 1000 + number, "service_type": "http", "error_page": page}) for number in range(100)
    )
    file = pack(Saved(apply(*services)))
    assert len(read_backup(file, None).configuration.services) == 100
    archive = gzip.decompress(file)
    assert len(archive) < 200 * len(file)
    assert len(gzip.compress(archive)) * 100 < len(archive), "it would have packed as a bomb does"


# --- damage


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([plain_file(), complete_file()]))
    length = data.draw(st.integers(0, len(file) - 1))
    refused(file[:length], PASSWORD if file is complete_file() and length > 17 else None)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_a_wrong_byte_is_refused_or_says_the_same(data: st.DataObject) -> None:
    """gzip's own head has bytes that mean nothing, such as the system it was made on."""
    file = data.draw(st.sampled_from([plain_file(), complete_file()]))
    place = data.draw(st.integers(0, len(file) - 1))
    changed = bytearray(file)
    changed[place] ^= data.draw(st.integers(1, 255))
    password = PASSWORD if file is complete_file() and changed.startswith(b"STEELYARD-BACKUP ") else None
    try:
        found = read_backup(bytes(changed), password)
    except OperatorError:
        return
    assert file is plain_file()
    assert place < 10
    assert found == read_backup(file, None)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_refused(content: bytes) -> None:
    for data in (content, b"\x1f\x8b" + content, gzip.compress(content), b"STEELYARD-BACKUP 1\n" + content):
        refused(data, PASSWORD if data.startswith(b"STEELYARD") else None)


def test_a_wrong_password_is_refused() -> None:
    assert "does not open the backup" in refused(complete_file(), "not the one").message
    assert refused(complete_file(), None).field == "password"
    assert refused(complete_file(), "\udc80 no text").field == "password"
    assert "not encrypted" in refused(plain_file(), PASSWORD).message


def test_something_after_the_end_is_refused() -> None:
    assert "follows its end" in refused(plain_file() + b"x").message
    assert "there should be" in refused(complete_file() + b"x", PASSWORD).message


# --- files of others


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"STEELYARD-CERTIFICATES 1\n{}", "steelyard cert restore"),
        (b'{"services": []}', "steelyard apply"),
        (b"SQLite format 3\0", "state directory"),
        (b"-----BEGIN CERTIFICATE-----", "steelyard backup"),
        (b"PK\x03\x04", "steelyard backup"),
    ],
)
def test_a_file_of_another_kind_is_told_apart(data: bytes, says: str) -> None:
    failure = refused(data)
    assert says in f"{failure.message} {failure.remedy}"


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


def files_of(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    return found


def rewritten(change: Callable[[dict[str, Any], dict[str, bytes]], None], data: bytes | None = None) -> bytes:
    """A plain backup with other content, its digests put right again by `change` or by nobody."""
    files = files_of(plain_file() if data is None else data)
    manifest = json.loads(files.pop("manifest.json"))
    change(manifest, files)
    content = {"manifest.json": json.dumps(manifest).encode(), **files}
    return tar(*((tarfile.TarInfo(name), text) for name, text in content.items()))


def forged(change: Callable[[dict[str, Any]], None], part: str = "vs", **manifest_changes: Any) -> bytes:
    """A backup whose documents somebody has changed, with the digests put right."""

    def change_all(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        documents = json.loads(files[f"{part}/configuration.json"])
        change(documents)
        files[f"{part}/configuration.json"] = json.dumps(documents).encode()
        manifest["sha256"] = {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}
        manifest.update(manifest_changes)

    return rewritten(change_all)


def test_a_loadmasters_backup_is_refused_with_what_can_be_done() -> None:
    members = [(tarfile.TarInfo(f"etc/part{number}"), b"\0binary") for number in range(56)]
    failure = refused(tar(*members))
    assert "no manifest.json" in failure.message
    assert "running LoadMaster through its API" in str(failure.remedy)


def _linked(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("vs/configuration.json")
    member.type, member.linkname = kind, "/etc/shadow"
    return member


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "vs/../../x", "vs/configuration.json/x", "other", "vs/\n"])
def test_a_path_that_no_backup_has_is_refused(name: str) -> None:
    files = [(tarfile.TarInfo(one), text) for one, text in files_of(plain_file()).items()]
    assert "no file of a backup" in refused(tar(*files, (tarfile.TarInfo(name), b"x"))).message


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_what_is_no_plain_file_is_refused(kind: bytes) -> None:
    files = [(tarfile.TarInfo(one), text) for one, text in files_of(plain_file()).items()]
    kept = [(member, text) for member, text in files if member.name != "vs/configuration.json"]
    assert "no plain file" in refused(tar(*kept, (_linked(kind), b""))).message


def test_the_same_file_twice_is_refused() -> None:
    files = [(tarfile.TarInfo(one), text) for one, text in files_of(plain_file()).items()]
    assert "twice" in refused(tar(*files, (tarfile.TarInfo("vs/configuration.json"), b"{}"))).message


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(MOST_BYTES + 1), 9)
    assert "unpack to more" in refused(bomb).message
    small = gzip.compress(bytes(8 * 1024 * 1024), 9)
    assert "unpack to more" in refused(small).message


# --- manifests


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "another format"),
        ({"schema": CURRENT.version + 1}, f"this one knows {CURRENT.version}"),
        ({"version": 2}, "newer than this Steelyard"),
        ({"schema": 0}, "there has never been"),
        ({"schema": "1"}, "lacks version"),
        ({"schema": True}, "lacks version"),
        ({"revision": None}, "lacks version"),
        ({"complete": "no"}, "what it holds"),
        ({"complete": True}, "not those its manifest names"),
        ({"parts": []}, "what it holds"),
        ({"parts": ["vs"]}, "not those its manifest names"),
        ({"parts": ["base", "vs", "geo"]}, "does not know"),
        ({"parts": [["base"]]}, "does not know"),
        ({"sha256": {}}, "digests"),
        ({"sha256": None}, "digests"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(change: Mapping[str, Any], says: str) -> None:
    assert says in refused(rewritten(lambda manifest, files: manifest.update(change))).message


def test_content_that_is_not_what_the_manifest_says_is_refused() -> None:
    def swap(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        files["vs/configuration.json"] = files["vs/configuration.json"].replace(b"shop", b"sh0p")

    assert "not what its manifest says" in refused(rewritten(swap)).message


def test_secrets_in_the_clear_are_refused() -> None:
    """Nobody should get used to them."""
    assert "in the clear" in refused(pack(complete(full()))).message


def test_a_key_under_the_name_of_another_is_refused() -> None:
    saved = complete(full())
    other = private_key(str(material(generation=2).key_id))
    name = next(name for name in saved.secrets if name.startswith("key/"))
    swapped = Saved(saved.configuration, saved.parts, True, {**saved.secrets, name: other})
    assert "not the one its name says" in refused(sealed(pack(swapped)), PASSWORD).message


# --- documents


def _unknown_kind(documents: dict[str, Any]) -> None:
    documents["fqdn"] = {"www": {}}


def _wrong_part(documents: dict[str, Any]) -> None:
    documents["user"] = {"bal": {"name": "bal", "password_hash": "scrypt$00$00"}}


def _unknown_setting(documents: dict[str, Any]) -> None:
    documents["service"]["1"]["nonsense"] = 1


def _bad_value(documents: dict[str, Any]) -> None:
    documents["service"]["1"]["port"] = 70000


def _no_object(documents: dict[str, Any]) -> None:
    documents["service"]["1"] = []


def _no_objects(documents: dict[str, Any]) -> None:
    documents["service"] = []


def _no_index(documents: dict[str, Any]) -> None:
    documents["service"]["one"] = documents["service"].pop("1")


def _odd_scope(documents: dict[str, Any]) -> None:
    documents["access"] = {"every/0": {}}


def _bad_counters(documents: dict[str, Any]) -> None:
    documents["counters"] = {"counters": {"next_server": "many"}}


@pytest.mark.parametrize(
    "change",
    [
        *(_unknown_kind, _wrong_part, _unknown_setting, _bad_value, _no_object, _no_objects),
        *(_no_index, _odd_scope, _bad_counters),
    ],
)
def test_documents_this_steelyard_does_not_know_are_refused(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(SteelyardError) as caught:
        read_backup(forged(change), None)
    assert isinstance(caught.value, OperatorError)


# --- across versions


def _renamed(kind: str, document: Document) -> Document:
    """A step as a later version may have one: a setting is called otherwise."""
    if kind != "service" or "old_name" not in document:
        return document
    return {("name" if key == "old_name" else key): value for key, value in document.items()}


def test_an_older_schema_is_brought_up_to_date() -> None:
    def aged(documents: dict[str, Any]) -> None:
        service = documents["service"]["1"]
        service["old_name"] = service.pop("name")

    file = forged(aged)
    assert "old_name" in refused(file).message
    later = Schema((*CURRENT.steps, _renamed))
    assert read_backup(file, None, schema=later).configuration.services[1].name == "shop"
    newer = pack(Saved(full(), product="9.9"), schema=later)
    failure = refused(newer)
    assert "made by Steelyard 9.9" in failure.message
    assert read_backup(newer, None, schema=later).configuration.services[1].name == "shop"
