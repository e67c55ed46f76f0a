"""Messages that the gateway sends, and the factories that write invitations."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.contact_choice import Channel, contacts_of
from icure_async.models.patient import EncryptedPatient, Patient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from icure_async.models.addresses import Address
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.user import User

__all__ = [
    "EmailMessage",
    "ICureRegistrationEmail",
    "ICureRegistrationSMS",
    "Inviter",
    "Message",
    "MessageFactory",
    "SMSMessage",
]

# Lone surrogates, which no server takes.
_HALF: Final = re.compile("[\ud800-\udfff]")


@attrs.frozen(repr=False)
class _Message:
    """A message. Its repr shows nothing of it, as it may hold a token."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def check(self) -> None:
        """Raise unless the message can be sent.

        Raises:
            ValidationError: a member is no text, or empty, or has half of a character.
        """
        for name, value in attrs.asdict(self).items():
            if not isinstance(value, str) or not value.strip() or _HALF.search(value):
                raise ValidationError(f"{name} of the {type(self).__name__} must be a text.")


@explained
@attrs.frozen(kw_only=True, repr=False)
class EmailMessage(_Message):
    """An email. Its repr shows nothing of it, as it may hold a token.

    Attributes:
        sender: the address it comes from (``from`` on the wire).
        subject: the subject.
        html: the text, as HTML.

    Example:
        >>> EmailMessage(sender="luwin@clinic.example", subject="Appointment", html="<p>At 9.</p>")
        EmailMessage()
    """

    sender: str
    subject: str
    html: str


@explained
@attrs.frozen(kw_only=True, repr=False)
class SMSMessage(_Message):
    """A text message. Its repr shows nothing of it, as it may hold a token.

    Attributes:
        message: the text.

    Example:
        >>> SMSMessage(message="Tomorrow at 9.")  # a repr shows nothing of it
        SMSMessage()
    """

    message: str


Message: TypeAlias = EmailMessage | SMSMessage
"""A message of either kind."""


class MessageFactory(Protocol):
    """The writer of an invitation: any object with this method, which may be async, too.

    An attribute ``channel`` that is ``"email"`` or ``"sms"`` says which kind of messages it writes;
    then only contacts of that kind are chosen. Without it, the message has to be an email where the
    recipient has an ``email``, and a text message elsewhere.
    """

    def get(self, recipient: User, recipient_password: str) -> Message | Awaitable[Message]:
        """Return the message for a user.

        Args:
            recipient: the invited user, who logs in with its ``login``.
            recipient_password: the token to log in with. It is as secret as a password: it belongs
                into the message, and nowhere else.
        """
        ...


class Inviter(Protocol):
    """A healthcare professional, patient or their like, in whose name an invitation is sent."""

    @property
    def last_name(self) -> str | None:
        """Family name."""
        ...

    @property
    def addresses(self) -> Sequence[Address]:
        """Addresses with their means of communication."""
        ...


def _check_inviter(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not hasattr(value, "last_name") or not hasattr(value, "addresses"):
        raise ValidationError(
            f"{attribute.name} must be a HealthcareProfessional or a Patient: the one who invites."
        )


def _check_patient(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Patient | EncryptedPatient):
        raise ValidationError(f"{attribute.name} must be a Patient: the one who is invited.")


def _check_line(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValidationError(f"{attribute.name} must be a text in one line.")


@attrs.frozen(repr=False)
class _Registration:
    """The invitation of the reference, in one sentence or two.

    Attributes:
        data_owner: in whose name the person is invited.
        link: where to log in.
        solution_name: name of the application.
        patient: the invited person.
    """

    data_owner: Inviter = attrs.field(validator=_check_inviter)
    link: str = attrs.field(validator=_check_line)
    solution_name: str = attrs.field(validator=_check_line)
    patient: PotentiallyEncryptedPatient = attrs.field(validator=_check_patient)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(solution_name={self.solution_name!r})"

    def _text(self, recipient: User, token: str) -> str:
        first_name = self.patient.first_name
        greeting = f"Dear {first_name}, you" if first_name else "You"
        inviter = self.data_owner.last_name or "your healthcare professional"
        return (
            f"{greeting} have been invited by {inviter} to use {self.solution_name}. Go to the "
            f"link {self.link} and use the following credentials : {recipient.login} & {token}"
        )


@explained
@attrs.frozen(repr=False)
class ICureRegistrationEmail(_Registration):
    """The reference's invitation by email.

    It comes from the first email address of ``data_owner``. Names are escaped, so that no name can
    put HTML into it, which the reference lets them do.

    Args:
        data_owner: in whose name the person is invited; it needs an email address.
        link: where to log in.
        solution_name: name of the application.
        patient: the invited person.

    Raises:
        ValidationError: ``data_owner`` has no email address, or a text is empty.

    Example:
        >>> email = Telecom(telecom_type="email", telecom_number="luwin@clinic.example")
        >>> luwin = Patient(last_name="Luwin", addresses=[Address(telecoms=[email])])
        >>> message = ICureRegistrationEmail(luwin, "https://app.example", "Clinic", patient)
        >>> message.get(user, "a token").sender
        'luwin@clinic.example'
    """

    channel: ClassVar[Channel] = "email"

    def __attrs_post_init__(self) -> None:
        self._sender()

    def get(self, recipient: User, recipient_password: str) -> EmailMessage:
        """Return the email."""
        words = self._text(recipient, recipient_password)
        return EmailMessage(
            sender=self._sender(),
            subject=f"You have been invited to use {self.solution_name}",
            html=_escaped(words),
        )

    def _sender(self) -> str:
        sender = next(contacts_of(self.data_owner.addresses, "email"), None)
        if sender is None:
            raise ValidationError(
                "The data owner in whose name the email is sent has no email address: add one to "
                "its addresses, or invite by SMS."
            )
        return sender


@explained
@attrs.frozen(repr=False)
class ICureRegistrationSMS(_Registration):
    """The reference's invitation by text message.

    Args:
        data_owner: in whose name the person is invited.
        link: where to log in.
        solution_name: name of the application.
        patient: the invited person.

    Raises:
        ValidationError: a text is empty.

    Example:
        >>> message = ICureRegistrationSMS(patient, "https://app.example", "Clinic", patient)
        >>> type(message.get(user, "a token")).__name__
        'SMSMessage'
    """

    channel: ClassVar[Channel] = "sms"

    def get(self, recipient: User, recipient_password: str) -> SMSMessage:
        """Return the text message."""
        return SMSMessage(message=self._text(recipient, recipient_password))


def _escaped(words: str) -> str:
    # The reference's own ampersand stands between blanks, where it is one in HTML, too.
    return html.escape(words, quote=False).replace(" &amp; ", " & ")
