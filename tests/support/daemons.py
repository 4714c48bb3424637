"""Real servers of many kinds from Debian's packages, each a plain process on a loopback port of its own.

Every daemon lives in a directory of its own and in a process group of its own, which is ended whole: several of them
fork. They need root, because they change to the accounts their packages made.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_port

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_SECONDS = 15.0


def program(name: str) -> str:
    """Where a daemon is."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise FileNotFoundError(name)
    return found


@contextlib.contextmanager
def daemon(arguments: Sequence[str], directory: Path, port: int, environment: Mapping[str, str] = {}) -> Iterator[int]:
    """Run a daemon in the foreground until its port answers; gives the port."""
    log = directory / "daemon.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program(arguments[0]), *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, "PATH": _PATH, **environment},
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield port
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(
                f"{process.args!r} does not listen on {port}: {log.read_text('utf-8', 'replace')[-2000:]}"
            )
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the first, then end all of its group: children may outlive it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(3)


@contextlib.contextmanager
def one_for_each_client(arguments: Sequence[str], directory: Path) -> Iterator[int]:
    """A daemon made for inetd: started anew for each client, with the connection as its input and output."""
    port = free_port("127.0.0.1")
    with socket.create_server(("127.0.0.1", port)) as listening:
        started: list[subprocess.Popen[bytes]] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with client, (directory / "daemon.log").open("ab") as log:
                        started.append(
                            subprocess.Popen(
                                [program(arguments[0]), *arguments[1:]],
                                stdin=client,
                                stdout=client,
                                stderr=log,
                                cwd=directory,
                                start_new_session=True,
                            )
                        )

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(3)
            for process in started:
                _end(process)


@contextlib.contextmanager
def opensmtpd(directory: Path) -> Iterator[int]:
    """A mail server that takes nothing."""
    port = free_port("127.0.0.1")
    configuration = directory / "smtpd.conf"
    configuration.write_text(
        f'listen on 127.0.0.1 port {port}\naction "none" maildir "{directory}"\n'
        'match from local for local action "none"\n'
    )
    with daemon(("smtpd", "-d", "-f", str(configuration)), directory, port):
        yield port


@contextlib.contextmanager
def dovecot(directory: Path, certificate: Path) -> Iterator[dict[str, int]]:
    """POP3 and IMAP, plain and under TLS: the ports by "pop3", "imap", "pop3s", "imaps"."""
    ports = {name: free_port("127.0.0.1") for name in ("pop3", "imap", "pop3s", "imaps")}
    listeners = "".join(
        f"service {kind}-login {{\n"
        f"  inet_listener {kind} {{\n    address = 127.0.0.1\n    port = {ports[kind]}\n  }}\n"
        f"  inet_listener {kind}s {{\n    address = 127.0.0.1\n    port = {ports[f'{kind}s']}\n"
        "    ssl = yes\n  }\n}\n"
        for kind in ("pop3", "imap")
    )
    configuration = directory / "dovecot.conf"
    configuration.write_text(
        f"protocols = imap pop3\nbase_dir = {directory}/run\nstate_dir = {directory}/state\nlog_path = /dev/stderr\n"
        f"ssl = yes\nssl_cert = <{certificate}\nssl_key = <{certificate}\nmail_location = maildir:{directory}/mail\n"
        f"passdb {{\n  driver = static\n}}\nuserdb {{\n  driver = static\n}}\n{listeners}"
    )
    with daemon(("dovecot", "-F", "-c", str(configuration)), directory, ports["imaps"]):
        yield ports


