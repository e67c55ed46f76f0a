"""Authentication processes of a service: who has asked for a code, by the random id in a cookie."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.authentication.completion import kept_by
from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.errors import (
    AuthenticationProcessError,
    ProcessStateError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.mistakes import explained
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.secret_holders import SecretHolder
from icure_async.services.sealed_items import SealedItems
from icure_async.services.sessions import milliseconds_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.progress import ProgressStore
    from icure_async.authentication.result import AuthenticationResult
    from icure_async.medtech import AnonymousMedTechApi, MedTechApi
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.services.sessions import SessionStore
    from icure_async.storage.protocols import Storage

__all__ = ["ProcessStore"]

_PREFIX: Final = "icure.sign_in."


@attrs.frozen(kw_only=True, repr=False)
class _SignIn:
    """A sign-in as it is stored.

    Attributes:
        process: waits for its code, or is completed.
        session_id: of the session that came of it.
        proof: of the code that the session was made with.
        created_at: epoch milliseconds.
        expires_at: epoch milliseconds.
    """

    process: AuthenticationProcess
    session_id: str | None = None
    proof: str | None = None
    created_at: int
    expires_at: int


@explained
class ProcessStore(SecretHolder):
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
        >>> sign_in_id = await processes.add(process)
        >>> session_id = await processes.complete(sign_in_id, code, anonymous_api, sessions)
        >>> (await sessions.get(session_id)).login == process.login
        True
    """

    def __init__(
        self,
        storage: Storage,
        *,
        validity: timedelta = timedelta(minutes=30),
        handover: timedelta = timedelta(minutes=2),
        _clock: Callable[[], float] = time.time,
    ) -> None:
        self._validity_ms = milliseconds_of(validity, "validity of a ProcessStore")
        self._handover_ms = milliseconds_of(handover, "handover of a ProcessStore")
        self._clock = _clock
        self._items = SealedItems(storage, _PREFIX)

    def __repr__(self) -> str:
        return "<ProcessStore>"

    async def add(self, process: AuthenticationProcess) -> str:
        """Keep a process whose code was sent, and return the id of the sign-in.

        Args:
            process: from ``start_authentication()``.

        Raises:
            ValidationError: this is no process.
            StorageError: it could not be written.

        Example:
            >>> len(await processes.add(process))
            43
        """
        if not isinstance(process, AuthenticationProcess):
            raise ValidationError(
                "ProcessStore.add() needs the AuthenticationProcess that start_authentication() "
                "has returned."
            )
        sign_in_id = self._items.new_secret()
        now = self._now()
        await self._write(
            sign_in_id,
            _SignIn(process=process, created_at=now, expires_at=now + self._validity_ms),
        )
        return sign_in_id

    async def get(self, sign_in_id: str | None) -> AuthenticationProcess | None:
        """Return the process of a sign-in; None where there is none, or it has expired.

        Args:
            sign_in_id: as :meth:`add` returned it. Anything else finds nothing.

        Raises:
            StorageError: the storage can't be read.

        Example:
            >>> sign_in_id = await processes.add(process)
            >>> (await processes.get(sign_in_id)).phone_number == process.phone_number
            True
        """
        sign_in = await self._read(sign_in_id)
        return None if sign_in is None else sign_in.process

    async def resend(
        self,
        sign_in_id: str | None,
        api: AnonymousMedTechApi,
        recaptcha: str | None = None,
        *,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], Awaitable[None]] | None = None,
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
            >>> sign_in_id = await processes.add(process)
            >>> again = await processes.resend(sign_in_id, anonymous_api, captcha)
            >>> again.request_id == process.request_id
            False
        """
        self._check(sign_in_id)
        async with self._items.lock(str(sign_in_id)):
            sign_in = await self._known(sign_in_id)
            if sign_in.session_id is not None:
                raise _over(sign_in.process)
            process = await api.authentication_api.resend(
                sign_in.process, recaptcha, recaptcha_type=recaptcha_type, progress=progress
            )
            expires_at = self._now() + self._validity_ms
            await self._write(
                str(sign_in_id), attrs.evolve(sign_in, process=process, expires_at=expires_at)
            )
            return process

    async def complete(
        self,
        sign_in_id: str | None,
        validation_code: str,
        api: AnonymousMedTechApi,
        sessions: SessionStore,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None = None,
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
            >>> sign_in_id = await processes.add(process)
            >>> session_id = await processes.complete(sign_in_id, code, anonymous_api, sessions)
            >>> session_id == await processes.complete(sign_in_id, code, anonymous_api, sessions)
            True
        """
        self._check(sign_in_id)
        secret = str(sign_in_id)
        async with self._items.lock(secret):
            sign_in = await self._known(sign_in_id)
            proof = _proof(secret, validation_code)
            if sign_in.session_id is not None:
                return await self._repeated(secret, sign_in, proof, api)

            made: list[str] = []

            async def keep(result: AuthenticationResult) -> None:
                made.append(await sessions.create(result))
                await self._hand_over(secret, sign_in, proof, made[-1])

            try:
                with kept_by(keep):
                    result = await api.authentication_api.complete_authentication(
                        sign_in.process,
                        validation_code,
                        token_validity=token_validity,
                        missing_key=missing_key,
                        find_key=find_key,
                    )
            except AuthenticationProcessError as error:
                if error.process is not None and error.process != sign_in.process:
                    await self._write(secret, attrs.evolve(sign_in, process=error.process))
                raise
            await result.med_tech_api.aclose()
            return made[-1]

    async def forget(self, sign_in_id: str | None) -> None:
        """Forget a sign-in, of a person who has given up; forgetting an absent one is no error.

        Raises:
            StorageError: it could not be removed.

        Example:
            >>> sign_in_id = await processes.add(process)
            >>> await processes.forget(sign_in_id)
            >>> await processes.get(sign_in_id) is None
            True
        """
        await self._items.remove(sign_in_id)

    async def purge(self) -> int:
        """Remove the sign-ins that have expired, and return how many there were.

        Raises:
            StorageError: one could not be removed. Repeat the call.

        Example:
            >>> await processes.purge()
            0
        """
        count = 0
        async for item in self._items.each():
            if item.expires_at <= self._now():
                await self._items.remove_named(item.name)
                count += 1
        return count

    def _check(self, sign_in_id: object) -> None:
        if not self._items.is_secret(sign_in_id):
            raise _unknown()

    async def _known(self, sign_in_id: object) -> _SignIn:
        sign_in = await self._read(sign_in_id)
        if sign_in is None:
            raise _unknown()
        return sign_in

    async def _repeated(
        self, secret: str, sign_in: _SignIn, proof: str, api: AnonymousMedTechApi | MedTechApi
    ) -> str:
        """Return the session of a completed sign-in to the person who repeats its code."""
        if not hmac.compare_digest(sign_in.proof or "", proof):
            # One try: nobody is to find out the code here.
            await self._items.remove(secret)
            raise _over(sign_in.process)
        # A worker may have died after it wrote the session down.
        progress: ProgressStore = attrgetter("authentication_api._progress")(api)
        await progress.forget(sign_in.process.request_id)
        return str(sign_in.session_id)

    async def _hand_over(self, secret: str, sign_in: _SignIn, proof: str, session_id: str) -> None:
        done = attrs.evolve(
            sign_in,
            process=attrs.evolve(sign_in.process, state=AuthenticationState.COMPLETED),
            session_id=session_id,
            proof=proof,
            expires_at=self._now() + self._handover_ms,
        )
        await self._write(secret, done)

    async def _write(self, secret: str, sign_in: _SignIn) -> None:
        members = {
            "process": sign_in.process.to_json(),
            "sessionId": sign_in.session_id,
            "proof": sign_in.proof,
        }
        await self._items.write(
            secret, members, created_at=sign_in.created_at, expires_at=sign_in.expires_at
        )

    async def _read(self, sign_in_id: object) -> _SignIn | None:
        found = await self._items.read(sign_in_id)
        if found is None or found[0].expires_at <= self._now():
            return None
        item, members = found
        return _sign_in_in(members, created_at=item.created_at, expires_at=item.expires_at)

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _sign_in_in(members: dict[str, Any], *, created_at: int, expires_at: int) -> _SignIn | None:
    match members:
        case {
            "process": str(text),
            "sessionId": str() | None as session_id,
            "proof": str() | None as proof,
        }:
            try:
                process = AuthenticationProcess.from_json(text)
            except ValidationError:
                return None
            return _SignIn(
                process=process,
                session_id=session_id,
                proof=proof,
                created_at=created_at,
                expires_at=expires_at,
            )
        case _:
            return None


def _proof(secret: str, validation_code: object) -> str:
    code = "".join(validation_code.split()) if isinstance(validation_code, str) else ""
    data = code.encode("utf-8", "surrogatepass")
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def _unknown() -> UnknownProcessError:
    return UnknownProcessError(
        "There is no such sign-in, or it has expired. Nothing was sent: have the person start a "
        "new one."
    )


def _over(process: AuthenticationProcess) -> ProcessStateError:
    return ProcessStateError(
        "This sign-in is over: the person is signed in already. Have the person start a new one.",
        process=process,
    )
