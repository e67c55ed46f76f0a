"""Invitations: a user for a patient who has none, and a message with a token to log in with.

Nothing is remembered on this device: a repeated call finds out from the backend how far an earlier
one has come, and finishes it (wire-protocol.md §6.12). Before anything is stored, the message is
written and checked.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.errors import (
    BackendError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InvalidResponseError,
    NetworkError,
    UserExistsError,
    ValidationError,
)
from icure_async.models.base import has_id, has_rev
from icure_async.models.contact_choice import Channel, preferred_contacts
from icure_async.models.contacts import normalise_email, normalise_phone_number
from icure_async.models.messages import EmailMessage, SMSMessage
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.user import User
from icure_async.models.validation import validate_id
from icure_async.models.wire import from_wire
from icure_async.rest.user_tokens import token_key_of
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.authentication.sender import Sender
    from icure_async.crypto.protocol import Crypto
    from icure_async.models.messages import Message, MessageFactory
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.rest.entities import EntityResource
    from icure_async.rest.users import UserResource

__all__ = ["Invites"]

_CHANNELS: Final = get_args(Channel)
_CONTACT_MEMBERS: Final[dict[Channel, str]] = {"email": "email", "sms": "mobilePhone"}
_ATTRIBUTES: Final[dict[Channel, str]] = {"email": "email", "sms": "mobile_phone"}
_CONTACT_NAMES: Final[dict[Channel, str]] = {"email": "email address", "sms": "mobile phone number"}
_NORMALISE: Final = {"email": normalise_email, "sms": normalise_phone_number}
_MESSAGES: Final[dict[Channel, type[Message]]] = {"email": EmailMessage, "sms": SMSMessage}
_LINKS: Final = ("login", "patientId")
_TOKEN_NAME: Final = "invite"  # noqa: S105

Answer = TypeVar("Answer")


@attrs.frozen(eq=False, repr=False)
class _Recipient:
    """The user to be invited.

    Attributes:
        document: of the user, as it is stored or is to be.
        channel: the kind of its contact.
        contact: its login.
        exists: whether it is stored.
    """

    document: dict[str, Any]
    channel: Channel
    contact: str
    exists: bool


@attrs.frozen(eq=False, repr=False)
class _Invitee:
    """A patient to be invited.

    Attributes:
        patient_id: its id.
        contacts: all that are well-formed, the preferred ones first.
        channels: the kinds of messages that can be written.
    """

    patient_id: str
    contacts: Sequence[tuple[Channel, str]]
    channels: Sequence[Channel]


class Invites:
    """Makes users for patients, and sends them a token to log in with."""

    def __init__(
        self,
        users: UserResource,
        patients: EntityResource,
        *,
        sender: Sender | None,
        crypto: Crypto,
        clock: Callable[[], float],
    ) -> None:
        self._users = users
        self._patients = patients
        self._sender = sender
        self._crypto = crypto
        self._clock = clock

    async def invite(
        self, patient: PotentiallyEncryptedPatient, factory: MessageFactory, validity: int
    ) -> User:
        """Invite a patient, or finish an invitation that was interrupted, or send it again.

        ``UserApi.create_and_invite_user`` has the arguments and errors.
        """
        sender = self._sender
        if sender is None:
            raise ConfigurationError(
                "The user can't be invited without a message gateway: call with_msg_gw_url() and "
                "with_msg_gw_spec_id() on the builder. Nothing was sent."
            )
        _check_patient(patient)
        channels = _channels_of(factory)
        # In a thread: the first call loads the phone metadata of all countries.
        contacts = await OTHERS.run(_contacts_of, patient)
        if not any(channel in channels for channel, _ in contacts):
            raise _no_contact(patient, contacts, channels)
        invitee = _Invitee(patient.id, contacts, channels)
        recipient = await self._existing(invitee) or await self._new(invitee)
        secret = await new_uuid(self._crypto)
        message = await _written(factory, recipient, secret)
        if not recipient.exists:
            stored = await self._create(recipient, invitee)
            if stored.document["id"] != recipient.document["id"]:
                # Somebody else has invited the patient at the same moment.
                message = await _written(factory, stored, secret)
            recipient = stored
        # Where two calls run at the same time, both messages are sent, and both tokens work.
        user_id, key = str(recipient.document["id"]), token_key_of(secret, _TOKEN_NAME)
        await _attempt(
            self._users.create_token(user_id, key, validity=validity, secret=secret),
            f"The user {user_id} exists, and no message was sent. {_AGAIN}",
        )
        await _attempt(
            sender.send(recipient.contact, message),
            f"The user {user_id} exists and may log in with the token, which nobody has unless the "
            f"message was sent. {_AGAIN}",
        )
        return from_wire(User, recipient.document)

    async def _new(self, invitee: _Invitee) -> _Recipient:
        channel, contact = next(one for one in invitee.contacts if one[0] in invitee.channels)
        # In the order of the reference, with nothing that it leaves out.
        document: dict[str, Any] = {
            "id": await new_uuid(self._crypto),
            "properties": [],
            "roles": [],
            "autoDelegations": {},
            "authenticationTokens": {},
            "created": int(self._clock() * 1000),
            "name": contact,
            "login": contact,
            "patientId": invitee.patient_id,
            _CONTACT_MEMBERS[channel]: contact,
        }
        return _Recipient(document, channel, contact, exists=False)

    async def _create(self, recipient: _Recipient, invitee: _Invitee) -> _Recipient:
        """Store the user, unless another call has done so since we looked."""
        unknown = "It is not known whether the user was created; no message was sent."
        try:
            document = await _attempt(self._users.create(recipient.document), f"{unknown} {_AGAIN}")
        except (BadRequestError, ConflictError) as error:
            refusal = error
        else:
            if any(document.get(name) != recipient.document[name] for name in _LINKS):
                raise InvalidResponseError(
                    f"Could not create user {document['id']}: the server answers with a user of "
                    "another login or patient. No token was made, and no message was sent. Call "
                    "the administrator of the backend."
                )
            return attrs.evolve(recipient, document=document, exists=True)
        existing = await self._existing(invitee)
        if existing is None and isinstance(refusal, ConflictError):
            raise refusal
        if existing is None:
            raise _taken(recipient.channel, refusal) from None
        return existing

    async def _existing(self, invitee: _Invitee) -> _Recipient | None:
        """Return the patient's user where it was invited and has never logged in.

        Raises:
            UserExistsError: there is a user who was not invited, or has logged in.
        """
        found = await self._users.of_patient(invitee.patient_id)
        if not found:
            return None
        if len(found) > 1:
            raise _exists(found[0], "there are several users of this patient")
        (document,) = found
        invited = _as_invited(document, invitee.contacts)
        if invited is None:
            raise _exists(document, "it was not made by an invitation to one of its contacts")
        record = await self._patients.get(invitee.patient_id)
        if published_keys_of(record):
            raise _exists(document, "it has logged in already")
        if invited.channel not in invitee.channels:
            raise ValidationError(
                f"The invited user {document['id']} logs in with its "
                f"{_CONTACT_NAMES[invited.channel]}, and the message factory writes messages of "
                "another kind. Pass one for that contact. No message was sent."
            )
        return invited


_AGAIN: Final = "Call create_and_invite_user() again for the same patient: it finishes the job."


def _check_patient(patient: object) -> None:
    if not isinstance(patient, Patient | EncryptedPatient):
        raise ValidationError("The patient must be a Patient.")
    if not has_id(patient) or not has_rev(patient):
        raise ValidationError(
            "The patient has no id and rev yet: save it with create_or_modify_patient() first, and "
            "pass what that returns."
        )
    validate_id(patient.id, "patient id")


def _channels_of(factory: object) -> tuple[Channel, ...]:
    """Return the kinds of messages that a factory writes."""
    if not callable(getattr(factory, "get", None)) or isinstance(factory, type | dict):
        raise ValidationError(
            "The message factory must be an object with a method get(recipient, "
            "recipient_password), as ICureRegistrationEmail is."
        )
    channel = getattr(factory, "channel", None)
    if channel is None:
        return _CHANNELS
    if channel not in _CHANNELS:
        raise ValidationError("The channel of the message factory must be 'email' or 'sms'.")
    return (channel,)


def _contacts_of(patient: PotentiallyEncryptedPatient) -> list[tuple[Channel, str]]:
    """Return the patient's well-formed contacts, the preferred ones first."""
    found: dict[tuple[Channel, str], None] = {}
    for channel, text in preferred_contacts(patient.addresses):
        if contact := _normalised(channel, text):
            found[channel, contact] = None
    return list(found)


