"""Commands on users, API keys and certificates."""

from __future__ import annotations

import pytest
from tests.support.strategies import TEMPORARY, material
from tests.unit.model.making import HTTP, apply

from steelyard.model.commands import (
    AddApiKey,
    AddService,
    AddUser,
    ChangePassword,
    PutCertificate,
    RemoveApiKey,
    RemoveCertificate,
    RemoveUser,
    SetPermissions,
)
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.user import ADMINISTRATOR, MAX_API_KEYS

ANN = apply(AddUser("ann", "hash", ("real", "vs")), AddUser(ADMINISTRATOR, "hash"))


class TestUsers:
    def test_a_name_is_used_once(self) -> None:
        with pytest.raises(ConflictError):
            apply(AddUser("ann", "other"), to=ANN)

    @pytest.mark.parametrize("name", ["", "ab", "a" * 65, " ann", "ann smith", "-ann", "ann/", "änn", "ann\n"])
    def test_names_are_short_and_plain(self, name: str) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(AddUser(name, "hash"))
        assert caught.value.field == "name"

    def test_permissions_are_known_and_in_one_order(self) -> None:
        made = apply(SetPermissions("ann", ("users", "real", "real")), to=ANN)
        assert made.users["ann"].permissions == ("real", "users")
        with pytest.raises(OperatorError) as caught:
            apply(SetPermissions("ann", ("fly",)), to=ANN)
        assert "'fly'" in caught.value.message

    def test_the_administrator_may_everything_and_cannot_be_removed(self) -> None:
        assert ANN.users[ADMINISTRATOR].may("users")
        for command in (RemoveUser(ADMINISTRATOR), SetPermissions(ADMINISTRATOR, ())):
            with pytest.raises(OperatorError):
                apply(command, to=ANN)

    def test_others_may_what_they_are_permitted(self) -> None:
        ann = ANN.users["ann"]
        assert ann.may("real")
        assert not ann.may("certs")

    def test_a_password_is_replaced(self) -> None:
        made = apply(ChangePassword("ann", "new"), to=ANN)
        assert made.users["ann"].password_hash == "new"

    @pytest.mark.parametrize(
        "command",
        [ChangePassword("bob", "x"), RemoveUser("bob"), SetPermissions("bob", ()), AddApiKey("bob", "d", b"k")],
    )
    def test_unknown_users_are_named(self, command: object) -> None:
        with pytest.raises(NotFound) as caught:
            apply(command, to=ANN)  # type: ignore[arg-type]
        assert caught.value.what == "user"

    def test_hashes_and_keys_are_not_in_what_a_command_prints(self) -> None:
        for command in (AddUser("ann", "hunter2"), ChangePassword("ann", "hunter2"), AddApiKey("ann", "d", b"hunter2")):
            assert "hunter2" not in repr(command)
            assert "hunter2" not in command.summary  # type: ignore[attr-defined]


class TestApiKeys:
    def test_the_oldest_of_too_many_is_dropped(self) -> None:
        made = ANN
        for number in range(MAX_API_KEYS + 2):
            made = apply(AddApiKey("ann", f"digest{number}", b"key"), to=made)
        keys = made.users["ann"].api_keys
        assert len(keys) == MAX_API_KEYS
        assert (keys[0], keys[-1]) == ("digest2", f"digest{MAX_API_KEYS + 1}")

    def test_the_key_itself_goes_to_the_secrets(self) -> None:
        change = AddApiKey("ann", "digest", b"key").apply(ANN)
        assert change.secrets == {"apikey/digest": b"key"}
        assert "key" not in str(change.configuration.users["ann"].password_hash)

    def test_removing_one_leaves_the_others(self) -> None:
        made = apply(AddApiKey("ann", "one", b"1"), AddApiKey("ann", "two", b"2"), RemoveApiKey("ann", "one"), to=ANN)
        assert made.users["ann"].api_keys == ("two",)
        with pytest.raises(NotFound):
            apply(RemoveApiKey("ann", "one"), to=made)


class TestCertificates:
    def test_a_name_is_replaced_only_when_that_is_meant(self) -> None:
        with pytest.raises(ConflictError) as caught:
            apply(PutCertificate("shop", material()))
        assert caught.value.with_what == "shop"
        fresh = material(generation=2)
        made = apply(PutCertificate("shop", fresh, replace=True))
        assert made.certificates["shop"].key_id == fresh.key_id

    @pytest.mark.parametrize("name", ["", ".pem", "a/b", "../x", "a b", "a" * 128, "ä", "a\n", "-a"])
    def test_a_name_can_be_the_name_of_a_file(self, name: str) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(PutCertificate(name, material()))
        assert caught.value.field == "name"

    def test_one_in_use_stays(self) -> None:
        base = apply(AddService({**HTTP, "ssl_acceleration": True, "certificates": ["shop"], "name": "front"}))
        with pytest.raises(ConflictError) as caught:
            apply(RemoveCertificate("shop"), to=base)
        assert "front" in str(caught.value.with_what)
        assert "api.example" not in apply(RemoveCertificate("api.example"), to=base).certificates

    def test_the_temporary_one_cannot_be_removed_or_replaced(self) -> None:
        """Services without a certificate stand on it."""
        with pytest.raises(NotFound):
            apply(RemoveCertificate(TEMPORARY))
        for replace in (False, True):
            with pytest.raises(ConflictError):
                apply(PutCertificate(TEMPORARY, material(), replace=replace))
        renewed = apply(PutCertificate(TEMPORARY, material(), replace=True, temporary=True))
        assert renewed.certificates[TEMPORARY].temporary

    def test_the_key_goes_to_the_secrets_and_is_never_printed(self) -> None:
        change = PutCertificate("new", material()).apply(apply())
        assert change.secrets == {f"key/{material().key_id}": material().key_pem}
        assert "PRIVATE KEY" not in repr(change)
        assert "PRIVATE KEY" not in repr(material())
        assert "PRIVATE KEY" not in change.configuration.certificates["new"].chain_pem
