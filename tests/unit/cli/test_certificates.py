"""`steelyard cert`: certificates, their intermediates, signing requests and backups."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from tests.support.certificates import authority, leaf
from tests.unit.cli.conftest import Program

ROOT = authority("CLI Root")
MIDDLE = authority("CLI Middle", issuer=ROOT)
SHOP = leaf("shop.example", issuer=MIDDLE, kind="ec")
SOON = leaf("soon.example", issuer=MIDDLE, kind="ec", days=(-80, 5))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, content in {
        "shop.pem": SHOP.bundle("key leaf"),
        "soon.pem": SOON.bundle(),
        "chain.pem": MIDDLE.pem + ROOT.pem,
        "shop.der": SHOP.der,
        "phrase": b"open sesame\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_problems_are_said_when_it_is_imported_and_when_it_is_asked_for(steelyard: Program, files: Path) -> None:
    imported = steelyard.ok("cert", "add", "shop", str(files / "shop.pem"))
    assert "Certificate shop imported" in imported
    assert "CN=CLI Middle" in imported
    assert "steelyard cert intermediate add" in imported
    checked = steelyard("cert", "check", "shop", "--host", "other.example")
    assert checked.exit_code == 1
    assert "is not for other.example" in checked.output
    steelyard.ok("cert", "intermediate", "add", "ca", str(files / "chain.pem"))
    assert steelyard.ok("cert", "check", "shop", "--host", "shop.example") == "Nothing is wrong with shop\n"
    shown = steelyard.ok("cert", "show", "shop")
    assert "CN=shop.example <- CN=CLI Middle" in shown
    assert steelyard("cert", "check", "nothing").exit_code == 1


def test_the_list_says_how_many_days_are_left(steelyard: Program, files: Path) -> None:
    steelyard.ok("cert", "add", "soon", str(files / "soon.pem"))
    (line,) = [one for one in steelyard.ok("cert", "list").splitlines() if one.startswith("soon")]
    assert " 4 " in line
    assert "expires-soon" in line
    assert "Certificate soon expires in 4 days" in steelyard.ok("status")


def test_intermediates_are_listed_shown_and_removed(steelyard: Program, files: Path) -> None:
    steelyard.ok("cert", "intermediate", "add", "ca", str(files / "chain.pem"))
    listed = steelyard.ok("cert", "intermediate", "list")
    assert "itself (a root)" in listed
    shown = steelyard.ok("cert", "intermediate", "show", "ca")
    assert x509.load_pem_x509_certificate(shown.encode()) == MIDDLE.certificate
    steelyard.ok("cert", "intermediate", "remove", "ca-2")
    assert [one["name"] for one in steelyard.json("cert", "intermediate", "list")] == ["ca"]
    refused = steelyard("cert", "intermediate", "add", "shop", str(files / "shop.der"))
    assert refused.exit_code == 1
    assert "openssl x509 -inform DER" in refused.output


def test_a_request_goes_to_standard_output_and_its_key_only_when_asked_for(steelyard: Program) -> None:
    arguments = ("--common-name", "asked.example", "--host", "www.asked.example", "--key", "ec-p256")
    made = steelyard("cert", "request", "create", "asked", *arguments)
    assert made.exit_code == 0
    request = x509.load_pem_x509_csr(made.stdout.encode())
    assert request.subject.rfc4514_string() == "CN=asked.example"
    assert "PRIVATE" not in made.output
    assert steelyard.ok("cert", "request", "show", "asked") == made.stdout
    assert "BEGIN PRIVATE KEY" in steelyard.ok("cert", "request", "create", "shown", *arguments, "--show-key")
    assert [one["name"] for one in steelyard.json("cert", "request", "list")] == ["asked", "shown"]
    steelyard.ok("cert", "request", "remove", "shown")
    assert "asked.example" in steelyard.ok("cert", "request", "list")
    refused = steelyard("cert", "request", "create", "odd", "--host", "a b")
    assert refused.exit_code == 1
    assert "neither a host name nor an address" in refused.output


def test_a_backup_is_for_its_owner_alone_and_is_restored(steelyard: Program, files: Path) -> None:
    steelyard.ok("cert", "add", "shop", str(files / "shop.pem"))
    file, phrase = files / "backup", ("--pass-phrase-file", str(files / "phrase"))
    steelyard.ok("cert", "backup", str(file), *phrase)
    assert file.stat().st_mode & 0o777 == 0o600
    again = steelyard("cert", "backup", str(file), *phrase)
    assert (again.exit_code, "cannot be written" in again.output) == (2, True)
    steelyard.ok("cert", "remove", "shop")
    assert "certificate" in steelyard.ok("cert", "restore", str(file), *phrase, "--dry-run").lower()
    assert steelyard("cert", "show", "shop").exit_code == 1
    steelyard.ok("cert", "restore", str(file), *phrase, "--type", "vs")
    assert steelyard("cert", "show", "shop").exit_code == 0
    wrong = steelyard("cert", "restore", str(file), STEELYARD_BACKUP_PASS_PHRASE="another one")
    assert (wrong.exit_code, "does not open" in wrong.output) == (1, True)
    none = steelyard("cert", "restore", str(file))
    assert (none.exit_code, "--pass-phrase-file" in none.output) == (2, True)


def test_a_configuration_file_names_files_of_certificates_and_intermediates(steelyard: Program, files: Path) -> None:
    (files / "root.pem").write_bytes(ROOT.pem)
    file = files / "all.yaml"
    file.write_text(
        "services: []\n"
        "certificates: [{name: shop, pem_file: shop.pem}]\n"
        "intermediates: [{name: root, pem_file: root.pem}]\n"
    )
    steelyard.ok("apply", "--file", str(file), "--yes")
    assert [one["name"] for one in steelyard.json("cert", "intermediate", "list")] == ["root"]
    exported = files / "exported.yaml"
    exported.write_text(steelyard.ok("export"))
    assert "Nothing to do" in steelyard.ok("apply", "--file", str(exported), "--dry-run")
