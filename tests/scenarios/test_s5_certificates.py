"""Certificates for a pool's web services: from the files a Windows server exports, to the handshake."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.scenarios.pages import Page, Pages
from tests.scenarios.web_services import POOL, ROOT, USERS, WEB, WebServices, named
from tests.support.certificates import authority, leaf

from steelyard.lab.fetching import Browser
from steelyard.lab.names import Names

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

POOLWEB = f"https://{named('poolweb')}"
SECURE: dict[str, Any] = {"service_type": "http", "ssl_acceleration": True, "ssl_reencrypt": True}
MIDDLE = authority("Lync Test Issuing", issuer=ROOT)
CHAINED = leaf(named("poolweb"), issuer=MIDDLE, kind="ec")
PASSWORD = "password"


@pytest.fixture(scope="module")
def bed() -> Iterator[WebServices]:
    with WebServices() as made:
        made.begin()
        yield made


@pytest.fixture(scope="module")
def pages(bed: WebServices) -> Iterator[Pages]:
    made = Pages(bed)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _only_what_the_test_makes(bed: WebServices) -> Iterator[None]:
    yield
    bed.clear()
    for kind in ("certificates", "intermediates"):
        for one in bed.native("GET", f"/{kind}"):
            if not one.get("temporary"):
                bed.native("DELETE", f"/{kind}/{one['name']}")


def token(pages: Pages, path: str) -> str:
    """What a page's forms carry."""
    found = re.search(r'<meta name="csrf" content="([^"]+)">', pages.get(path).markup)
    assert found is not None
    return found[1]


def sent(pages: Pages, path: str, file: bytes = b"", **fields: str) -> Page:
    """Fill in a form that takes a file, and the page that follows."""
    data = {"csrf": token(pages, path), **fields}
    answer = pages._send("POST", path, data=data, files={"file": ("exported" if file else "", file)})
    if answer.status_code == 303:
        return pages.get(answer.headers["location"])
    return Page(answer.text)


def browsing(bed: WebServices, url: str) -> int:
    """The status a careful client inside gets; `ssl.SSLCertVerificationError` when it does not believe."""
    found = Names({named(host): WEB for host in ("poolweb", "meet", "dialin", "lyncdiscoverinternal")})
    with bed.inside.inside():
        return Browser(found, ROOT.pem, source=USERS[0], timeout=5).get(url).status


@pytest.mark.requirement("S5-23", "S5-26", "S5-29", "S5-30")
def test_s5_23_a_pfx_with_its_password_and_the_root_apart(bed: WebServices, pages: Pages) -> None:
    exported = POOL.pkcs12(PASSWORD.encode(), chain=False)
    wrong = sent(pages, "/certificates/add", exported, name="LyncWebPool", password="Password")
    assert "pass phrase" in wrong.text.lower() or "password" in wrong.text.lower(), wrong.text
    assert not [one for one in bed.native("GET", "/certificates") if one["name"] == "LyncWebPool"]
    page = sent(pages, "/certificates/add", exported, name="LyncWebPool", password=PASSWORD)
    assert "Certificate LyncWebPool was imported" in page.text
    (row,) = (row for row in pages.get("/certificates").table if row[0] == "LyncWebPool")
    assert row[-1] == "nothing", "installed, and assigned to no service"
    root = sent(pages, "/intermediates", name="JDSRoot.pem", pasted=ROOT.pem.decode())
    assert "JDSRoot.pem" in root.text


@pytest.mark.requirement("S5-23")
def test_s5_23_a_pfx_with_its_whole_chain(bed: WebServices) -> None:
    bed.loadmaster("addcert", cert="Chained", body=CHAINED.pkcs12(PASSWORD.encode()), password=PASSWORD)
    bed.add(WEB, 443, server="192.168.1.41", name="chained", certificates=["Chained"], **SECURE)
    assert browsing(bed, f"{POOLWEB}/meet") == 200, "the intermediate is sent with it"


@pytest.mark.requirement("S5-24", "S5-33", "S5-34")
def test_s5_24_the_certificate_is_good_for_the_web_services_names_and_for_no_other(bed: WebServices) -> None:
    bed.native("POST", "/certificates", {"name": "LyncWebPool", "pem": POOL.bundle().decode()})
    index = bed.add(WEB, 443, server="192.168.1.41", name="FE Pool HTTPS", certificates=["LyncWebPool"], **SECURE)
    bed.wait_for(index, "Unchecked")
    reply = bed.web(f"{POOLWEB}/meet", ca=ROOT)
    assert reply.certificate == POOL.certificate
    for host in ("poolweb", "meet", "dialin"):
        assert browsing(bed, f"https://{named(host)}/meet") == 200
    with pytest.raises(ssl.SSLCertVerificationError, match="lyncdiscoverinternal"):
        browsing(bed, f"https://{named('lyncdiscoverinternal')}/")


@pytest.mark.requirement("S5-25")
def test_s5_25_a_key_of_2048_bits_is_taken_and_a_certificate_without_its_key_is_not(bed: WebServices) -> None:
    assert isinstance(POOL.key, rsa.RSAPrivateKey) and POOL.key.key_size == 2048
    bed.loadmaster("addcert", cert="LyncWebPool", body=POOL.pkcs12(PASSWORD.encode()), password=PASSWORD)
    said = bed.loadmaster_says("addcert", cert="NoKey", body=POOL.pem)
    assert not said.ok and "private key" in said.message


@pytest.mark.requirement("S5-27", "S5-28")
def test_s5_28_the_root_is_pasted_under_a_name_that_is_new(bed: WebServices, pages: Pages) -> None:
    first = sent(pages, "/intermediates", name="JDSRoot.pem", pasted=ROOT.pem.decode())
    assert "JDSRoot.pem" in first.text
    again = sent(pages, "/intermediates", name="JDSRoot.pem", pasted=MIDDLE.pem.decode())
    assert "already exists" in again.text, again.text
    der = sent(pages, "/intermediates", ROOT.der, name="Binary.cer")
    assert "PEM" in der.text and "Binary.cer" not in {one["name"] for one in bed.native("GET", "/intermediates")}


@pytest.mark.requirement("S5-31", "S5-32", "S5-33")
def test_s5_31_without_a_certificate_a_temporary_one_until_one_is_assigned(bed: WebServices, pages: Pages) -> None:
    index = bed.add(WEB, 443, server="192.168.1.41", name="FE Pool HTTPS")
    bed.change(index, service_type="http", ssl_acceleration=True)
    page = pages.get(f"/virtual-services/{index}")
    assert "No certificate is assigned: clients are shown a temporary self-signed one." in page.text
    assert "Acceleration Enabled" in page.sections["ssl"] and "temporary certificate" in page.sections["ssl"]
    shown = bed.web(f"{POOLWEB}/meet").certificate
    assert shown is not None and shown.issuer == shown.subject
    sent(pages, "/certificates/add", POOL.pkcs12(PASSWORD.encode()), name="LyncWebPool", password=PASSWORD)
    path = "/certificates/of/LyncWebPool"
    assert f"VS to Add FE Pool HTTPS (tcp/{WEB}:443)" in pages.get(path).text
    typed = {"csrf": token(pages, path), "service": str(index)}
    answer = pages._send("POST", f"{path}/assign", data=typed)
    assert answer.status_code == 303, answer.text
    assert "Assigned to FE Pool HTTPS" in pages.get(path).text
    bed.settle()
    assert bed.web(f"{POOLWEB}/meet", ca=ROOT).certificate == POOL.certificate
