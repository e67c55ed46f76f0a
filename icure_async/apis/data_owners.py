"""Data owners: the professionals, patients and devices that users stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.errors import ValidationError
from icure_async.models.user import User

if TYPE_CHECKING:
    from icure_async.apis.access_back import AccessBack
    from icure_async.apis.key_notices import KeyNotices
    from icure_async.models.key_change import AccessGivenBack, KeyPairUpdateNotice

__all__ = ["DataOwnerApi"]


class DataOwnerApi:
    """Tells which data owner a user stands for, and looks after its keys."""

    def __init__(self, *, access_back: AccessBack, key_notices: KeyNotices) -> None:
        self._access_back = access_back
        self._key_notices = key_notices

    def get_data_owner_id_of(self, user: User) -> str:
        """Return the id of the user's data owner.

        A user is a healthcare professional, else a patient, else a device (cryptography.md §9).

        Raises:
            ValidationError: the user is none of them.
        """
        if not isinstance(user, User):
            raise ValidationError("The user must be a User.")
        owner_id = user.healthcare_party_id or user.patient_id or user.device_id
        if not owner_id:
            raise ValidationError(
                f"User {user.id} is not a data owner: it must be a healthcare professional, a "
                "patient or a device. Have an administrator link it to one."
            )
        return owner_id

    async def give_access_back_to(self, owner_id: str, new_public_key: str) -> AccessGivenBack:
        """Let a data owner who has a new key pair read again what it shares with the current one.

        The owner asks for it with a notification of type ``KEY_PAIR_UPDATE``, which names the owner
        and the new public key. A professional gives back what was shared in either direction; the
        user's own other device, which names its own data owner, gives back everything it can read.
        The owner need not restart anything. Repeating the call finishes what an earlier one began,
        and changes nothing where that one had finished.

        Whoever has the private half of the new public key reads the records afterwards. Unless
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
            CryptoError: nothing could be given, or the policy does not confirm the key.
            NotFoundError: the owner does not exist, or may not be read.
            PermissionDeniedError: the current user may not change the owner's document.
            ConflictError: a document keeps changing under our hands.
        """
        return await self._access_back.give(owner_id, new_public_key)

    async def notify_key_pair_update(self, public_key: str) -> list[KeyPairUpdateNotice]:
        """Send the notifications about one of the user's key pairs again.

        Those that have been delivered are not stored twice.

        Args:
            public_key: hex of the SPKI, for example of ``AuthenticationResult.key_pairs[0]``.

        Returns:
            What became of each: the user's own other devices, and everybody the user shares with.

        Raises:
            ValidationError: the current data owner has no such key pair.
            CryptoError: ``init_user_crypto()`` was not called.
        """
        return await self._key_notices.send(public_key)
