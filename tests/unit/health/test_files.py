"""The durable files of the checking process."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from steelyard.health.files import PlanFile, write_whole
from steelyard.plan.health import Check, Directory, HealthPlan, Service


def test_a_plan_that_cannot_be_read_is_reported_without_the_passwords_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after going back to a version that knows less of an endpoint."""
    check = Check(kind="ldap", interval=9, timeout=4, attempts=2, directory=Directory(user="cn=a", password="hunter2"))
    service = Service(key="vs1", check=check, persistent=False, fixed=False, drop_on_failure=False, targets=())
    file = PlanFile(tmp_path)
    file.note({"vs1": service})
    write_whole(file.path, file.content(300, False))
    assert file.load() == HealthPlan(services={"vs1": service})
    file.path.write_text(file.path.read_text().replace('"kind":"ldap"', '"kind":"ldapx"').replace('"user"', '"usr"'))
    with caplog.at_level(logging.ERROR):
        assert file.load() is None
    assert "services.vs1.check.kind: Input should be" in caplog.text
    assert "hunter2" not in caplog.text
