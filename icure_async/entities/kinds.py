"""The kinds of encrypted entities, and where they differ: a row for each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import attrs

from icure_async.entities.patient_names import REPEATED_IN_NAMES, complete_patient_names
from icure_async.models.base import EntityModel
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import (
    validate_notification_for_saving,
    validate_patient_for_saving,
    validate_record_for_saving,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NOTIFICATION", "PATIENT", "EntityKind"]

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
        encrypted: wire names of the encrypted members; everything else is in clear on the backend.
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
        unreadable_advice: the next step with one that no key opens.
        only_readers_delete: whether a deletion is for those it is shared with.
        complete: adds to a document what follows from its members.
        validate: checks a record before it is saved; by default, that its members are well-formed.
    """

    noun: str
    wire_class: str
    route: str
    clear: type[Clear]
    sealed: type[Sealed]
    encrypted: tuple[str, ...]
    also_encrypted: Mapping[str, object] = attrs.field(factory=dict[str, object])
    never_encrypted: frozenset[str] = frozenset()
    repeated_in: Mapping[str, str] = MappingProxyType({})
    shared_on_creation: tuple[str, ...]
    key_only: tuple[str, ...] = ()
    changeable: Mapping[str, str] | None = None
    server_defaults: Mapping[str, object] = MappingProxyType({})
    unreadable_advice: str = "Ask a data owner with access to share it with this user."
    only_readers_delete: bool = False
    complete: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    validate: Validate = attrs.field(default=attrs.Factory(_validate_members, takes_self=True))

    @property
    def always_encrypted(self) -> tuple[str, ...]:
        """Those of the encrypted members that are so whatever an application chooses."""
        return tuple(name for name in self.encrypted if name not in self.also_encrypted)


def _with_status(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "pending", **task}


PATIENT: Final = EntityKind(
    noun="patient",
    wire_class="org.taktik.icure.entities.Patient",
    route="patient",
    clear=Patient,
    sealed=EncryptedPatient,
    encrypted=("note",),
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
    encrypted=("properties",),
    shared_on_creation=("all",),
    changeable={"status": "status", "identifiers": "identifier", "properties": "properties"},
    unreadable_advice="To change its status, use update_notification_status().",
    only_readers_delete=True,
    complete=_with_status,
    validate=validate_notification_for_saving,
)
