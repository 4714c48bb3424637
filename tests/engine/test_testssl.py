"""What `testssl` says of a service with the settings it is made with: grade A+, on its own terms.

The terms that are the operator's are met as docs/guides/tls.md tells: a certificate of an authority the client knows,
and HSTS. The checks that the grade is made of are run, no others: a full run takes minutes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.engine.rig import Rig
from tests.support.certificates import authority, leaf
from tests.support.origin import Origin

pytestmark = pytest.mark.engine

#: protocols, cipher lists, forward secrecy, server defaults, headers, and those weaknesses the grade counts
_CHECKS = ["-p", "-s", "-f", "-S", "-h", "-H", "-I", "-T", "-BB", "-R", "-C", "-O", "-Z", "-D", "-A", "-4", "-J"]
#: The first with a rating; Debian 12 has an older one, and packaging/next-release-tool takes it from the release after.
_FIRST_WITH_GRADES = (3, 2)
_SECONDS = 150


def _testssl() -> str:
    found = shutil.which("testssl")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout if found else ""
    version = re.search(r"version\s+(?:\x1b\[\w*)*(\d+)\.(\d+)", said)
    if found is None or version is None or (int(version[1]), int(version[2])) < _FIRST_WITH_GRADES:
        pytest.skip("missing: testssl.sh 3.2 or newer (run packaging/next-release-tool testssl.sh 3.2~)")
    return found


# the other HAProxy has the same OpenSSL, and a run takes half a minute
@pytest.mark.parametrize("haproxy", ["system"], indirect=True)
def test_a_service_gets_the_best_grade(rig: Rig, one: Origin, tmp_path: Path) -> None:
    program = _testssl()
    root = authority("Steelyard Graded Root")
    (tmp_path / "root.pem").write_bytes(root.pem)
    rig.certificate("graded", leaf("graded.example", issuer=root))
    service = rig.http(one, ssl_acceleration=True, certificates=("graded",), security_header_options=1)
    report = tmp_path / "report.json"
    answer = subprocess.run(
        [
            *(program, "--quiet", "--color", "0", "--warnings", "off", "-n", "none", "--ip", service.address),
            *("--add-ca", str(tmp_path / "root.pem"), "--jsonfile", str(report), *_CHECKS),
            f"https://graded.example:{service.port}/",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    found = {one["id"]: one["finding"] for one in json.loads(report.read_text())}
    reasons = [finding for name, finding in found.items() if name.startswith(("grade_cap_reason", "grade_warning"))]
    assert found.get("overall_grade") == "A+", (reasons, answer.stdout[-3000:])
    assert not reasons
