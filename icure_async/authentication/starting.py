"""The start of an authentication process: its arguments checked, and its code sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.authentication.captcha import chosen_captcha
from icure_async.authentication.failures import challenge_failure, start_failure
from icure_async.authentication.process import AuthenticationEvent, AuthenticationProcess, advance
from icure_async.crypto.encoding import new_uuid
from icure_async.errors import BackendError, ConfigurationError, ValidationError
from icure_async.models.contacts import normalise_email, normalise_phone_number
from icure_async.models.validation import validate_id
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.authentication.captcha import Captcha, CaptchaMember, CaptchaType
    from icure_async.authentication.process import Channel
    from icure_async.authentication.proof_of_work import Progress
    from icure_async.crypto.protocol import Crypto
    from icure_async.models.flavour import Flavour
    from icure_async.rest.message_gateway import MessageGateway

__all__ = ["Starter"]

_CODE_LENGTHS: Final = range(4, 13)


class Starter:
    """Starts processes.

    Args:
        gateway: sends the codes.
        crypto: makes ids.
        clock: epoch seconds.
        deployment: the URL of the backend, in the flavour of today; None in that of 2023.

    Attributes:
        flavour: of the processes.
    """

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        crypto: Crypto,
        clock: Callable[[], float],
        deployment: str | None,
    ) -> None:
        self._gateway = gateway
        self.flavour: Final[Flavour] = "medtech" if deployment is None else "cardinal"
        self._deployment = deployment
        self._crypto = crypto
        self._clock = clock

    async def start(
        self,
        recaptcha: str | None,
        *,
        process_ids: Mapping[Channel, str | None],
        email: str | None,
        phone_number: str | None,
        first_name: str | None,
        last_name: str | None,
        healthcare_professional_id: str | None,
        bypass_token_check: bool,
        validation_code_length: int,
        recaptcha_type: CaptchaType | None,
        progress: Progress | None,
    ) -> AuthenticationProcess:
        """Have a validation code sent.

        ``AuthenticationApi.start_authentication`` has the arguments and errors.
        """
        if not isinstance(bypass_token_check, bool):
            raise ValidationError("bypass_token_check must be True or False.")
        captcha = self.captcha(recaptcha, recaptcha_type, progress)
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
            flavour=self.flavour,
        )
        return await self.send_code(process, captcha)

    def captcha(
        self, solution: str | None, captcha_type: CaptchaType | None, progress: Progress | None
    ) -> Captcha:
        """Return the captcha that a caller means; today's gateway has one for the SDK to solve.

        Raises:
            ValidationError: it is missing or malformed.
            ConfigurationError: the callback can't be called.
        """
        solves_itself = self.flavour == "cardinal"
        return chosen_captcha(solution, captcha_type, progress, solves_itself=solves_itself)

    def check_flavour(self, process: AuthenticationProcess) -> None:
        """Refuse a process of the other flavour: it would be about keys of another kind.

        Raises:
            ConfigurationError: it is one.
        """
        if process.flavour != self.flavour:
            raise ConfigurationError(
                f"The authentication process was started in the flavour {process.flavour!r}, and "
                f"this API object was built for {self.flavour!r}: build one "
                f"with_flavour({process.flavour!r}), or start a new process. Nothing was sent."
            )

    async def send_code(
        self, process: AuthenticationProcess, captcha: Captcha
    ) -> AuthenticationProcess:
        """Have the code of a process sent, and return the process after that."""
        try:
            member = await captcha.member(self._gateway)
        except BackendError as error:
            raise challenge_failure(process, error) from None
        body = self._members_of(process, member)
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

    def _members_of(
        self, process: AuthenticationProcess, captcha: CaptchaMember
    ) -> dict[str, object]:
        """Return the body of the start request, in the order of the reference."""
        contacts = {"email": process.email, "mobilePhone": process.phone_number}
        body = {
            **captcha,
            "firstName": process.first_name or "",
            "lastName": process.last_name or "",
            "from": process.login,
            "hcpId": process.healthcare_professional_id or "",
        }
        if self._deployment is None:
            return body | {name: contact for name, contact in contacts.items() if contact}
        # It is not known whether today's gateway still takes the members of 2023 (today.md §15):
        # it gets these and its own.
        contacts = {name: contact or "" for name, contact in contacts.items()}
        return {**body, **contacts, "deployment": self._deployment}


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
