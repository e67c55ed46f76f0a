"""The completion of a process: from the code to a user who is ready to work."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakValueDictionary

import anyio
import attrs
from anyio.lowlevel import RunVar

from icure_async.authentication.failures import code_refusal, failure
from icure_async.authentication.process import AuthenticationEvent, AuthenticationProcess, advance
from icure_async.authentication.result import AuthenticationResult
from icure_async.errors import (
    AuthenticationError,
    BackendError,
    CodeExpiredError,
    InvalidResponseError,
)
from icure_async.rest.resources import user_resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from icure_async.authentication.progress import Progress, ProgressStore
    from icure_async.medtech import MedTechApi
    from icure_async.models.access_request import AccessRequest
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.session import Session

__all__ = ["SIGN_IN_PAUSE_SECONDS", "Completer", "Keep", "Options", "kept_by"]

Keep: TypeAlias = "Callable[[AuthenticationResult], Awaitable[None]]"
"""A function that writes a result down before its progress is forgotten."""

# The unit of the pauses before further logins. Tests put something quicker here.
SIGN_IN_PAUSE_SECONDS: Final = 1.0

_Event = AuthenticationEvent

_keep: Final[ContextVar[Keep | None]] = ContextVar("icure_keep_result", default=None)


@contextlib.contextmanager
def kept_by(keep: Keep) -> Generator[None]:
    """Have results written down within the block, while a repeated call would still finish the job.

    Args:
        keep: an error of it ends the completion, which can then be repeated.
    """
    token = _keep.set(keep)
    try:
        yield
    finally:
        _keep.reset(token)


@attrs.frozen(eq=False, repr=False)
class Options:
    """The caller's wishes: seconds, and how to deal with a missing key."""

    token_validity: int
    missing_key: MissingKeyPolicy
    find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None


class _Run:
    """One process being completed, by one task after the other.

    Attributes:
        lock: held by the task at work.
        tasks: how many are at work or waiting.
        finished: the progress that waiting tasks go on with when one has finished.
    """

    def __init__(self) -> None:
        self.lock: Final = anyio.Lock()
        self.tasks = 0
        self.finished: Progress | None = None


# Of all API objects on an event loop: a person who clicks twice may have one made for each click.
_runs: Final[RunVar[WeakValueDictionary[str, _Run]]] = RunVar("icure_async.authentication.runs")


