"""`steelyard crl` and `steelyard cert stapling`."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.certificates import authority, leaf, revocation_list
from tests.unit.cli.conftest import Program

STAFF = authority("Program Staff")


def test_lists_are_imported_shown_replaced_and_removed(steelyard: Program, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(STAFF.pem)
    first = revocation_list(STAFF, leaf("ann.example", issuer=STAFF, kind="ec"))
    (tmp_path / "first.crl").write_bytes(x509.load_pem_x509_crl(first).public_bytes(Encoding.DER))
    (tmp_path / "next.crl").write_bytes(revocation_list(STAFF, days=(-0.5, 9)))
    refused = steelyard("crl", "add", "staff", str(tmp_path / "first.crl"))
    assert refused.exit_code == 1
    assert "intermediate" in refused.output
    steelyard.ok("cert", "intermediate", "add", "ca", str(tmp_path / "ca.pem"))
    assert steelyard.ok("crl", "add", "staff", str(tmp_path / "first.crl")).startswith("Revocation list staff imported")
    assert "CN=Program Staff" in steelyard.ok("crl", "list")
    steelyard.ok("crl", "replace", "staff", str(tmp_path / "next.crl"))
    (shown,) = steelyard.json("crl", "list")
    assert (shown["revoked"], shown["authorities"]) == (0, ["ca"])
    steelyard.ok("crl", "remove", "staff")
    assert steelyard.json("crl", "list") == []


def test_stapling_is_shown(steelyard: Program) -> None:
    assert steelyard.json("cert", "stapling") == []


def test_refused_clients_are_shown(steelyard: Program) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:443", "name=shop")
    assert "No client was refused" in steelyard.ok("vs", "refused", "shop")
