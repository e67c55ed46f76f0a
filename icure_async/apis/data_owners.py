"""Data owners: the professionals, patients and devices that users stand for."""

from __future__ import annotations

from icure_async.errors import ValidationError
from icure_async.models.user import User

__all__ = ["DataOwnerApi"]


class DataOwnerApi:
    """Tells which data owner a user stands for."""

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
