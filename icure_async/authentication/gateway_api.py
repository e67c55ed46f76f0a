"""The message gateway as users call it: messages, and the processes that send codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.authentication.failures import code_refusal
from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.authentication.starting import Starter
from icure_async.errors import BackendError, TooManyAttemptsError, ValidationError
from icure_async.mistakes import explained
from icure_async.models.contacts import normalise_email, normalise_phone_number
from icure_async.models.messages import EmailMessage, SMSMessage
from icure_async.models.validation import validate_id
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.sender import Sender
    from icure_async.crypto.protocol import Crypto
    from icure_async.models.captcha import CaptchaProgress
    from icure_async.models.messages import Message
    from icure_async.rest.message_gateway import MessageGateway

__all__ = ["AnonymousMessageGatewayApi", "MessageGatewayApi"]


@explained
class AnonymousMessageGatewayApi:
    """Starts and validates processes of the gateway, for which nobody need be logged in."""

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        crypto: Crypto,
        clock: Callable[[], float],
        deployment: str | None,
    ) -> None:
        self._gateway = gateway
        self._starter = Starter(gateway, crypto=crypto, clock=clock, deployment=deployment)

    async def start_process(
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
        progress: Callable[[CaptchaProgress], Awaitable[None]] | None = None,
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
            >>> process = await gateway.start_process(
            ...     process_id,
            ...     captcha,
            ...     phone_number="+32 470 22 22 22",
            ...     healthcare_professional_id=professional_id,
            ... )
            >>> process.login
            '+32470222222'
        """
        validate_id(process_id, "process id")
        return await self._starter.start(
            recaptcha,
            process_ids={"email": process_id, "sms": process_id},
            email=email,
            phone_number=phone_number,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=healthcare_professional_id,
            bypass_token_check=False,
            validation_code_length=validation_code_length,
            recaptcha_type=recaptcha_type,
            progress=progress,
        )

    async def validate_process(self, request_id: str, validation_code: str) -> bool:
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
            >>> await gateway.validate_process(process.request_id, "000")
            False
            >>> await gateway.validate_process(process.request_id, code)
            True
        """
        validate_id(request_id, "request id")
        code = "".join(validation_code.split()) if isinstance(validation_code, str) else ""
        validate_id(code, "validation code")
        try:
            await self._gateway.validate_code(request_id, code)
        except BackendError as error:
            process = AuthenticationProcess(
                request_id=request_id, login="", state=AuthenticationState.CODE_SENT
            )
            refusal = code_refusal(process, error)
            if refusal is None:
                raise
        else:
            return True
        if isinstance(refusal, TooManyAttemptsError):
            raise refusal
        return False


@explained
class MessageGatewayApi(AnonymousMessageGatewayApi):
    """Sends messages in the name of the logged-in user, whose credentials the gateway checks.

    Example:
        >>> await api.message_gateway_api.send_sms(
        ...     "+32470123456", SMSMessage(message="Tomorrow at 9.")
        ... )
    """

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        sender: Sender,
        crypto: Crypto,
        clock: Callable[[], float],
        deployment: str | None,
    ) -> None:
        super().__init__(gateway, crypto=crypto, clock=clock, deployment=deployment)
        self._sender = sender

    async def send_email(self, email_address: str, message: EmailMessage) -> None:
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
            >>> await api.message_gateway_api.send_email("arya@winterfell.example", message)
        """
        address = await OTHERS.run(normalise_email, email_address)
        await self._send(address, "email_address", message, EmailMessage)

    async def send_sms(self, phone_number: str, message: SMSMessage) -> None:
        """Send a text message. A repeated call sends another one.

        Args:
            phone_number: in international form.
            message: the text message.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            AuthenticationError: the gateway refuses the credentials of the user.
            NetworkError: no answer. The message may have been sent.

        Example:
            >>> await api.message_gateway_api.send_sms(
            ...     "+32470123456", SMSMessage(message="Tomorrow at 9.")
            ... )
        """
        number = await OTHERS.run(normalise_phone_number, phone_number)
        await self._send(number, "phone_number", message, SMSMessage)

    async def _send(
        self, contact: str | None, name: str, message: Message, kind: type[Message]
    ) -> None:
        if contact is None:
            raise ValidationError(f"{name} is missing: pass that of the recipient.")
        if not isinstance(message, kind):
            raise ValidationError(f"The message must be an {kind.__name__}.")
        message.check()
        await self._sender.send(contact, message)
