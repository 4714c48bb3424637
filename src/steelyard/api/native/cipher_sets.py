"""Cipher sets: `/cipher-sets`, the built-in ones too.

`missing` are members that this host's HAProxy has not: its TLS library lacks them, and services go without.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, text, texts
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.appliance.contract import ApplianceApi
from steelyard.model.cipher_set import BUILT_IN, members
from steelyard.model.commands import PutCipherSet, RemoveCipherSet
from steelyard.model.configuration import Configuration

router = NativeRouter(prefix="/cipher-sets", tags=["certificates"])


def _json(configuration: Configuration, name: str, ciphers: frozenset[str] | None) -> dict[str, Any]:
    every = members(configuration.cipher_sets, name)
    return {
        "name": name,
        "built_in": name in BUILT_IN,
        "ciphers": list(every),
        "missing": [one for one in every if ciphers is not None and one not in ciphers],
        "used_by": [
            s.index
            for s in configuration.services.values()
            if s.cipher_set == name and (name not in BUILT_IN or s.ssl_acceleration)
        ],
    }


def _rendered(appliance: ApplianceApi, configuration: Configuration, key: int | str | None) -> Any:
    name = str(key)
    known = name in BUILT_IN or name in configuration.cipher_sets
    return _json(configuration, name, appliance.ciphers()) if known else None


@router.get("", responses=answers(list_of("CipherSet")))
async def list_cipher_sets(appliance: Appliance) -> JSONResponse:
    """Every cipher set."""
    snapshot = appliance.snapshot()
    configuration, ciphers = snapshot.configuration, appliance.ciphers()
    names = (*BUILT_IN, *configuration.cipher_sets)
    return read(snapshot.revision, [_json(configuration, name, ciphers) for name in names])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewCipherSet"))
async def add_cipher_set(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a cipher set."""
    only(data, ("name", "ciphers"), "a cipher set")
    command = PutCipherSet(text(data, "name"), texts(data, "ciphers"), fresh=True)
    return await write.carry_out(command, lambda c, key: _rendered(write.appliance, c, key), made="cipher-sets")


@router.get("/{name}", responses=answers("CipherSet"))
async def show_cipher_set(appliance: Appliance, name: str) -> JSONResponse:
    """One cipher set."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _json(snapshot.configuration, name, appliance.ciphers()))


@router.put("/{name}", responses=CHANGED, openapi_extra=body("CipherSetContent"))
async def change_cipher_set(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Replace the ciphers of a cipher set, or make it; services that use it offer the new ones."""
    only(data, ("ciphers",), "a cipher set's content")
    command = PutCipherSet(name, texts(data, "ciphers"))
    return await write.carry_out(command, lambda c, key: _rendered(write.appliance, c, key))


@router.delete("/{name}", responses=CHANGED)
async def remove_cipher_set(write: Writing, name: str) -> JSONResponse:
    """Remove a cipher set that no service uses."""
    return await write.carry_out(RemoveCipherSet(name))
