# Written by "python tools/gen_sync.py" from icure_async/authentication/api.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Registration and login with a one-time code, as users call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.authentication.api import AuthenticationApi as AsyncAuthenticationApi
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_sync._generated import authentication_result as _authentication_result
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.recovery_key import RecoveryKey
    from icure_sync._generated.authentication_result import AuthenticationResult

__all__ = ["AuthenticationApi"]


class AuthenticationApi(Twin[AsyncAuthenticationApi]):
    """Registers and logs in with a one-time code by email or SMS.

    Example:
        >>> result = anonymous_api.authentication_api.complete_authentication(process, code)
        >>> api = result.med_tech_api
    """

    def start_authentication(
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
        progress: Callable[[CaptchaProgress], None] | None = None,
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
            >>> process = anonymous_api.authentication_api.start_authentication(
            ...     captcha,
            ...     phone_number="+32 470 11 11 11",
            ...     first_name="Brienne",
            ...     last_name="Tarth",
            ...     healthcare_professional_id=professional_id,
            ... )
            >>> process.login
            '+32470111111'
        """
        return self._run(
            self._inner.start_authentication,
            recaptcha,
            email=email,
            phone_number=phone_number,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=healthcare_professional_id,
            bypass_token_check=bypass_token_check,
            validation_code_length=validation_code_length,
            recaptcha_type=recaptcha_type,
            progress=None if progress is None else callback(progress),
        )

    def resend(
        self,
        process: AuthenticationProcess,
        recaptcha: str | None = None,
        *,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], None] | None = None,
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
            >>> process = anonymous_api.authentication_api.resend(process, captcha)
            >>> process.state
            <AuthenticationState.CODE_SENT: 'codeSent'>
        """
        return self._run(
            self._inner.resend,
            process,
            recaptcha,
            recaptcha_type=recaptcha_type,
            progress=None if progress is None else callback(progress),
        )

    def complete_authentication(
        self,
        process: AuthenticationProcess,
        validation_code: str,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], KeyPair | RecoveryKey | None] | None = None,
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
            >>> result = anonymous_api.authentication_api.complete_authentication(
            ...     process, code
            ... )
            >>> result.warnings
            []
            >>> with result.med_tech_api as brienne_api:
            ...     brienne = brienne_api.patient_api.get_patient(result.data_owner_id)
            >>> brienne.last_name
            'Tarth'
        """
        return _authentication_result.AuthenticationResult._wrap(
            self._run(
                self._inner.complete_authentication,
                process,
                validation_code,
                token_validity=token_validity,
                missing_key=missing_key,
                find_key=None if find_key is None else callback(find_key),
            )
        )

    def authenticate_and_ask_access_to_its_existing_data(
        self,
        login: str,
        token: str,
        *,
        token_validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        missing_key: MissingKeyPolicy = "allow",
        find_key: Callable[[MissingKey], KeyPair | RecoveryKey | None] | None = None,
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
            >>> result = authentication_api.authenticate_and_ask_access_to_its_existing_data(
            ...     invited.login, token
            ... )
            >>> [request.delivered for request in result.access_requests]
            [True]
        """
        return _authentication_result.AuthenticationResult._wrap(
            self._run(
                self._inner.authenticate_and_ask_access_to_its_existing_data,
                login,
                token,
                token_validity=token_validity,
                missing_key=missing_key,
                find_key=None if find_key is None else callback(find_key),
            )
        )
