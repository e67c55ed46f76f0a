# Written by "python -m icure_sync._generate" from icure_async/apis/data_owners.py.
# Changes here are lost: change that module, or icure_sync/_rules.py.
# pyright: reportPrivateUsage=false
"""Data owners: the professionals, patients and devices that users stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.data_owners import DataOwnerApi as AsyncDataOwnerApi
from icure_sync._runtime import Twin

if TYPE_CHECKING:
    from icure_async.models.user import User

__all__ = ["DataOwnerApi"]


class DataOwnerApi(Twin[AsyncDataOwnerApi]):
    """Tells which data owner a user stands for."""

    def get_data_owner_id_of(self, user: User) -> str:
        """Return the id of the user's data owner.

        A user is a healthcare professional, else a patient, else a device (cryptography.md §9).

        Raises:
            ValidationError: the user is none of them.
        """
        return self._inner.get_data_owner_id_of(user)
