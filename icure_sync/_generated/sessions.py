# Written by "python tools/gen_sync.py" from icure_async/services/sessions.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Sessions of a service: who is logged in, by the random id in a person's cookie."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from icure_async.services.sessions import SessionStore as AsyncSessionStore
from icure_sync._generated import pool as _pool
from icure_sync._generated import storage as _storage
from icure_sync._plain import adapt
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.user_token import LogoutResult
    from icure_async.services.session_values import StoredSession, UserSession
    from icure_async.services.users import PoolUser
    from icure_async.storage.protocols import Storage
    from icure_sync._generated.pool import ApiPool
    from icure_sync._generated.storage import BlockingStorage

__all__ = ["SessionStore"]


class SessionStore(Twin[AsyncSessionStore]):
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
        >>> session_id = sessions.create(result)
        >>> sessions.get(session_id).user_id == result.user_id
        True
    """

    _portable = True

    def __init__(
        self, storage: BlockingStorage | Storage, *, validity: timedelta = timedelta(days=30)
    ) -> None:
        self._hold(AsyncSessionStore(adapt(storage, _storage.STORAGE_METHODS), validity=validity))

    def create(self, user: PoolUser) -> str:
        """Return the id of a new session.

        Args:
            user: the result of a completed authentication, or a user's credentials.

        Raises:
            ValidationError: this is no user.
            StorageError: the session could not be written.

        Example:
            >>> len(sessions.create(result))
            76
        """
        return self._run(self._inner.create, user)

    def get(self, session_id: str | None) -> UserSession | None:
        """Return the session of an id; None where there is none, or it has ended.

        Args:
            session_id: as :meth:`create` returned it. Anything else, such as what a stranger puts
                into a cookie, finds nothing.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> sessions.get(session_id).login == result.login
            True
            >>> sessions.get("a stranger's cookie") is None
            True
        """
        return self._run(self._inner.get, session_id)

    def replace_token(self, session_id: str, token: str, *, expires_at: int) -> bool:
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
            >>> sessions.replace_token(session_id, "another token", expires_at=expires_at)
            True
        """
        return self._run(self._inner.replace_token, session_id, token, expires_at=expires_at)

    def sign_out(self, session_id: str | None, pool: ApiPool) -> LogoutResult | None:
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
            >>> sessions.sign_out(session_id, pool).token_revoked
            True
            >>> sessions.get(session_id) is None
            True
        """
        return self._run(self._inner.sign_out, session_id, _pool.ApiPool._unwrap(pool))

    def list_sessions(self, user_id: str) -> Sequence[StoredSession]:
        """Return the sessions of a user that have not ended, the oldest first.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> len(sessions.list_sessions(result.user_id))
            1
        """
        return self._run(self._inner.list_sessions, user_id)

    def remove_session(self, user_id: str, key: str) -> bool:
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
            >>> (session,) = sessions.list_sessions(result.user_id)
            >>> sessions.remove_session(result.user_id, session.key)
            True
        """
        return self._run(self._inner.remove_session, user_id, key)

    def remove_sessions(self, user_id: str, *, but: str | None = None) -> int:
        """Remove the sessions of a user, and return how many there were.

        Their tokens can't be revoked without the ids of the sessions: do that with
        ``user_api.revoke_token()``. API objects of the user go with ``discard()`` of the pool.

        Args:
            user_id: of the user.
            but: the id of a session that stays: that of the person who asks for it.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> sessions.remove_sessions(result.user_id, but=session_id)
            0
        """
        return self._run(self._inner.remove_sessions, user_id, but=but)

    def purge(self) -> int:
        """Remove the sessions that have expired, and return how many there were.

        Expired sessions are never given out; this is for the storage's size, once a day, say.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> sessions.purge()
            0
        """
        return self._run(self._inner.purge)
