"""Medical devices, which may be data owners like persons."""

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.properties import Property
from icure_async.models.system_meta_data import SystemMetaDataOwner

__all__ = ["MedicalDevice"]


@attrs.define(kw_only=True, repr=False)
class MedicalDevice(EntityModel):
    """A device or an application that records data (data-model.md §7). Nothing of it is encrypted.

    Attributes:
        id: id of the device; made by the SDK when it is created without one.
        rev: revision; a device without one is created when it is saved, one with it modified.
        deletion_date: when the record was deleted, in epoch milliseconds.
        identifiers: names of the device in other systems.
        created: when the device was created, in epoch milliseconds.
        modified: when the device was last modified, in epoch milliseconds.
        author: id of the user who created the device.
        responsible: id of the data owner who is responsible for the device.
        labels: labels (``tags`` on the wire).
        codes: codes of terminologies.
        end_of_life: when the record was closed, in epoch milliseconds.
        external_id: id in another system.
        name: name to show.
        type: kind of device, such as a smartphone.
        brand: manufacturer.
        model: model.
        serial_number: serial number.
        parent_id: id of the data owner the device belongs to.
        picture: an image file.
        properties: properties set by applications.
        system_meta_data: keys, kept up by the SDK.
        unknown_fields: members a newer backend sent, written back as they are; None if the device
            was not read from a backend.

    Example:
        >>> MedicalDevice(name="Glucose meter").to_dict()["name"]
        'Glucose meter'
    """

    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    identifiers: list[Identifier] = attrs.field(factory=list[Identifier])
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    external_id: str | None = None
    name: str | None = None
    type: str | None = None
    brand: str | None = None
    model: str | None = None
    serial_number: str | None = None
    parent_id: str | None = None
    picture: bytes | None = None
    properties: list[Property] = attrs.field(factory=list[Property])
    system_meta_data: SystemMetaDataOwner | None = attrs.field(
        default=None, metadata={"flat": True}
    )
