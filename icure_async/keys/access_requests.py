"""Requests of an invited patient for access to its own data, which professionals have written.

One notification of type ``NEW_USER_OWN_DATA_ACCESS`` goes to each data owner that the patient's
record is shared with (wire-protocol.md §6.13).
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.entities.kinds import PATIENT
from icure_async.errors import ValidationError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.delivery import Delivery
from icure_async.keys.notices import MAX_RECIPIENTS
from icure_async.models.access_request import AccessRequest
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.repository import Repository
    from icure_async.errors import ICureError
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument

__all__ = ["AccessRequests", "delegates_of_record"]

_log: Final = logging.getLogger(__name__)

_NAMESPACE: Final = uuid.UUID("0f9a4a57-3f0b-4a8e-8b1c-5c3a2f0d9e64")
_NOT_ALL_ASKED: Final = (
    "Not all data owners could be asked for access: call again, which asks nobody twice."
)
_TOO_MANY: Final = (
    f"More than {MAX_RECIPIENTS} data owners read the record, and no more than these are asked by "
    "the SDK. Ask this one in another way."
)
_TYPE: Final = "NEW_USER_OWN_DATA_ACCESS"


def delegates_of_record(record: Mapping[str, Any]) -> list[str]:
    """Return the ids of those who read a patient's record, itself not among them."""
    delegations = as_object(record.get("delegations"))
    readers = [name for name, entries in delegations.items() if entries and is_id(name)]
    return [name for name in readers if name != record.get("id")]


class AccessRequests:
    """Asks for access on behalf of the current data owner."""

    def __init__(
        self,
        *,
        own_document: OwnDocument,
        notifications: Repository[Notification, EncryptedNotification],
        metadata: EncryptionMetadata,
        current_user: CurrentUser,
    ) -> None:
        self._own = own_document
        self._metadata = metadata
        self._delivery = Delivery(
            notifications,
            metadata,
            current_user,
            own_document,
            again="data_owner_api.ask_access_to_own_data()",
        )

    async def ask_if_patient(self) -> list[AccessRequest]:
        """Do the work of :meth:`ask` for a patient, and nothing for other data owners."""
        own = await self._own.own()
        return await self.ask() if own.kind == PATIENT.route else []

    def _readers_of(self, record: Mapping[str, Any]) -> list[str]:
        """Return the ids of those who read the patient's record, as far as it names them."""
        named = sorted(self._metadata.delegates_of(record) - {record.get("id")})
        return list(dict.fromkeys([*delegates_of_record(record), *filter(is_id, named)]))

    async def ask(self) -> list[AccessRequest]:
        """Ask everybody who reads the patient's record; nobody is asked twice by that.

        Raises:
            ValidationError: the current data owner is no patient.
            BackendError: a request was not taken, and may be later. The others were sent.
            NetworkError: the same.
        """
        own = await self._own.own()
        if own.kind != PATIENT.route:
            raise ValidationError(
                "Only patients ask for access to their own data: log in as one. Nothing was sent."
            )
        readers = self._readers_of(own.document)
        recipients, left_out = readers[:MAX_RECIPIENTS], readers[MAX_RECIPIENTS:]
        auto_delegates = await self._delivery.auto_delegates()
        reachable = await self._delivery.get_ready([*recipients, *auto_delegates])
        # Nobody can know it before the patient has made it, and take the ids of the requests.
        document = (await self._own.own()).document
        first_key = str(document.get("publicKey") or next(iter(published_keys_of(document)), None))
        requests: list[AccessRequest] = []
        passing: ICureError | None = None
        for recipient_id in recipients:
            notice = Notification(id=_id_of(own.id, first_key, recipient_id), type=_TYPE)
            problem: str | None = "It cannot be read, or has no public key yet."
            if recipient_id in reachable:
                delegates = dict.fromkeys([recipient_id, *auto_delegates])
                failure, may_help = await self._delivery.post(
                    await self._delivery.document_of(notice, own.id),
                    [name for name in delegates if name in reachable],
                    required=[recipient_id],
                )
                problem = None if failure is None else str(failure)
                passing = failure if may_help else passing
            if problem:
                _log.warning(
                    "Data owner %s could not be asked for access: %s",
                    printable(recipient_id),
                    problem,
                )
            requests.append(
                AccessRequest(
                    recipient_id=recipient_id,
                    notification_id=notice.id,
                    delivered=problem is None,
                    problem=problem,
                )
            )
        if left_out:
            _log.warning("%d data owners are not asked for access", len(left_out))
        requests += [
            AccessRequest(
                recipient_id=recipient_id,
                notification_id=_id_of(own.id, first_key, recipient_id),
                delivered=False,
                problem=_TOO_MANY,
            )
            for recipient_id in left_out
        ]
        if passing is not None:
            passing.args = (f"{passing} {_NOT_ALL_ASKED}",)
            raise passing
        return requests


def _id_of(owner_id: str, public_key: str, recipient_id: str) -> str:
    said = f"{_TYPE}:{owner_id}:{public_key}:{recipient_id}"
    # Not every text from a backend has bytes.
    name = said.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return str(uuid.uuid5(_NAMESPACE, name))
