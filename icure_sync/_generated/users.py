# Written by "python tools/gen_sync.py" from icure_async/apis/users.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Users: accounts, their contacts and passwords, and their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.apis.users import UserApi as AsyncUserApi
from icure_async.models.user import User
from icure_async.models.user_token import (
    DEFAULT_TOKEN_VALIDITY,
    INVITATION_VALIDITY,
    RenewedToken,
    UserToken,
)
from icure_sync._generated import events as _events
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from icure_async.models.enums import SharedDataType
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter, UserFilter
    from icure_async.models.messages import MessageFactory
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.user_rules import SecondFactorAlgorithm
    from icure_sync._generated.events import Subscription
    from icure_sync._iterators import ClosableIterator

__all__ = ["UserApi"]


class UserApi(Twin[AsyncUserApi]):
    """Creates, reads, modifies and deletes users; looks after their tokens and their sharing.

    Example:
        >>> user = api.user_api.get_logged_user()
        >>> user.login == login
        True
    """

    def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.

        Example:
            >>> api.user_api.get_logged_user().id == user_id
            True
        """
        return self._run(self._inner.get_logged_user)

    def create_or_modify_user(self, user: User) -> User:
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
            >>> user = api.user_api.create_or_modify_user(
            ...     User(login="sansa", name="Sansa Stark")
            ... )
            >>> user.name = "Sansa"
            >>> api.user_api.create_or_modify_user(user).name
            'Sansa'
        """
        return self._run(self._inner.create_or_modify_user, user)

    def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.

        Example:
            >>> api.user_api.get_user(user.id).login == user.login
            True
        """
        return self._run(self._inner.get_user, user_id)

    def get_user_by_email(self, email: str) -> User:
        """Return the user with this email address, in the spelling that is stored.

        Raises:
            ValidationError: it is no email address.
            NotFoundError: no user has it.
            PermissionDeniedError: the logged-in user may not see that user.
            InvalidResponseError: the backend answers with another user.

        Example:
            >>> api.user_api.get_user_by_email(user.email).id == user.id
            True
        """
        return self._run(self._inner.get_user_by_email, email)

    def get_user_by_phone_number(self, phone_number: str) -> User:
        """Return the user with this mobile phone number.

        Raises:
            ValidationError: it is no phone number.
            NotFoundError: no user has it.
            PermissionDeniedError: the logged-in user may not see that user.
            InvalidResponseError: the backend answers with another user.

        Example:
            >>> api.user_api.get_user_by_phone_number(user.mobile_phone).id == user.id
            True
        """
        return self._run(self._inner.get_user_by_phone_number, phone_number)

    def filter_users(
        self, user_filter: UserFilter | Filter | None = None, *, page_size: int = 1000
    ) -> ClosableIterator[User]:
        """Iterate over the users that a filter finds, as far as the logged-in user may see them.

        While a page is given out, the next one is read. Each user comes once, even where others
        come and go.

        Args:
            user_filter: a :class:`~icure_sync.UserFilter`, or a filter made of such; by default,
                all users.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.
            PermissionDeniedError: the logged-in user may not search users.

        Example:
            >>> found = api.user_api.filter_users(UserFilter().by_ids([user.id]))
            >>> [each.id for each in found] == [user.id]
            True
        """
        return self._iterate(self._inner.filter_users, user_filter, page_size=page_size)

    def match_users(self, user_filter: UserFilter | Filter | None = None) -> list[str]:
        """Return the ids of the users that a filter finds, with one request.

        Args:
            user_filter: as for :meth:`filter_users`.

        Raises:
            ValidationError: the argument is malformed.
            PermissionDeniedError: the logged-in user may not search users.

        Example:
            >>> api.user_api.match_users(UserFilter().by_ids([user.id])) == [user.id]
            True
        """
        return self._run(self._inner.match_users, user_filter)

    def delete_user(self, user_id: str) -> str:
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
            >>> api.user_api.delete_user(user.id) == user.id
            True
        """
        return self._run(self._inner.delete_user, user_id)

    def change_email(self, email: str) -> User:
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
            >>> own_api.user_api.change_email("Gendry@kings-landing.example").email
            'gendry@kings-landing.example'
        """
        return self._run(self._inner.change_email, email)

    def change_phone_number(self, phone_number: str) -> User:
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
            >>> own_api.user_api.change_phone_number("+32 470 99 88 77").mobile_phone
            '+32470998877'
        """
        return self._run(self._inner.change_phone_number, phone_number)

    def change_password(self, password: str) -> None:
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
            >>> own_api.user_api.change_password("four words are better")
        """
        self._run(self._inner.change_password, password)

    def enable_second_factor(
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
            >>> own_api.user_api.enable_second_factor("JBSWY3DPEHPK3PXP", "123456")
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        self._run(self._inner.enable_second_factor, secret, code, algorithm=algorithm)

    def disable_second_factor(self) -> None:
        """Switch the second factor of the logged-in user off, in the cardinal flavour.

        Raises:
            ConfigurationError: the builder was not given ``with_flavour("cardinal")``.
            ElevationRequiredError: the backend wants a stronger login for this.

        Example:
            >>> own_api.user_api.disable_second_factor()
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        self._run(self._inner.disable_second_factor)

    def export_data(self, *, page_size: int = 500) -> ClosableIterator[dict[str, Any]]:
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

            for item in api.user_api.export_data():
                print(json.dumps(item), file=file)

        Args:
            page_size: how many records to ask the backend for at a time.

        Raises:
            ValidationError: the page size is malformed.
            InvalidResponseError: a record is malformed; the message says where.

        Example:
            >>> kinds = [item["kind"] for item in own_api.user_api.export_data()]
            >>> kinds[0], kinds[-1]
            ('user', 'summary')
        """
        return self._iterate(self._inner.export_data, page_size=page_size)

    def create_and_invite_user(
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
            message_factory: writes the message: :class:`~icure_sync.ICureRegistrationEmail`,
                :class:`~icure_sync.ICureRegistrationSMS`, or an object of your own.
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
            >>> patient = api.patient_api.create_or_modify_patient(patient)
            >>> invitation = ICureRegistrationEmail(
            ...     Patient(last_name="Luwin", addresses=[home]),
            ...     "https://app.example/login",
            ...     "Our clinic",
            ...     patient,
            ... )
            >>> user = api.user_api.create_and_invite_user(patient, invitation)
            >>> user.login
            'rickon@winterfell.example'
        """
        return self._run(
            self._inner.create_and_invite_user, patient, message_factory, token_duration
        )

    def share_all_future_data_with(
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
            >>> user = own_api.user_api.share_all_future_data_with([colleague_id])
            >>> colleague_id in user.sharing_data_with["all"]
            True
        """
        return self._run(self._inner.share_all_future_data_with, data_owner_ids, data_type)

    def stop_sharing_data_with(
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
            >>> user = own_api.user_api.share_all_future_data_with([colleague_id])
            >>> user = own_api.user_api.stop_sharing_data_with([colleague_id])
            >>> colleague_id in user.sharing_data_with["all"]
            False
        """
        return self._run(self._inner.stop_sharing_data_with, data_owner_ids, data_type)

    def list_tokens(self) -> list[UserToken]:
        """Return the long-lived tokens of the logged-in user, the oldest first.

        Validation codes that were used are among them, for some minutes.

        Raises:
            AuthenticationError: the credentials are refused.
            InvalidResponseError: the backend's list is malformed.

        Example:
            >>> token = own_api.user_api.create_token(name="tablet")
            >>> "tablet" in [each.name for each in own_api.user_api.list_tokens()]
            True
        """
        return self._run(self._inner.list_tokens)

    def create_token(
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
            The token: a password for :class:`~icure_sync.MedTechApiBuilder`. It gives all rights
            of the user: keep it as safe as a password. The backend does not show it again.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            NotFoundError: there is no such user.
            PermissionDeniedError: the user may not create tokens, or none for that user.

        Example:
            >>> from datetime import timedelta
            >>> token = own_api.user_api.create_token(validity=timedelta(days=1))
            >>> own_api.user_api.check_token_validity(own_user_id, token)
            True
        """
        return self._run(self._inner.create_token, user_id=user_id, validity=validity, name=name)

    def renew_token(
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
            >>> renewed = own_api.user_api.renew_token()
            >>> own_api.user_api.revoke_token(renewed.replaced_key)
            True
        """
        return self._run(self._inner.renew_token, validity=validity, name=name)

    def check_token_validity(self, user_id: str, token: str) -> bool:
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
            >>> own_api.user_api.check_token_validity(own_user_id, "no such token")
            False
        """
        return self._run(self._inner.check_token_validity, user_id, token)

    def revoke_token(self, key: str) -> bool:
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
            >>> token = own_api.user_api.create_token(name="lost-phone")
            >>> lost = [
            ...     each
            ...     for each in own_api.user_api.list_tokens()
            ...     if each.name == "lost-phone"
            ... ]
            >>> own_api.user_api.revoke_token(lost[0].key)
            True
        """
        return self._run(self._inner.revoke_token, key)

    def subscribe_to_user_events(
        self,
        event_types: Sequence[EventType],
        user_filter: UserFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[User]:
        """Subscribe to users that are created or changed.

        The same as for patients: see :class:`~icure_sync.Subscription`.

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
            >>> with api.user_api.subscribe_to_user_events(["CREATE"]) as events:
            ...     user = api.user_api.create_or_modify_user(User(login="theon"))
            ...     event = events.get(timeout=10)
            >>> event.record.login
            'theon'
        """
        return _events.Subscription[User]._wrap(
            self._call(
                self._inner.subscribe_to_user_events,
                event_types,
                user_filter,
                reconnection=reconnection,
                buffer_size=buffer_size,
            )
        )
