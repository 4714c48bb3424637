"""The options every write takes: `dry_run`, `reason` and `wait` in the query, and the header If-Match.

One function reads them for all routes. Declared as parameters, FastAPI would work them out again for each of a hundred
routes, at every start, which is half of the time it takes to make them.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from steelyard.model.errors import OperatorError

_ETAG = re.compile(r'"([0-9]{1,18})"')
_IF_MATCH = 'The revision the change is based on, as the ETag gave it: "7".'


class WriteOptions(BaseModel):
    """Those of the query."""

    dry_run: bool = Field(False, description="Only say what would happen.")
    reason: str = Field("", description="Why, for the history.")
    wait: bool | None = Field(
        None, description="Wait for a reload that is put off to join others; by default only if none is."
    )


QUERY_NAMES = frozenset(WriteOptions.model_fields)


def read_options(request: Request) -> WriteOptions:
    """The options of a request. Raises `RequestValidationError`."""
    given = {name: request.query_params[name] for name in QUERY_NAMES if name in request.query_params}
    try:
        return WriteOptions.model_validate(given)
    except ValidationError as failure:
        errors = [{**error, "loc": ("query", *error["loc"])} for error in failure.errors()]
        raise RequestValidationError(errors) from failure


def revision_in(if_match: str | None) -> int | None:
    """The revision in If-Match; None without the header and for `*`. Raises `OperatorError`."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise OperatorError(
            "If-Match must name one revision",
            field="If-Match",
            value=if_match[:80],
            allowed='the ETag of an answer, such as "7", or *',
            remedy="Send the ETag of the answer the change is based on",
        )
    return int(found.group(1))


def documented() -> list[dict[str, Any]]:
    """The options as parameters of an OpenAPI operation."""
    parameters = []
    for name, schema in WriteOptions.model_json_schema()["properties"].items():
        if schema.get("default", "") is None:
            del schema["default"]
        parameters.append({"in": "query", "name": name, "schema": schema})
    text = {"anyOf": [{"type": "string"}, {"type": "null"}], "description": _IF_MATCH, "title": "If-Match"}
    parameters.append({"in": "header", "name": "if-match", "schema": text})
    return [{**one, "required": False, "description": one["schema"]["description"]} for one in parameters]
