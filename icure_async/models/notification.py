"""Notifications between data owners, readable and not."""

from typing import TypeAlias

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.codes import Identifier
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.enums import NotificationStatus, NotificationType
from icure_async.models.json_values import left_out
from icure_async.models.key_change import (
    CONCERNED_KEY_PROPERTY,
    CONCERNED_OWNER_PROPERTY,
    KeyPairUpdate,
)
from icure_async.models.properties import Property
from icure_async.models.system_meta_data import SystemMetaDataEncrypted

__all__ = ["EncryptedNotification", "Notification", "PotentiallyEncryptedNotification"]


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _NotificationMembers(EntityModel):
    """The members that readable and unreadable notifications have in common."""

    status: NotificationStatus | None = None
    identifiers: list[Identifier] = attrs.field(
        factory=list[Identifier], metadata={"wire": "identifier"}
    )
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    type: NotificationType | None = attrs.field(default=None, metadata={"wire": "taskType"})
    properties: list[Property] | None = None
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )


@attrs.define(kw_only=True, repr=False)
class Notification(_NotificationMembers):
    """A notification (data-model.md §4.3). ``properties`` is the only member that is encrypted.

    Once it was created, only ``status``, ``identifiers`` and ``properties`` can be changed.

    Attributes:
        id: id of the notification; made by the SDK when it is created without one.
        rev: revision; a notification without one is created when it is saved, one with it modified.
        status: what has become of it; ``pending`` when it is created without one.
        identifiers: names of the notification in other systems.
        created: when it was created, in epoch milliseconds.
        modified: when it was last modified, in epoch milliseconds.
        end_of_life: when it was closed, in epoch milliseconds.
        deletion_date: when it was deleted, in epoch milliseconds.
        author: id of the user who created it.
        responsible: id of the data owner who created it.
        type: what it is about (``taskType`` on the wire). An application's own are ``OTHER``, with
            a property that tells them apart.
        properties: what it says, encrypted end to end. When it is modified, None leaves what is
            stored, and an empty list removes it.
        system_meta_data: keys and delegations, kept up by the SDK.

    Example:
        >>> Notification(type="OTHER", status="pending").to_dict()["type"]
        'OTHER'
    """

    @property
    def key_pair_update(self) -> KeyPairUpdate | None:
        """The data owner that asks for access back, and its public key; None for other types.

        Make sure that it is the person who asks before giving it, with
        ``data_owner_api.give_access_back_to()``.
        """
        if self.type != "KEY_PAIR_UPDATE":
            return None
        said = {
            item.id: item.typed_value.string_value
            for item in self.properties or ()
            if item.typed_value is not None
        }
        owner_id, public_key = said.get(CONCERNED_OWNER_PROPERTY), said.get(CONCERNED_KEY_PROPERTY)
        if not owner_id or not public_key:
            return None
        return KeyPairUpdate(data_owner_id=owner_id, public_key=public_key)


@attrs.define(kw_only=True, repr=False)
class EncryptedNotification(_NotificationMembers):
    """A notification that no key on this device opens: it has everything but ``properties``.

    Its status can be changed with ``update_notification_status()``, which leaves the encrypted part
    alone.

    Example:
        >>> found = await api.notification_api.get_notification_and_try_decrypt(notification.id)
        >>> isinstance(found, EncryptedNotification)
        False
    """

    # Not even the empty ones that backends put in their place.
    properties: list[Property] | None = attrs.field(default=None, metadata={"reads": left_out})


PotentiallyEncryptedNotification: TypeAlias = Notification | EncryptedNotification
"""A notification, readable or not."""
