"""Text that would be a script, put into every place of an appliance that takes text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.browser.rig import Rig

#: ends an attribute, is an element, runs a script
HOSTILE = "\"'><img src=x onerror=window.struck=1>"
#: the same where blanks, or quotes, or capitals are not allowed
FORMS = (HOSTILE, HOSTILE.replace(" ", "/"), "<img/src=x/onerror=window.struck=1>", "<img/src=x>")
#: schema of the changes -> of what, by the native API
_SERVICE, _SERVER = "VirtualServiceChanges", "RealServerChanges"


def plant(rig: Rig, service: int) -> dict[str, str]:
    """Put hostile text wherever it is taken; `where: field` -> the form that was. Only text that is refused is not."""
    native = rig.steelyard.native
    schemas = native.get("openapi.json").json()["components"]["schemas"]
    shown = native.get(f"virtual-services/{service}").json()
    server = shown["servers"][0]["index"]
    changes = {
        f"virtual-services/{service}": schemas[_SERVICE],
        f"virtual-services/{service}/real-servers/{server}": schemas[_SERVER],
    }
    for name, schema in schemas.items():
        if name.endswith("ParameterChanges"):
            changes[f"parameters/{name.removesuffix('ParameterChanges').lower()}"] = schema
    taken: dict[str, str] = {}
    for path, schema in changes.items():
        for field in _text_fields(schema):
            for form in FORMS:
                if native.patch(path, json={field: form}).is_success:
                    taken[f"{path}: {field}"] = form
                    break
    for what, method, path, body in _made(service):
        for form in FORMS:
            if native.request(method, path, json=_filled(body, form)).is_success:
                taken[what] = form
                break
    answer = native.patch(f"virtual-services/{service}", params={"reason": HOSTILE}, json={"idle_time": 333})
    if answer.is_success:
        taken["the reason of a change"] = HOSTILE
    return taken


def _text_fields(schema: dict[str, Any]) -> Iterator[str]:
    for name, values in schema.get("properties", {}).items():
        kinds = values.get("anyOf", [values])
        if any(one.get("type") == "string" and "enum" not in one for one in kinds):
            yield name


def _made(service: int) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Things of their own: what, how they are made, and with which text."""
    header: dict[str, Any] = {"rule_type": 1, "header": "X-Hostile"}
    path: dict[str, Any] = {"match_type": "prefix"}
    yield "the text a rule adds", "POST", "rules", {"name": "hostile_header", "replacement": "HOSTILE"} | header
    yield "the pattern of a rule", "POST", "rules", {"name": "hostile_path", "pattern": "/HOSTILE"} | path
    yield "the name of a rule", "POST", "rules", {"name": "HOSTILE", "pattern": "/a"} | path
    yield "a limiting rule", "POST", "limits/rules", {"name": "hostile", "pattern": "/HOSTILE", "limit": 9}
    blocked = {"address": "198.51.100.7", "comment": "HOSTILE"}
    yield "the comment at an address", "POST", "access-lists/all/block", blocked
    yield "the name of a user", "POST", "users", {"name": "HOSTILE", "password": "Long-enough-1"}
    subject = {"common_name": "hostile.example", "organization": "HOSTILE"}
    yield "a certificate request", "POST", "signing-requests", {"name": "hostile", "subject": subject}
    yield "an LDAP endpoint", "POST", "ldap-endpoints", {"name": "hostile", "user": "HOSTILE"}
    yield "an error page", "PUT", f"virtual-services/{service}/error-page", {"text": "HOSTILE"}
    yield "a test event", "POST", "events/test", {"text": "HOSTILE"}
    template = "name: hostile\ncomment: |-\n  HOSTILE\nservices:\n- port: 80\n"
    yield "the comment of a template", "POST", "templates", {"text": template}


def _filled(value: Any, form: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, form) for key, one in value.items()}
    return value.replace("HOSTILE", form) if isinstance(value, str) else value


#: how many pages draw an element out of planted text
STRUCK = "document.querySelectorAll('img[src=x], img[src=\"x\"]').length + (window.struck ? 1 : 0)"