@contextlib.contextmanager
def slapd(directory: Path, certificate: Path) -> Iterator[dict[str, int]]:
    """A directory with dc=example and cn=probe,dc=example (password "right"): ports by "ldap" and "ldaps"."""
    ports = {name: free_port("127.0.0.1") for name in ("ldap", "ldaps")}
    (directory / "data").mkdir()
    configuration = directory / "slapd.conf"
    configuration.write_text(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f"pidfile {directory}/slapd.pid\nTLSCertificateFile {certificate}\nTLSCertificateKeyFile {certificate}\n"
        f'database mdb\nsuffix "dc=example"\ndirectory {directory}/data\nmaxsize 1048576\n'
    )
    entries = directory / "entries.ldif"
    entries.write_text(
        "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
        "dn: cn=probe,dc=example\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: probe\n"
        "userPassword: right\n"
    )
    subprocess.run(
        [program("slapadd"), "-f", str(configuration), "-l", str(entries)], check=True, capture_output=True, timeout=20
    )
    where = " ".join(f"{scheme}://127.0.0.1:{port}/" for scheme, port in ports.items())
    with daemon(("slapd", "-d", "0", "-h", where, "-f", str(configuration)), directory, ports["ldap"]):
        yield ports


@contextlib.contextmanager
def dnsmasq(directory: Path) -> Iterator[int]:
    """A name server that knows www.example and nothing else."""
    port = free_port("127.0.0.1")
    arguments = (
        *("dnsmasq", "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces"),
        *("--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--address=/www.example/192.0.2.7"),
        *("--local=/example/", f"--pid-file={directory}/dnsmasq.pid", "--user=root"),
    )
    with daemon(arguments, directory, port):
        yield port


@contextlib.contextmanager
def vsftpd(directory: Path) -> Iterator[int]:
    """An FTP server for nobody."""
    port = free_port("127.0.0.1")
    (directory / "empty").mkdir(mode=0o555)
    configuration = directory / "vsftpd.conf"
    configuration.write_text(
        f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=NO\n"
        f"local_enable=YES\nsecure_chroot_dir={directory}/empty\nftpd_banner=Welcome to the test\n"
    )
    with daemon(("vsftpd", str(configuration)), directory, port):
        yield port


@contextlib.contextmanager
def leafnode(directory: Path, name: str) -> Iterator[int]:
    """A news server without groups, on a host of that name: it serves only where that could be one of the Internet."""
    script = f"hostname {shlex.quote(name)} && exec leafnode"
    with one_for_each_client(("unshare", "--uts", "sh", "-c", script), directory) as port:
        yield port


@contextlib.contextmanager
def telnetd(directory: Path) -> Iterator[int]:
    """A Telnet server."""
    with one_for_each_client(("telnetd",), directory) as port:
        yield port


@contextlib.contextmanager
def xrdp(directory: Path, certificate: Path, security: str) -> Iterator[int]:
    """A Remote Desktop server with that security layer: "rdp", "tls" or "negotiate"."""
    port = free_port("127.0.0.1")
    configuration = directory / "xrdp.ini"
    configuration.write_text(
        f"[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\nuse_vsock=false\nsecurity_layer={security}\n"
        f"crypt_level=high\ncertificate={certificate}\nkey_file={certificate}\nssl_protocols=TLSv1.2, TLSv1.3\n"
        f"[Logging]\nLogFile={directory}/xrdp.log\nLogLevel=INFO\nEnableSyslog=false\n[Xorg]\nname=Xorg\nlib=libxup.so\n"
    )
    # It refuses to run beside one of its own name, which it finds by a file in a place that is fixed.
    Path("/var/run/xrdp").mkdir(exist_ok=True)
    with daemon(("xrdp", "--nodaemon", "--config", str(configuration)), directory, port):
        yield port


@contextlib.contextmanager
def nginx(directory: Path, certificate: Path) -> Iterator[dict[str, int]]:
    """A web server: ports by "http" and "https". `/health` says that all is well, `/secret` wants a password."""
    ports = {name: free_port("127.0.0.1") for name in ("http", "https")}
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;"
        "events { worker_connections 256; }"
        f"http {{ access_log off; ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        f"server {{ listen 127.0.0.1:{ports['http']}; listen 127.0.0.1:{ports['https']} ssl;"
        'location /health { return 200 "all is well for $host by $request_method"; }'
        "location /secret { return 401; } location /away { return 302 /; } location / { return 403; } } }"
    )
    with daemon(("nginx", "-c", str(configuration)), directory, ports["https"]):
        yield ports
