"""Everything that a user can read, as JSON: one item after the other, a page in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL
from icure_async.keys.current_user import data_owner_of
from icure_async.models.filters import NotificationFilter, PatientFilter
from icure_async.models.healthcare_professional import HealthcareProfessional
from icure_async.models.medical_device import MedicalDevice
from icure_async.models.user import AuthenticationToken, User
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from icure_async.entities.repository import Repository
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.base import EntityModel
    from icure_async.models.filters import Filter
    from icure_async.models.notification import EncryptedNotification, Notification
    from icure_async.models.patient import EncryptedPatient, Patient
    from icure_async.rest.data_owners import DataOwnerKind

__all__ = ["DataExport"]

_SECRETS: Final = frozenset({"passwordHash", "secret", "applicationTokens"})
_KEYS: Final = frozenset(
    {"systemMetaData", "cryptoActorProperties", *ENTITY_METADATA, *KEY_MATERIAL}
)
_NOT_READ_YET: Final = ("health element", "contact", "document", "form", "invoice", "access log")
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
    ) -> None:
        self._current_user = current_user
        self._own = own
        self._patients = patients
        self._notifications = notifications

    async def items(self, page_size: int) -> AsyncGenerator[_Item, None]:
        """Iterate over the user, its data owner, patients and notifications, and their number."""
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
            "counts": {kind: counts[kind] for kind in ("patient", "notification")},
            "undecryptable": {kind: undecryptable[kind] for kind in ("patient", "notification")},
            "notIncluded": list(_NOT_READ_YET),
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
        patients = _any_of([PatientFilter().for_data_owner(one).build() for one in owner_ids])
        notices = _any_of([NotificationFilter().for_data_owner(one).build() for one in owner_ids])
        async with contextlib.aclosing(self._patients.find(patients, page_size)) as found:
            async for patient in found:
                if patient.id != own_id:
                    is_clear = isinstance(patient, self._patients.kind.clear)
                    yield _item("patient", patient, decrypted=is_clear)
        async with contextlib.aclosing(self._notifications.find(notices, page_size)) as told:
            async for notice in told:
                is_clear = isinstance(notice, self._notifications.kind.clear)
                yield _item("notification", notice, decrypted=is_clear)


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
    return {name: value for name, value in members.items() if name not in hidden}


def _without_token_secrets(user: User) -> User:
    """Return a user whose tokens have nothing but their dates, whatever was sent."""
    tokens = {
        key: AuthenticationToken(creation_time=token.creation_time, validity=token.validity)
        for key, token in user.authentication_tokens.items()
    }
    return user.evolve(authentication_tokens=tokens)
