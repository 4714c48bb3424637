"""The certificates made for tests are what their names say."""

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from tests.support.certificates import authority, leaf
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.tls_client import client_context, tls_hello_fetch


@pytest.fixture(scope="module")
def chain():
    root = authority("Chain Root")
    middle = authority("Chain Middle", issuer=root)
    return root, middle, leaf("shop.example", "*.shop.example", "127.0.0.1", issuer=middle)


def test_the_same_arguments_give_the_same_certificate_and_generations_differ():
    assert leaf("same.example", kind="ec") is leaf("same.example", kind="ec")
    assert leaf("same.example", kind="ec").serial != leaf("same.example", kind="ec", generation=2).serial


def test_a_served_chain_verifies_against_its_root_and_no_other(chain):
    root, middle, shop = chain
    with Origin("secure", tls=shop.server_context()) as origin:
        assert fetch(origin.url, ca=root).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(origin.url, ca=authority("Another Root"))
        hello = tls_hello_fetch("127.0.0.1", origin.port, sni="shop.example")
    assert hello.names == ["shop.example", "*.shop.example"]
    assert hello.fingerprint == shop.fingerprint
    assert list(hello.chain) == [shop.certificate, middle.certificate]


def test_bundles_hold_their_parts_in_the_order_asked_for(chain):
    root, middle, shop = chain
    assert shop.bundle("chain root leaf key") == middle.pem + root.pem + shop.pem + shop.key_pem
    assert shop.bundle() == shop.key_pem + shop.pem + middle.pem


@pytest.mark.parametrize("password", [None, b"secret"])
def test_pkcs12_holds_key_leaf_and_chain(chain, password):
    _, middle, shop = chain
    key, certificate, others = pkcs12.load_key_and_certificates(shop.pkcs12(password), password)
    assert key is not None
    assert (certificate, others) == (shop.certificate, [middle.certificate])


def test_a_wrong_pkcs12_password_is_refused(chain):
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(chain[2].pkcs12(b"right"), b"wrong")


def test_elliptic_and_rsa_keys_both_serve():
    for kind in ("ec", "rsa"):
        with Origin(kind, tls=leaf(f"{kind}.example", kind=kind).server_context()) as origin:
            assert fetch(origin.url).name == kind


def test_a_tls_1_2_session_resumes_by_its_id():
    context = client_context(highest=ssl.TLSVersion.TLSv1_2, tickets=False)
    with Origin("session", tls=leaf("session.example", kind="ec").server_context()) as origin:
        first = tls_hello_fetch("127.0.0.1", origin.port, context=context)
        again = tls_hello_fetch("127.0.0.1", origin.port, context=context, session=first.session)
    assert (first.resumed, again.resumed) == (False, True)
