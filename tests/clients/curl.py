"""curl as an administrator's scripts call it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.steelyard_process import SteelyardProcess


@dataclass(frozen=True)
class Fetched:
    """What curl got: status, header lines by lower-case name, and the body byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("ascii")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Curl:
    """`curl -k -u USER:PASSWORD` against one appliance; `credentials=None` leaves `-u` out."""

    def __init__(self, steelyard: SteelyardProcess) -> None:
        self.url = steelyard.url
        self.user, self.password = steelyard.user, steelyard.password
        self.credentials: str | None = f"{self.user}:{self.password}"

    def __call__(self, path: str, *options: str | Path) -> Fetched:
        """One call of `path` below the administration port. Fails the test when curl itself fails."""
        login = [] if self.credentials is None else ["-u", self.credentials]
        with tempfile.TemporaryDirectory() as directory:
            head, body = Path(directory, "head"), Path(directory, "body")
            command = ["curl", "-q", "-k", "-s", "-S", "--noproxy", "*", "--max-time", "20", *login]
            command += ["-D", str(head), "-o", str(body), *map(str, options), self.url + path]
            ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
            assert ran.returncode == 0, ran.stderr
            # After "100 Continue" a second block of headers follows; the last one is the answer's.
            lines = head.read_bytes().decode("latin-1").split("\r\n\r\n")[-2].split("\r\n")
            pairs = (line.partition(":") for line in lines[1:])
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            content = body.read_bytes() if body.exists() else b""
            return Fetched(int(lines[0].split()[1]), headers, content)

    def v2(self, command: str, **members: object) -> Fetched:
        """`curl -d '{"cmd": ...}'` with the credentials in the object, as the v2 interface has it."""
        message = {"cmd": command, "apiuser": self.user, "apipass": self.password, **members}
        return self.post_json(message)

    def post_json(self, message: object) -> Fetched:
        """POST one JSON value to `/accessv2` and send no other credentials."""
        before, self.credentials = self.credentials, None
        try:
            return self("/accessv2", "-H", "Content-Type: application/json", "--data-binary", json.dumps(message))
        finally:
            self.credentials = before
