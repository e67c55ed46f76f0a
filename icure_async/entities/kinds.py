"""The kinds of encrypted entities, and where they differ: a row for each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import attrs

from icure_async.entities.encrypted_self import NOTHING_INSIDE, is_empty
from icure_async.entities.manifests import (
    CONTACT_MANIFEST,
    DOCUMENT_MANIFEST,
    HEALTH_ELEMENT_MANIFEST,
    MAINTENANCE_TASK_MANIFEST,
    NO_MANIFEST,
    PATIENT_MANIFEST,
    SET_ON_SAVING,
    Manifest,
    shows_inside,
)
from icure_async.entities.patient_names import REPEATED_IN_NAMES, complete_patient_names
from icure_async.models.base import EntityModel
from icure_async.models.contact import Contact, EncryptedContact
from icure_async.models.document import Document, EncryptedDocument
from icure_async.models.healthcare_element import EncryptedHealthcareElement, HealthcareElement
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import (
    validate_healthcare_element_for_saving,
    validate_notification_for_saving,
    validate_patient_for_saving,
    validate_record_for_saving,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.entities.encrypted_self import EncryptedIn

__all__ = [
    "CONTACT",
    "DOCUMENT",
    "HEALTHCARE_ELEMENT",
    "NOTIFICATION",
    "PATIENT",
    "EntityKind",
    "of_today",
]

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class Validate(Protocol):
    """Raises a ValidationError unless a record can be saved."""

    def __call__(self, record: Any, /, *, creating: bool) -> None:
        """Raise unless the record can be created, or replace the stored one."""
        ...


def _validate_members(kind: EntityKind[Any, Any]) -> Validate:
    def validate(record: Any, /, *, creating: bool) -> None:
        validate_record_for_saving(record, (kind.clear, kind.sealed), kind.noun, creating=creating)

    return validate


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EntityKind(Generic[Clear, Sealed]):
    """One kind of encrypted entity.

    Attributes:
        noun: the kind in words, in the singular.
        wire_class: the ``_type`` of its documents.
        route: the first segment of its paths on the backend.
        clear: the class of records that can be read.
        sealed: the class of those that no key opens.
        secure_type: the kind as today's access control keys name it (docs/spec/today.md §5).
        encrypted: wire names of the encrypted members; everything else is in clear on the backend.
        encrypted_in: members that are encrypted in the elements of lists, by the path of the list;
            None for all members.
        of_today: the members that today's SDKs encrypt. Every flavour encrypts them where today's
            metadata says that such an SDK may have written them.
        is_of_today: whether they are encrypted in every record.
        also_encrypted: wire names of those of them that an application chose, each with the value
            that it is encrypted with where it is missing.
        never_encrypted: the attributes that no application may choose.
        repeated_in: attributes, each with the one that repeats its value.
        shared_on_creation: categories of the user's whose data owners get access to a new one
            (cryptography.md §8).
        key_only: categories whose data owners get the key of a new one, and no secret id.
        changeable: the attributes that a modification may change, with their wire names; None for
            everything. Other attributes stay as they are stored.
        server_defaults: what the backend fills in where a member is missing
            (server-behaviour.md §11.1).
        filled: wire names of what the backend of 2023 fills in with a value of its own where it is
            missing (server-behaviour.md §6.1).
        unreadable_advice: the next step with one that no key opens.
        only_readers_delete: whether a deletion is for those it is shared with.
        has_parent: whether each belongs to another entity, by whose secret ids it is found: to a
            patient (docs/spec/today.md §7).
        parts: wire names of lists of what is changed one by one, while the rest goes back as it is
            stored.
        complete: adds to a document what follows from its members.
        validate: checks a record before it is saved; by default, that its members are well-formed.
    """

    noun: str
    wire_class: str
    route: str
    clear: type[Clear]
    sealed: type[Sealed]
    secure_type: str = ""
    encrypted: tuple[str, ...]
    encrypted_in: EncryptedIn = NOTHING_INSIDE
    of_today: Manifest = NO_MANIFEST
    is_of_today: bool = False
    also_encrypted: Mapping[str, object] = attrs.field(factory=dict[str, object])
    never_encrypted: frozenset[str] = frozenset()
    repeated_in: Mapping[str, str] = MappingProxyType({})
    shared_on_creation: tuple[str, ...]
    key_only: tuple[str, ...] = ()
    changeable: Mapping[str, str] | None = None
    server_defaults: Mapping[str, object] = MappingProxyType({})
    filled: frozenset[str] = frozenset()
    unreadable_advice: str = "Ask a data owner with access to share it with this user."
    only_readers_delete: bool = False
    has_parent: bool = False
    parts: tuple[str, ...] = ()
    complete: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    validate: Validate = attrs.field(default=attrs.Factory(_validate_members, takes_self=True))

    @property
    def always_encrypted(self) -> tuple[str, ...]:
        """Those of the encrypted members that are so whatever an application chooses."""
        of_today = self.of_today.members if self.is_of_today else ()
        return tuple(
            name for name in self.encrypted if name not in self.also_encrypted or name in of_today
        )

    def manifest_of(self, document: Mapping[str, Any], *, is_own: bool = False) -> Manifest:
        """Return what is to be encrypted in an entity.

        Args:
            document: the entity.
            is_own: whether it is the user's own record, of which backends need the most in clear.
        """
        manifest = Manifest(self.always_encrypted if is_own else self.encrypted, self.encrypted_in)
        if not self.is_of_today:
            if not document.get("securityMetadata"):
                return manifest
            manifest = _joined(manifest, self.of_today)
        # Backends fill in what is empty.
        members = tuple(
            name
            for name in manifest.members
            if name not in self.of_today.members
            or name in self.also_encrypted
            or not (
                is_empty(value := document.get(name)) or value == self.server_defaults.get(name)
            )
        )
        return Manifest(members, manifest.inside)

    def shows_content(self, document: Mapping[str, Any]) -> bool:
        """Return whether an entity shows content that is always encrypted; dates don't count."""
        manifest = self.manifest_of(document, is_own=True)
        shown = any(document.get(name) for name in {*manifest.members} - SET_ON_SAVING)
        return shown or shows_inside(manifest, document)


