"""The roots this host trusts."""

from __future__ import annotations

import pytest
from tests.support.certificates import authority

import steelyard.engines.trusted_roots
from steelyard.engines.trusted_roots import TrustedRoots
from steelyard.model.errors import HostLacks

ONE, TWO = authority("Trusted One"), authority("Trusted Two")
MIDDLE = authority("Trusted Middle", issuer=TWO)


def test_an_odd_root_does_not_hide_the_others_and_a_new_bundle_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = "# comment\n" + ONE.pem.decode()
    monkeypatch.setattr(steelyard.engines.trusted_roots, "system_authorities", lambda: bundle)
    trusted = TrustedRoots()
    found = trusted.roots()
    assert found is not None
    assert found is trusted.roots(), "read once"
    assert found.issuers(MIDDLE.certificate) == ()
    odd = ONE.pem.decode().splitlines()
    bundle += "\n".join([odd[0], "AAAA", *odd[2:], ""]) + TWO.pem.decode()
    found = trusted.roots()
    assert found is not None
    assert found.issuers(MIDDLE.certificate) == (TWO.certificate,)


def test_a_host_without_a_bundle_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking() -> str:
        raise HostLacks("none", lacks="trusted authorities", remedy="install")

    monkeypatch.setattr(steelyard.engines.trusted_roots, "system_authorities", lacking)
    assert TrustedRoots().roots() is None


def test_the_bundle_of_this_host_is_read() -> None:
    found = TrustedRoots().roots()
    assert found is None or found.named(ONE.certificate.subject) == ()
