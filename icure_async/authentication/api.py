"""Registration and login with a one-time code, as users call it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from icure_async.authentication.completion import Completer, Options
from icure_async.authentication.failures import EVENT_BY_STATE, failure
from icure_async.authentication.first_login import FirstLogin, process_of_invitation
from icure_async.authentication.process import (
    AuthenticationEvent,
    AuthenticationProcess,
    AuthenticationState,
    advance,
    impossible,
)
from icure_async.authentication.starting import Starter
from icure_async.crypto.encoding import new_uuid
from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.missing_key import MISSING_KEY_POLICIES, MissingKeyPolicy
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.models.validation import validate_token_validity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.process import Channel
    from icure_async.authentication.progress import ProgressStore
    from icure_async.authentication.result import AuthenticationResult
    from icure_async.crypto.protocol import Crypto
    from icure_async.medtech import MedTechApi
    from icure_async.models.access_request import AccessRequest
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.session import Session


__all__ = ["AuthenticationApi"]

_CODE_LENGTHS: Final = range(4, 13)
_CODE_FORM: Final = re.compile(r"[0-9A-Za-z]{1,64}")


@explained
class AuthenticationApi:
    """Registers and logs in with a one-time code by email or SMS.

    Example:
        >>> result = await anonymous_api.authentication_api.complete_authentication(process, code)
        >>> api = result.med_tech_api
    """

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        process_by_email_id: str | None,
        process_by_sms_id: str | None,
        crypto: Crypto,
        progress: ProgressStore,
        clock: Callable[[], float],
        deployment: str | None,
        open_session: Callable[[str, str], Session],
        open_api: Callable[[str, str, int], MedTechApi],
        start_invited: Callable[
            [MedTechApi, Options], Awaitable[tuple[list[KeyPair], list[AccessRequest]]]
        ],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._process_ids: dict[Channel, str | None] = {
            "email": process_by_email_id,
            "sms": process_by_sms_id,
        }
        self._crypto = crypto
        self._starter = Starter(gateway, crypto=crypto, clock=clock, deployment=deployment)
        self._progress = progress
        self._clock = clock
        self._completer = Completer(
            gateway,
            progress=progress,
            clock=clock,
            open_session=open_session,
            open_api=open_api,
            sleep=sleep,
        )
        self._first_login = FirstLogin(
            gateway,
            progress=progress,
            clock=clock,
            open_session=open_session,
            open_api=open_api,
            start_invited=start_invited,
            sleep=sleep,
        )

    async def start_authentication(
        self,
        recaptcha: str | None = None,
        *,
        email: str | None = None,
        phone_number: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        healthcare_professional_id: str | None = None,
        bypass_token_check: bool = False,
        validation_code_length: int = 6,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], Awaitable[None]] | None = None,
    ) -> AuthenticationProcess:
        """Have a validation code sent, to register a new user or to log in.

        With both an email address and a phone number the code goes by email if a process for that
        is configured, else by SMS. An empty text counts as nothing.

        Today's message gateways take a captcha that the SDK solves itself, in about a second and
        in a worker thread: the program computes instead of the person clicking. That is so with
        ``recaptcha_type="kerberus"``, and ``with_flavour("cardinal")`` unless a solution is given.

        Args:
            recaptcha: the solution of a captcha; left out where the SDK solves it.
            email: of the person.
            phone_number: of the person, in international form.
            first_name: for a registration.
            last_name: for a registration.
            healthcare_professional_id: id of the data owner who invites the person. The new user's
                records are shared with it automatically. Mandatory for patients.
            bypass_token_check: go on with a code the gateway refuses (demonstration users).
            validation_code_length: digits of the code, 4 to 12.
            recaptcha_type: ``"recaptcha"`` (v3, the default for a solution that is given),
                ``"friendly-captcha"`` or ``"kerberus"``.
            progress: called again and again while the SDK solves a captcha; the error of a callback
                ends the call.

        Returns:
            The process to complete with the code. It can be saved with ``to_json()``.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            ConfigurationError: no process is configured for this contact. Nothing was sent.
            CaptchaRefusedError: the captcha was refused.
            UnknownProcessError: the gateway does not know the configured process or spec id, or has
                no captcha for the SDK to solve.
            InvalidResponseError: the captcha is malformed, or would take minutes to solve.

        Example:
            >>> process = await anonymous_api.authentication_api.start_authentication(
            ...     captcha,
            ...     phone_number="+32 470 11 11 11",
            ...     first_name="Brienne",
            ...     last_name="Tarth",
            ...     healthcare_professional_id=professional_id,
            ... )
            >>> process.login
            '+32470111111'
        """
        return await self._starter.start(
            recaptcha,
            process_ids=self._process_ids,
            email=email,
            phone_number=phone_number,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=healthcare_professional_id,
            bypass_token_check=bypass_token_check,
            validation_code_length=validation_code_length,
            recaptcha_type=recaptcha_type,
            progress=progress,
        )

    async def resend(
        self,
        process: AuthenticationProcess,
        recaptcha: str | None = None,
        *,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], Awaitable[None]] | None = None,
    ) -> AuthenticationProcess:
        """Have another code sent to the same person; the former one is not to be used any more.

        Args:
            process: one whose code got lost, expired, or was mistyped too often.
            recaptcha: a new solution of a captcha; gateways take each only once. Left out where the
                SDK solves it, see :meth:`start_authentication`.
            recaptcha_type: as for :meth:`start_authentication`.
            progress: as for :meth:`start_authentication`.

        Returns:
            The process to complete with the new code; the given one is over.

        Raises:
            ProcessStateError: the process is completed, was never started, or was superseded.
            ConfigurationError: the process was started in the other flavour. Nothing was sent.
            CaptchaRefusedError: the captcha was refused.
            UnknownProcessError: the gateway does not know the configured process or spec id.
            StorageError: the code was sent, and can't be used: call again.

        Example:
            >>> process = await anonymous_api.authentication_api.resend(process, captcha)
            >>> process.state
            <AuthenticationState.CODE_SENT: 'codeSent'>
        """
        _check_process(process)
        captcha = self._starter.captcha(recaptcha, recaptcha_type, progress)
        self._starter.check_flavour(process)
        advance(process, AuthenticationEvent.RESENT)
        again = attrs.evolve(
            process,
            request_id=await new_uuid(self._crypto),
            state=AuthenticationState.NEW,
            started_at=int(self._clock() * 1000),
            wrong_codes=0,
        )
        again = await self._starter.send_code(again, captcha)
        await self._progress.hand_over(process.request_id, again.request_id)
        return again

    async def complete_authentication(
        self,
        process: AuthenticationProcess,
        validation_code: str,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None = None,
    ) -> AuthenticationResult:
        """Register or log in with the code the person received.

        If the program or the network fails midway, calling again with the same process and code
        finishes the job: no second key pair, no second token. After the death of the program that
        takes a ``with_storage()`` and a ``with_key_storage()`` that have outlived it.

        A user who has key pairs, none of them on this device, gets a new one, as in the reference:
        stored, published next to the others, and everybody concerned notified, so that somebody can
        give access back to what is encrypted for the old ones.

        Args:
            process: from :meth:`start_authentication` or ``AuthenticationProcess.from_json()``.
            validation_code: as received; blanks around and inside it don't matter.
            token_validity: how long the token in the result can be used.
            missing_key: ``"allow"`` or ``"refuse"``: whether a new key pair may be published where
                the published ones are not on this device.
            find_key: asked for the missing key pair first, for example in a backup, or for the
                recovery key that the person has written down; None in return leaves it to
                ``missing_key``, and so does a pair that was not published.

        Returns:
            The user's API with its key pairs in use, and a token to log in with later.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidCodeError: the code is wrong; try again with the same process.
            CodeExpiredError: the code is too old or was used already.
            UnknownProcessError: the gateway does not know the process.
            TooManyAttemptsError: too many wrong codes were tried.
            KeyPairNotFoundError: the user has keys, none of them is on this device, and
                ``missing_key`` refuses a new one. Nothing was published; calling again on a device
                that has the key pair finishes the job.
            ProcessStateError: the process is completed, was never started, or was superseded.
            ConfigurationError: the process was started in the other flavour. Nothing was sent.
            NetworkError: no answer. Call again with the same process and code.

        Example:
            >>> result = await anonymous_api.authentication_api.complete_authentication(
            ...     process, code
            ... )
            >>> result.warnings
            []
            >>> async with result.med_tech_api as brienne_api:
            ...     brienne = await brienne_api.patient_api.get_patient(result.data_owner_id)
            >>> brienne.last_name
            'Tarth'
        """
        _check_process(process)
        self._starter.check_flavour(process)
        code = _checked_code(process, validation_code)
        options = _checked_options(token_validity, missing_key, find_key)
        if process.state in EVENT_BY_STATE:
            raise failure(process, EVENT_BY_STATE[process.state])
        if process.state is not AuthenticationState.CODE_SENT:
            raise impossible(process, "completing it")
        return await self._completer.complete(process, code, options)

    async def authenticate_and_ask_access_to_its_existing_data(
        self,
        login: str,
        token: str,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None = None,
    ) -> AuthenticationResult:
        """Log in for the first time, with what an invitation says, and ask for access.

        A patient whom a professional has invited gets a key pair, stored on this device before it
        is published. Everybody who can read the patient's record is asked, by a notification of
        type ``NEW_USER_OWN_DATA_ACCESS``, to share it with the patient: they answer with
        ``data_owner_api.answer_access_request()``. Until one has, the patient can't read its own
        record. Users of other kinds are just logged in.

        If the program or the network fails midway, calling again with the same login and token
        finishes the job, also after the token has expired: no second key pair, and nobody is asked
        twice. After the death of the program that takes a ``with_storage()`` and a
        ``with_key_storage()`` that have outlived it.

        Args:
            login: as the message of the invitation says it: an email address or phone number.
            token: as the message of the invitation says it; blanks around it, and line breaks that
                a mail has put into it, don't matter.
            token_validity: how long the token in the result can be used.
            missing_key: ``"allow"`` or ``"refuse"``: whether a new key pair may be published where
                the user has some, and none of them is on this device.
            find_key: asked for the missing key pair first; see :meth:`complete_authentication`.

        Returns:
            The user's API with its key pairs in use, a token to log in with later, and in
            ``access_requests`` who was asked.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            AuthenticationError: the login or the token is refused: mistyped, or expired.
            CryptoError: the user is not a data owner. It has a long-lived token, and no key pair.
            KeyPairNotFoundError: the user has keys, none of them is on this device, and
                ``missing_key`` refuses a new one.
            NetworkError: no answer. Call again with the same login and token.

        Example:
            >>> authentication_api = anonymous_api.authentication_api
            >>> result = await authentication_api.authenticate_and_ask_access_to_its_existing_data(
            ...     invited.login, token
            ... )
            >>> [request.delivered for request in result.access_requests]
            [True]
        """
        process, secret = process_of_invitation(login, token)
        process = attrs.evolve(process, flavour=self._starter.flavour)
        options = _checked_options(token_validity, missing_key, find_key)
        return await self._first_login.complete(process, secret, options)


def _check_process(process: object) -> None:
    if not isinstance(process, AuthenticationProcess):
        raise ValidationError(
            "The process must be an AuthenticationProcess: from start_authentication(), or from "
            "AuthenticationProcess.from_json() with what its to_json() returned."
        )


def _checked_options(
    token_validity: timedelta,
    missing_key: MissingKeyPolicy,
    find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None,
) -> Options:
    validity = validate_token_validity(token_validity, "token_validity")
    if missing_key not in MISSING_KEY_POLICIES:
        raise ValidationError("missing_key must be 'allow' or 'refuse'.")
    return Options(validity, missing_key, find_key)


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