class Completer:
    """Completes processes. A repeated call finishes the job of one that was interrupted."""

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        progress: ProgressStore,
        clock: Callable[[], float],
        open_session: Callable[[str, str], Session],
        open_api: Callable[[str, str, int], MedTechApi],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._gateway = gateway
        self._progress = progress
        self._clock = clock
        self._open_session = open_session
        self._open_api = open_api
        self._sleep = sleep

    async def complete(
        self, process: AuthenticationProcess, code: str, options: Options
    ) -> AuthenticationResult:
        """Complete a process whose code was sent, one task and one program at a time."""
        run = _run_of(process.request_id)
        run.tasks += 1
        try:
            async with run.lock, self._progress.lock(process.request_id) as lock:
                return await self._complete(process, code, options, run, overtaken=lock.waited)
        finally:
            run.tasks -= 1
            if not run.tasks:
                # Only those who waited need it; a traceback may keep this object alive for long.
                run.finished = None

    async def _complete(
        self,
        process: AuthenticationProcess,
        code: str,
        options: Options,
        run: _Run,
        *,
        overtaken: bool,
    ) -> AuthenticationResult:
        request_id = process.request_id
        progress = run.finished
        if progress is None or not progress.is_for(code):
            progress = await self._progress.load(request_id)
        if progress is not None and progress.proven:
            if not progress.is_for(code):
                may_try_again = await self._progress.wrong_code(request_id, progress)
                raise failure(
                    process, _Event.CODE_REFUSED if may_try_again else _Event.TOO_MANY_ATTEMPTS
                )
            # Without the code: it may be too old by now. Where the token is refused, it was not
            # created yet, or has ended.
            with contextlib.suppress(AuthenticationError):
                return await self._finish(process, progress, options, run)
        if progress is not None and progress.is_for(code):
            may_be_used = True
        else:
            # Another program may have used the process up while we waited for it: the backend still
            # takes the code for a token of our own.
            may_be_used = overtaken
            progress = await self._progress.begin(request_id, code, progress)
        session, user_id = await self._sign_in(process, code, progress, may_be_used=may_be_used)
        progress = await self._progress.code_proven(
            request_id, progress, code, expires_at=self._expiry(options)
        )
        await user_resource(session).create_token(
            user_id, progress.token_key, validity=options.token_validity, secret=progress.token
        )
        return await self._finish(process, progress, options, run, expected_user_id=user_id)

    async def _finish(
        self,
        process: AuthenticationProcess,
        progress: Progress,
        options: Options,
        run: _Run,
        *,
        expected_user_id: str | None = None,
    ) -> AuthenticationResult:
        expires_at = progress.expires_at or self._expiry(options)
        api = self._open_api(process.login, progress.token, expires_at)
        try:
            user_id, group_id = await api.identify()
            if expected_user_id is None:
                # A registration that died after the key was published still has its warnings.
                await api.user_api.get_logged_user()
            elif expected_user_id != user_id:
                raise InvalidResponseError(
                    "Could not log in: the backend takes the token for one of another user than "
                    "the code. Start again with a new authentication process; where it stays so, "
                    "call the administrator of the backend."
                )
            key_pairs, access_requests = await self._start_keys(api, options)
            result = AuthenticationResult(
                med_tech_api=api,
                user_id=user_id,
                login=process.login,
                group_id=group_id,
                data_owner_id=await api.data_owner_id(),
                token=progress.token,
                token_expires_at=api.token_expires_at or expires_at,
                key_pairs=key_pairs,
                key_notices=list(api.key_notices),
                unknown_public_keys=list(api.unknown_public_keys),
                access_requests=access_requests,
                warnings=list(api.warnings),
                process=advance(process, _Event.COMPLETED),
            )
            keep = _keep.get()
            if keep is not None:
                await keep(result)
            await self._progress.forget(process.request_id)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await api.aclose()
            raise
        run.finished = progress
        return result

    async def _start_keys(
        self, api: MedTechApi, options: Options
    ) -> tuple[list[KeyPair], list[AccessRequest]]:
        """Put the user's key pairs to use; return them, and what was asked for with them."""
        key_pairs = await api.init_user_crypto(
            missing_key=options.missing_key, find_key=options.find_key
        )
        return key_pairs, []

    def _expiry(self, options: Options) -> int:
        """Return when a token ends that is created now."""
        return int(self._clock() * 1000) + options.token_validity * 1000

    async def _sign_in(
        self, process: AuthenticationProcess, code: str, progress: Progress, *, may_be_used: bool
    ) -> tuple[Session, str]:
        """Have the code validated, and log in with it as the password.

        An earlier run may have had the code accepted: then the gateway refuses it now, and the
        backend still takes it.
        """
        refusal = await self._validate(process, code)
        if refusal is None:
            signed_in = await self._log_in(process.login, code, is_fresh=True)
            if signed_in is None:
                # The written progress stays: the account may yet appear.
                raise failure(process, _Event.CODE_EXPIRED)
            return signed_in
        if may_be_used or process.bypass_token_check:
            signed_in = await self._log_in(process.login, code, is_fresh=False)
            if signed_in is not None:
                return signed_in
        await self._progress.code_refused(process.request_id, progress, code)
        if isinstance(refusal, CodeExpiredError) and len(progress.proofs) > 1:
            # An interrupted run used the process up, with another code.
            refusal = failure(process, _Event.CODE_REFUSED)
        raise refusal

    async def _log_in(self, login: str, code: str, *, is_fresh: bool) -> tuple[Session, str] | None:
        """Return the session and the user's id, or None where the backend refuses the code.

        A fresh code is tried several times: its account may appear a moment after the gateway has
        accepted it.
        """
        session = self._open_session(login, code)
        pauses = session.dialect.pauses_after_code if is_fresh else ()
        for pause in (0.0, *pauses):
            if pause:
                await self._sleep(pause * SIGN_IN_PAUSE_SECONDS)
                session = self._open_session(login, code)
            try:
                answer = await session.sign_in()
                user_id = answer.user_id or (await user_resource(session).current()).get("id")
            except AuthenticationError:
                continue
            if not isinstance(user_id, str) or not user_id:
                raise InvalidResponseError(
                    "Could not log in: the backend does not tell the id of the user. Check "
                    "with_icure_base_url()."
                )
            return session, user_id
        return None

    async def _validate(self, process: AuthenticationProcess, code: str) -> BackendError | None:
        """Return None for an accepted code, else the error it stands for.

        Raises:
            NetworkError: no answer. Nothing is known about the code.
            BackendError: the gateway failed, or asks to slow down: the same holds.
        """
        try:
            await self._gateway.validate_code(process.request_id, code)
        except BackendError as error:
            refusal: BackendError | None = code_refusal(process, error)
            if refusal is None:
                if not process.bypass_token_check:
                    raise
                refusal = error
        else:
            return None
        # Out here, where the gateway's own error is no context of it.
        return refusal


def _run_of(request_id: str) -> _Run:
    try:
        runs = _runs.get()
    except LookupError:
        runs = WeakValueDictionary[str, _Run]()
        _runs.set(runs)
    return runs.setdefault(request_id, _Run())
