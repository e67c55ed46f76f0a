"""A patient's own record: its first metadata (today.md §7, "own patient record")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_keys import public_keys_of
from icure_async.entities.delegations import LEGACY_MAPS
from icure_async.entities.encrypted_self import encrypted_parts
from icure_async.entities.secure_delegations import SECURITY_METADATA
from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL, same_material
from icure_async.errors import InvalidResponseError
from icure_async.foreign_text import printable
from icure_async.keys.start import delegates_of_patients
from icure_async.models.wire import from_wire
from icure_async.rest.changes import change_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.entities import EntityResource

__all__ = ["OwnRecord", "has_metadata", "is_new_record"]

_METADATA: Final = (*LEGACY_MAPS, SECURITY_METADATA)


def has_metadata(record: Mapping[str, Any]) -> bool:
    """Return whether somebody has decided who reads a record, in either flavour."""
    return any(record.get(name) for name in _METADATA)


class OwnRecord:
    """The record of the current data owner, where that is a patient.

    Args:
        own_document: of the current data owner.
        kind: patients, as they are written.
        patients: the backend's.
        metadata: gives new records their keys.
        current_user: tells with whom the record is shared.
    """

    def __init__(
        self,
        own_document: OwnDocument,
        *,
        kind: EntityKind[Any, Any],
        patients: EntityResource,
        metadata: EncryptionMetadata,
        current_user: CurrentUser,
    ) -> None:
        self._own = own_document
        self._kind = kind
        self._patients = patients
        self._metadata = metadata
        self._current_user = current_user

    async def complete(self) -> None:
        """Encrypt the record, and share it as the user's sharing says, unless that has been done.

        One that a professional has made, or that is of a person of 2023, stays as it is.

        Raises:
            CryptoError: its patient could not read it.
            ConflictError: others keep changing it.
            InvalidResponseError: a member of it is malformed; or the backend has stored something
                else, or says so.
        """

        async def read() -> dict[str, Any]:
            return (await self._own.own()).document

        async def change(record: dict[str, Any]) -> dict[str, Any] | None:
            if not is_new_record(record):
                return None
            # Read as a whole: encrypted, something malformed would make all of it unreadable.
            from_wire(self._kind.clear, record)

            async def encrypted(user: Mapping[str, Any]) -> dict[str, Any]:
                return await self._metadata.add_key(
                    self._kind, self._kind.complete(record), delegates_of_patients(user)
                )

            return await self._current_user.sharing(encrypted)

        async def write(record: dict[str, Any]) -> dict[str, Any]:
            try:
                stored = await self._patients.modify(record)
            except BaseException:
                # It may have been carried out.
                self._own.forget(record["id"])
                raise
            if not same_material(record, stored, (*KEY_MATERIAL, *ENTITY_METADATA)):
                raise InvalidResponseError(
                    f"Could not modify patient {printable(record['id'])}: the keys in the server's "
                    "answer are not those that were sent. Call init_user_crypto() again."
                )
            self._own.learn(self._kind.route, stored)
            return stored

        await change_document(
            f"Patient {await self._own.own_id()}",
            read=read,
            change=change,
            write=write,
            advice="Call init_user_crypto() again.",
        )


def is_new_record(record: Mapping[str, Any]) -> bool:
    """Return whether nothing in a record is encrypted, and its patient is of today."""
    return not (has_metadata(record) or encrypted_parts(record) or public_keys_of(record))
