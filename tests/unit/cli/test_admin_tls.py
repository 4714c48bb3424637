"""TLS of the administration interface, as the parameters say, with real handshakes in memory."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from tests.support.certificates import leaf
from tests.support.fake_appliance import FakeAppliance

from steelyard.cli.admin_tls import follow, set_up
from steelyard.model.cipher_set import BUILT_IN
from steelyard.model.commands import PutCipherSet, SetParameters
from steelyard.model.tls_parameters import TlsParameters

V12 = ssl.TLSVersion.TLSv1_2


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    (tmp_path / "admin.pem").write_bytes(leaf("admin.test").bundle())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "admin.pem")
    return context


def agreed(server: ssl.SSLContext, highest: ssl.TLSVersion | None = None, ciphers: str = "ALL") -> str | None:
    """What a client and this server agree on: "TLSv1.2 CIPHER", None when nothing."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    if highest is not None:
        client.maximum_version = highest
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True))
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return None
    found = ends[0].cipher()
    assert found is not None
    return f"{ends[0].version()} {found[0]}"


def test_protocols_and_ciphers_are_what_the_parameters_say(server: ssl.SSLContext) -> None:
    set_up(server, TlsParameters(), {})
    assert agreed(server) == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert agreed(server, V12) == f"TLSv1.2 {BUILT_IN['WUI'][1]}"
    assert agreed(server, V12, "AES128-SHA") is None
    set_up(server, TlsParameters(admin_tls_type=23, admin_cipher_set="Legacy"), {})
    assert agreed(server, None, "AES128-SHA") == "TLSv1.2 AES128-SHA"
    set_up(server, TlsParameters(admin_tls_type=15), {})
    assert agreed(server, V12) is None
    assert agreed(server) == "TLSv1.3 TLS_AES_256_GCM_SHA384"


async def test_a_change_counts_for_new_connections(server: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.cli.admin_tls._LOOK_SECONDS", 0.001)
    appliance = FakeAppliance()
    actor = appliance.administrator()
    following = asyncio.create_task(follow(appliance, server))

    async def comes_to(expected: str) -> None:
        for _ in range(1000):
            if agreed(server, V12) == expected:
                return
            await asyncio.sleep(0.005)
        raise TimeoutError(f"{expected} never came")

    await comes_to("TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384")
    await appliance.execute(PutCipherSet("Odd", ("AES128-SHA",)), actor)
    await appliance.execute(SetParameters("tls", {"admin_cipher_set": "Odd"}), actor)
    await comes_to("TLSv1.2 AES128-SHA")
    await appliance.execute(PutCipherSet("Odd", ("AES256-SHA",)), actor)
    await comes_to("TLSv1.2 AES256-SHA")
    await appliance.execute(PutCipherSet("Odd", ("RC4-MD5",)), actor)
    await asyncio.sleep(0.02)
    assert agreed(server, V12) == "TLSv1.2 AES256-SHA", "what cannot be had changes nothing"
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
