"""Requests of invited patients for access to their existing data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from icure_async.models.notification import PotentiallyEncryptedNotification
    from icure_async.models.shares import AccessToAllData

__all__ = ["AccessAnswer", "AccessRequest"]


@attrs.frozen(kw_only=True)
class AccessRequest:
    """One data owner that is asked by an invited patient for access to the patient's own data.

    Attributes:
        recipient_id: the data owner that is asked.
        notification_id: id of the notification of type ``NEW_USER_OWN_DATA_ACCESS``.
        delivered: whether it reached the backend.
        problem: why it did not, or None.
    """

    recipient_id: str
    notification_id: str
    delivered: bool
    problem: str | None = None


@attrs.frozen(kw_only=True)
class AccessAnswer:
    """The answer to an invited patient's request for access to its own data.

    Attributes:
        access: of the patient to its own record, which it can read now, and to what belongs to it.
        notification: the request as it is stored: completed unless something is not shared.
    """

    access: AccessToAllData
    notification: PotentiallyEncryptedNotification
