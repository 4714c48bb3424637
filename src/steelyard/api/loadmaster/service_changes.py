"""What a request changes on a virtual service: its parameters as the model's settings.

The rules of `reference/loadmaster-api/02`, 2.9 and 13, quirks 66 to 74: unknown parameters are ignored, and so are
those whose precondition is not met once the request's own type, SSL acceleration and re-encryption have been applied,
in this order. Parameters whose behaviour is not built reach the model, which accepts their default and refuses the
rest by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from steelyard.api.loadmaster.call import Parameters
from steelyard.api.loadmaster.failures import not_built
from steelyard.api.loadmaster.values import decoded, is_masked
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.tls import TlsSettings

#: settings that mean something while TLS ends here, and can be changed only then
_NEED_ACCELERATION = frozenset(TlsSettings.declared()) - {"ssl_acceleration", "ssl_reverse"}
#: persistence modes that read `Cookie`; the mode `header` keeps its header name there
_USE_COOKIE = frozenset(
    {"cookie", "cookie-src", "active-cookie", "active-cook-src", "cookie-hash", "cookie-hash-src", "header"}
)
_POST = 2

#: what addvs and modvs do besides settings; these need rules, templates and SubVSs
_UNBUILT_ACTIONS = ("template",)
_SELF_SIGNED = re.compile(r"[0-9a-f]{32}")


def service_settings(
    configuration: Configuration, parameters: Parameters, before: VirtualService | None
) -> dict[str, Any]:
    """Field name -> value of everything the request says about a service. Raises `OperatorError` and `Refusal`.

    `before` is the service as it is, None for a new one. The reference (`vs`, `port`, `prot`) is not part of the
    result.
    """
    _refuse_unbuilt_actions(parameters)
    by_wire = VirtualService.by_wire()
    settings: dict[str, Any] = {}
    for name in parameters:
        declared = by_wire.get(name)
        if declared is None or name == "prot":
            continue
        raw = parameters.raw(name)
        if name == "vsport" and not (before is not None and before.is_sub):
            refuse_zero(raw)
        if (declared.name == "service_type" and raw == "") or is_masked(declared, raw):
            continue
        settings[declared.name] = decoded(declared, raw)
    if "certificates" in settings:
        settings["certificates"] = _real_certificates(configuration, settings["certificates"])
    return _applicable(settings, before)


def refuse_zero(port: Any) -> None:
    """Raise `OperatorError` for a port of 0: every port is `*` here, and must not come about by accident."""
    if str(port).strip() == "0":
        allowed = "1 to 65535, or * for every port"
        raise OperatorError(f"VSPort 0 is no port; allowed: {allowed}", field="port", value="0", allowed=allowed)


def _refuse_unbuilt_actions(parameters: Parameters) -> None:
    for name in _UNBUILT_ACTIONS:
        if parameters.text(name):
            raise not_built(f"Parameter {name}")


def _real_certificates(configuration: Configuration, names: tuple[str, ...]) -> tuple[str, ...]:
    """Without the self-signed one: clients that write back a whole record name it, and mean no certificate."""

    def self_signed(name: str) -> bool:
        known = configuration.certificates.get(name)
        return known.temporary if known is not None else _SELF_SIGNED.fullmatch(name) is not None

    return tuple(name for name in names if not self_signed(name))


def _applicable(settings: dict[str, Any], before: VirtualService | None) -> dict[str, Any]:
    def after(name: str) -> Any:
        return settings.get(name, getattr(before, name) if before is not None else _default(name))

    ignored: set[str] = set()
    if not after("ssl_acceleration"):
        ignored |= _NEED_ACCELERATION
    elif not after("ssl_reencrypt"):
        ignored.add("pass_sni")
    if not after("enhanced_checks"):
        ignored.add("minimum_servers")
    if after("persistence") not in _USE_COOKIE:
        ignored.add("cookie")
    if after("persistence") != "query-hash":
        ignored.add("query_tag")
    if after("check_method") != _POST:
        ignored.add("check_post_data")
    if settings.get("tls_type") == 0 and (before is None or not before.ssl_acceleration):
        # The record shows 0 while SSL is off (quirk 19), and clients write it back together with what switches it on.
        ignored.add("tls_type")
    kept = {name: value for name, value in settings.items() if name not in ignored}
    if before is not None and before.check_post_data and after("check_method") != _POST:
        # The model holds no POST data without the method; LoadMaster keeps it, out of effect.
        kept["check_post_data"] = ""
    return kept


def _default(name: str) -> Any:
    declared: Mapping[str, Any] = VirtualService.declared()
    return declared[name].default
