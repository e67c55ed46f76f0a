"""Healthcare professionals: persons and organisations that look after patients."""

import attrs

from icure_async.models.addresses import Address
from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.enums import Gender
from icure_async.models.names import PersonName
from icure_async.models.properties import Property
from icure_async.models.system_meta_data import SystemMetaDataOwner

__all__ = ["HealthcareProfessional"]


@attrs.define(kw_only=True, repr=False)
class HealthcareProfessional(EntityModel):
    """A healthcare professional (data-model.md §4.2). Nothing of it is encrypted.

    Attributes:
        id: id of the professional; made by the SDK when it is created without one.
        rev: revision; a professional without one is created when it is saved, one with it modified.
        created: when the professional was created, in epoch milliseconds.
        modified: when the professional was last modified, in epoch milliseconds.
        deletion_date: when the record was deleted, in epoch milliseconds.
        labels: labels (``tags`` on the wire).
        codes: codes of terminologies, such as that of a specialty.
        name: the whole name. An organisation has no other; that of a person is made of
            ``last_name`` and ``first_name`` on saving, and again where these are changed.
        last_name: family name.
        first_name: given name.
        names: all names. The official one is added on saving, and follows ``last_name``,
            ``first_name`` and ``name`` where these are changed, as they follow it
            (data-model.md §3.3).
        gender: gender.
        civility: form of address.
        speciality: medical specialty, as free text.
        parent_id: id of the organisation the professional belongs to, whose keys it may use.
        addresses: postal addresses with telephone numbers and email addresses.
        languages: languages spoken, preferred ones first. None where nothing is known.
        picture: an image file.
        speciality_codes: medical specialties, as codes. None where nothing is known.
        notes: free text, in clear on the backend.
        properties: properties set by applications.
        system_meta_data: keys, kept up by the SDK.
        unknown_fields: members a newer backend sent, written back as they are; None if the
            professional was not read from a backend. ``nihii`` and ``ssin`` are among them.

    Example:
        >>> HealthcareProfessional(first_name="Luwin", last_name="Cressen").to_dict()["lastName"]
        'Cressen'
    """

    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    name: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    names: list[PersonName] = attrs.field(factory=list[PersonName])
    gender: Gender | None = None
    civility: str | None = None
    speciality: str | None = None
    parent_id: str | None = None
    addresses: list[Address] = attrs.field(factory=list[Address])
    languages: list[str] | None = None
    picture: bytes | None = None
    speciality_codes: list[CodingReference] | None = None
    notes: str | None = None
    properties: list[Property] = attrs.field(factory=list[Property])
    system_meta_data: SystemMetaDataOwner | None = attrs.field(
        default=None, metadata={"flat": True}
    )
