"""Putting a data owner's key pairs to use in today's flavour (today.md §3).

New public keys stand in the stub of the data owner, next to those that are there. Unlike Cardinal,
which loses a private key where publishing fails, this stores it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from icure_async.crypto.exchange_keys import TODAYS_KEYS, published_keys_of
from icure_async.entities.kinds import PATIENT
from icure_async.json_shapes import as_list
from icure_async.keys.own_record import has_metadata
from icure_async.keys.start import KeyRegistration
from icure_async.models.key_pair import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.keys.own_document import OwnDocument
    from icure_async.keys.own_record import OwnRecord
    from icure_async.keys.start import RegistrationParts
    from icure_async.keys.todays_transfers import TodaysTransfers
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.data_owners import DataOwnerKind, TypedDataOwner

__all__ = ["CardinalKeyRegistration"]

_MADE_BY_OTHERS: Final = (
    "Somebody else made this patient's record, and the new key pair opens nothing in it yet, nor "
    "in anything that was shared with the patient before. Ask for access with "
    "data_owner_api.ask_access_to_own_data(). Where something was shared before the patient had a "
    "key, sharing it again changes nothing: those who did that call "
    "data_owner_api.give_access_back_to() with the patient's new public key."
)


class CardinalKeyRegistration(KeyRegistration):
    """The work of ``init_user_crypto`` in today's flavour.

    The key pairs of 2023 go on working where there are some; nothing is written for their owners.
    """

    def __init__(
        self,
        own_document: OwnDocument,
        *,
        transfers: TodaysTransfers,
        own_record: OwnRecord,
        **parts: Unpack[RegistrationParts],
    ) -> None:
        super().__init__(own_document, **parts)
        self._transfers = transfers
        self._own_record = own_record

    def published_keys_of(self, document: Mapping[str, Any]) -> list[str]:
        """Return the public keys of both flavours."""
        return published_keys_of(document)

    async def _complete(
        self, owner: TypedDataOwner, key_pair: KeyPair, **_: bool
    ) -> dict[str, Any]:
        """Return the owner's document with the public key; the same object where it is there."""
        document = owner.document
        published = published_keys_of(document)
        if key_pair.fingerprint in map(fingerprint_of, published):
            return document
        if published:
            # Written down first: a program that finds the key published knows which notices to
            # send.
            await self._notices.remember(owner.id, key_pair.public_key)
        return document | {TODAYS_KEYS: [*as_list(document.get(TODAYS_KEYS)), key_pair.public_key]}

    async def _finish(self, kind: DataOwnerKind) -> None:
        """Let key pairs lead to each other, and give a patient's own record its first metadata."""
        await self._transfers.complete_if_possible()
        if kind == PATIENT.route:
            await self._own_record.complete()

    def _remarks(self, owner: TypedDataOwner, *, has_first_key: bool, invited: bool) -> list[str]:
        """Return the warnings for a person who registers."""
        remarks = super()._remarks(owner, has_first_key=has_first_key, invited=invited)
        if owner.kind == PATIENT.route and has_first_key and has_metadata(owner.document):
            remarks.append(_MADE_BY_OTHERS)
        return remarks
