"""Commands on users and API keys. Passwords arrive hashed, API keys as a digest with the key among the secrets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.user import ADMINISTRATOR, MAX_API_KEYS, ONLY_ADMINISTRATOR, User

#: who may give these could give them to himself
_POWERFUL = frozenset({"root", "users"})


def _granting(permissions: tuple[str, ...]) -> str:
    """The permission that giving these needs."""
    return ONLY_ADMINISTRATOR if _POWERFUL.intersection(permissions) else "users"


def _with_user(configuration: Configuration, user: User) -> Configuration:
    return replace(configuration, users={**configuration.users, user.name: user})


@dataclass(frozen=True)
class AddUser:
    """Make a user."""

    name: str
    password_hash: str = field(repr=False)
    permissions: tuple[str, ...] = ()
    one_time: bool = False

    @property
    def permission(self) -> str:
        return _granting(self.permissions)

    @property
    def summary(self) -> str:
        return f"add user {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name in configuration.users:
            raise ConflictError("User already exists.", field="user", with_what=self.name)
        user = User.make(
            {
                "name": self.name,
                "password_hash": self.password_hash,
                "permissions": self.permissions,
                "one_time_password": self.one_time,
            }
        )
        return Change(_with_user(configuration, user), user.name)


@dataclass(frozen=True)
class ChangePassword:
    """Give a user another password."""

    name: str
    password_hash: str = field(repr=False)

    @property
    def permission(self) -> str:
        return ONLY_ADMINISTRATOR if self.name == ADMINISTRATOR else "users"

    @property
    def summary(self) -> str:
        return f"change the password of {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        return _new_password(configuration, self.name, self.password_hash)


@dataclass(frozen=True)
class ChangeOwnPassword:
    """Give oneself another password. Who issues it makes sure that `name` is who asks and knows the old one."""

    name: str
    password_hash: str = field(repr=False)
    permission: ClassVar[str] = "read"

    @property
    def summary(self) -> str:
        return f"{self.name} changes the own password"

    def apply(self, configuration: Configuration) -> Change:
        return _new_password(configuration, self.name, self.password_hash)


def _new_password(configuration: Configuration, name: str, password_hash: str) -> Change:
    changed = configuration.user(name).changed({"password_hash": password_hash, "one_time_password": False})
    return Change(_with_user(configuration, changed), name)


@dataclass(frozen=True)
class SetPermissions:
    """Replace a user's permissions."""

    name: str
    permissions: tuple[str, ...]

    @property
    def permission(self) -> str:
        return _granting(self.permissions)

    @property
    def summary(self) -> str:
        return f"set permissions of {self.name}: {', '.join(self.permissions) or 'none'}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name == ADMINISTRATOR:
            raise OperatorError(f"{ADMINISTRATOR} has all permissions; they cannot be changed", field="user")
        user = configuration.user(self.name).changed({"permissions": self.permissions})
        return Change(_with_user(configuration, user), user.name)


@dataclass(frozen=True)
class RemoveUser:
    """Remove a user with all API keys."""

    name: str
    permission: ClassVar[str] = "users"

    @property
    def summary(self) -> str:
        return f"remove user {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        gone = configuration.user(self.name)
        if self.name == ADMINISTRATOR:
            raise OperatorError(f"{ADMINISTRATOR} cannot be removed", field="user", value=self.name)
        users = {key: value for key, value in configuration.users.items() if key != self.name}
        forget = tuple(f"apikey/{key_id}" for key_id in gone.api_keys)
        return Change(replace(configuration, users=users), self.name, forget=forget)


@dataclass(frozen=True)
class AddApiKey:
    """Give a user an API key; the oldest of more than 16 is dropped. `key_id` is the SHA-256 of the key."""

    user: str
    key_id: str
    key: bytes = field(repr=False)
    permission: ClassVar[str] = "read"

    @property
    def summary(self) -> str:
        return f"add an API key of {self.user}"

    def apply(self, configuration: Configuration) -> Change:
        user = configuration.user(self.user)
        keys = (*user.api_keys, self.key_id)
        dropped, kept = keys[:-MAX_API_KEYS], keys[-MAX_API_KEYS:]
        return Change(
            _with_user(configuration, user.changed({"api_keys": kept})),
            self.key_id,
            {f"apikey/{self.key_id}": self.key},
            tuple(f"apikey/{key_id}" for key_id in dropped),
        )


@dataclass(frozen=True)
class RemoveApiKey:
    """Take an API key from a user."""

    user: str
    key_id: str
    permission: ClassVar[str] = "read"

    @property
    def summary(self) -> str:
        return f"remove an API key of {self.user}"

    def apply(self, configuration: Configuration) -> Change:
        user = configuration.user(self.user)
        if self.key_id not in user.api_keys:
            raise NotFound("API key", "of that value")
        keys = tuple(key for key in user.api_keys if key != self.key_id)
        changed = user.changed({"api_keys": keys})
        return Change(_with_user(configuration, changed), self.user, forget=(f"apikey/{self.key_id}",))
