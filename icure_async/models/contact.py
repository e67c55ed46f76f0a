"""Contacts, the batches in which data samples are stored.

Users see the data samples in them only. Services and sub-contacts stay JSON, so that those of
others go back as they came.
"""

from typing import Any

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference
from icure_async.models.dates import FUZZY_DATE_TIME, MOMENT, given_date_time, given_moment
from icure_async.models.json_values import hidden
from icure_async.models.system_meta_data import SystemMetaDataEncrypted

__all__ = ["Contact", "EncryptedContact"]


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _ContactMembers(EntityModel):
    """The members that readable and unreadable contacts have in common."""

    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    responsible: str | None = None
    author: str | None = None
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    group_id: str | None = None
    sub_contacts: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    services: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    opening_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    closing_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    description: str | None = attrs.field(default=None, metadata={"wire": "descr"})
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )


@attrs.define(kw_only=True, repr=False)
class Contact(_ContactMembers):
    """A contact (data-model.md §6, second-world.md §2.1). ``description`` is encrypted.

    Attributes:
        id: id of the contact, which is the ``batch_id`` of its data samples.
        rev: revision.
        created: when it was created, in epoch milliseconds.
        modified: when it was last modified, in epoch milliseconds.
        responsible: id of the data owner who is responsible for it.
        author: id of the user who created it.
        codes: codes of terminologies.
        labels: labels (``tags`` on the wire).
        group_id: id that contacts of one encounter have in common.
        sub_contacts: the links of its services, to healthcare elements and others, as JSON.
        services: its data samples, as JSON. Each is encrypted for itself.
        opening_date: the first of the dates of its data samples.
        closing_date: the last of these dates.
        end_of_life: when it was closed, in epoch milliseconds.
        deletion_date: when it was deleted, in epoch milliseconds.
        description: a text that other SDKs may have written (``descr`` on the wire).
        system_meta_data: keys and delegations, kept up by the SDK.
    """


@attrs.define(kw_only=True, repr=False)
class EncryptedContact(_ContactMembers):
    """A contact that no key on this device opens: it has everything but ``description``."""

    # Anybody may have written that of a contact that can't be read.
    description: str | None = attrs.field(default=None, metadata={"wire": "descr", "reads": hidden})
