"""A patient shared with everything that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.entities.at_once import each_at_once
from icure_async.errors import CryptoError
from icure_async.models.shares import AccessToAllData, DataAccess
from icure_async.rest.patient_data import NOUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.shares import Shares
    from icure_async.errors import ICureError
    from icure_async.models.patient import EncryptedPatient, Patient
    from icure_async.rest.patient_data import PatientDataKind, PatientDataResource

__all__ = ["AllDataOfPatients"]


class AllDataOfPatients:
    """Shares patients with their medical data."""

    def __init__(
        self,
        shares: Shares[Patient, EncryptedPatient],
        resource: PatientDataResource,
        *,
        metadata: EncryptionMetadata,
        own: OwnDocument,
    ) -> None:
        self._shares = shares
        self._resource = resource
        self._metadata = metadata
        self._own = own

    async def give_access(self, patient_id: str, delegate_id: str) -> AccessToAllData:
        """Share a patient; ``PatientApi.give_access_to_all_data_of`` has the arguments and errors.

        The patient goes first: a delegate of its data alone would not find them.
        """
        stored = await self._shares.share_stored(patient_id, delegate_id)
        secret_ids = await self._metadata.secret_ids_of(stored.document)
        has_merged = bool(stored.document.get("mergedIds"))
        found: dict[PatientDataKind, DataAccess] = {}

        async def look(kind: PatientDataKind) -> None:
            found[kind] = await self._access_to(
                kind, secret_ids, delegate_id, has_merged=has_merged
            )

        def failed(kind: PatientDataKind, error: ICureError) -> None:
            found[kind] = DataAccess(error=error)

        ending = await each_at_once(NOUNS, look, failed)
        if ending is not None:
            found = {kind: found.get(kind, DataAccess(error=ending)) for kind in NOUNS}
        is_new = stored.access == "given"
        return AccessToAllData(
            patient_id=patient_id,
            delegate_id=delegate_id,
            patient=DataAccess(shared=int(is_new), shared_before=int(not is_new)),
            healthcare_elements=found["helement"],
            data_samples=found["contact"],
            forms=found["form"],
            invoices=found["invoice"],
        )

    async def _access_to(
        self,
        kind: PatientDataKind,
        secret_ids: Sequence[str],
        delegate_id: str,
        *,
        has_merged: bool,
    ) -> DataAccess:
        noun = NOUNS[kind]
        if not secret_ids:
            return DataAccess(error=_no_secret_id(noun))
        documents = await self._find(kind, secret_ids)
        lacking = await self._metadata.lacking(documents, delegate_id)
        missing = tuple(
            str(document["id"]) for document, lacks in zip(documents, lacking, strict=True) if lacks
        )
        error = _not_covered(noun, len(missing)) if missing else None
        return DataAccess(
            shared_before=len(documents) - len(missing),
            not_shared=missing,
            error=error or (_not_looked_for(noun) if has_merged else None),
        )

    async def _find(self, kind: PatientDataKind, secret_ids: Sequence[str]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for owner_id in await self._own.hierarchy():
            for document in await self._resource.of_patient(kind, owner_id, secret_ids):
                found[document["id"]] = document
        return list(found.values())


def _not_covered(noun: str, count: int) -> CryptoError:
    what = f"1 {noun} of the patient is" if count == 1 else f"{count} {noun}s of the patient are"
    return CryptoError(
        f"{what} not shared: this version of the SDK shares the patient itself only. Share the "
        f"{noun}s with another SDK."
    )


def _not_looked_for(noun: str) -> CryptoError:
    return CryptoError(
        f"The {noun}s of the patients that were merged into this one are not looked for: nothing "
        "proves that they belong to it. Share these patients as well."
    )


def _no_secret_id(noun: str) -> CryptoError:
    return CryptoError(
        f"Whether there are {noun}s of the patient is not known: the current user has no secret id "
        "of the patient that the backend may see. Have somebody with whole access to the patient "
        "share it."
    )
