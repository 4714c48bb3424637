"""What HAProxy's TLS library has, by HAProxy's own word."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.haproxy_binaries import NAMES, require

from steelyard.engines.haproxy.tls_library import known_ciphers
from steelyard.model.cipher_set import BUILT_IN
from steelyard.model.ciphers import CIPHERS, TLS13_SUITES


@pytest.mark.parametrize("name", NAMES)
def test_the_real_ones_have_what_every_openssl_has_and_no_rc4(name: str) -> None:
    known = known_ciphers(require(name))
    assert known is not None
    assert known <= {*CIPHERS, *TLS13_SUITES}
    for name in ("Default", "BestPractices", "Intermediate_compatibility", "FIPS"):
        assert set(BUILT_IN[name]) <= known
    assert set(TLS13_SUITES) <= known
    assert "RC4-MD5" not in known


def test_one_that_cannot_be_asked_tells_nothing(tmp_path: Path) -> None:
    program = tmp_path / "haproxy"
    assert known_ciphers(str(program)) is None
    program.write_text("#!/bin/sh\necho 'something else is wrong' >&2\nexit 1\n")
    program.chmod(0o755)
    assert known_ciphers(str(program)) is None
