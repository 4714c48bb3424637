"""Configuration files: YAML or JSON in the shape of `PUT /api/v1/configuration`, with certificates named by file.

    certificates:
      - {name: shop, pem_file: shop.pem}
      - {name: intranet, pkcs12_file: intranet.p12, password_file: intranet.password}
    intermediates:
      - {name: example-ca, pem_file: ca.pem}

Files are found relative to the configuration file.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from steelyard.cli.certificate_files import material, read_file
from steelyard.cli.connection import read_secret
from steelyard.cli.failures import Misuse

_FILES = ("pem_file", "pkcs12_file")


class _Loader(yaml.SafeLoader):
    """Safe, and strict about a key that stands twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key) if isinstance(key, Hashable) else None
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def load(file: Path) -> dict[str, Any]:
    """The document with the contents of its certificate files. Raises `Misuse`."""
    found = _parse(read_file(file), str(file))
    if not isinstance(found, dict):
        raise Misuse(f"{file} holds no configuration", "Write services:, certificates: and parameters:")
    directory = Path() if str(file) == "-" else file.parent
    for kind in ("certificates", "intermediates", "revocation_lists"):
        declared = found.get(kind)
        if isinstance(declared, list):
            found[kind] = [_with_content(item, directory) for item in declared]
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as failure:
        raise Misuse(f"{file} holds something that is no plain data: {failure}", "Quote dates and times") from None
    return found


def dump(document: Any) -> str:
    """The document as YAML, in the order it has."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _parse(content: bytes, name: str) -> Any:
    if name.endswith(".json"):
        try:
            return json.loads(content)
        except ValueError as failure:
            raise Misuse(f"{name} is not JSON: {failure}") from None
    try:
        return yaml.load(content, _Loader)  # noqa: S506 - the loader is a safe one
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise Misuse(f"{name} is not YAML: {failure.problem}{where}") from None
    except (yaml.YAMLError, RecursionError) as failure:
        raise Misuse(f"{name} is not YAML: {failure}") from None


def _with_content(item: Any, directory: Path) -> Any:
    """A declared certificate with its file read; what is no certificate is left to the API to refuse."""
    if not isinstance(item, dict):
        return item
    named = [member for member in _FILES if member in item]
    if len(named) > 1:
        raise Misuse(f"Certificate {item.get('name')!r} names two files", f"Give one of {', '.join(_FILES)}")
    if not named:
        return item
    files = {member: item[member] for member in (*named, "password_file") if member in item}
    for member, value in files.items():
        if not isinstance(value, str):
            raise Misuse(f"{member} of certificate {item.get('name')!r} must be the name of a file")
    rest = {member: value for member, value in item.items() if member not in files}
    password = read_secret(directory / files["password_file"], "") if "password_file" in files else None
    return {**rest, **material(read_file(directory / files[named[0]]), password)}