def _normalised(channel: Channel, text: str) -> str | None:
    """Return a contact in its usual form, or None where it is malformed."""
    try:
        return _NORMALISE[channel](text)
    except ValidationError:
        return None


def _no_contact(
    patient: PotentiallyEncryptedPatient,
    contacts: Sequence[tuple[Channel, str]],
    channels: Sequence[Channel],
) -> ValidationError:
    wanted = " or ".join(_CONTACT_NAMES[channel] for channel in channels)
    others = [_CONTACT_NAMES[channel] for channel, _ in contacts]
    if others:
        advice = f"It has an {others[0]}" if others[0][0] == "e" else f"It has a {others[0]}"
        advice += ": pass a message factory for that."
    elif any(channel in channels for channel, _ in preferred_contacts(patient.addresses)):
        advice = "The one in its addresses is malformed: correct it."
    else:
        advice = "Add one to the telecoms of its addresses, and save it."
    return ValidationError(
        f"The patient {patient.id} has no {wanted} to be invited by. {advice} Nothing was sent."
    )


def _as_invited(
    document: dict[str, Any], contacts: Sequence[tuple[Channel, str]]
) -> _Recipient | None:
    """Return a user as a recipient, if it looks as one that was invited."""
    acts_for_others = document.get("healthcarePartyId") or document.get("deviceId")
    if acts_for_others or document.get("passwordHash"):
        return None
    for channel, contact in contacts:
        login, own = document.get("login"), document.get(_CONTACT_MEMBERS[channel])
        if login and login == own and _normalised(channel, login) == contact:
            return _Recipient(document, channel, contact, exists=True)
    return None


