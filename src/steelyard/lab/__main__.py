"""One simulated server as a process, for a host of its own: `python -m steelyard.lab serve --role front-end ...`.

Servers of one organisation are given the same `--key`, by which they believe each other's web tickets.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from steelyard.lab.certificates import Authority, ServerCertificate
from steelyard.lab.connection import Place
from steelyard.lab.laboratory import Laboratory
from steelyard.lab.organisation import Organisation
from steelyard.lab.ports import Ports
from steelyard.lab.roles import Director, Edge, FrontEnd, OfficeWebApps, Role

_ROLES = ("front-end", "director", "edge", "office-web-apps")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m steelyard.lab", description="Simulated servers of a deployment.")
    serve = parser.add_subparsers(dest="what", required=True).add_parser("serve", help="run one server")
    serve.add_argument("--role", choices=_ROLES, required=True)
    serve.add_argument("--name", required=True, help="what it calls itself in every answer")
    serve.add_argument("--address", default="", help="where it listens; of an edge, its inside")
    serve.add_argument("--access", default="", help="of an edge: where its access service listens")
    serve.add_argument("--conferencing", default="", help="of an edge: where web conferencing listens")
    serve.add_argument("--audio-video", default="", help="of an edge: where A/V listens")
    serve.add_argument(
        "--certificate", type=Path, help="key, certificate and intermediates in PEM; else a throw-away one"
    )
    serve.add_argument("--domain", default="lync.example")
    serve.add_argument("--key", type=bytes.fromhex, help="hexadecimal, the same for all servers; else one of its own")
    serve.add_argument("--shift", type=int, default=0, help="added to every port")
    serve.add_argument(
        "--next-hop", type=_place, help="ADDRESS:PORT an edge passes SIP on to, a Director what edges sent"
    )
    return parser


def _place(text: str) -> Place:
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return address.strip("[]"), int(port)


def _role(options: argparse.Namespace) -> Role:
    authority = Authority()
    more = {} if options.key is None else {"key": options.key}
    organisation = Organisation(options.domain, ports=Ports(options.shift), root_certificate=authority.der, **more)
    name, address = options.name, options.address
    certificate = (
        authority.issue(f"{name}.{options.domain}", f"*.{options.domain}")
        if options.certificate is None
        else ServerCertificate(options.certificate.read_bytes())
    )
    if options.role == "edge":
        outside = (options.access, options.conferencing, options.audio_video)
        return Edge(name, address, *outside, organisation, certificate, options.next_hop)
    if options.role == "director":
        return Director(name, address, organisation, certificate, options.next_hop)
    kind = FrontEnd if options.role == "front-end" else OfficeWebApps
    return kind(name, address, organisation, certificate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 1 when it cannot start. Says `ready` on standard output once it listens."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Laboratory() as lab:
            lab.start(_role(options))
            print(f"{options.name} ready", flush=True)
            stop.wait()
    except OSError as failure:
        print(f"{options.name}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
