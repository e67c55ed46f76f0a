"""Drives authentication processes: the input and output between two states of ``process.py``."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import anyio
import attrs
from anyio.lowlevel import RunVar

from icure_async.authentication.captcha import CaptchaType, captcha_member
from icure_async.authentication.contacts import normalise_email, normalise_phone_number
from icure_async.authentication.process import (
    AuthenticationEvent,
    AuthenticationProcess,
    AuthenticationState,
    advance,
    impossible,
)
from icure_async.authentication.result import AuthenticationResult
from icure_async.crypto.encoding import new_uuid
from icure_async.errors import (
    AuthenticationError,
    AuthenticationProcessError,
    BackendError,
    BadRequestError,
    CaptchaRefusedError,
    CodeExpiredError,
    ConfigurationError,
    InvalidCodeError,
    InvalidResponseError,
    TooManyAttemptsError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.mistakes import explained
from icure_async.models.missing_key import MISSING_KEY_POLICIES, MissingKeyPolicy
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.models.validation import validate_id, validate_token_validity
from icure_async.rest.users import UserResource
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import timedelta

    from icure_async.authentication.process import Channel
    from icure_async.authentication.progress import Progress, ProgressStore
    from icure_async.crypto.protocol import Crypto
    from icure_async.medtech import MedTechApi
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.session import Session


__all__ = ["AuthenticationApi"]

# The account may appear at the backend a moment after the gateway accepts the code
# (server-behaviour.md §13.2.4).
_SIGN_IN_ATTEMPTS: Final = 4
_SIGN_IN_PAUSE_SECONDS: Final = 1.0

_CODE_LENGTHS: Final = range(4, 13)
_CODE_FORM: Final = re.compile(r"[0-9A-Za-z]{1,64}")

_State = AuthenticationState
_Event = AuthenticationEvent
_TOO_MANY: Final = 429
_REFUSALS: Final = range(400, 500)

# Not said of the last one that may be tried: where the gateway says so, it is too many attempts.
_WRONG_CODE: Final = (
    "The validation code is wrong. Try again with the same process and the right code. After a few "
    "wrong ones a process is closed: then resend() gets another code."
)

_FAILURES: Final[Mapping[AuthenticationEvent, tuple[type[AuthenticationProcessError], str]]] = {
    _Event.CODE_REFUSED: (
        InvalidCodeError,
        _WRONG_CODE,
    ),
    _Event.CODE_EXPIRED: (
        CodeExpiredError,
        "The validation code is too old, or was used already. Ask for another with resend().",
    ),
    _Event.PROCESS_UNKNOWN: (
        UnknownProcessError,
        "The message gateway does not know this authentication process. Start a new one.",
    ),
    _Event.TOO_MANY_ATTEMPTS: (
        TooManyAttemptsError,
        "Too many wrong codes were tried: the process is closed. Get another code with resend().",
    ),
}

# What the gateway's answers mean; any other refusal is a wrong code (wire-protocol.md §4 only says
# that 2xx is right).
_EVENT_BY_STATUS: Final[Mapping[int, AuthenticationEvent]] = {
    404: _Event.PROCESS_UNKNOWN,
    410: _Event.CODE_EXPIRED,
    429: _Event.TOO_MANY_ATTEMPTS,
}

_CAPTCHA_REFUSED: Final = (
    "The message gateway refused the captcha. Let the person solve a new one, and start again."
)
_PROFESSIONAL_NEEDED: Final = (
    "The message gateway refuses to start this process. Patients who are new need "
    "healthcare_professional_id: the id of a healthcare professional who is known there. Check the "
    "email address or phone number, too."
)
_NOT_FOUND: Final = 404
_NO_SUCH_PROCESS: Final = frozenset({_NOT_FOUND, 405, 501})
_REFUSED_CONTENT: Final = frozenset({400, 422})

_EVENT_BY_STATE: Final[Mapping[AuthenticationState, AuthenticationEvent]] = {
    _State.EXPIRED: _Event.CODE_EXPIRED,
    _State.LOCKED: _Event.TOO_MANY_ATTEMPTS,
    _State.UNKNOWN: _Event.PROCESS_UNKNOWN,
}
_COMPLETABLE: Final = frozenset(
    {_State.CODE_SENT, _State.VALIDATED, _State.SIGNED_IN, _State.AUTHORISED}
)


@attrs.frozen
class _Options:
    """What the caller of a completion wants: seconds, and what to do about a missing key."""

    token_validity: int
    missing_key: MissingKeyPolicy
    find_key: Callable[[MissingKey], Awaitable[KeyPair | None]] | None


class _Run:
    """One process being completed, by one task after the other.

    Attributes:
        lock: held by the task at work.
        tasks: how many are at work or waiting.
        finished: what the tasks that were waiting go on with when one has finished.
    """

    def __init__(self) -> None:
        self.lock: Final = anyio.Lock()
        self.tasks = 0
        self.finished: Progress | None = None


# Of all API objects on an event loop: a person who clicks twice may have one made for each click.
_runs: Final[RunVar[WeakValueDictionary[str, _Run]]] = RunVar("icure_async.authentication.runs")


@explained
class AuthenticationApi:
    """Registers and logs in with a one-time code by email or SMS."""

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        process_by_email_id: str | None,
        process_by_sms_id: str | None,
        crypto: Crypto,
        progress: ProgressStore,
        clock: Callable[[], float],
        open_session: Callable[[str, str], Session],
        open_api: Callable[[str, str, int], MedTechApi],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._gateway = gateway
        self._process_ids: dict[Channel, str | None] = {
            "email": process_by_email_id,
            "sms": process_by_sms_id,
        }
        self._crypto = crypto
        self._progress = progress
        self._clock = clock
        self._open_session = open_session
        self._open_api = open_api
        self._sleep = sleep

    async def start_authentication(
        self,
        recaptcha: str,
        *,
        email: str | None = None,
        phone_number: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        healthcare_professional_id: str | None = None,
        bypass_token_check: bool = False,
        validation_code_length: int = 6,
        recaptcha_type: CaptchaType = "recaptcha",
    ) -> AuthenticationProcess:
        """Have a validation code sent, to register a new user or to log in.

        With both an email address and a phone number the code goes by email if a process for that
        is configured, else by SMS. An empty text counts as nothing.

        Args:
            recaptcha: the solution of a captcha.
            email: of the person.
            phone_number: of the person, in international form.
            first_name: for a registration.
            last_name: for a registration.
            healthcare_professional_id: id of the data owner who invites the person. What the new
                user creates is shared with it automatically. Mandatory for patients.
            bypass_token_check: go on with a code the gateway refuses (demonstration users).
            validation_code_length: digits of the code, 4 to 12.
            recaptcha_type: ``"recaptcha"`` (v3) or ``"friendly-captcha"``.

        Returns:
            The process to complete with the code. It can be saved with ``to_json()``.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            ConfigurationError: no process is configured for this contact. Nothing was sent.
            CaptchaRefusedError: the captcha was refused.
            UnknownProcessError: the gateway does not know the configured process or spec id.
        """
        if not isinstance(bypass_token_check, bool):
            raise ValidationError("bypass_token_check must be True or False.")
        captcha = captcha_member(recaptcha, recaptcha_type)
        if type(validation_code_length) is not int or validation_code_length not in _CODE_LENGTHS:
            raise ValidationError("validation_code_length must be an int between 4 and 12.")
        # In a thread: the first call loads the phone metadata of all countries.
        email = await OTHERS.run(normalise_email, email)
        phone_number = await OTHERS.run(normalise_phone_number, phone_number)
        channel, process_id = self._choose_channel(email, phone_number)
        if channel == "sms":
            # With an address in the request the gateway would write to it, and make it the login.
            email = None
        process = AuthenticationProcess(
            request_id=await new_uuid(self._crypto),
            login=str(email if channel == "email" else phone_number),
            bypass_token_check=bypass_token_check,
            channel=channel,
            process_id=process_id,
            email=email,
            phone_number=phone_number,
            first_name=_text(first_name, "first_name"),
            last_name=_text(last_name, "last_name"),
            healthcare_professional_id=validate_id(
                healthcare_professional_id, "healthcare_professional_id"
            )
            if healthcare_professional_id
            else None,
            validation_code_length=validation_code_length,
            started_at=int(self._clock() * 1000),
        )
        return await self._send_code(process, captcha)

    async def resend(
        self,
        process: AuthenticationProcess,
        recaptcha: str,
        *,
        recaptcha_type: CaptchaType = "recaptcha",
    ) -> AuthenticationProcess:
        """Have another code sent to the same person; the former one is not to be used any more.

        Args:
            process: one whose code got lost, expired, or was mistyped too often.
            recaptcha: a new solution of a captcha; gateways take each only once.
            recaptcha_type: ``"recaptcha"`` (v3) or ``"friendly-captcha"``.

        Returns:
            The process to complete with the new code; the given one is over.

        Raises:
            ProcessStateError: its code was accepted already: complete it instead.
            CaptchaRefusedError: the captcha was refused.
            UnknownProcessError: the gateway does not know the configured process or spec id.
            StorageError: the code was sent, and can't be used: call again.
        """
        _check_process(process)
        captcha = captcha_member(recaptcha, recaptcha_type)
        advance(process, _Event.RESENT)
        again = attrs.evolve(
            process,
            request_id=await new_uuid(self._crypto),
            state=_State.NEW,
            started_at=int(self._clock() * 1000),
            wrong_codes=0,
        )
        again = await self._send_code(again, captcha)
        await self._progress.hand_over(process.request_id, again.request_id)
        return again

    async def complete_authentication(
        self,
        process: AuthenticationProcess,
        validation_code: str,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], Awaitable[KeyPair | None]] | None = None,
    ) -> AuthenticationResult:
        """Register or log in with the code the person received.

        If the program or the network fails midway, calling again with the same process and code
        finishes the job: no second key pair, no second token. After the death of the program that
        takes a ``with_storage()`` and a ``with_key_storage()`` that have outlived it.

        A user who has key pairs, none of them on this device, gets a new one, as in the reference:
        stored, published beside the others, and everybody concerned notified, so that somebody can
        give access back to what is encrypted for the old ones.

        Args:
            process: from :meth:`start_authentication` or ``AuthenticationProcess.from_json()``.
            validation_code: as received; blanks around and inside it don't matter.
            token_validity: how long the token in the result will be good for.
            missing_key: ``"allow"`` or ``"refuse"``: whether a new key pair may be published where
                the published ones are not on this device.
            find_key: asked for the missing key pair first, for example in a backup; None in return
                leaves it to ``missing_key``, and so does a pair that is none of the published ones.

        Returns:
            The user's API with its key pairs in use, and a token to log in with later.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidCodeError: the code is wrong; try again with the same process.
            CodeExpiredError: the code is too old or was used already.
            UnknownProcessError: the gateway does not know the process.
            TooManyAttemptsError: too many wrong codes were tried.
            KeyPairNotFoundError: the user has keys, none of them is on this device, and
                ``missing_key`` refuses a new one. Nothing was published; calling again with the
                key pair at hand finishes the job.
            ProcessStateError: the process is completed, was never started, or was superseded.
            NetworkError: no answer. Call again with the same process and code.
        """
        _check_process(process)
        code = _checked_code(process, validation_code)
        validity = validate_token_validity(token_validity, "token_validity")
        if missing_key not in MISSING_KEY_POLICIES:
            raise ValidationError("missing_key must be 'allow' or 'refuse'.")
        options = _Options(validity, missing_key, find_key)
        if process.state in _EVENT_BY_STATE:
            raise _failure(process, _EVENT_BY_STATE[process.state])
        if process.state not in _COMPLETABLE:
            raise impossible(process, "completing it")
        run = _run_of(process.request_id)
        run.tasks += 1
        try:
            async with run.lock, self._progress.lock(process.request_id) as lock:
                return await self._complete(process, code, options, run, overtaken=lock.waited)
        finally:
            run.tasks -= 1
            if not run.tasks:
                # Whatever keeps this alive, a traceback perhaps: it was for those who waited.
                run.finished = None

    async def _send_code(
        self, process: AuthenticationProcess, captcha: Mapping[str, str]
    ) -> AuthenticationProcess:
        body = {
            **captcha,
            "firstName": process.first_name or "",
            "lastName": process.last_name or "",
            "from": process.login,
            "hcpId": process.healthcare_professional_id or "",
        }
        if process.email:
            body["email"] = process.email
        if process.phone_number:
            body["mobilePhone"] = process.phone_number
        try:
            await self._gateway.start_process(
                process.process_id,
                process.request_id,
                body,
                code_length=process.validation_code_length,
            )
        except BackendError as error:
            raise _start_failure(process, error) from None
        return advance(process, _Event.CODE_SENT)

    async def _complete(
        self,
        process: AuthenticationProcess,
        code: str,
        options: _Options,
        run: _Run,
        *,
        overtaken: bool,
    ) -> AuthenticationResult:
        request_id = process.request_id
        interrupted = process.state is not _State.CODE_SENT
        if interrupted:
            process = advance(process, _Event.INTERRUPTED)
        progress = run.finished
        if progress is None or not progress.is_for(code):
            progress = await self._progress.load(request_id)
        if progress is not None and progress.proven:
            if not progress.is_for(code):
                may_try_again = await self._progress.wrong_code(request_id, progress)
                raise _failure(
                    process, _Event.CODE_REFUSED if may_try_again else _Event.TOO_MANY_ATTEMPTS
                )
            # Without the code: it may be too old by now. Where the token is refused, it was not
            # created yet, or is good no more.
            with contextlib.suppress(AuthenticationError):
                return await self._finish(
                    advance(process, _Event.TOKEN_CREATED), progress, options, run, is_repeated=True
                )
        if progress is not None and progress.is_for(code):
            interrupted = True
        else:
            # Another program may have used the process up while we waited for it: the code is still
            # good for a token of our own.
            interrupted = interrupted or overtaken
            progress = await self._progress.begin(request_id, code, progress)
        session, user_id, process = await self._sign_in(
            process, code, progress, interrupted=interrupted
        )
        progress = await self._progress.code_proven(
            request_id, progress, code, expires_at=self._expiry(options)
        )
        await UserResource(session).create_token(
            user_id, progress.token_key, validity=options.token_validity, secret=progress.token
        )
        process = advance(process, _Event.TOKEN_CREATED)
        return await self._finish(process, progress, options, run, expected_user_id=user_id)

    async def _finish(
        self,
        process: AuthenticationProcess,
        progress: Progress,
        options: _Options,
        run: _Run,
        *,
        expected_user_id: str | None = None,
        is_repeated: bool = False,
    ) -> AuthenticationResult:
        expires_at = progress.expires_at or self._expiry(options)
        api = self._open_api(process.login, progress.token, expires_at)
        try:
            user_id, group_id = await api.identify()
            if expected_user_id not in (None, user_id):
                raise InvalidResponseError(
                    "Could not log in: the backend takes the token for one of another user than "
                    "the code. Start again with a new authentication process; where it stays so, "
                    "call the administrator of the backend."
                )
            if is_repeated:
                # A registration that died after the key was published still has its warnings.
                await api.user_api.get_logged_user()
            key_pairs = await api.init_user_crypto(
                missing_key=options.missing_key, find_key=options.find_key
            )
            data_owner_id = await api.data_owner_id()
            await self._progress.forget(process.request_id)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await api.aclose()
            raise
        run.finished = progress
        return AuthenticationResult(
            med_tech_api=api,
            user_id=user_id,
            group_id=group_id,
            data_owner_id=data_owner_id,
            token=progress.token,
            token_expires_at=api.token_expires_at or expires_at,
            key_pairs=key_pairs,
            key_notices=list(api.key_notices),
            unknown_public_keys=list(api.unknown_public_keys),
            warnings=list(api.warnings),
            process=advance(process, _Event.KEYS_READY),
        )

    def _expiry(self, options: _Options) -> int:
        """Return when a token ends that is created now."""
        return int(self._clock() * 1000) + options.token_validity * 1000

    async def _sign_in(
        self, process: AuthenticationProcess, code: str, progress: Progress, *, interrupted: bool
    ) -> tuple[Session, str, AuthenticationProcess]:
        """Have the code validated, and log in with it as the password.

        Where an earlier run was interrupted, it may have had the code accepted: then the gateway
        refuses it now, and the backend still takes it.
        """
        refusal = await self._validate(process, code)
        if isinstance(refusal, CodeExpiredError) and len(progress.proofs) > 1:
            # An interrupted run used the process up, with another code.
            refusal = _failure(process, _Event.CODE_REFUSED)
        if refusal is None:
            process = advance(process, _Event.CODE_ACCEPTED)
        elif not (interrupted or process.bypass_token_check):
            await self._progress.code_refused(process.request_id, progress, code)
            raise refusal
        signed_in = await self._log_in(
            process.login, code, attempts=_SIGN_IN_ATTEMPTS if refusal is None else 1
        )
        if signed_in is None:
            if refusal is None:
                # What is written down stays: the account may yet appear.
                raise _failure(process, _Event.CODE_EXPIRED)
            await self._progress.code_refused(process.request_id, progress, code)
            raise refusal
        if refusal is not None and process.bypass_token_check:
            process = advance(process, _Event.CHECK_BYPASSED)
        return *signed_in, advance(process, _Event.SIGNED_IN)

    async def _log_in(self, login: str, code: str, *, attempts: int) -> tuple[Session, str] | None:
        """Return the session and the user's id, or None where the backend refuses the code."""
        for attempt in range(attempts):
            if attempt:
                await self._sleep(_SIGN_IN_PAUSE_SECONDS)
            session = self._open_session(login, code)
            try:
                answer = await session.sign_in()
                user_id = answer.user_id or (await UserResource(session).current()).get("id")
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
            status = error.status or 0
            throttled = status == _TOO_MANY and error.retry_after is not None
            if status in _REFUSALS and not throttled:
                event = _EVENT_BY_STATUS.get(status, _Event.CODE_REFUSED)
                refusal: BackendError = _failure(process, event)
            elif process.bypass_token_check:
                refusal = error
            else:
                raise
        else:
            return None
        # Out here, where the gateway's own error is no context of it.
        return refusal

    def _choose_channel(self, email: str | None, phone_number: str | None) -> tuple[Channel, str]:
        contacts: dict[Channel, str | None] = {"email": email, "sms": phone_number}
        given: list[Channel] = [channel for channel, contact in contacts.items() if contact]
        if not given:
            raise ValidationError(
                "In order to start authentication of a user, you should at least provide its email "
                "OR its phone number."
            )
        for channel in given:
            process_id = self._process_ids[channel]
            if process_id:
                return channel, process_id
        methods = " or ".join(f"with_auth_process_by_{channel}_id()" for channel in given)
        raise ConfigurationError(
            f"No authentication process is configured for this kind of contact: call {methods} on "
            "the builder."
        )


