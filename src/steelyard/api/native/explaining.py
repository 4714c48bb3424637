"""What would happen to a request: `/explain`. Nothing is sent to a real server, and nothing changes."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, only, optional_number, optional_text, text
from steelyard.api.native.objects import Json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import ref
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read
from steelyard.explain.asked import Asked, asked
from steelyard.explain.report import Explanation, Result
from steelyard.model.errors import OperatorError

router = NativeRouter(tags=["state"])

_MEMBERS = ("url", "service", "client", "method", "headers", "body", "server_name", "version")
_THIS_HOST = "127.0.0.1"


@router.post(
    "/explain",
    responses=answers(ref("Explanation")),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("ExplainedRequest")}}}
    },
)
async def explain_request(appliance: Appliance, data: JsonObject) -> JSONResponse:
    """Say step by step what would happen to a request, without sending it.

    The request is the first one of a new client connection. Which real server a scheduler chooses is said where it is
    certain; elsewhere all that it may choose are named.
    """
    wanted = _asked(data)
    found = await appliance.explain(wanted.request, wanted.host)
    return read(found.revision, explanation_json(found))


def _asked(data: dict[str, Any]) -> Asked:
    only(data, _MEMBERS, "a request to explain")
    return asked(
        text(data, "url"),
        client=optional_text(data, "client") or _THIS_HOST,
        service=optional_number(data, "service") or 0,
        method=optional_text(data, "method") or "GET",
        headers=_headers(data.get("headers", {})),
        body=optional_text(data, "body") or "",
        server_name=optional_text(data, "server_name") or "",
        version=optional_text(data, "version") or "1.1",
    )


def _headers(given: Any) -> tuple[tuple[str, str], ...]:
    """An object of names and values, where a value may be a list of several lines; or a list of [name, value]."""
    pairs: list[tuple[str, str]] = []
    if isinstance(given, dict):
        for name, value in given.items():
            pairs += [(name, line) for line in (value if isinstance(value, list) else [value])]
    elif isinstance(given, list) and all(isinstance(one, list) and len(one) == 2 for one in given):
        pairs = [(one[0], one[1]) for one in given]
    else:
        raise _refused()
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise _refused()
    return tuple(pairs)


def _refused() -> OperatorError:
    allowed = '{"name": "value"}, {"name": ["one", "two"]} or [["name", "value"]]'
    return OperatorError("'headers' holds something else", field="headers", allowed=allowed, remedy=f"Give {allowed}")


def explanation_json(found: Explanation) -> Json:
    """An explanation as JSON."""
    return {
        "revision": found.revision,
        "steps": [
            {"step": step.name, "service": step.service, "says": step.says, "details": list(step.details)}
            for step in found.steps
        ],
        "result": _result_json(found.result),
    }


def _result_json(result: Result) -> Json:
    return {
        "kind": result.kind,
        "why": result.why,
        "servers": [
            {"service": server.service, "index": server.index or None, "address": server.address, "port": server.port}
            for server in result.servers
        ],
        "status": result.status or None,
        "location": result.location or None,
        "others": [_result_json(other) for other in result.others],
    }
