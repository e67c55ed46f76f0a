"""Healthcare elements, which are the conditions of patients, readable and not."""

from typing import TypeAlias

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.dates import FUZZY_DATE_TIME, MOMENT, given_date_time, given_moment
from icure_async.models.json_values import hidden
from icure_async.models.system_meta_data import SystemMetaDataEncrypted

__all__ = [
    "EncryptedHealthcareElement",
    "HealthcareElement",
    "PotentiallyEncryptedHealthcareElement",
]


def _own_id(element: EntityModel) -> str:
    return element.id


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _HealthcareElementMembers(EntityModel):
    """The members that readable and unreadable healthcare elements have in common."""

    identifiers: list[Identifier] = attrs.field(factory=list[Identifier])
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    medical_location_id: str | None = None
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    healthcare_element_id: str | None = attrs.field(
        default=None, metadata={"wire": "healthElementId", "assumed": _own_id}
    )
    value_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    opening_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    closing_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    description: str | None = attrs.field(default=None, metadata={"wire": "descr"})
    note: str | None = None
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )


@attrs.define(kw_only=True, repr=False)
class HealthcareElement(_HealthcareElementMembers):
    """A condition of a patient (data-model.md §5). ``description`` and ``note`` are encrypted.

    Everything else is in clear on the backend: labels and codes among them, which filters look for.

    Attributes:
        id: id of the element; made by the SDK when it is created without one.
        rev: revision; an element without one is created when it is saved, one with it modified.
        identifiers: names of the element in other systems.
        created: when it was created, in epoch milliseconds.
        modified: when it was last modified, in epoch milliseconds.
        author: id of the user who created it.
        responsible: id of the data owner who is responsible for it.
        medical_location_id: id of the place where it was created.
        labels: labels (``tags`` on the wire).
        codes: codes of terminologies, for example of the diagnosis.
        end_of_life: when the record was closed, in epoch milliseconds.
        deletion_date: when the record was deleted, in epoch milliseconds.
        healthcare_element_id: id that all versions of one condition have in common
            (``healthElementId`` on the wire); without one, it is the ``id``.
        value_date: when the condition was observed: a fuzzy date, a fuzzy date-time, or epoch
            milliseconds. It may be given as a date or a datetime, and is the integer at once.
        opening_date: when it began, like the value date.
        closing_date: when it ended, like the value date.
        description: what it is, encrypted end to end (``descr`` on the wire).
        note: free text, encrypted end to end.
        system_meta_data: keys and delegations, kept up by the SDK.
        unknown_fields: members that this SDK does not know (``episodes``, ``laterality`` and
            others), written back as they are; None if the element was not read from a backend.

    Example:
        >>> fever = HealthcareElement(description="Fever", opening_date=20220101)
        >>> fever  # a repr shows ids, and nothing of the content
        HealthcareElement(id=None, rev=None)
        >>> fever.to_dict()["description"]
        'Fever'
    """


@attrs.define(kw_only=True, repr=False)
class EncryptedHealthcareElement(_HealthcareElementMembers):
    """A healthcare element that no key on this device opens.

    It has the members of :class:`HealthcareElement`; ``description`` and ``note`` are unset, and
    what they were is still inside ``system_meta_data.encrypted_self``.

    Example:
        >>> EncryptedHealthcareElement().note is None
        True
    """

    # Anybody may have written those of an element that can't be read.
    description: str | None = attrs.field(default=None, metadata={"wire": "descr", "reads": hidden})
    note: str | None = attrs.field(default=None, metadata={"reads": hidden})


PotentiallyEncryptedHealthcareElement: TypeAlias = HealthcareElement | EncryptedHealthcareElement
"""A healthcare element, readable or not."""
