"""The start of an authentication process: its arguments checked, and its code sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.authentication.captcha import captcha_member
from icure_async.authentication.failures import start_failure
from icure_async.authentication.process import AuthenticationEvent, AuthenticationProcess, advance
from icure_async.crypto.encoding import new_uuid
from icure_async.errors import BackendError, ConfigurationError, ValidationError
from icure_async.models.contacts import normalise_email, normalise_phone_number
from icure_async.models.validation import validate_id
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.authentication.captcha import CaptchaType
    from icure_async.authentication.process import Channel
    from icure_async.crypto.protocol import Crypto
    from icure_async.rest.message_gateway import MessageGateway

__all__ = ["Starter"]

_CODE_LENGTHS: Final = range(4, 13)


class Starter:
    """Starts processes."""

    def __init__(
        self, gateway: MessageGateway, *, crypto: Crypto, clock: Callable[[], float]
    ) -> None:
        self._gateway = gateway
        self._crypto = crypto
        self._clock = clock

    async def start(
        self,
        recaptcha: str,
        *,
        process_ids: Mapping[Channel, str | None],
        email: str | None,
        phone_number: str | None,
        first_name: str | None,
        last_name: str | None,
        healthcare_professional_id: str | None,
        bypass_token_check: bool,
        validation_code_length: int,
        recaptcha_type: CaptchaType,
    ) -> AuthenticationProcess:
        """Have a validation code sent.

        ``AuthenticationApi.start_authentication`` has the arguments and errors.
        """
        if not isinstance(bypass_token_check, bool):
            raise ValidationError("bypass_token_check must be True or False.")
        captcha = captcha_member(recaptcha, recaptcha_type)
        if type(validation_code_length) is not int or validation_code_length not in _CODE_LENGTHS:
            raise ValidationError("validation_code_length must be an int between 4 and 12.")
        # In a thread: the first call loads the phone metadata of all countries.
        email = await OTHERS.run(normalise_email, email)
        phone_number = await OTHERS.run(normalise_phone_number, phone_number)
        channel, process_id = _choose_channel(process_ids, email, phone_number)
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
        return await self.send_code(process, captcha)

    async def send_code(
        self, process: AuthenticationProcess, captcha: Mapping[str, str]
    ) -> AuthenticationProcess:
        """Have the code of a process sent, and return the process after that."""
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
            raise start_failure(process, error) from None
        return advance(process, AuthenticationEvent.CODE_SENT)


def _choose_channel(
    process_ids: Mapping[Channel, str | None], email: str | None, phone_number: str | None
) -> tuple[Channel, str]:
    contacts: dict[Channel, str | None] = {"email": email, "sms": phone_number}
    given: list[Channel] = [channel for channel, contact in contacts.items() if contact]
    if not given:
        raise ValidationError(
            "In order to start authentication of a user, you should at least provide its email "
            "OR its phone number."
        )
    for channel in given:
        process_id = process_ids[channel]
        if process_id:
            return channel, process_id
    methods = " or ".join(f"with_auth_process_by_{channel}_id()" for channel in given)
    raise ConfigurationError(
        f"No authentication process is configured for this kind of contact: call {methods} on "
        "the builder."
    )


def _text(value: str | None, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValidationError(f"{what} must be a text.")
    return value or None
