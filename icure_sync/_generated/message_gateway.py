# Written by "python tools/gen_sync.py" from icure_async/authentication/gateway_api.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The message gateway as users call it: messages, and the processes that send codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.authentication.gateway_api import (
    AnonymousMessageGatewayApi as AsyncAnonymousMessageGatewayApi,
)
from icure_async.authentication.gateway_api import MessageGatewayApi as AsyncMessageGatewayApi
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.messages import EmailMessage, SMSMessage

__all__ = ["AnonymousMessageGatewayApi", "MessageGatewayApi"]


class AnonymousMessageGatewayApi(Twin[AsyncAnonymousMessageGatewayApi]):
    """Starts and validates processes of the gateway, for which nobody need be logged in."""

    def start_process(
        self,
        process_id: str,
        recaptcha: str | None = None,
        *,
        email: str | None = None,
        phone_number: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        healthcare_professional_id: str | None = None,
        validation_code_length: int = 6,
        recaptcha_type: CaptchaType | None = None,
        progress: Callable[[CaptchaProgress], None] | None = None,
    ) -> AuthenticationProcess:
        """Have a code sent by any process of the gateway.

        To register and to log in, ``authentication_api.start_authentication()`` does the same with
        the processes that the builder was given.

        Args:
            process_id: the gateway's name of the process.
            recaptcha: the solution of a captcha; left out where the SDK solves it, see
                ``authentication_api.start_authentication()``.
            email: of the person; the code goes there if it is given.
            phone_number: of the person, in international form.
            first_name: of the person.
            last_name: of the person.
            healthcare_professional_id: id of the data owner who invites the person.
            validation_code_length: digits of the code, 4 to 12.
            recaptcha_type: ``"recaptcha"`` (v3), ``"friendly-captcha"`` or ``"kerberus"``.
            progress: as for ``authentication_api.start_authentication()``.

        Returns:
            The process. Its ``request_id`` is for :meth:`validate_process`; a process that creates
            users can be completed with ``authentication_api.complete_authentication()`` instead.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            CaptchaRefusedError: the captcha was refused.
            UnknownProcessError: the gateway does not know the process.

        Example:
            >>> gateway = anonymous_api.message_gateway_api
            >>> process = gateway.start_process(
            ...     process_id,
            ...     captcha,
            ...     phone_number="+32 470 22 22 22",
            ...     healthcare_professional_id=professional_id,
            ... )
            >>> process.login
            '+32470222222'
        """
        return self._run(
            self._inner.start_process,
            process_id,
            recaptcha,
            email=email,
            phone_number=phone_number,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=healthcare_professional_id,
            validation_code_length=validation_code_length,
            recaptcha_type=recaptcha_type,
            progress=None if progress is None else callback(progress),
        )

    def validate_process(self, request_id: str, validation_code: str) -> bool:
        """Return whether the gateway accepts the code of a process, which it does once.

        Args:
            request_id: of the process.
            validation_code: as the person received it.

        Returns:
            False where the code is wrong, too old or used up, or the process unknown.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            TooManyAttemptsError: too many wrong codes were tried.
            NetworkError: no answer.

        Example:
            >>> gateway = anonymous_api.message_gateway_api
            >>> gateway.validate_process(process.request_id, "000")
            False
            >>> gateway.validate_process(process.request_id, code)
            True
        """
        return self._run(self._inner.validate_process, request_id, validation_code)


class MessageGatewayApi(AnonymousMessageGatewayApi):
    """Sends messages in the name of the logged-in user, whose credentials the gateway checks.

    Example:
        >>> api.message_gateway_api.send_sms(
        ...     "+32470123456", SMSMessage(message="Tomorrow at 9.")
        ... )
    """

    _inner: AsyncMessageGatewayApi

    def send_email(self, email_address: str, message: EmailMessage) -> None:
        """Send an email. A repeated call sends another one.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            AuthenticationError: the gateway refuses the credentials of the user.
            NetworkError: no answer. The email may have been sent.

        Example:
            >>> message = EmailMessage(
            ...     sender="luwin@clinic.example",
            ...     subject="Appointment",
            ...     html="<p>Tomorrow at 9.</p>",
            ... )
            >>> api.message_gateway_api.send_email("arya@winterfell.example", message)
        """
        self._run(self._inner.send_email, email_address, message)

    def send_sms(self, phone_number: str, message: SMSMessage) -> None:
        """Send a text message. A repeated call sends another one.

        Args:
            phone_number: in international form.
            message: the text message.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            AuthenticationError: the gateway refuses the credentials of the user.
            NetworkError: no answer. The message may have been sent.

        Example:
            >>> api.message_gateway_api.send_sms(
            ...     "+32470123456", SMSMessage(message="Tomorrow at 9.")
            ... )
        """
        self._run(self._inner.send_sms, phone_number, message)
