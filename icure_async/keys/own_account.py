"""The account of the logged-in user: its contacts and its password, and the session's own token.

A change may be carried out although its answer is lost. From before it is sent until it is settled,
the session therefore reckons with the old login and the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.encoding import new_uuid
from icure_async.errors import (
    BadRequestError,
    ConflictError,
    ElevationRequiredError,
    InvalidResponseError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.json_shapes import as_object
from icure_async.models.base import has_rev
from icure_async.models.user import User
from icure_async.models.user_rules import KEPT_PASSWORD, is_hash
from icure_async.models.user_token import RenewedToken
from icure_async.models.wire import to_wire
from icure_async.rest.changes import change_document
from icure_async.rest.user_tokens import TOKENS_MEMBER, key_among, name_in_key, token_key_of
from icure_async.rest.users import PASSWORD_MEMBER, is_same_name, may_be_named

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.users import Users
    from icure_async.rest.session import Session
    from icure_async.rest.users import UserResource

__all__ = ["OwnAccount"]

_NAMES: Final = ("login", "email", "mobilePhone")


class OwnAccount:
    """Changes what the logged-in user logs in with; the session goes on with it."""

    def __init__(
        self,
        session: Session,
        users: UserResource,
        current_user: CurrentUser,
        *,
        records: Users,
        crypto: Crypto,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._users = users
        self._current_user = current_user
        self._records = records
        self._crypto = crypto
        self._clock = clock

    async def save(self, user: User) -> User:
        """Create or modify a user; the session goes on with its own, whatever is changed of it."""
        if not isinstance(user, User) or not has_rev(user):
            return await self._records.save(user)
        self._records.check(user, creating=False)
        if user.id != await self._own_id():
            return await self._records.save(user)
        new = await self._new_login(user)
        credentials = self._session.credentials
        # An earlier call may have stored it, and its answer was lost.
        may_be_stored = credentials.expects(**new)
        if new:
            credentials.expect(**new)
        try:
            saved = await self._records.save(user)
        except (
            BadRequestError,
            ElevationRequiredError,
            PermissionDeniedError,
            ValidationError,
        ):
            if new and not may_be_stored:
                credentials.withdraw(**new)
            raise
        finally:
            self._current_user.changed()
        if "secret" in new:
            credentials.settle(secret=new["secret"])
        if "user_name" in new:
            credentials.settle(user_name=new["user_name"])
        document = to_wire(saved)
        credentials.settle_name(lambda name: may_be_named(document, name))
        return saved

    async def _own_id(self) -> str:
        # The request that follows logs in anyway.
        await self._session.sign_in()
        return self._session.user_id or str((await self._current_user.get())["id"])

    async def _new_login(self, user: User) -> dict[str, str]:
        """Return the name and the secret with which the session could log in no more without."""
        new: dict[str, str] = {}
        if await self._loses_its_name(to_wire(user)):
            new["user_name"] = str(user.login or user.email or user.mobile_phone)
        password = user.password_hash
        if (
            password not in (None, KEPT_PASSWORD)
            and not is_hash(str(password))
            and not await self._has_token(user.authentication_tokens)
        ):
            new["secret"] = str(password)
        return new

    async def _has_token(self, keys: Iterable[str]) -> bool:
        """Return whether the session logs in with a token, which may be newer than a record."""
        if self._session.own_token_key(keys) is not None:
            return True
        return self._session.own_token_key(_keys_of(await self._current_user.get())) is not None

    async def _loses_its_name(self, user: Mapping[str, Any]) -> bool:
        """Return whether a change of the user takes away the name that the session logs in with."""
        name = self._session.user_name
        if not may_be_named(user, name):
            return True
        if any(is_same_name(name, user.get(member)) for member in ("id", *_NAMES)):
            return False
        # It has no form by which it could be told from other names.
        return is_same_name(name, (await self._current_user.get()).get("login"))

    async def change_contact(self, member: str, contact: str) -> Mapping[str, Any]:
        """Replace the email address or the phone number, and the login where that is the same one.

        Returns:
            The user as it is stored. Nothing is sent to change one that has this contact already.
        """
        before: object = None

        async def change(user: Mapping[str, Any]) -> Mapping[str, Any] | None:
            nonlocal before
            before = user.get(member)
            if before == contact:
                return None
            changed = {**user, member: contact}
            if isinstance(before, str) and before:
                if user.get("login") == before:
                    changed["login"] = contact
                # The name that is in force may be the one of a change whose answer was lost.
                credentials = self._session.credentials
                if any(is_same_name(one.user_name, before) for one in credentials.candidates):
                    credentials.expect(user_name=contact)
            return changed

        async def store(user: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._users.change_contact(user, member, before)

        return await self._change(
            change,
            lambda user: is_same_name(contact, user.get(member)),
            store,
            user_name=contact,
        )

    async def change_password(self, password: str) -> None:
        """Replace the password, or give the user one."""

        async def change(user: Mapping[str, Any]) -> Mapping[str, Any]:
            if self._session.own_token_key(_keys_of(user)) is None:
                self._session.credentials.expect(secret=password)
            return {**user, PASSWORD_MEMBER: password}

        await self._change(
            change,
            lambda user: bool(user.get(PASSWORD_MEMBER)),
            self._users.change_password,
            secret=password,
        )

    async def enable_second_factor(self, *, secret: str, code: str, algorithm: str) -> None:
        """Switch the second factor on; the session asks for codes where the backend wants them."""
        user_id = await self._own_id()
        try:
            await self._users.enable_second_factor(
                user_id, secret=secret, code=code, algorithm=algorithm
            )
        finally:
            self._current_user.changed()

    async def disable_second_factor(self) -> None:
        """Switch the second factor off."""
        user_id = await self._own_id()
        try:
            await self._users.disable_second_factor(user_id)
        finally:
            self._current_user.changed()

    async def _change(
        self,
        change: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]],
        is_stored: Callable[[Mapping[str, Any]], bool],
        store: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]],
        **new: str,
    ) -> Mapping[str, Any]:
        """Change the user, and have the session settle on the new name or secret.

        Raises:
            InvalidResponseError: the backend shows a user without the change.
        """
        credentials = self._session.credentials
        # An earlier call may have stored it, and its answer was lost.
        may_be_stored = credentials.expects(**new)

        async def write(user: Mapping[str, Any]) -> Mapping[str, Any]:
            nonlocal may_be_stored
            try:
                return await store(user)
            except (BadRequestError, ElevationRequiredError, PermissionDeniedError):
                if not may_be_stored:
                    credentials.withdraw(**new)
                raise
            except ConflictError:
                # Perhaps with ourselves: the answer to an attempt was lost, and it was repeated.
                may_be_stored = True
                raise
            finally:
                self._current_user.changed()

        stored = await change_document(
            "The user",
            read=lambda: self._current_user.get(fresh=True),
            change=change,
            write=write,
        )
        if not is_stored(stored):
            raise InvalidResponseError(
                "Could not change the user: the server answers with a user without the change. "
                "Read it again to see what is stored; either login may work."
            )
        credentials.settle(**new)
        return stored

    async def renew_token(self, *, validity: int, name: str | None) -> RenewedToken:
        """Create a token that the session logs in with from now on; the old one stays."""
        user = await self._current_user.get()
        old_secret = self._session.credentials.current.secret
        if (old_key := key_among(_keys_of(user), old_secret)) is None:
            # It may have been created after the user was read.
            user = await self._current_user.get(fresh=True)
            old_key = key_among(_keys_of(user), old_secret)
        name = name or (None if old_key is None else name_in_key(old_key))
        secret = await new_uuid(self._crypto)
        key = token_key_of(secret, name)
        expires_at = int((self._clock() + validity) * 1000)
        await self._users.create_token(str(user["id"]), key, validity=validity, secret=secret)
        self._session.use_token(secret, expires_at=expires_at)
        self._current_user.changed()
        return RenewedToken(
            token=secret, key=key, token_expires_at=expires_at, replaced_key=old_key
        )


def _keys_of(user: Mapping[str, Any]) -> list[str]:
    return list(as_object(user.get(TOKENS_MEMBER)))
