"""Passwords and API keys."""

from __future__ import annotations

import pytest

from steelyard.appliance import access
from steelyard.model.errors import OperatorError
from steelyard.model.user import User


def user(password: str) -> User:
    return User.make({"name": "ann", "password_hash": access.hash_password(password)})


def test_the_right_password_is_known_and_others_are_not() -> None:
    ann, verifier = user("correct horse"), access.Verifier()
    for _ in range(2):
        assert verifier.verify(ann, "correct horse")
        assert not verifier.verify(ann, "correct horse ")
        assert not verifier.verify(ann, "")


def test_a_password_that_was_right_is_wrong_after_a_change() -> None:
    verifier = access.Verifier()
    assert verifier.verify(user("correct horse"), "correct horse")
    assert not verifier.verify(user("battery staple"), "correct horse")


def test_a_password_of_one_user_is_not_anothers() -> None:
    verifier, ann = access.Verifier(), user("correct horse")
    assert verifier.verify(ann, "correct horse")
    bob = User.make({"name": "bob", "password_hash": access.hash_password("another one")})
    assert not verifier.verify(bob, "correct horse")


def test_equal_passwords_have_different_hashes() -> None:
    first, second = access.hash_password("correct horse"), access.hash_password("correct horse")
    assert first != second
    assert first.startswith("scrypt$")
    assert "correct" not in first


@pytest.mark.parametrize("password", ["", "seven77", "with\nnewline", "with\0null"])
def test_weak_and_broken_passwords_are_refused(password: str) -> None:
    with pytest.raises(OperatorError) as caught:
        access.hash_password(password)
    assert caught.value.field == "password"
    assert not password or password not in str(caught.value.details())


def test_an_unusable_hash_lets_nobody_in() -> None:
    assert not access.Verifier().verify(User.make({"name": "ann", "password_hash": "none$00$00"}), "correct horse")


def test_keys_are_random_and_known_by_their_digest() -> None:
    key, digest, kept = access.new_api_key()
    assert (len(key), kept.decode()) == (44, key)
    assert key.isalnum()
    assert access.key_digest(key) == digest
    assert key not in digest
    assert access.new_api_key()[0] != key
    assert len(access.new_password()) == 20
