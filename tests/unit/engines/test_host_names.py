"""Files of the host's names: what others wrote stays, what cannot be written is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelyard.engines.host_names import LocalHostNames, with_entries
from steelyard.model.errors import HostLacks
from steelyard.plan.network import HostEntry, HostNetwork

ENTRY = HostEntry(address="10.0.0.9", names=("web", "web.example"))


def test_lines_of_others_stay_whatever_is_ours() -> None:
    theirs = "127.0.0.1\tlocalhost # mine\n\n::1 ip6-localhost\n"
    ours = with_entries(theirs, (ENTRY,))
    assert ours.startswith(theirs) and "10.0.0.9 web web.example\n" in ours
    assert with_entries(ours, (ENTRY,)) == ours and with_entries(ours, ()) == theirs
    assert with_entries("", ()) == ""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "etc" / "resolv.conf").write_text("search example\nnameserver 192.0.2.53\noptions edns0\n")
    (tmp_path / "name").write_text("")
    return tmp_path / "etc"


def names(etc: Path) -> LocalHostNames:
    return LocalHostNames(etc.parent / "kept", etc, etc.parent / "name")


def test_what_says_the_same_already_is_not_written(etc: Path) -> None:
    """A network that is taken over keeps the file as it was, options and all."""
    wanted = HostNetwork(name_servers=("192.0.2.53",), search_domains=("example",), hosts=())
    assert names(etc).apply(wanted) == ()
    assert "edns0" in (etc / "resolv.conf").read_text()


def test_a_resolver_of_another_program_is_left_alone(etc: Path) -> None:
    (etc / "stub").write_text("nameserver 127.0.0.53\n")
    (etc / "resolv.conf").unlink()
    (etc / "resolv.conf").symlink_to(etc / "stub")
    with pytest.raises(HostLacks, match="another program owns it"):
        names(etc).apply(HostNetwork(name_servers=("192.0.2.53",), search_domains=()))
    assert (etc / "stub").read_text() == "nameserver 127.0.0.53\n"
    assert names(etc).apply(HostNetwork(name_servers=("127.0.0.53",), search_domains=())) == ()


def test_the_first_resolver_file_comes_back(etc: Path) -> None:
    before = (etc / "resolv.conf").read_text()
    for server in ("192.0.2.54", "192.0.2.55"):
        names(etc).apply(HostNetwork(name_servers=(server,), search_domains=(), hosts=(ENTRY,)))
    assert "nameserver 192.0.2.55\n" in (etc / "resolv.conf").read_text()
    names(etc).clear()
    assert (etc / "resolv.conf").read_text() == before and (etc / "hosts").read_text() == "127.0.0.1 localhost\n"


def test_a_directory_in_place_of_a_file_is_told(etc: Path) -> None:
    (etc / "hosts").unlink()
    (etc / "hosts").mkdir()
    with pytest.raises(HostLacks, match="cannot change"):
        names(etc).apply(HostNetwork(hosts=(ENTRY,)))
