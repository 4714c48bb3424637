"""Valid configurations for property tests.

`configurations()` draws whole ones, with every setting that is built; `edits(configuration)` draws a command that is
valid or refused. Ports are given out in blocks, so that services never claim the same socket.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st
from tests.support import certificates

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.model.certificate import Material, read_upload
from steelyard.model.commands import (
    AddServer,
    AddService,
    ChangeServer,
    ChangeService,
    Command,
    DuplicateService,
    PutCertificate,
    RemoveServer,
    RemoveService,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.virtual_service import HTTP_PERSISTENCE
from steelyard.model.virtual_service.refusals import HEADER_VALUE, REDIRECT_URL
from steelyard.model.virtual_service.standard import LONGEST_PERSISTENCE, PERSISTENCE_MODES, SCHEDULES
from steelyard.model.virtual_service.tls import TLS_TYPES

TEMPORARY = "0123456789abcdef0123456789abcdef"
CERTIFICATES = ("shop", "api.example", "_old")
ADDRESSES = ("192.0.2.10", "192.0.2.11", "0.0.0.0", "2001:db8::10", "::", "::1", "127.0.0.1")
#: no address of a service among them: a real server must not lead back to its service
SERVER_ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.250", "2001:db8:1::1", "198.51.100.1")

_PORTS_EACH = 600
_FIRST_PORT = 1000
_UNBUILT_MODES = {"rdp-sb", "rdp-sb-src", "udpsip"}
HTTP_MODES = tuple(mode for mode in PERSISTENCE_MODES if mode in HTTP_PERSISTENCE or mode in ("none", "src"))
TCP_MODES = ("none", "src", "ssl", "rdp", "rdp-src")
# `dl` needs checks, which a drawn service may be without
HTTP_SCHEDULES = tuple(name for name in SCHEDULES if name != "dl")
TCP_SCHEDULES = tuple(name for name in HTTP_SCHEDULES if name != "uhash")

_TOKENS = st.text(st.sampled_from("abcXYZ019!#$&*+.^_`|~-"), min_size=1, max_size=20)
_QUERY_ITEMS = st.text(st.sampled_from("abcXYZ019._~-"), min_size=1, max_size=20)
_LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True)
_HOST_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join)
_NAMES = st.just("") | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 .@_-]{0,40}", fullmatch=True)
_WEIGHTS = st.sampled_from((1, 2, 3, 100, 1000, 1001, 65535)) | st.integers(1, 65535)


@cache
def material(name: str = "shop.example", generation: int = 1) -> Material:
    """An uploaded certificate with its key."""
    return read_upload(certificates.leaf(name, kind="ec", generation=generation).bundle())


def private_key(key_id: str) -> bytes:
    """The key of any certificate that is made here, in PEM."""
    known = (material(), material(generation=2), material("steelyard.invalid"))
    return next(one.key_pem for one in known if one.key_id == key_id)


def compiler(*, lua: bool = True) -> Compiler:
    """A compiler that has compiled nothing yet."""
    return Compiler(EngineFacts(threads=2, lua=lua, open_files=20_000))


@cache
def with_certificates() -> Configuration:
    """An empty configuration with the temporary certificate and three to assign."""
    made = PutCertificate(TEMPORARY, material("steelyard.invalid"), temporary=True).apply(Configuration()).configuration
    for name in CERTIFICATES:
        made = PutCertificate(name, material()).apply(made).configuration
    return made


def servers() -> st.SearchStrategy[list[dict[str, Any]]]:
    """The real servers of one service: distinct addresses and ports, every built setting."""
    one = st.fixed_dictionaries(
        {
            "address": st.sampled_from(SERVER_ADDRESSES),
            "port": st.sampled_from((1, 80, 443, 8080, 65535)),
            "weight": _WEIGHTS,
            "limit": st.sampled_from((0, 1, 250, 100_000)),
            "enabled": st.booleans(),
        }
    )
    return st.lists(one, max_size=5, unique_by=lambda server: (server["address"], server["port"]))


def _extra_ports(port: int) -> st.SearchStrategy[tuple[str, ...]]:
    block = port - (port - _FIRST_PORT) % _PORTS_EACH
    single = st.integers(block, block + 80).map(str)
    ranges = st.tuples(st.integers(block + 81, block + 200), st.integers(0, 300)).map(lambda r: f"{r[0]}-{r[0] + r[1]}")
    return st.lists(single | ranges, max_size=4).map(tuple)


_CHECKS: Mapping[str, st.SearchStrategy[Any]] = {
    "check_type": st.sampled_from(("none", "tcp", "http", "https")),
    "check_port": st.sampled_from((0, 1, 8080, 65535)),
    "check_url": st.just("") | st.from_regex(r"/[!-~]{0,40}", fullmatch=True),
    "check_host": st.just("") | _HOST_NAMES | st.sampled_from(("192.0.2.1:8080", "[2001:db8::1]", "[2001:db8::1]:81")),
    "check_http11": st.booleans(),
    "check_codes": st.lists(st.integers(100, 999).map(str), max_size=5).map(tuple),
    "check_headers": st.lists(
        st.tuples(_TOKENS, _NAMES).map(lambda h: f"{h[0].replace('|', '')}x:{h[1]}"), max_size=4
    ).map(tuple),
    "check_interval": st.integers(0, 901),
    "check_timeout": st.integers(0, 60),
    "check_retries": st.integers(0, 15),
    "check_pattern": st.sampled_from(("", "OK", "^(yes|no)$", "[a-z]+")),
}
_TLS: Mapping[str, st.SearchStrategy[Any]] = {
    "tls_type": st.sampled_from(tuple(TLS_TYPES)),
    "allow_http2": st.booleans(),
    "server_verification": st.sampled_from(("", "none", "required")),
    "certificates": st.lists(st.sampled_from(CERTIFICATES), unique=True, max_size=3).map(tuple),
}
_PERSISTENCE: Mapping[str, st.SearchStrategy[Any]] = {
    "persistence_timeout": st.sampled_from((0, 60, 360, 86_400, LONGEST_PERSISTENCE)),
    "persistence_mask": st.integers(8, 32),
    "query_tag": _QUERY_ITEMS,
    "cookie": _TOKENS,
}


_ASCII = st.characters(min_codepoint=32, max_codepoint=126)
_NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
_PAGES = st.binary(max_size=40).map(lambda page: base64.b64encode(page).decode())
_INSTEAD: st.SearchStrategy[dict[str, Any]] = (
    _NOTHING
    | st.fixed_dictionaries(
        {
            "error_code": st.sampled_from((301, 302, 303, 307, 308)),
            "error_url": st.from_regex(REDIRECT_URL, fullmatch=True, alphabet=_ASCII).filter(
                lambda url: len(url) <= 1024
            ),
        }
    )
    | st.fixed_dictionaries({"error_code": st.sampled_from((0, 200, 299, 404, 503, 505)), "error_page": _PAGES})
)
_STANDBY: st.SearchStrategy[dict[str, Any]] = _NOTHING | st.fixed_dictionaries(
    {
        "standby_address": st.sampled_from(("192.0.2.200", "2001:db8::200")),
        "standby_port": st.sampled_from((0, 1, 8080, 65535)),
    }
)
_HEADERS: st.SearchStrategy[dict[str, Any]] = _NOTHING | st.fixed_dictionaries(
    {
        "extra_header_name": _TOKENS.map("x-{}".format),
        "extra_header_value": st.from_regex(HEADER_VALUE, fullmatch=True, alphabet=_ASCII).filter(
            lambda value: len(value) <= 255
        ),
        "copy_header_from": _TOKENS,
        "copy_header_to": _TOKENS.map("x-{}".format),
    }
)


@st.composite
def services(draw: st.DrawFn, block: int) -> dict[str, Any]:
    """The settings of one service with its servers; `block` keeps its ports apart from those of others."""
    http = draw(st.booleans())
    port = _FIRST_PORT + block * _PORTS_EACH + draw(st.integers(0, 80))
    made: dict[str, Any] = {
        "address": draw(st.sampled_from(ADDRESSES)),
        "port": port,
        "service_type": "http" if http else draw(st.sampled_from(("gen", "ts"))),
        "name": draw(_NAMES),
        "enabled": draw(st.booleans()),
        "extra_ports": draw(st.just(()) | _extra_ports(port)),
        "schedule": draw(st.sampled_from(HTTP_SCHEDULES if http else TCP_SCHEDULES)),
        "persistence": draw(st.sampled_from(HTTP_MODES if http else TCP_MODES)),
        "idle_time": draw(st.sampled_from((0, 1, 660, 86_400))),
        "server_init": draw(st.integers(0, 6)),
        "http_reschedule": draw(st.booleans()),
        "add_via": draw(st.integers(0, 6)),
    }
    for name, strategy in {**_PERSISTENCE, **_CHECKS}.items():
        made[name] = draw(strategy)
    if made["persistence"] != "ssl" and draw(st.booleans()):
        made.update(ssl_acceleration=True, **{name: draw(strategy) for name, strategy in _TLS.items()})
        if draw(st.booleans()):
            made.update(ssl_reencrypt=True, pass_sni=draw(st.booleans()))
            made["reencrypt_sni"] = draw(st.just("") | _HOST_NAMES)
    elif draw(st.booleans()):
        made.update(ssl_reverse=True, reencrypt_sni=draw(st.just("") | _HOST_NAMES))
    made.update(draw(_STANDBY))
    if http:
        for strategy in (_INSTEAD, _HEADERS):
            made.update(draw(strategy))
        made["pass_cipher"] = draw(st.booleans())
        made["ssl_rewrite"] = draw(st.sampled_from(("", "http", "https")))
        made["security_header_options"] = draw(st.sampled_from((0, 1, 2, 4, 6)))
    made["check_method"] = draw(st.integers(0, 3))
    made["check_post_data"] = draw(_NAMES) if made["check_method"] == 2 else ""
    made["servers"] = draw(servers())
    if made["extra_ports"] and made["servers"] and draw(st.booleans()):
        first = made["servers"][0]
        if all((s["address"], s["port"]) != (first["address"], port) for s in made["servers"]):
            first["port"] = port
    return made


def parameters() -> st.SearchStrategy[list[SetParameters]]:
    """Commands that set every built global parameter."""
    layer7 = st.fixed_dictionaries(
        {
            "always_check_persistence": st.integers(0, 2),
            "drop_on_failure": st.booleans(),
            "drop_at_drain_end": st.booleans(),
            "drain_time": st.sampled_from((0, 60, 300, 86_400)),
        }
    )
    checks = st.fixed_dictionaries(
        {"interval": st.integers(1, 901), "timeout": st.integers(1, 60), "retries": st.integers(1, 15)}
    )
    network = st.fixed_dictionaries({"connection_timeout": st.sampled_from((0, 60, 660, 86_400))})
    return st.tuples(layer7, checks, network).map(
        lambda three: [
            SetParameters("layer7", three[0]),
            SetParameters("checks", three[1]),
            SetParameters("network", three[2]),
        ]
    )


@dataclass(frozen=True)
class Ingredients:
    """What a configuration is made of: commands that may be carried out in any order."""

    parameters: tuple[SetParameters, ...]
    services: tuple[dict[str, Any], ...]

    def made(self) -> Configuration:
        configuration = with_certificates()
        for command in (*self.parameters, *(AddService(settings) for settings in self.services)):
            configuration = command.apply(configuration).configuration
        return configuration


@st.composite
def ingredients(draw: st.DrawFn, *, most: int = 4) -> Ingredients:
    """Parameters and up to `most` services."""
    count = draw(st.integers(0, most))
    return Ingredients(tuple(draw(parameters())), tuple(draw(services(block)) for block in range(count)))


def configurations(*, most: int = 4) -> st.SearchStrategy[Configuration]:
    """Valid configurations with up to `most` services."""
    return ingredients(most=most).map(Ingredients.made)


@st.composite
def edits(draw: st.DrawFn, configuration: Configuration) -> Command:
    """A command for that configuration; the model may refuse it."""
    indexes = sorted(configuration.services)
    kinds = ["add", "parameters", "certificate"]
    kinds += (
        ["change", "change", "remove", "duplicate", "add server", "change server", "remove server"] if indexes else []
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "add":
        return AddService(draw(services(draw(st.integers(10, 60)))))
    if kind == "parameters":
        return draw(parameters().flatmap(st.sampled_from))
    if kind == "certificate":
        made = material(generation=draw(st.integers(1, 2)))
        return PutCertificate(draw(st.sampled_from(CERTIFICATES)), made, replace=True)
    index = draw(st.sampled_from(indexes))
    present = [server.index for server in configuration.services[index].servers]
    if kind == "remove":
        return RemoveService(index)
    if kind == "duplicate":
        return DuplicateService(index, port=_FIRST_PORT + _PORTS_EACH * draw(st.integers(61, 80)))
    if kind == "add server" or (kind.endswith("server") and not present):
        return AddServer(index, draw(servers().filter(bool))[0])
    if kind == "change server":
        whole = draw(servers().filter(bool))[0]
        names = draw(st.sets(st.sampled_from(sorted(whole)), min_size=1))
        return ChangeServer(index, draw(st.sampled_from(present)), {name: whole[name] for name in sorted(names)})
    if kind == "remove server":
        return RemoveServer(index, draw(st.sampled_from(present)))
    whole = {name: value for name, value in draw(services(index)).items() if name not in ("servers", "port", "address")}
    names = draw(st.sets(st.sampled_from(sorted(whole)), min_size=1, max_size=6))
    return ChangeService(index, {name: whole[name] for name in sorted(names)})


@st.composite
def histories(draw: st.DrawFn, *, most: int = 8) -> list[Configuration]:
    """A configuration and what a series of edits made of it, oldest first. Refused edits change nothing."""
    found = [draw(configurations(most=3))]
    for _ in range(draw(st.integers(1, most))):
        command = draw(edits(found[-1]))
        try:
            found.append(command.apply(found[-1]).configuration)
        except (OperatorError, ConflictError):
            found.append(found[-1])
    return found


__all__ = ["ADDRESSES", "CERTIFICATES", "HTTP_MODES", "HTTP_SCHEDULES", "TCP_MODES", "TCP_SCHEDULES", "TEMPORARY"]
__all__ += ["Ingredients", "compiler", "configurations", "edits", "histories", "ingredients", "material", "parameters"]
__all__ += ["private_key", "servers", "services", "with_certificates"]
