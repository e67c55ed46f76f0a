"""Data owners (patients, healthcare parties, devices) as the crypto layer sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from icure_async.errors import InvalidResponseError
from icure_async.json_shapes import is_object
from icure_async.rest.documents import (
    AFTER_A_WRITE,
    ANOTHER_USER,
    checked_document,
    checked_exchange_key_view,
)
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.session import Session

__all__ = ["DATA_OWNER_KINDS", "DataOwnerKind", "DataOwnerResource", "TypedDataOwner"]

DataOwnerKind = Literal["hcparty", "patient", "device"]
DATA_OWNER_KINDS: Final[tuple[DataOwnerKind, ...]] = ("hcparty", "patient", "device")
"""Path names of the resources that hold data owners."""

_KIND_BY_TYPE: Final[Mapping[str, DataOwnerKind]] = {
    "hcp": "hcparty",
    "patient": "patient",
    "device": "device",
}


@attrs.frozen
class TypedDataOwner:
    """A data owner's wire JSON, with the kind of document it is."""

    kind: DataOwnerKind
    document: dict[str, Any] = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """Id of the data owner."""
        return str(self.document["id"])

    @property
    def rev(self) -> object:
        """Its revision."""
        return self.document.get("rev")


class DataOwnerResource:
    """Data owners as wire JSON, checked."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def current(self) -> TypedDataOwner | None:
        """Return the logged-in user's data owner, or None where the answer is of no use."""
        action = "read the current user's data owner"
        owner = await self._typed("current", None, action)
        if owner is not None and self._session.data_owner_id not in (None, owner.id):
            raise InvalidResponseError(f"Could not {action}: {ANOTHER_USER}")
        return owner

    async def get(self, owner_id: str) -> TypedDataOwner | None:
        """Return a data owner of any kind, or None where the answer is of no use."""
        return await self._typed(owner_id, owner_id, f"read data owner {owner_id}")

    async def get_of_kind(self, kind: DataOwnerKind, owner_id: str) -> TypedDataOwner:
        """Return a data owner whose kind is known."""
        action = f"read {kind} {owner_id}"
        response = await self._session.request(
            "GET", path(kind, owner_id), action=action, repeatable=True
        )
        document = checked_document(response.json_object(), kind, owner_id, action)
        return TypedDataOwner(kind, document)

    async def modify(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Replace a data owner's document. Not repeated blindly."""
        action = f"modify {owner.kind} {owner.id}"
        response = await self._session.request(
            "PUT", f"/{owner.kind}", action=action, body=owner.document
        )
        document = response.json_object()
        return TypedDataOwner(
            owner.kind,
            checked_document(document, owner.kind, owner.id, action, advice=AFTER_A_WRITE),
        )

    async def exchange_keys(self, kind: DataOwnerKind, delegate_id: str) -> dict[str, Any]:
        """Return the exchange keys that delegators of one kind have towards a delegate.

        Shape: ``{delegatorId: {fp of delegator key: {fp of encrypting key: hex}}}``.
        """
        action = f"read the exchange keys of {delegate_id}"
        response = await self._session.request(
            "GET", path(kind, delegate_id, "aesExchangeKeys"), action=action, repeatable=True
        )
        return checked_exchange_key_view(response.json_object(), action)

    async def _typed(self, name: str, owner_id: str | None, action: str) -> TypedDataOwner | None:
        response = await self._session.request(
            "GET", path("dataowner", name), action=action, repeatable=True
        )
        answer = response.json_object()
        kind, document = _KIND_BY_TYPE.get(str(answer.get("type"))), answer.get("dataOwner")
        if kind is None or not is_object(document) or not isinstance(document.get("id"), str):
            return None
        return TypedDataOwner(kind, checked_document(document, kind, owner_id, action))
