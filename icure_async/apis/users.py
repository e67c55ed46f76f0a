"""Users: accounts, their contacts and passwords, and their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.apis.events import subscribed
from icure_async.errors import ValidationError
from icure_async.mistakes import OneByOne, explained
from icure_async.models.filters import UserFilter, filter_for
from icure_async.models.user import User
from icure_async.models.user_rules import (
    required_email,
    required_phone_number,
    validate_contact,
    validate_new_password,
    validate_second_factor,
    validate_token,
)
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY, INVITATION_VALIDITY
from icure_async.models.validation import (
    validate_id,
    validate_page_size,
    validate_shared_data_type,
    validate_token_validity,
)
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import timedelta

    from icure_async.apis.events import Subscription
    from icure_async.authentication.invites import Invites
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.event_source import EventSource
    from icure_async.keys.automatic_sharing import AutomaticSharing
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.data_export import DataExport
    from icure_async.keys.own_account import OwnAccount
    from icure_async.keys.user_tokens import UserTokens
    from icure_async.keys.users import Users
    from icure_async.models.enums import SharedDataType
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.models.messages import MessageFactory
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.user_rules import SecondFactorAlgorithm
    from icure_async.models.user_token import RenewedToken, UserToken
    from icure_async.rest.users import UserResource

__all__ = ["UserApi"]

_LONGEST_NAME: Final = 100


@explained
class UserApi:
    """Creates, reads, modifies and deletes users; looks after their tokens and their sharing.

    Example:
        >>> user = await api.user_api.get_logged_user()
        >>> user.login == login
        True
    """

    def __init__(
        self,
        users: UserResource,
        current_user: CurrentUser,
        *,
        records: Users,
        tokens: UserTokens,
        account: OwnAccount,
        invites: Invites,
        automatic_sharing: AutomaticSharing,
        data_export: DataExport,
        crypto: Crypto,
        events: EventSource[User],
    ) -> None:
        self._users = users
        self._current_user = current_user
        self._records = records
        self._tokens = tokens
        self._account = account
        self._data_export = data_export
        self._crypto = crypto
        self._invites = invites
        self._automatic_sharing = automatic_sharing
        self._events = events

    async def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.

        Example:
            >>> (await api.user_api.get_logged_user()).id == user_id
            True
        """
        return from_wire(User, await self._current_user.get(fresh=True))

    async def create_or_modify_user(self, user: User) -> User:
        """Create the user if it has no ``rev``, else replace the stored one.

        A new user is given its ``id`` before anything is sent, so that the call can be repeated
        with the same object after a failure without creating a second one.

        Members that this SDK does not know survive a modification, as do the password and the
        tokens: a ``password_hash`` of ``"*"`` or None leaves the password as it is, another text
        becomes the new password, and tokens end by :meth:`revoke_token` alone. If it is the
        logged-in user, this session goes on, as after :meth:`change_email` and its like.

        Args:
            user: to create, or as it was read, with changes. It needs a ``login``, an ``email`` or
                a ``mobile_phone``; ``login`` defaults to these.

        Returns:
            The user as stored.

        Raises:
            ValidationError: a member is malformed. Nothing was sent.
            UserExistsError: another user has its login, email address or phone number; ``member``
                says which one is taken. Nothing was changed.
            WeakPasswordError: the backend wants a longer password. Nothing was changed.
            NotFoundError: there is no such user to modify.
            PermissionDeniedError: the logged-in user may not create or modify it.
            ConflictError: somebody else changed the user.

        Example:
            >>> user = await api.user_api.create_or_modify_user(
            ...     User(login="sansa", name="Sansa Stark")
            ... )
            >>> user.name = "Sansa"
            >>> (await api.user_api.create_or_modify_user(user)).name
            'Sansa'
        """
        return await self._account.save(user)

    async def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.

        Example:
            >>> (await api.user_api.get_user(user.id)).login == user.login
            True
        """
        return await self._records.get(user_id)

    async def get_user_by_email(self, email: str) -> User:
        """Return the user with this email address, in the spelling that is stored.

        Raises:
            ValidationError: it is no email address.
            NotFoundError: no user has it.
            PermissionDeniedError: the logged-in user may not see that user.
            InvalidResponseError: the backend answers with another user.

        Example:
            >>> (await api.user_api.get_user_by_email(user.email)).id == user.id
            True
        """
        return from_wire(User, await self._users.get_by_email(validate_contact(email, "email")))

    async def get_user_by_phone_number(self, phone_number: str) -> User:
        """Return the user with this mobile phone number.

        Raises:
            ValidationError: it is no phone number.
            NotFoundError: no user has it.
            PermissionDeniedError: the logged-in user may not see that user.
            InvalidResponseError: the backend answers with another user.

        Example:
            >>> (await api.user_api.get_user_by_phone_number(user.mobile_phone)).id == user.id
            True
        """
        number = validate_contact(phone_number, "phone_number")
        return from_wire(User, await self._users.get_by_phone_number(number))

    def filter_users(
        self, user_filter: UserFilter | Filter | None = None, *, page_size: int = 1000
    ) -> AsyncGenerator[User, None]:
        """Iterate over the users that a filter finds, as far as the logged-in user may see them.

        While a page is given out, the next one is read. Each user comes once, even where others
        come and go.

        Args:
            user_filter: a :class:`~icure_async.UserFilter`, or a filter made of such; by default,
                all users.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.
            PermissionDeniedError: the logged-in user may not search users.

        Example:
            >>> found = api.user_api.filter_users(UserFilter().by_ids([user.id]))
            >>> [each.id async for each in found] == [user.id]
            True
        """
        found = self._records.find(_checked(user_filter), validate_page_size(page_size))
        return OneByOne(found, "user_api.filter_users()")

    async def match_users(self, user_filter: UserFilter | Filter | None = None) -> list[str]:
        """Return the ids of the users that a filter finds, with one request.

        Args:
            user_filter: as for :meth:`filter_users`.

        Raises:
            ValidationError: the argument is malformed.
            PermissionDeniedError: the logged-in user may not search users.

        Example:
            >>> await api.user_api.match_users(UserFilter().by_ids([user.id])) == [user.id]
            True
        """
        return await self._records.match(_checked(user_filter))

    async def delete_user(self, user_id: str) -> str:
        """Mark a user as deleted: it can't log in any more, and is listed nowhere.

        The data owner that it stands for, and all records, stay. Sessions of the user go on until
        their access tokens end, within the hour.

        Returns:
            The id of the user.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not delete it.

        Example:
            >>> await api.user_api.delete_user(user.id) == user.id
            True
        """
        return await self._records.delete(user_id)

    async def change_email(self, email: str) -> User:
        """Change the email address of the logged-in user.

        A login that is the old address is changed with it. A session that logs in with the old
        address goes on with the new one: give that to ``with_user_name()`` from now on. After a
        ``NetworkError`` either may be in force, and the session tries both; repeating the call
        finishes the change.

        The addresses of the patient or healthcare professional that the user is stay as they are.

        Args:
            email: the new address; capital letters become small ones.

        Returns:
            The user as stored.

        Raises:
            ValidationError: it is no email address. Nothing was sent.
            UserExistsError: another user has it. Nothing was changed.
            PermissionDeniedError: the user may not change itself.
            ConflictError: the user keeps being changed by others. Try again.

        Example:
            >>> (await own_api.user_api.change_email("Gendry@kings-landing.example")).email
            'gendry@kings-landing.example'
        """
        address = required_email(email)
        return from_wire(User, await self._account.change_contact("email", address))

    async def change_phone_number(self, phone_number: str) -> User:
        """Change the mobile phone number of the logged-in user.

        Login and session follow, as for :meth:`change_email`.

        Args:
            phone_number: the new number, international.

        Returns:
            The user as stored.

        Raises:
            ValidationError: it is no phone number. Nothing was sent.
            UserExistsError: another user has it. Nothing was changed.
            PermissionDeniedError: the user may not change itself.
            ConflictError: the user keeps being changed by others. Try again.

        Example:
            >>> (await own_api.user_api.change_phone_number("+32 470 99 88 77")).mobile_phone
            '+32470998877'
        """
        number = required_phone_number(phone_number)
        return from_wire(User, await self._account.change_contact("mobilePhone", number))

    async def change_password(self, password: str) -> None:
        """Change the password of the logged-in user, or give it one.

        This session goes on: one that logs in with a token of this SDK keeps to that, any other
        logs in with the new password from now on. Other sessions that use the old password end
        when theirs can't be renewed, after a day at most. Tokens stay valid: end those of lost
        devices with :meth:`revoke_token`. After a ``NetworkError`` either password may be in force,
        and the session tries both; repeating the call finishes the change.

        Args:
            password: the new one, at least 8 characters.

        Raises:
            ValidationError: it is too short, or backends would misunderstand it. Nothing was sent.
            WeakPasswordError: the backend wants a longer one. Nothing was changed.
            PermissionDeniedError: the user may not change itself.
            ConflictError: the user keeps being changed by others. Try again.
            InvalidResponseError: the backend shows a user without a password.

        Example:
            >>> await own_api.user_api.change_password("four words are better")
        """
        await self._account.change_password(validate_new_password(password))

    async def enable_second_factor(
        self, secret: str, code: str, *, algorithm: SecondFactorAlgorithm = "SHA1"
    ) -> None:
        """Switch the second factor of the logged-in user on, in the cardinal flavour.

        From then on a login with the password needs a code, see ``with_second_factor()`` of the
        builder; tokens need none. In the flavour of 2023, save the user with ``use2fa`` and
        ``secret`` instead.

        Args:
            secret: of the user's authenticator app, in base32.
            code: that the app shows now, of 4 to 12 digits.
            algorithm: of the app; most know the default alone.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            ConfigurationError: the builder was not given ``with_flavour("cardinal")``.
            ElevationRequiredError: the backend wants a stronger login for this.
            BadRequestError: the code is wrong. Nothing was changed.

        Example:
            >>> await own_api.user_api.enable_second_factor("JBSWY3DPEHPK3PXP", "123456")
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        secret, code = validate_second_factor(secret, code, algorithm)
        await self._account.enable_second_factor(secret=secret, code=code, algorithm=algorithm)

    async def disable_second_factor(self) -> None:
        """Switch the second factor of the logged-in user off, in the cardinal flavour.

        Raises:
            ConfigurationError: the builder was not given ``with_flavour("cardinal")``.
            ElevationRequiredError: the backend wants a stronger login for this.

        Example:
            >>> await own_api.user_api.disable_second_factor()
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        await self._account.disable_second_factor()

    def export_data(self, *, page_size: int = 500) -> AsyncGenerator[dict[str, Any], None]:
        """Iterate over everything that the logged-in user can read, as JSON-ready dicts.

        First comes the user, without secrets, then its data owner, the patients, the notifications,
        the healthcare elements, and the data samples, each as ``{"kind", "id", "decrypted",
        "content"}``, where the content is in the form of ``to_dict()`` without keys and
        delegations. A record that no key on this device opens has ``"decrypted": false`` and the
        members that are in clear. Members that this SDK does not know are under ``"unknown"``, if
        there are any. Records that are shared with an organisation of the data owner are part of
        it.

        The last item, of the kind ``"summary"``, counts the others, and names the kinds of records
        that are not exported; a file without it was cut. A page is in memory at a time::

            async for item in api.user_api.export_data():
                print(json.dumps(item), file=file)

        Args:
            page_size: how many records to ask the backend for at a time.

        Raises:
            ValidationError: the page size is malformed.
            InvalidResponseError: a record is malformed; the message says where.

        Example:
            >>> kinds = [item["kind"] async for item in own_api.user_api.export_data()]
            >>> kinds[0], kinds[-1]
            ('user', 'summary')
        """
        items = self._data_export.items(validate_page_size(page_size))
        return OneByOne(items, "user_api.export_data()")

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

        Example:
            >>> home = Address(
            ...     address_type="home",
            ...     telecoms=[
            ...         Telecom(telecom_type="email", telecom_number="rickon@winterfell.example")
            ...     ],
            ... )
            >>> patient.addresses = [home]
            >>> patient = await api.patient_api.create_or_modify_patient(patient)
            >>> invitation = ICureRegistrationEmail(
            ...     Patient(last_name="Luwin", addresses=[home]),
            ...     "https://app.example/login",
            ...     "Our clinic",
            ...     patient,
            ... )
            >>> user = await api.user_api.create_and_invite_user(patient, invitation)
            >>> user.login
            'rickon@winterfell.example'
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

        Example:
            >>> user = await own_api.user_api.share_all_future_data_with([colleague_id])
            >>> colleague_id in user.sharing_data_with["all"]
            True
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

        Example:
            >>> user = await own_api.user_api.share_all_future_data_with([colleague_id])
            >>> user = await own_api.user_api.stop_sharing_data_with([colleague_id])
            >>> colleague_id in user.sharing_data_with["all"]
            False
        """
        category = validate_shared_data_type(data_type)
        return from_wire(User, await self._automatic_sharing.remove(data_owner_ids, category))

    async def list_tokens(self) -> list[UserToken]:
        """Return the long-lived tokens of the logged-in user, the oldest first.

        Validation codes that were used are among them, for some minutes.

        Raises:
            AuthenticationError: the credentials are refused.
            InvalidResponseError: the backend's list is malformed.

        Example:
            >>> token = await own_api.user_api.create_token(name="tablet")
            >>> "tablet" in [each.name for each in await own_api.user_api.list_tokens()]
            True
        """
        return await self._tokens.listed()

    async def create_token(
        self,
        *,
        user_id: str | None = None,
        validity: timedelta = DEFAULT_TOKEN_VALIDITY,
        name: str | None = None,
    ) -> str:
        """Create another token for the logged-in user, for another device or program of its.

        If the call fails, the token may exist all the same: :meth:`list_tokens` shows it, and
        :meth:`revoke_token` ends it.

        Args:
            user_id: of another user, whom the token then logs in; healthcare professionals may
                create one for their patients, for example.
            validity: how long it works: at least one second.
            name: what :meth:`list_tokens` shows it as, at most 100 characters without blanks.

        Returns:
            The token: a password for :class:`~icure_async.MedTechApiBuilder`. It gives all rights
            of the user: keep it as safe as a password. The backend does not show it again.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            NotFoundError: there is no such user.
            PermissionDeniedError: the user may not create tokens, or none for that user.

        Example:
            >>> from datetime import timedelta
            >>> token = await own_api.user_api.create_token(validity=timedelta(days=1))
            >>> await own_api.user_api.check_token_validity(own_user_id, token)
            True
        """
        if user_id is not None:
            validate_id(user_id, "user id")
        seconds, name = _token_options(validity, name)
        return await self._tokens.create(self._crypto, validity=seconds, name=name, user_id=user_id)

    async def renew_token(
        self, *, validity: timedelta = DEFAULT_TOKEN_VALIDITY, name: str | None = None
    ) -> RenewedToken:
        """Create a token to go on with, before the one that this session logs in with ends.

        The session logs in with the new one from now on. The old one works until it ends, or until
        :meth:`revoke_token` is called with ``replaced_key``, which is for after you have stored the
        new one.

        So there is a token that works at every moment. If the call fails, the session stays with
        the old one, and a new one may exist all the same: :meth:`list_tokens` shows it. A session
        that logs in with a password goes on with the token.

        Args:
            validity: how long the new one works: at least one second.
            name: what :meth:`list_tokens` shows it as; by default the name of the old one.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            PermissionDeniedError: the user may not create tokens.

        Example:
            >>> renewed = await own_api.user_api.renew_token()
            >>> await own_api.user_api.revoke_token(renewed.replaced_key)
            True
        """
        seconds, name = _token_options(validity, name)
        return await self._account.renew_token(validity=seconds, name=name)

    async def check_token_validity(self, user_id: str, token: str) -> bool:
        """Return whether a token of a user works now.

        Args:
            user_id: of the user.
            token: its token.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            NotFoundError: there is no such user, or the backend does not check tokens: backends
                since 2024 don't.
            PermissionDeniedError: the logged-in user may not ask about that user.

        Example:
            >>> await own_api.user_api.check_token_validity(own_user_id, "no such token")
            False
        """
        return await self._users.is_valid_token(
            validate_id(user_id, "user id"), validate_token(token)
        )

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

        Example:
            >>> token = await own_api.user_api.create_token(name="lost-phone")
            >>> lost = [
            ...     each
            ...     for each in await own_api.user_api.list_tokens()
            ...     if each.name == "lost-phone"
            ... ]
            >>> await own_api.user_api.revoke_token(lost[0].key)
            True
        """
        if not isinstance(key, str) or not key:
            raise ValidationError("The key must be a text: that of one of list_tokens().")
        return await self._tokens.revoke(key)

    def subscribe_to_user_events(
        self,
        event_types: Sequence[EventType],
        user_filter: UserFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[User]:
        """Subscribe to users that are created or changed.

        The same as for patients: see :class:`~icure_async.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``. Backends say
                ``UPDATE`` of a deletion, too.
            user_filter: a :class:`UserFilter`, or a filter made of such; by default everything
                that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> async with api.user_api.subscribe_to_user_events(["CREATE"]) as events:
            ...     user = await api.user_api.create_or_modify_user(User(login="theon"))
            ...     event = await events.get(timeout=10)
            >>> event.record.login
            'theon'
        """
        return subscribed(
            self._events,
            event_types,
            user_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
        )


def _checked(wanted: UserFilter | Filter | None) -> Filter:
    return filter_for("user", UserFilter() if wanted is None else wanted)


def _token_options(validity: timedelta, name: str | None) -> tuple[int, str | None]:
    """Return the seconds and the name of a token, checked."""
    seconds = validate_token_validity(validity, "validity")
    if name is not None and len(validate_id(name, "name of the token")) > _LONGEST_NAME:
        raise ValidationError(f"The name of the token has more than {_LONGEST_NAME} characters.")
    return seconds, name
