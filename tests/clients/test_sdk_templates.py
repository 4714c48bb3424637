"""The official Python SDK: templates uploaded, listed, used, exported and removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]


def test_a_template_makes_a_service(sdk: SdkSession, tmp_path: Path, port: int) -> None:
    file = tmp_path / "site.tmpl"
    file.write_text(
        f"name: Our site\ncomment: For tests\nservices: [{{name: site, port: {port}, service_type: http}}]\n"
    )
    assert sdk("sorted(lm.create_template(file))", file=str(file)) == ["Our site"]
    assert sdk("[lm.get_template('Our site').certified, lm.get_template('HTTP').certified]") == ["no", "yes"]
    sdk("made = lm.apply_template('127.0.0.1', 80, 'tcp', 'Our site', 'shop')")
    assert sdk("[[vs.port, vs.nickname] for vs in made.values()]") == [[str(port), "shop"]]
    exported = sdk("str(list(lm.vs.values())[0].export())")
    assert "service_type: http" in exported
    assert "127.0.0.1" not in exported
    with pytest.raises(SdkRaised, match="already exists"):
        sdk("lm.upload_template(file)", file=str(file))
    sdk("lm.delete_template('Our site')")
    assert sdk("lm.get_template('Our site') is None")
    with pytest.raises(SdkRaised, match="cannot be removed"):
        sdk("lm.delete_template('HTTP')")


def test_a_file_of_something_else_is_refused(sdk: SdkSession, tmp_path: Path) -> None:
    file = tmp_path / "vendor.tmpl"
    file.write_bytes(b"\x1f\x8b\x00binary")
    with pytest.raises(SdkRaised, match=r"no text|no template"):
        sdk("lm.upload_template(file)", file=str(file))
