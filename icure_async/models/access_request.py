"""Requests of invited patients for access to their existing data."""

from __future__ import annotations

import attrs

__all__ = ["AccessRequest"]


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
