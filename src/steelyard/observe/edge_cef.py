r"""Events of the edge filter in ArcSight's Common Event Format (CEF 25, "Implementing ArcSight CEF").

A line is the time, `CEF:0`, header fields between `|`, and `key=value` pairs. Backslashes and the signs that part
fields are escaped with a backslash; a byte that is no visible ASCII becomes `\\xNN`, so nothing that a client sends can
end a line or look like another field.
"""

from __future__ import annotations

from steelyard import __version__
from steelyard.observe.edge_events import Event, moment, reason_of, shown_url

_REFUSED_SEVERITY, _ALLOWED_SEVERITY = 6, 1


def written_as_cef(event: Event, name: str) -> str:
    """An event as a line of the files, without its end."""
    refused = bool(event.refused)
    signature = event.refused or "allowed"
    title = "Request refused" if refused else "Request allowed"
    severity = _REFUSED_SEVERITY if refused else _ALLOWED_SEVERITY
    head = "|".join(_header(word) for word in ("Steelyard", "Edge filter", __version__, signature, title))
    pairs = " ".join(f"{key}={_value(value)}" for key, value in _pairs(event, name) if value not in ("", b""))
    return f"{moment(event.at)} CEF:0|{head}|{severity}|{pairs}"


def _pairs(event: Event, name: str) -> tuple[tuple[str, str | bytes], ...]:
    source, source_port = _parts(event.client)
    destination, destination_port = _parts(event.address)
    server_address, server_port = _parts(event.server.partition("/")[2])
    return (
        ("rt", str(round(event.at * 1000))),
        ("src", source),
        ("spt", source_port),
        ("dst", destination),
        ("dpt", destination_port),
        ("dhost", event.host),
        ("destinationTranslatedAddress", server_address),
        ("destinationTranslatedPort", server_port),
        ("requestMethod", event.method),
        ("request", shown_url(event)),
        ("requestClientApplication", event.agent),
        ("act", "refused" if event.refused else "allowed"),
        ("reason", reason_of(event)),
        ("in", str(event.received)),
        ("out", str(event.sent)),
        ("cn1", str(event.status)),
        ("cn1Label", "Status"),
        ("cn2", str(event.duration)),
        ("cn2Label", "Milliseconds"),
        ("cn3", str(event.service)),
        ("cn3Label", "Service"),
        ("cs1", name),
        ("cs1Label", "ServiceName" if name else ""),
    )


def _parts(endpoint: str) -> tuple[str, str]:
    address, _, port = endpoint.rpartition(":")
    return address.strip("[]"), port


def _visible(value: str | bytes) -> str:
    text = (value if isinstance(value, bytes) else value.encode()).decode("latin-1")
    return "".join(sign if " " <= sign <= "~" else f"\\x{ord(sign):02x}" for sign in text)


def _header(value: str) -> str:
    return _visible(value).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: str | bytes) -> str:
    return _visible(value).replace("\\", "\\\\").replace("=", "\\=")