def _exists(document: Mapping[str, Any], why: str) -> UserExistsError:
    return UserExistsError(
        f"A User already exists for this Patient: user {document['id']}, and {why}. Nothing was "
        "sent. The person logs in with start_authentication(); a user that nobody needs can be "
        "deleted first."
    )


def _taken(channel: Channel, refusal: BackendError) -> UserExistsError:
    return UserExistsError(
        f"The user can't be created (HTTP {refusal.status}): most likely another user has this "
        f"{_CONTACT_NAMES[channel]} already. Nothing was created, and no message was sent. Change "
        "the contact of the patient, or have the other user's changed, and call again.",
        member=_ATTRIBUTES[channel],
        status=refusal.status,
        request_id=refusal.request_id,
    )


async def _written(factory: MessageFactory, recipient: _Recipient, secret: str) -> Message:
    """Return the message of a factory.

    Raises:
        ValidationError: it is not a message of the right kind.
    """
    user = from_wire(User, recipient.document)
    if inspect.iscoroutinefunction(factory.get):
        message: object = await factory.get(user, secret)
    else:
        # In a thread: it may read a template, and take its time.
        message = await OTHERS.run(factory.get, user, secret)
        if inspect.isawaitable(message):
            message = await message
    expected = _MESSAGES[recipient.channel]
    consequence = "The user exists, and no" if recipient.exists else "Nothing was created, and no"
    if not isinstance(message, expected):
        raise ValidationError(
            f"The message factory must return an {expected.__name__} for a user who is invited by "
            f"{recipient.channel}. {consequence} message was sent."
        )
    try:
        message.check()
    except ValidationError as error:
        raise ValidationError(f"{error} {consequence} message was sent.") from None
    return message


async def _attempt(step: Awaitable[Answer], consequence: str) -> Answer:
    """Take a step of which a failure says in which state it leaves the invitation."""
    try:
        return await step
    except (BackendError, NetworkError) as error:
        error.args = (f"{error} {consequence}",)
        if isinstance(error, BackendError):
            # The server may repeat the token.
            error.server_message = None
        raise
