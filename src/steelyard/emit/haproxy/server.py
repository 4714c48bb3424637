"""One server's words, the same for a `server` line and for the `add server` command."""

from __future__ import annotations

from steelyard.plan.haproxy import Server


def server_words(server: Server, *, verify_tls: bool = False) -> tuple[str, ...]:
    """Address and parameters, without the leading keyword and name.

    The numeric id is fixed so that persistence records stay true over a reload; servers are not verified unless asked,
    as in LoadMaster.
    """
    host = f"[{server.address}]" if ":" in server.address else server.address
    words = [
        host if server.port is None else f"{host}:{server.port}",
        "id",
        str(server.id),
        "weight",
        str(server.weight),
    ]
    if server.limit:
        words += ["maxconn", str(server.limit)]
    if server.tls is not None:
        words += ["ssl", "verify", "required" if verify_tls else "none"]
        if server.tls.name is not None:
            words += ["sni", server.tls.name]
    return tuple(words)
