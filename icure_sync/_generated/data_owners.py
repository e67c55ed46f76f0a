# Written by "python tools/gen_sync.py" from icure_async/apis/data_owners.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Data owners: the professionals, patients and devices that users stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.data_owners import DataOwnerApi as AsyncDataOwnerApi
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.access_request import AccessAnswer, AccessRequest
    from icure_async.models.key_change import AccessGivenBack, KeyPairUpdateNotice
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.key_report import KeyReport
    from icure_async.models.key_share import KeyShare, KeySplit
    from icure_async.models.notification import PotentiallyEncryptedNotification
    from icure_async.models.public_key import PublicKey
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.models.shares import DataOwner
    from icure_async.models.user import User

__all__ = ["DataOwnerApi"]


class DataOwnerApi(Twin[AsyncDataOwnerApi]):
    """Tells which data owner a user stands for, and looks after its keys.

    Example:
        >>> report = api.data_owner_api.examine_keys()
        >>> for problem in report.problems:
        ...     print(problem)
    """

    def get_data_owner_id_of(self, user: User) -> str:
        """Return the id of the user's data owner.

        A user is a healthcare professional, else a patient, else a device (cryptography.md §9).

        Raises:
            ValidationError: the user is none of them.

        Example:
            >>> user = api.user_api.get_logged_user()
            >>> api.data_owner_api.get_data_owner_id_of(user) == user.healthcare_party_id
            True
        """
        return self._call(self._inner.get_data_owner_id_of, user)

    def get_data_owner(self, data_owner_id: str) -> DataOwner:
        """Return a healthcare professional, a patient or a device, as the backend has it now.

        Args:
            data_owner_id: its id; that of the current data owner does, too.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is none of this id, or the current user may not read it.

        Example:
            >>> api.data_owner_api.get_data_owner(colleague_id).type
            'hcparty'
        """
        return self._run(self._inner.get_data_owner, data_owner_id)

    def get_public_keys_of(self, data_owner_id: str) -> list[PublicKey]:
        """Return the public keys that the backend names for a data owner now.

        The first key pair the data owner ever had comes first. Where the backend is not trusted,
        compare ``PublicKey.digest`` with the person before something is shared.

        Args:
            data_owner_id: id of the data owner.

        Returns:
            The keys; an empty list for one who has not logged in yet.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is none of this id, or the current user may not read it.

        Example:
            >>> keys = api.data_owner_api.get_public_keys_of(colleague_id)
            >>> [len(key.digest) for key in keys]
            [64]
        """
        return self._run(self._inner.get_public_keys_of, data_owner_id)

    def examine_keys(self) -> KeyReport:
        """Find out where the user's key pairs are, what leads to them, and what is half-done.

        Nothing is written, neither on the backend nor on this device, and no key pair need be in
        use: it is for when ``init_user_crypto()`` refuses as well. ``KeyReport.problems`` says in
        words what is wrong, and what to do about it.

        Returns:
            The published keys, each with whether its private half is on this device, recoverable
            here, or missing, and then by whom access can be given back; and what is half-done.

        Raises:
            CryptoError: the user is not a data owner.

        Example:
            >>> report = api.data_owner_api.examine_keys()
            >>> report.problems
            []
        """
        return self._run(self._inner.examine_keys)

    def give_access_back_to(self, owner_id: str, new_public_key: str) -> AccessGivenBack:
        """Let a data owner who has a new key pair read again what it shares with the current one.

        The owner asks for it with a notification of type ``KEY_PAIR_UPDATE``, which names the owner
        and the new public key. A professional gives back what was shared in either direction; the
        user's own other device, which names its own data owner, gives back everything it can read.
        The owner need not restart anything. Repeating the call finishes what an earlier one began,
        and changes nothing where that one had finished.

        The holder of the new public key's private half can read the records afterwards. Unless
        ``with_public_key_policy()`` says otherwise, a key that the backend lists for the owner is
        trusted: where the backend is not, compare ``PublicKey.digest`` with the person first.

        Args:
            owner_id: id of the data owner.
            new_public_key: hex of the SPKI of its new key pair, published by the owner already.

        Returns:
            How much could be given.

        Raises:
            ValidationError: an argument is malformed, or the owner has no such public key. Nothing
                was changed.
            CryptoError: nothing could be given, though something is missing or nothing is shared;
                or the policy does not confirm the key.
            NotFoundError: the owner does not exist, or may not be read.
            PermissionDeniedError: the current user may not change the owner's document.
            ConflictError: a document keeps changing under our hands.

        Example:
            >>> for notification in api.notification_api.get_pending_notifications_after():
            ...     asked = (
            ...         notification.key_pair_update
            ...         if isinstance(notification, Notification)
            ...         else None
            ...     )
            ...     if asked and input(f"Is it {asked.data_owner_id} who asks? ") == "yes":
            ...         api.data_owner_api.give_access_back_to(
            ...             asked.data_owner_id, asked.public_key
            ...         )
        """
        return self._run(self._inner.give_access_back_to, owner_id, new_public_key)

    def notify_key_pair_update(self, public_key: str) -> list[KeyPairUpdateNotice]:
        """Send the notifications about one of the user's key pairs again.

        Those that have been delivered are not stored twice.

        Args:
            public_key: hex of the SPKI, for example of ``AuthenticationResult.key_pairs[0]``.

        Returns:
            The outcome of each: for the user's own other devices, and all the user shares with.

        Raises:
            ValidationError: the current data owner has no such key pair.
            CryptoError: ``init_user_crypto()`` was not called.

        Example:
            >>> key_pairs = own_api.init_user_crypto()
            >>> notices = own_api.data_owner_api.notify_key_pair_update(
            ...     key_pairs[0].public_key
            ... )
            >>> all(notice.delivered for notice in notices)
            True
        """
        return self._run(self._inner.notify_key_pair_update, public_key)

    def ask_access_to_own_data(self) -> list[AccessRequest]:
        """Ask everybody who reads the current patient's record to share it with the patient.

        The first login of an invited patient does so. This asks again: those who could not be asked
        then, and those whom the record was shared with since. Nobody is asked twice.

        Returns:
            The outcome for each data owner.

        Raises:
            ValidationError: the user is not a patient. Nothing was sent.
            CryptoError: ``init_user_crypto()`` was not called.
            NetworkError: no answer. Call again.

        Example:
            >>> requests = own_api.data_owner_api.ask_access_to_own_data()
            >>> [request.delivered for request in requests]
            [True]
        """
        return self._run(self._inner.ask_access_to_own_data)

    def answer_access_request(self, notification: PotentiallyEncryptedNotification) -> AccessAnswer:
        """Give an invited patient access to its own data, as it has asked for.

        Its record is shared with the patient itself, with all data that belongs to it, as
        ``patient_api.give_access_to_all_data_of()`` does. At the end, and where everything could be
        shared, the status of the notification is set to ``completed``. Repeating the call finishes
        what an earlier one began, and shares nothing twice.

        The notification is read again, and believed only if the patient that it names has encrypted
        it, its author is the user of that patient, and the one that is passed names the same
        patient. Nobody else than the named patient gets access. Unless ``with_public_key_policy()``
        says otherwise, the public key that the backend lists for the patient is trusted.

        Args:
            notification: of type ``NEW_USER_OWN_DATA_ACCESS``, as
                ``notification_api.get_pending_notifications_after()`` returns it.

        Returns:
            The access that the patient has, and the notification as it is stored. Where
            ``access.success`` is false, the notification is still pending: ``access`` says why.

        Raises:
            ValidationError: it is no such notification, was cancelled, or is not what it says.
                Nothing was shared.
            DecryptionError: the current user can't read the notification, or the patient.
            CryptoError: the patient has no public key, or the policy does not confirm it.
            NotFoundError: the notification or the patient does not exist, or may not be read.
            ConflictError: a document keeps changing under our hands.
            NetworkError: no answer. Call again.

        Example:
            >>> for notification in api.notification_api.get_pending_notifications_after():
            ...     if notification.type == "NEW_USER_OWN_DATA_ACCESS":
            ...         answer = api.data_owner_api.answer_access_request(notification)
            ...         answer.access.raise_for_failures()
        """
        return self._run(self._inner.answer_access_request, notification)

    def create_recovery_key(self) -> RecoveryKey:
        """Keep a copy of the user's key pairs on the backend, and return the key that opens it.

        It is the way back for a user who loses the device: show ``RecoveryKey.text`` to the person,
        who writes it down or prints it, and keep no copy of it. On another device
        ``init_user_crypto(recovery_key=...)`` puts the key pairs to use again, and so do today's
        clients of other languages. The backend can't open the copy. Each call makes another key,
        for the key pairs that are in use then; earlier ones go on working.

        It takes a backend of today, whichever flavour is written.

        Returns:
            The key. A person who has it, and may log in as the user, can read the user's records.

        Raises:
            CryptoError: ``init_user_crypto()`` was not called. Nothing was sent.
            NotFoundError: the backend keeps no recovery data.
            NetworkError: no answer. Call again: a copy that was stored all the same opens with no
                key that anybody has.

        Example:
            >>> key = own_api.data_owner_api.create_recovery_key()
            >>> key  # key.text is shown to the person once
            RecoveryKey()
        """
        return self._run(self._inner.create_recovery_key)

    def revoke_recovery_key(self, recovery_key: RecoveryKey | str) -> None:
        """Delete the copy of the key pairs that a recovery key opens, as where it was seen.

        Repeating the call does no harm.

        Args:
            recovery_key: what :meth:`create_recovery_key` returned, or its text.

        Raises:
            ValidationError: it is malformed. Nothing was sent.
            PermissionDeniedError: it is of another user.

        Example:
            >>> key = own_api.data_owner_api.create_recovery_key()
            >>> own_api.data_owner_api.revoke_recovery_key(key)
        """
        self._run(self._inner.revoke_recovery_key, recovery_key)

    def revoke_all_recovery_keys(self) -> None:
        """Delete all copies of the user's key pairs, as where nobody knows which key was seen.

        Raises:
            PermissionDeniedError: the backend does not let the user do that.

        Example:
            >>> own_api.data_owner_api.revoke_all_recovery_keys()
        """
        self._run(self._inner.revoke_all_recovery_keys)

    def split_private_key_among(
        self,
        notary_ids: Sequence[str],
        *,
        threshold: int | None = None,
        fingerprint: str | None = None,
        replace: bool = False,
    ) -> KeySplit:
        """Split one of the user's private keys among notaries, for the day it is lost.

        A notary is any data owner who has a public key and may read the current data owner's
        document: a patient shares its own record with a professional first. Each gets a share,
        encrypted on that document; ``threshold`` of them together make up the key, fewer say
        nothing about it. With one notary, or a threshold of 1, each notary alone has the key.

        There is room for the shares of one split. Those that are there are replaced as a whole,
        and what notaries have handed over before does not go together with the new ones. Other
        SDKs take the shares to be of ``publicKey``, the user's first key pair: recover another
        one with this SDK.

        Args:
            notary_ids: ids of 1 to 255 data owners; all of them must be reachable now.
            threshold: how many of them it takes, 1 to all; None for all.
            fingerprint: of the key pair to split; None for the first one the user ever had, or
                where that is not on this device, the oldest that is.
            replace: whether to drop shares that are there of another key pair, or of one that
                cannot be told. They may be the only way back to it.

        Returns:
            Which key pair was split, and how.

        Raises:
            ValidationError: an argument is malformed. Nothing was changed.
            CryptoError: a notary cannot be reached or has no public key, the key pair is not in
                use, or shares of another one are there. Nothing was changed.
            ConflictError: the user's document keeps changing under our hands.

        Example:
            >>> split = api.data_owner_api.split_private_key_among(
            ...     [colleague_id], replace=True
            ... )
            >>> split.threshold
            1
        """
        return self._run(
            self._inner.split_private_key_among,
            notary_ids,
            threshold=threshold,
            fingerprint=fingerprint,
            replace=replace,
        )

    def get_key_share_of(self, owner_id: str) -> KeyShare:
        """Return the share of somebody's private key that the current user holds as a notary.

        Hand it to the owner, and to nobody else, by a channel that only the owner reads:
        ``KeyShare.to_json()`` writes it. Make sure first that it is the owner who asks.

        Args:
            owner_id: id of the data owner whose key was split.

        Raises:
            ValidationError: the id is malformed, or is the current data owner's own.
            CryptoError: there is no share for the current user, or the key pairs in use don't
                open it.
            NotFoundError: the owner does not exist, or may not be read.

        Example:
            >>> split = api.data_owner_api.split_private_key_among(
            ...     [colleague_id], replace=True
            ... )
            >>> share = colleague_api.data_owner_api.get_key_share_of(
            ...     api.data_owner_id()
            ... )
            >>> share.to_json()[0]
            '{'
        """
        return self._run(self._inner.get_key_share_of, owner_id)

    def recover_private_key_from(self, shares: Sequence[KeyShare]) -> KeyPair:
        """Put a lost private key together again from what notaries have handed over.

        It is for a user who has lost the key, so ``init_user_crypto()`` need not have been called.
        The key pair is believed only if its public half is one the user has published. Then it is
        stored on this device, where ``init_user_crypto()`` finds it, and is in use at once.
        Notaries have read their shares from the backend: a policy is asked about the public key,
        and without its yes the key pair only reads.

        Args:
            shares: as many as the threshold of the split, or more, of different notaries.

        Returns:
            The key pair.

        Raises:
            ValidationError: the shares are malformed, or of somebody else's key.
            CryptoError: they make up none of the user's key pairs. Nothing was changed.
            StorageError: the key pair could not be stored. Repeat the call.

        Example:
            >>> split = api.data_owner_api.split_private_key_among(
            ...     [colleague_id], replace=True
            ... )
            >>> share = colleague_api.data_owner_api.get_key_share_of(
            ...     api.data_owner_id()
            ... )
            >>> key_pair = api.data_owner_api.recover_private_key_from([share])
            >>> key_pair.fingerprint == split.fingerprint
            True
        """
        return self._run(self._inner.recover_private_key_from, shares)
