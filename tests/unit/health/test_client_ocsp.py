"""What HAProxy is told about clients' certificates, with a responder that is a function."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from tests.support.certificates import Certified, authority, leaf
from tests.unit.model.test_ocsp import MIDDLE, SHOP, answer

from steelyard.engines.ocsp_responder import NoAnswer
from steelyard.health import client_ocsp
from steelyard.health.client_ocsp import ClientOcsp
from steelyard.plan.trust import trust_path

URL = "http://ocsp.example/"


class Responder:
    """Counts what it is asked."""

    def __init__(self, der: bytes | None = None) -> None:
        self.der = der
        self.urls: list[str] = []

    def __call__(self, url: str, request: bytes, seconds: float) -> bytes:
        self.urls.append(url)
        if self.der is None:
            raise NoAnswer("no answer within 4 s")
        return self.der


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[Responder], ClientOcsp]:
    path = tmp_path / trust_path("clients-all.pem")
    path.parent.mkdir(parents=True)
    path.write_bytes(MIDDLE.pem)
    return lambda responder: ClientOcsp(tmp_path / "o.sock", tmp_path, responder)


def line(of: Certified, responder: str = URL, chain: bytes = b"", file: str = "clients-all.pem") -> str:
    return f"{file} {responder} {of.certificate.public_bytes(Encoding.DER).hex()} {chain.hex()}\n"


def der(*certified: Certified) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.DER) for one in certified)


async def test_answers_are_remembered_for_their_time(asked: Callable[[Responder], ClientOcsp]) -> None:
    responder = Responder(answer())
    found = asked(responder)
    said = [await found.answer(line(SHOP, chain=junk)) for junk in (b"", der(MIDDLE), b"\x30\x82junk")]
    assert [one.word for one in said] == ["good"] * 3
    assert responder.urls == [URL], "what a client sends along does not make another question"
    assert 0 < said[0].until - time.time() <= client_ocsp.REMEMBERED_SECONDS
    responder.der = answer(status=ocsp.OCSPCertStatus.REVOKED)
    assert (await found.answer(line(SHOP))).word == "good"
    found._said.clear()
    assert (await found.answer(line(SHOP))).word == "revoked"


async def test_equal_questions_at_the_same_time_are_one(asked: Callable[[Responder], ClientOcsp]) -> None:
    responder = Responder(answer())
    found = asked(responder)
    said = await asyncio.gather(*(found.answer(line(SHOP)) for _ in range(20)))
    assert {one.word for one in said} == {"good"} and len(responder.urls) == 1


async def test_a_responder_that_fails_is_left_alone_for_a_while(asked: Callable[[Responder], ClientOcsp]) -> None:
    responder = Responder()
    found = asked(responder)
    others = [leaf(f"{number}.example", issuer=MIDDLE, kind="ec") for number in range(3)]
    said = [await found.answer(line(one)) for one in (SHOP, *others)]
    assert {one.word for one in said} == {"failed"} and len(responder.urls) == 1
    assert all(one.until - time.time() <= client_ocsp.FAILED_SECONDS for one in said)
    assert (await found.answer(line(SHOP, "http://other.example/"))).word == "failed"
    assert len(responder.urls) == 2, "another one is asked"


async def test_nothing_but_a_good_answer_is_good(asked: Callable[[Responder], ClientOcsp]) -> None:
    stranger = leaf("shop.example", issuer=authority("Nobody here"), kind="ec")
    named = Responder(answer())
    found = asked(named)
    for asking in (
        line(stranger),
        line(leaf("silent.example", issuer=MIDDLE, kind="ec"), "-"),
        line(SHOP, file="../../secret.pem"),
        line(SHOP, file="missing.pem"),
        "nonsense\n",
        "",
        f"clients-all.pem {URL} 00 \n",
    ):
        assert (await found.answer(asking)).word == "failed"
    assert not named.urls
    assert (await found.answer(line(SHOP, "-"))).word == "good"
    assert named.urls == ["http://ocsp.example/ask?a=b"], "the one the certificate names"


async def test_an_authority_the_client_sent_along_does_and_new_ones_count_at_once(
    asked: Callable[[Responder], ClientOcsp], tmp_path: Path
) -> None:
    path = tmp_path / trust_path("clients-all.pem")
    path.write_bytes(authority("Somebody Else").pem)
    found = asked(Responder(answer()))
    assert (await found.answer(line(SHOP, chain=b"\x30\x81\x80" + der(MIDDLE)))).word == "failed"
    found._said.clear()
    assert (await found.answer(line(SHOP, chain=der(MIDDLE)))).word == "good"
    found._said.clear()
    path.write_bytes(MIDDLE.pem)
    assert (await found.answer(line(SHOP))).word == "good"


async def test_it_answers_on_its_socket_while_a_responder_hangs(tmp_path: Path) -> None:
    path = tmp_path / trust_path("clients-all.pem")
    path.parent.mkdir(parents=True)
    path.write_bytes(MIDDLE.pem)
    release = threading.Event()

    def slow(url: str, request: bytes, seconds: float) -> bytes:
        if "slow" in url:
            release.wait(10)
        return answer()

    service = asyncio.create_task(ClientOcsp(tmp_path / "o.sock", tmp_path, slow).run())

    async def told(text: str) -> bytes:
        async with asyncio.timeout(5):
            while True:
                try:
                    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "o.sock"))
                except (FileNotFoundError, ConnectionRefusedError):
                    await asyncio.sleep(0.01)
                    continue
                writer.write(text.encode())
                try:
                    return await reader.readline()
                finally:
                    writer.close()

    hanging = asyncio.create_task(told(line(SHOP, "http://slow.example/")))
    assert (await told(line(SHOP))).startswith(b"good ")
    assert (tmp_path / "o.sock").stat().st_mode & 0o777 == 0o600
    release.set()
    assert (await hanging).startswith(b"good ")
    service.cancel()
    await asyncio.wait({service})
    assert not (tmp_path / "o.sock").exists()