def of_today(kind: EntityKind[Clear, Sealed]) -> EntityKind[Clear, Sealed]:
    """Return a kind of which all is encrypted that today's SDKs encrypt."""
    joined = _joined(Manifest(kind.encrypted, kind.encrypted_in), kind.of_today)
    return attrs.evolve(
        kind, encrypted=joined.members, encrypted_in=joined.inside, is_of_today=True
    )


def _joined(one: Manifest, other: Manifest) -> Manifest:
    members = tuple(dict.fromkeys([*one.members, *other.members]))
    inside = dict(one.inside)
    for place, names in other.inside.items():
        present = inside.get(place, ())
        both = None if present is None or names is None else (*present, *names)
        inside[place] = None if both is None else tuple(dict.fromkeys(both))
    return Manifest(members, MappingProxyType(inside))


def _with_element_id(element: Mapping[str, Any]) -> dict[str, Any]:
    """Return a health element with the id that its versions share (data-model.md §5)."""
    element_id = element.get("healthElementId") or element["id"]
    return {**element, "healthElementId": element_id}


def _with_group_id(contact: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact with the id that its versions share (docs/spec/today.md §7)."""
    return {**contact, "groupId": contact.get("groupId") or contact["id"]}


def _with_status(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "pending", **task}


PATIENT: Final = EntityKind(
    noun="patient",
    wire_class="org.taktik.icure.entities.Patient",
    route="patient",
    clear=Patient,
    sealed=EncryptedPatient,
    secure_type="Patient",
    encrypted=("note",),
    of_today=PATIENT_MANIFEST,
    never_encrypted=frozenset(
        {
            "active",
            "author",
            "codes",
            "created",
            "deletion_date",
            "end_of_life",
            "id",
            "labels",
            "merge_to_patient_id",
            "merged_ids",
            "modified",
            "responsible",
            "rev",
            "system_meta_data",
        }
    ),
    repeated_in=REPEATED_IN_NAMES,
    shared_on_creation=("all", "medicalInformation"),
    key_only=("anonymousMedicalInformation",),
    server_defaults={
        "active": True,
        "birthSex": "unknown",
        "deactivationReason": "none",
        "gender": "unknown",
        "personalStatus": "unknown",
    },
    complete=complete_patient_names,
    validate=validate_patient_for_saving,
)

NOTIFICATION: Final = EntityKind(
    noun="notification",
    wire_class="org.taktik.icure.entities.MaintenanceTask",
    route="maintenancetask",
    clear=Notification,
    sealed=EncryptedNotification,
    secure_type="MaintenanceTask",
    encrypted=("properties",),
    of_today=MAINTENANCE_TASK_MANIFEST,
    shared_on_creation=("all",),
    changeable={"status": "status", "identifiers": "identifier", "properties": "properties"},
    unreadable_advice="To change its status, use update_notification_status().",
    only_readers_delete=True,
    complete=_with_status,
    validate=validate_notification_for_saving,
)

HEALTHCARE_ELEMENT: Final = EntityKind(
    noun="healthcare element",
    wire_class="org.taktik.icure.entities.HealthElement",
    route="helement",
    clear=HealthcareElement,
    sealed=EncryptedHealthcareElement,
    secure_type="HealthElement",
    encrypted=("descr", "note"),
    of_today=HEALTH_ELEMENT_MANIFEST,
    shared_on_creation=("all", "medicalInformation"),
    key_only=("anonymousMedicalInformation",),
    server_defaults={"relevant": True, "status": 0},
    filled=frozenset({"openingDate", "valueDate"}),
    has_parent=True,
    complete=_with_element_id,
    validate=validate_healthcare_element_for_saving,
)

CONTACT: Final = EntityKind(
    noun="contact",
    wire_class="org.taktik.icure.entities.Contact",
    route="contact",
    clear=Contact,
    sealed=EncryptedContact,
    secure_type="Contact",
    encrypted=("descr",),
    encrypted_in={"services": ("content",)},
    of_today=CONTACT_MANIFEST,
    shared_on_creation=("all", "medicalInformation"),
    key_only=("anonymousMedicalInformation",),
    filled=frozenset({"openingDate"}),
    has_parent=True,
    parts=("services", "subContacts"),
    complete=_with_group_id,
)

DOCUMENT: Final = EntityKind(
    noun="document",
    wire_class="org.taktik.icure.entities.Document",
    route="document",
    clear=Document,
    sealed=EncryptedDocument,
    secure_type="Document",
    encrypted=DOCUMENT_MANIFEST.members,
    of_today=DOCUMENT_MANIFEST,
    shared_on_creation=("all", "medicalInformation"),
    key_only=("anonymousMedicalInformation",),
    has_parent=True,
)
