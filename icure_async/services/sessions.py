"""Sessions of a service: who is logged in, by the random id in a person's cookie."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.secret_holders import SecretHolder
from icure_async.services.sealed_items import SealedItems, tag_of
from icure_async.services.session_values import StoredSession, UserSession
from icure_async.services.users import credentials_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from icure_async.models.user_token import LogoutResult
    from icure_async.services.pool import ApiPool
    from icure_async.services.sealed_items import SealedItem
    from icure_async.services.users import PoolUser, UserCredentials
    from icure_async.storage.protocols import Storage

__all__ = ["SessionStore"]

_PREFIX: Final = "icure.session."
_LEAVING: Final = "icure.leaving_session."


@explained
class SessionStore(SecretHolder):
    """Sessions by random id, on any storage that the workers of a service share.

    The id of a session goes into a cookie (``HttpOnly``, ``Secure``, ``SameSite``) and nowhere
    else. The storage holds a hash of it, and what is in the session encrypted under a key that is
    derived from it: somebody with a copy of the storage can neither log in nor see who is logged
    in. The storage does see when sessions begin and end, and which belong to the same user.

    Args:
        storage: where sessions are kept.
        validity: how long a session lasts at most; it never outlasts its token.

    Raises:
        ValidationError: the validity makes no sense.

    Example:
        >>> sessions = SessionStore(FileStorage(folder / "sessions"))
        >>> session_id = await sessions.create(result)
        >>> (await sessions.get(session_id)).user_id == result.user_id
        True
    """

    def __init__(
        self,
        storage: Storage,
        *,
        validity: timedelta = timedelta(days=30),
        _clock: Callable[[], float] = time.time,
    ) -> None:
        self._validity_ms = milliseconds_of(validity, "validity of a SessionStore")
        self._clock = _clock
        self._items = SealedItems(storage, _PREFIX)
        self._leaving = SealedItems(storage, _LEAVING)

    def __repr__(self) -> str:
        return "<SessionStore>"

    async def create(self, user: PoolUser) -> str:
        """Return the id of a new session.

        Args:
            user: the result of a completed authentication, or a user's credentials.

        Raises:
            ValidationError: this is no user.
            StorageError: the session could not be written.

        Example:
            >>> len(await sessions.create(result))
            76
        """
        credentials = credentials_of(user)
        session_id = self._items.new_secret(tag_of(credentials.user_id))
        await self._write(session_id, credentials, created_at=self._now())
        return session_id

    async def get(self, session_id: str | None) -> UserSession | None:
        """Return the session of an id; None where there is none, or it has ended.

        Args:
            session_id: as :meth:`create` returned it. Anything else, such as what a stranger puts
                into a cookie, finds nothing.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> (await sessions.get(session_id)).login == result.login
            True
            >>> await sessions.get("a stranger's cookie") is None
            True
        """
        return await self._read(self._items, session_id)

    async def replace_token(self, session_id: str, token: str, *, expires_at: int) -> bool:
        """Have a session go on with another token, as ``user_api.renew_token()`` returns one.

        Write it down with this before the old one is revoked.

        Args:
            session_id: of the session.
            token: the new token.
            expires_at: when it ends, in epoch milliseconds.

        Returns:
            False where the session has ended: the new token is not written down then.

        Raises:
            ValidationError: the token is empty, or the moment is not a positive number.
            StorageError: the session could not be written; it has the old token.

        Example:
            >>> expires_at = result.token_expires_at
            >>> await sessions.replace_token(session_id, "another token", expires_at=expires_at)
            True
        """
        if not self._items.is_secret(session_id):
            return False
        async with self._items.lock(session_id):
            session = await self.get(session_id)
            if session is None:
                return False
            renewed = attrs.evolve(session, token=token, token_expires_at=expires_at)
            await self._write(session_id, credentials_of(renewed), created_at=session.created_at)
            return True

    async def sign_out(self, session_id: str | None, pool: ApiPool) -> LogoutResult | None:
        """End a session here, and revoke its token at the backend.

        From then on :meth:`get` finds nothing, whatever the network does. Where the token could not
        be revoked, or the program died under it, repeating the call with the same id tries again.

        Args:
            session_id: of the session.
            pool: asked to revoke the token.

        Returns:
            Whether the token was revoked, and why not; None where there is no such session.

        Raises:
            StorageError: the session could not be ended. Repeat the call.
            PoolClosedError: the pool is closed. The session has ended.

        Example:
            >>> own_api.token_expires_at == result.token_expires_at
            True
            >>> (await sessions.sign_out(session_id, pool)).token_revoked
            True
            >>> await sessions.get(session_id) is None
            True
        """
        if session_id is None or not self._items.is_secret(session_id):
            return None
        async with self._items.lock(session_id):
            session = await self.get(session_id)
            if session is not None:
                await self._leaving.write(
                    session_id,
                    _members_of(session),
                    created_at=session.created_at,
                    expires_at=session.expires_at,
                )
                await self._items.remove(session_id)
            leaving = await self._read(self._leaving, session_id)
            if leaving is None:
                return None
            result = await pool.log_out(leaving)
            if result.token_revoked:
                await self._leaving.remove(session_id)
            return result

    async def list_sessions(self, user_id: str) -> Sequence[StoredSession]:
        """Return the sessions of a user that have not ended, the oldest first.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> len(await sessions.list_sessions(result.user_id))
            1
        """
        found = [
            StoredSession(key=_key_in(item), created_at=item.created_at, expires_at=item.expires_at)
            async for item in self._items.each(tag_of(user_id))
            if item.expires_at > self._now()
        ]
        return sorted(found, key=lambda session: (session.created_at, session.key))

    async def remove_session(self, user_id: str, key: str) -> bool:
        """Remove one session of a user, such as that of a lost phone.

        The token can't be revoked without the id of the session: do that with
        ``user_api.revoke_token()``.

        Args:
            user_id: of the user who wants it; nobody else's session is removed.
            key: as :meth:`list_sessions` gives it.

        Returns:
            Whether it was there.

        Raises:
            StorageError: it could not be removed.

        Example:
            >>> (session,) = await sessions.list_sessions(result.user_id)
            >>> await sessions.remove_session(result.user_id, session.key)
            True
        """
        async for item in self._items.each(tag_of(user_id)):
            if _key_in(item) == key:
                await self._items.remove_named(item.name)
                return True
        return False

    async def remove_sessions(self, user_id: str, *, but: str | None = None) -> int:
        """Remove the sessions of a user, and return how many there were.

        Their tokens can't be revoked without the ids of the sessions: do that with
        ``user_api.revoke_token()``. API objects of the user go with ``discard()`` of the pool.

        Args:
            user_id: of the user.
            but: the id of a session that stays: that of the person who asks for it.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> await sessions.remove_sessions(result.user_id, but=session_id)
            0
        """
        kept = await self._items.read(but)
        count = 0
        async for item in self._items.each(tag_of(user_id)):
            if kept is None or item.name != kept[0].name:
                await self._items.remove_named(item.name)
                count += 1
        return count

    async def purge(self) -> int:
        """Remove the sessions that have expired, and return how many there were.

        Expired sessions are never given out; this is for the storage's size, once a day, say.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> await sessions.purge()
            0
        """
        count = 0
        for items in (self._items, self._leaving):
            async for item in items.each():
                if item.expires_at <= self._now():
                    await items.remove_named(item.name)
                    count += 1
        return count

    async def _write(self, session_id: str, user: UserCredentials, *, created_at: int) -> None:
        ends_at = created_at + self._validity_ms
        await self._items.write(
            session_id,
            _members_of(user),
            created_at=created_at,
            expires_at=min(ends_at, user.token_expires_at or ends_at),
        )

    async def _read(self, items: SealedItems, session_id: object) -> UserSession | None:
        found = await items.read(session_id)
        if found is None or found[0].expires_at <= self._now():
            return None
        session = _session_in(*found)
        # The id names its user, and so does what it opens.
        is_theirs = session is not None and str(session_id).startswith(tag_of(session.user_id))
        return session if is_theirs else None

    def _now(self) -> int:
        return int(self._clock() * 1000)


def milliseconds_of(duration: object, name: str) -> int:
    """Return a duration in milliseconds.

    Raises:
        ValidationError: it is no positive duration.
    """
    if not isinstance(duration, timedelta) or duration <= timedelta(0):
        raise ValidationError(f"The {name} must be a timedelta that is not 0 or negative.")
    return int(duration.total_seconds() * 1000)


def _key_in(item: SealedItem) -> str:
    return item.name.rpartition(".")[2]


def _members_of(user: UserCredentials) -> dict[str, object]:
    return {
        "userId": user.user_id,
        "login": user.login,
        "token": user.token,
        "tokenExpiresAt": user.token_expires_at,
        "dataOwnerId": user.data_owner_id,
    }


def _session_in(item: SealedItem, members: dict[str, Any]) -> UserSession | None:
    match members:
        case {
            "userId": str(user_id),
            "login": str(login),
            "token": str(token),
            "tokenExpiresAt": int() | None as token_expires_at,
            "dataOwnerId": str() | None as data_owner_id,
        }:
            return UserSession(
                user_id=user_id,
                login=login,
                token=token,
                token_expires_at=token_expires_at,
                data_owner_id=data_owner_id,
                created_at=item.created_at,
                expires_at=item.expires_at,
            )
        case _:
            return None
