# Written by "python tools/gen_sync.py" from icure_async/services/processes.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Authentication processes of a service: who has asked for a code, by the random id in a cookie."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.services.processes import ProcessStore as AsyncProcessStore
from icure_sync._generated import medtech as _medtech
from icure_sync._generated import sessions as _sessions
from icure_sync._generated import storage as _storage
from icure_sync._plain import adapt, callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.storage.protocols import Storage
    from icure_sync._generated.medtech import AnonymousMedTechApi
    from icure_sync._generated.sessions import SessionStore
    from icure_sync._generated.storage import BlockingStorage

__all__ = ["ProcessStore"]


class ProcessStore(Twin[AsyncProcessStore]):
    """Authentication processes by random id, on any storage that the workers of a service share.

    A person signs in with two requests, which two workers may get: one has a code sent, the other
    brings it. The id between them goes into a cookie, as that of a session. The storage holds a
    hash of it, and the process (with the phone number) encrypted under a key derived from it.

    :meth:`complete` lets one worker at a time work at a sign-in. A person who submits the code
    twice, or reloads the page, gets the same session twice, for ``handover`` after the first time;
    no second user, token or key pair is made. If a worker dies under it, the same code submitted
    again finishes the job: that takes builders with a ``with_storage()`` and a
    ``with_key_storage()`` that the workers share.

    Args:
        storage: where processes are kept.
        validity: how long a person has for entering the code.
        handover: how long the session that came of a process can be had by repeating its code.

    Raises:
        ValidationError: a duration makes no sense.

    Example:
        >>> processes = ProcessStore(FileStorage(folder / "sign-ins"))
        >>> sign_in_id = processes.add(process)
        >>> session_id = processes.complete(sign_in_id, code, anonymous_api, sessions)
        >>> sessions.get(session_id).login == process.login
        True
    """

    _portable = True

    def __init__(
        self,
        storage: BlockingStorage | Storage,
        *,
        validity: timedelta = timedelta(minutes=30),
        handover: timedelta = timedelta(minutes=2),
    ) -> None:
        self._hold(
            AsyncProcessStore(
                adapt(storage, _storage.STORAGE_METHODS), validity=validity, handover=handover
            )
        )

    def add(self, process: AuthenticationProcess) -> str:
        """Keep a process whose code was sent, and return the id of the sign-in.

        Args:
            process: from ``start_authentication()``.

        Raises:
            ValidationError: this is no process.
            StorageError: it could not be written.

        Example:
            >>> len(processes.add(process))
            43
        """
        return self._run(self._inner.add, process)

    def get(self, sign_in_id: str | None) -> AuthenticationProcess | None:
        """Return the process of a sign-in; None where there is none, or it has expired.

        Args:
            sign_in_id: as :meth:`add` returned it. Anything else finds nothing.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> sign_in_id = processes.add(process)
            >>> processes.get(sign_in_id).phone_number == process.phone_number
            True
        """
        return self._run(self._inner.get, sign_in_id)

    def resend(
        self,
        sign_in_id: str | None,
        api: AnonymousMedTechApi,
        recaptcha: str | None = None,
        *,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], None] | None = None,
    ) -> AuthenticationProcess:
        """Have another code sent for a sign-in, whose id stays the same.

        Args:
            sign_in_id: as :meth:`add` returned it.
            api: sends the request.
            recaptcha: as for ``resend()`` of the authentication API, and so are the others.
            recaptcha_type: see there.
            progress: see there.

        Returns:
            The process to complete now.

        Raises:
            UnknownProcessError: there is no such sign-in, or it has expired: start a new one.
            ProcessStateError: the person is signed in already.
            CaptchaRefusedError: the captcha was refused.
            StorageError: the new process could not be written. Call again.

        Example:
            >>> sign_in_id = processes.add(process)
            >>> again = processes.resend(sign_in_id, anonymous_api, captcha)
            >>> again.request_id == process.request_id
            False
        """
        return self._run(
            self._inner.resend,
            sign_in_id,
            _medtech.AnonymousMedTechApi._unwrap(api),
            recaptcha,
            recaptcha_type=recaptcha_type,
            progress=None if progress is None else callback(progress),
        )

    def complete(
        self,
        sign_in_id: str | None,
        validation_code: str,
        api: AnonymousMedTechApi,
        sessions: SessionStore,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], KeyPair | RecoveryKey | None] | None = None,
    ) -> str:
        """Register or log in with the code of a sign-in, and return the id of the new session.

        Args:
            sign_in_id: as :meth:`add` returned it.
            validation_code: as the person has typed it.
            api: sends the requests. Its storages are shared by all workers.
            sessions: where the session is made.
            token_validity: as for ``complete_authentication()``, and so are the others.
            missing_key: see there.
            find_key: see there.

        Raises:
            UnknownProcessError: there is no such sign-in, or it has expired: start a new one.
            InvalidCodeError: the code is wrong; the person may try again.
            CodeExpiredError: the code is too old or was used already.
            TooManyAttemptsError: too many wrong codes were tried.
            ProcessStateError: the person is signed in already, and this is another code.
            KeyPairNotFoundError: as for ``complete_authentication()``.
            StorageError: the storage failed. Repeat the call.
            NetworkError: no answer. Repeat the call.

        Example:
            >>> sign_in_id = processes.add(process)
            >>> session_id = processes.complete(sign_in_id, code, anonymous_api, sessions)
            >>> session_id == processes.complete(sign_in_id, code, anonymous_api, sessions)
            True
        """
        return self._run(
            self._inner.complete,
            sign_in_id,
            validation_code,
            _medtech.AnonymousMedTechApi._unwrap(api),
            _sessions.SessionStore._unwrap(sessions),
            token_validity=token_validity,
            missing_key=missing_key,
            find_key=None if find_key is None else callback(find_key),
        )

    def forget(self, sign_in_id: str | None) -> None:
        """Forget a sign-in, of a person who has given up; forgetting an absent one is no error.

        Raises:
            StorageError: it could not be removed.

        Example:
            >>> sign_in_id = processes.add(process)
            >>> processes.forget(sign_in_id)
            >>> processes.get(sign_in_id) is None
            True
        """
        self._run(self._inner.forget, sign_in_id)

    def purge(self) -> int:
        """Remove the sign-ins that have expired, and return how many there were.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> processes.purge()
            0
        """
        return self._run(self._inner.purge)
