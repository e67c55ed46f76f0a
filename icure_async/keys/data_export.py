"""Everything that a user can read, as JSON: one item after the other, a page in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL
from icure_async.json_shapes import is_list, is_object
from icure_async.keys.current_user import data_owner_of
from icure_async.models.data_sample import EncryptedDataSample
from icure_async.models.filters import (
    DataSampleFilter,
    HealthcareElementFilter,
    NotificationFilter,
    PatientFilter,
)
from icure_async.models.healthcare_element import EncryptedHealthcareElement
from icure_async.models.healthcare_professional import HealthcareProfessional
from icure_async.models.medical_device import MedicalDevice
from icure_async.models.notification import EncryptedNotification
from icure_async.models.patient import EncryptedPatient
from icure_async.models.user import AuthenticationToken, User
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from icure_async.entities.data_samples import DataSamples
    from icure_async.entities.repository import Repository
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.base import EntityModel
    from icure_async.models.filters import Filter
    from icure_async.models.healthcare_element import HealthcareElement
    from icure_async.models.notification import Notification
    from icure_async.models.patient import Patient
    from icure_async.rest.data_owners import DataOwnerKind

__all__ = ["DataExport"]

_SECRETS: Final = frozenset({"passwordHash", "secret", "applicationTokens"})
_KEYS: Final = frozenset(
    {"systemMetaData", "cryptoActorProperties", *ENTITY_METADATA, *KEY_MATERIAL}
)
_KINDS: Final = ("patient", "notification", "healthcare element", "data sample")
_NOT_READ: Final = ("document", "form", "invoice", "access log")
_SEALED: Final = (
    EncryptedPatient,
    EncryptedNotification,
    EncryptedHealthcareElement,
    EncryptedDataSample,
)
_NOUNS: Final[Mapping[DataOwnerKind, str]] = {
    "device": "medical device",
    "hcparty": "healthcare professional",
    "patient": "patient",
}

_Item = dict[str, Any]


class DataExport:
    """Collects the logged-in user, its data owner, and what is shared with that."""

    def __init__(
        self,
        current_user: CurrentUser,
        own: OwnDocument,
        *,
        patients: Repository[Patient, EncryptedPatient],
        notifications: Repository[Notification, EncryptedNotification],
        healthcare_elements: Repository[HealthcareElement, EncryptedHealthcareElement],
        data_samples: DataSamples,
    ) -> None:
        self._current_user = current_user
        self._own = own
        self._patients = patients
        self._notifications = notifications
        self._elements = healthcare_elements
        self._samples = data_samples

    async def items(self, page_size: int) -> AsyncGenerator[_Item, None]:
        """Iterate over the user, its data owner and what is shared with that, and its number."""
        user = await self._current_user.get(fresh=True)
        yield _item("user", _without_token_secrets(from_wire(User, user)))
        counts, undecryptable = Counter[str](), Counter[str]()
        if any(user.get(member) for member in ("healthcarePartyId", "patientId", "deviceId")):
            own_kind, own_id = data_owner_of(user)
            yield await self._data_owner(own_kind, own_id)
            async with contextlib.aclosing(self._shared(own_id, page_size)) as shared:
                async for item in shared:
                    counts[item["kind"]] += 1
                    undecryptable[item["kind"]] += not item["decrypted"]
                    yield item
        yield {
            "kind": "summary",
            "counts": {kind: counts[kind] for kind in _KINDS},
            "undecryptable": {kind: undecryptable[kind] for kind in _KINDS},
            "notIncluded": list(_NOT_READ),
        }

    async def _data_owner(self, kind: DataOwnerKind, own_id: str) -> _Item:
        record: EntityModel
        is_decrypted = True
        if kind == "patient":
            patient = await self._patients.get_and_try_decrypt(own_id)
            record, is_decrypted = patient, isinstance(patient, self._patients.kind.clear)
        else:
            document = (await self._own.read_own_anew()).document
            cls = HealthcareProfessional if kind == "hcparty" else MedicalDevice
            record = from_wire(cls, document)
        item = _item("dataOwner", record, decrypted=is_decrypted)
        return {**item, "type": _NOUNS[kind]}

    async def _shared(self, own_id: str, page_size: int) -> AsyncGenerator[_Item, None]:
        """Iterate over what is shared with the data owner, or with organisations above it."""
        owner_ids = sorted(await self._own.hierarchy())
        for kind in _KINDS:
            async with contextlib.aclosing(self._found(kind, owner_ids, page_size)) as found:
                async for record in found:
                    if kind != "patient" or record.id != own_id:
                        yield _item(kind, record, decrypted=not isinstance(record, _SEALED))

    def _found(
        self, kind: str, owner_ids: Sequence[str], page_size: int
    ) -> AsyncGenerator[EntityModel, None]:
        if kind == "patient":
            patients = [PatientFilter().for_data_owner(one).build() for one in owner_ids]
            return self._patients.find(_any_of(patients), page_size)
        if kind == "notification":
            notices = [NotificationFilter().for_data_owner(one).build() for one in owner_ids]
            return self._notifications.find(_any_of(notices), page_size)
        if kind == "healthcare element":
            elements = [HealthcareElementFilter().for_data_owner(one).build() for one in owner_ids]
            return self._elements.find(_any_of(elements), page_size)
        samples = [DataSampleFilter().for_data_owner(one).build() for one in owner_ids]
        return self._samples.find(_any_of(samples), page_size)


def _any_of(filters: list[Filter]) -> Filter:
    first, *others = filters
    for other in others:
        first |= other
    return first


def _item(kind: str, record: EntityModel, *, decrypted: bool = True) -> _Item:
    item = {
        "kind": kind,
        "id": record.id,
        "decrypted": decrypted,
        "content": _without_secrets(record.to_dict()),
    }
    unknown = _without_secrets(record.unknown_fields or {})
    return {**item, "unknown": unknown} if unknown else item


def _without_secrets(members: Mapping[str, Any]) -> _Item:
    hidden = _KEYS | _SECRETS
    return {name: _without_keys(value) for name, value in members.items() if name not in hidden}


def _without_keys(value: Any) -> Any:
    """Return JSON without the keys that data samples have which are nested in others."""
    if is_object(value):
        return {name: _without_keys(item) for name, item in value.items() if name not in _KEYS}
    return [_without_keys(item) for item in value] if is_list(value) else value


def _without_token_secrets(user: User) -> User:
    """Return a user whose tokens have nothing but their dates, whatever was sent."""
    tokens = {
        key: AuthenticationToken(creation_time=token.creation_time, validity=token.validity)
        for key, token in user.authentication_tokens.items()
    }
    return user.evolve(authentication_tokens=tokens)
