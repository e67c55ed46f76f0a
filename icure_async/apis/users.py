"""Users: the one who is logged in, and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.user import User
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY, INVITATION_VALIDITY
from icure_async.models.validation import (
    validate_id,
    validate_shared_data_type,
    validate_token_validity,
)
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from icure_async.authentication.invites import Invites
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.automatic_sharing import AutomaticSharing
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.user_tokens import UserTokens
    from icure_async.models.enums import SharedDataType
    from icure_async.models.messages import MessageFactory
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.user_token import UserToken
    from icure_async.rest.users import UserResource

__all__ = ["UserApi"]

_LONGEST_NAME: Final = 100


@explained
class UserApi:
    """Reads users, and looks after the tokens and the sharing of the one who is logged in."""

    def __init__(
        self,
        users: UserResource,
        current_user: CurrentUser,
        *,
        tokens: UserTokens,
        crypto: Crypto,
        invites: Invites,
        automatic_sharing: AutomaticSharing,
    ) -> None:
        self._users = users
        self._current_user = current_user
        self._tokens = tokens
        self._crypto = crypto
        self._invites = invites
        self._automatic_sharing = automatic_sharing

    async def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.
        """
        return from_wire(User, await self._current_user.get(fresh=True))

    async def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.
        """
        return from_wire(User, await self._users.get(validate_id(user_id, "user id")))

    async def create_and_invite_user(
        self,
        patient: PotentiallyEncryptedPatient,
        message_factory: MessageFactory,
        token_duration: timedelta = INVITATION_VALIDITY,
    ) -> User:
        """Create a user for a patient, and send the patient a token to log in with.

        The message goes by email or SMS to a contact in the patient's addresses, which becomes the
        login. Contacts at home come before those at work, and these before all others, emails
        first; of one address, the last of its kind counts. A factory for one kind of messages takes
        contacts of that kind only.

        If the call fails or the program dies midway, calling again for the same patient finishes
        the job: a user whom an earlier call has created, and who has never logged in, is sent a new
        token, and no second user is created. So an invitation that got lost is sent again, too.

        The patient logs in with
        ``authentication_api.authenticate_and_ask_access_to_its_existing_data()``, and the request
        for access is answered with ``data_owner_api.answer_access_request()``.

        Args:
            patient: as it is stored, with a contact in its addresses.
            message_factory: writes the message: :class:`~icure_async.ICureRegistrationEmail`,
                :class:`~icure_async.ICureRegistrationSMS`, or an object of your own.
            token_duration: how long the token in the message works; 48 hours by default.

        Returns:
            The user, as it was before it got the token: read it again before changing it.

        Raises:
            ValidationError: an argument is malformed, the patient has no contact that the factory
                writes to, or the factory returns no such message. No message was sent.
            ConfigurationError: the builder was given no message gateway. Nothing was sent.
            UserExistsError: the patient has a user who has logged in or was not invited, or
                another user has the contact. No message was sent.
            PermissionDeniedError: the current user may not create users for patients.
            AuthenticationError: the backend or the gateway refuses the credentials of the user.
            NetworkError: no answer; the message says how far the call has come. Call again.
        """
        seconds = validate_token_validity(token_duration, "token_duration")
        return await self._invites.invite(patient, message_factory, seconds)

    async def share_all_future_data_with(
        self, data_owner_ids: Sequence[str], data_type: SharedDataType = "all"
    ) -> User:
        """Share all data that the logged-in user creates from now on with some data owners.

        Data that is there already is not shared: ``patient_api.share_many()`` does that. A call
        that is repeated changes nothing.

        Args:
            data_owner_ids: ids of healthcare professionals, patients or devices that have logged
                in once; the current data owner is not one of them.
            data_type: the category of data. New patients are shared with those of ``"all"`` and of
                ``"medicalInformation"``, notifications with those of ``"all"`` only; the backend
                keeps the other categories for other SDKs.

        Returns:
            The user as stored; ``sharing_data_with`` has all categories.

        Raises:
            ValidationError: an argument is malformed, the list is empty, or the current data owner
                is in it. Nothing was sent.
            NotFoundError: a data owner does not exist, or may not be read. Nothing was changed.
            CryptoError: a data owner has no public key that may be used. Nothing was changed.
            ConflictError: others keep changing the user.
        """
        category = validate_shared_data_type(data_type)
        return from_wire(User, await self._automatic_sharing.add(data_owner_ids, category))

    async def stop_sharing_data_with(
        self, data_owner_ids: Sequence[str], data_type: SharedDataType = "all"
    ) -> User:
        """Stop sharing the data that the logged-in user creates from now on with some data owners.

        They go on reading the data that was shared with them: they have its keys. Sharing by hand
        goes on as well, and so does automatic sharing of other categories: stop each category in
        which ``sharing_data_with`` of the user names a data owner.

        Args:
            data_owner_ids: ids of the data owners.
            data_type: the category of data, and no other.

        Returns:
            The user as stored; ``sharing_data_with`` has all categories.

        Raises:
            ValidationError: an argument is malformed, or the list is empty. Nothing was sent.
            ConflictError: others keep changing the user.
        """
        category = validate_shared_data_type(data_type)
        return from_wire(User, await self._automatic_sharing.remove(data_owner_ids, category))

    async def list_tokens(self) -> list[UserToken]:
        """Return the long-lived tokens of the logged-in user, the oldest first.

        Validation codes that were used are among them, for some minutes.

        Raises:
            AuthenticationError: the credentials are refused.
            InvalidResponseError: the backend's list is malformed.
        """
        return await self._tokens.listed()

    async def create_token(
        self, *, validity: timedelta = DEFAULT_TOKEN_VALIDITY, name: str | None = None
    ) -> str:
        """Create another token for the logged-in user, for another device or program of its.

        If the call fails, the token may exist all the same: :meth:`list_tokens` shows it, and
        :meth:`revoke_token` ends it.

        Args:
            validity: how long it works: at least one second.
            name: what :meth:`list_tokens` shows it as, at most 100 characters without blanks.

        Returns:
            The token: a password for :class:`~icure_async.MedTechApiBuilder`. It gives all rights
            of the user: keep it as safe as a password. The backend does not show it again.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            PermissionDeniedError: the user may not create tokens.
        """
        seconds = validate_token_validity(validity, "validity")
        if name is not None and len(validate_id(name, "name of the token")) > _LONGEST_NAME:
            raise ValidationError(
                f"The name of the token has more than {_LONGEST_NAME} characters."
            )
        return await self._tokens.create(self._crypto, validity=seconds, name=name)

    async def revoke_token(self, key: str) -> bool:
        """End a token of the logged-in user: nobody logs in with it from now on.

        Sessions that have logged in with it already go on until their access tokens end, within the
        hour. To end the session of this object, too, there is ``logout()`` of the API.

        Args:
            key: of one of :meth:`list_tokens`.

        Returns:
            Whether it was revoked; False where there is none of this key, or not any more.

        Raises:
            ValidationError: the key is malformed. Nothing was sent.
            PermissionDeniedError: the user may not change itself.
            ConflictError: the user keeps being changed by others. Try again.
            InvalidResponseError: the backend has kept the token.
        """
        if not isinstance(key, str) or not key:
            raise ValidationError("The key must be a text: that of one of list_tokens().")
        return await self._tokens.revoke(key)
