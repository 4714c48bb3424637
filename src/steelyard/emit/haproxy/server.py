"""One server's words, the same for a `server` line and for the `add server` command."""

from __future__ import annotations

from steelyard.plan.haproxy import Server, inner_socket
from steelyard.plan.trust import trust_path


def server_words(server: Server, *, run: str = "") -> tuple[str, ...]:
    """Address and parameters, without the leading keyword and name. `run` is the directory of inner sockets.

    The numeric id is fixed so that persistence records stay true over a reload; servers are not verified unless asked,
    as in LoadMaster. HAProxy compares the name of one that is with the name it asked for.
    """
    words = [
        _address(server, run),
        "id",
        str(server.id),
        "weight",
        str(server.weight),
    ]
    if server.limit:
        words += ["maxconn", str(server.limit)]
    if server.inner:
        # the inner listener sees the client's address
        words.append("send-proxy-v2")
    if server.standby:
        words.append("backup")
    if server.tls is not None:
        authorities = server.tls.authorities
        if authorities is None:
            words += ["ssl", "verify", "none"]
        else:
            # a session that is resumed is not verified
            words += ["ssl", "verify", "required", "ca-file", trust_path(authorities.name), "no-ssl-reuse"]
        if server.tls.name is not None:
            words += ["sni", server.tls.name]
    return (*words, *server.options)


def _address(server: Server, run: str) -> str:
    if server.inner:
        return f"unix@{run}/{inner_socket(server.inner)}"
    host = f"[{server.address}]" if ":" in server.address else server.address
    return host if server.port is None else f"{host}:{server.port}"
