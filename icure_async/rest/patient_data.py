"""The backend's lists of the medical data of a patient, found by the patient's secret ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

import attrs

from icure_async.rest.documents import checked_document, checked_documents
from icure_async.rest.entities import EntityResource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.session import Session

__all__ = ["NOUNS", "PatientDataKind", "PatientDataResource", "Search"]

PatientDataKind = Literal["helement", "contact", "document", "form", "invoice"]
"""A kind of medical data, named as in the paths of the backend."""

_BY_PATIENT: Final = "byHcPartySecretForeignKeys"
_PATHS: Final[Mapping[PatientDataKind, str]] = {
    "helement": f"/helement/{_BY_PATIENT}",
    "contact": f"/contact/{_BY_PATIENT}",
    "form": f"/form/{_BY_PATIENT}/delegations",
    "invoice": f"/invoice/{_BY_PATIENT}/delegations",
}
NOUNS: Final[Mapping[PatientDataKind, str]] = {
    "helement": "healthcare element",
    "contact": "contact",
    "document": "document",
    "form": "form",
    "invoice": "invoice",
}
"""The kinds in words."""

_STUB: Final = ("id", "rev", "delegations", "cryptedForeignKeys", "encryptionKeys")
"""The members of a document that go out with new entries (docs/spec/second-world.md §2.7)."""


@attrs.frozen(eq=False, repr=False)
class Search:
    """A filter for data of patients.

    Attributes:
        resource: finds it.
        filter: as JSON (server-behaviour.md §9.3).
    """

    resource: EntityResource
    filter: Mapping[str, Any]


class PatientDataResource:
    """Medical data of patients as wire JSON, checked. Of forms and invoices ids and entries come.

    Source: wire-protocol.md §6.10.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of_patient(
        self, kind: PatientDataKind, owner_id: str, secret_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the data of a kind that belongs to a patient, and is shared with a data owner.

        Args:
            kind: what to list.
            owner_id: the data owner, of whatever type.
            secret_ids: those of the patient.
        """
        action = f"list the {NOUNS[kind]}s of a patient"
        query = {"hcPartyId": owner_id, "secretFKeys": ",".join(secret_ids)}
        response = await self._session.request(
            "GET", _PATHS[kind], action=action, query=urlencode(query), repeatable=True
        )
        return [checked_document(row, kind, None, action) for row in response.json_list()]

    def search(
        self,
        kind: PatientDataKind,  # noqa: ARG002
        owner_ids: Sequence[str],  # noqa: ARG002
        secret_ids: Sequence[str],  # noqa: ARG002
    ) -> Search | None:
        """Return the filter that finds the same for several data owners, where there is one."""
        return None

    async def read(self, kind: PatientDataKind, entity_id: str) -> dict[str, Any]:
        """Return one of the data as it is stored."""
        return await EntityResource(self._session, kind, NOUNS[kind]).get(entity_id)

    async def documents(self, document_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return documents; unknown ones are left out."""
        action = f"read {len(document_ids)} documents"
        # It reads (server-behaviour.md §10.9).
        response = await self._session.request(
            "POST",
            "/document/batch",
            action=action,
            body={"ids": list(document_ids)},
            repeatable=True,
        )
        return checked_documents(response.json_list(), "document", document_ids, action)

    async def add_entries(
        self, kind: PatientDataKind, documents: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Store the entries of documents, and return those that were changed by id.

        Repeating it changes nothing. Of what is returned, ids and entries are there.

        Args:
            kind: what they are.
            documents: with all their entries, old and new.
        """
        action = f"share {len(documents)} {NOUNS[kind]}s"
        response = await self._session.request(
            "POST",
            f"/{kind}/delegations",
            action=action,
            body=[{name: one[name] for name in _STUB if name in one} for one in documents],
            repeatable=True,
        )
        wanted = [one["id"] for one in documents]
        changed = checked_documents(response.json_list(), kind, wanted, action)
        return {one["id"]: one for one in changed}
