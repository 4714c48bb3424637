"""The official Python SDK sets a new appliance up, and every step of it is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

NEW = "a password of my own"


@pytest.fixture
def new() -> Iterator[SteelyardProcess]:
    """A Steelyard that nobody has set up, with the password its first start has shown."""
    with SteelyardProcess(password_given=False) as made:
        shown = re.search(r"One-time password, shown only now: (\w+)", made.log)
        assert shown is not None
        made.password = shown.group(1)
        yield made


def test_the_licence_call_home_and_the_first_password(new: SteelyardProcess) -> None:
    with SdkSession(new) as sdk:
        with pytest.raises(SdkRaised, match="not set up yet"):
            sdk("lm.get_virtual_services()")
        assert "Apache License" in sdk("lm.get_eula()")
        with pytest.raises(SdkRaised, match="not set up yet"):
            sdk("lm.initial_password('too early to say')")
        sdk("lm.get_eula()")
        sdk("lm.accept_eula('trial')")
        sdk("lm.set_callhome(False)")
        with pytest.raises(SdkRaised, match="needs no licence key"):
            sdk("lm.alsi_license('somebody@example.com', 'a password')")
        sdk(f"lm.initial_password({NEW!r})")
    new.password = NEW
    with SdkSession(new) as sdk:
        assert sdk("len(lm.get_virtual_services())") == 0
    assert new.native.get("setup").json()["first_step"] == ""