def _run_of(request_id: str) -> _Run:
    try:
        runs = _runs.get()
    except LookupError:
        runs = WeakValueDictionary[str, _Run]()
        _runs.set(runs)
    return runs.setdefault(request_id, _Run())


def _check_process(process: object) -> None:
    if not isinstance(process, AuthenticationProcess):
        raise ValidationError(
            "The process must be an AuthenticationProcess: from start_authentication(), or from "
            "AuthenticationProcess.from_json() with what its to_json() returned."
        )


def _checked_code(process: AuthenticationProcess, validation_code: object) -> str:
    if isinstance(validation_code, int):
        raise ValidationError(
            "validation_code is malformed: pass a text, since a number loses the zeros in front."
        )
    code = "".join(validation_code.split()) if isinstance(validation_code, str) else ""
    if not _CODE_FORM.fullmatch(code):
        raise ValidationError(
            "validation_code is malformed: pass the code from the message, digits only."
        )
    right_length = process.validation_code_length
    if not process.bypass_token_check and (not code.isdecimal() or len(code) != right_length):
        raise ValidationError(
            f"validation_code is malformed: the code of this process has {right_length} digits."
        )
    return code


def _text(value: str | None, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValidationError(f"{what} must be a text.")
    return value or None


def _failure(
    process: AuthenticationProcess, event: AuthenticationEvent
) -> AuthenticationProcessError:
    kind, message = _FAILURES[event]
    after = advance(process, event) if process.state not in _EVENT_BY_STATE else process
    return kind(message, process=after)


def _start_failure(process: AuthenticationProcess, error: BackendError) -> BackendError:
    status = error.status
    about: dict[str, Any] = {
        "status": status,
        "request_id": error.request_id,
        "server_message": error.server_message,
    }
    captcha_named = "captcha" in (error.server_message or "").lower()
    if status in (401, 403) or (status == 400 and captcha_named):
        # A backend in the place of the gateway asks everybody for credentials.
        doubt = "" if captcha_named else " If that goes on, check with_msg_gw_url()."
        refused = advance(process, _Event.CAPTCHA_REFUSED)
        return CaptchaRefusedError(_CAPTCHA_REFUSED + doubt, process=refused, **about)
    if status in _NO_SUCH_PROCESS:
        unknown = advance(process, _Event.PROCESS_UNKNOWN)
        return UnknownProcessError(_process_unknown(process, error), process=unknown, **about)
    names_professional = "hcpId" in (error.server_message or "")
    if status in _REFUSED_CONTENT and (
        names_professional or not process.healthcare_professional_id
    ):
        return BadRequestError(_PROFESSIONAL_NEEDED, **about)
    return error


def _process_unknown(process: AuthenticationProcess, error: BackendError) -> str:
    url = "check that with_msg_gw_url() is the message gateway's URL, not the backend's or a page's"
    ids = f"with_msg_gw_spec_id() and with_auth_process_by_{process.channel}_id()"
    if error.status != _NOT_FOUND or error.server_message is None:
        return f"No message gateway answers at this address: {url}. If it is, check {ids}."
    return (
        f"The message gateway does not know this application or process: check {ids}. If they are "
        f"right, {url}."
    )
