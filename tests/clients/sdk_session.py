"""The official Python SDK as a session: objects live on between snippets, so a test can send traffic in between.

    sdk("vs = lm.create_virtual_service(address, port)", address="127.0.0.1", port=8080)
    sdk("vs.save(); vs.index")                     # the value of the last expression
    with pytest.raises(SdkRaised) as raised:
        sdk("lm.get_virtual_service(index=99)")
    raised.value.kinds, raised.value.status, str(raised.value)

`lm` is a `LoadMaster` that is signed in. The SDK itself runs unchanged in its own virtual environment
(`tests.support.sdk`), in another process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import textwrap
from pathlib import Path
from typing import Any, Self

from tests.support.sdk import Appliance, sdk_python

_WORKER = Path(__file__).with_name("sdk_worker.py")
#: the SDK repeats a call that gets no answer three times, after 0.5, 1 and 2 s, each with a 5 s time-out
_ANSWER_SECONDS = 45.0


class SdkRaised(Exception):
    """The snippet raised. `kinds` are the names of the exception's classes, its own first."""

    def __init__(self, kinds: list[str], text: str, status: int | None) -> None:
        super().__init__(text)
        self.kinds = kinds
        self.status = status

    def __repr__(self) -> str:
        return f"{self.kinds[0]}({str(self)!r}, status={self.status})"


class SdkSession:
    """One interpreter with the SDK, signed in to one appliance."""

    def __init__(self, appliance: Appliance) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the session
        ours, theirs = socket.socketpair()
        ours.settimeout(_ANSWER_SECONDS)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with theirs:
            self._process = subprocess.Popen(
                [sdk_python(), _WORKER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                cwd=tempfile.gettempdir(),
                env=environment,
            )
        self._socket = ours
        self._lines = ours.makefile("rw", encoding="utf-8")
        self(
            "lm = LoadMaster(HOST, USER, PASSWORD, PORT)",
            HOST=appliance.admin_address,
            USER=appliance.user,
            PASSWORD=appliance.password,
            PORT=appliance.admin_port,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._lines.close()
        self._process.kill()
        self._process.wait(10)
        self._log.close()

    def __call__(self, code: str, **names: Any) -> Any:
        """Carry out a snippet and return the value of its last expression, as JSON holds it.

        Raises:
            SdkRaised: it raised.
            TimeoutError: it took longer than the SDK's own retries may.
        """
        asked = {"code": textwrap.dedent(code), "names": names}
        self._lines.write(json.dumps(asked) + "\n")
        self._lines.flush()
        line = self._lines.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"the SDK's process ended:\n{self._log.read().decode('utf-8', 'replace')[-4000:]}")
        answer = json.loads(line)
        if "kinds" in answer:
            raise SdkRaised(answer["kinds"], answer["text"], answer["status"])
        return answer["value"]
