"""Data owners (patients, healthcare parties, devices) as the crypto layer sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

import attrs

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


class DataOwnerResource:
    """Data owners as wire JSON."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def current(self) -> TypedDataOwner | None:
        """Return the logged-in user's data owner, or None where the answer is of no use."""
        return await self._typed("current", "read the current user's data owner")

    async def get(self, owner_id: str) -> TypedDataOwner | None:
        """Return a data owner of any kind, or None where the answer is of no use."""
        return await self._typed(owner_id, f"read data owner {owner_id}")

    async def get_of_kind(self, kind: DataOwnerKind, owner_id: str) -> TypedDataOwner:
        """Return a data owner whose kind is known."""
        response = await self._session.request(
            "GET", path(kind, owner_id), action=f"read {kind} {owner_id}", repeatable=True
        )
        return TypedDataOwner(kind, response.json_object())

    async def modify(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Replace a data owner's document. Not repeated blindly."""
        response = await self._session.request(
            "PUT", f"/{owner.kind}", action=f"modify {owner.kind} {owner.id}", body=owner.document
        )
        return TypedDataOwner(owner.kind, response.json_object())

    async def exchange_keys(self, kind: DataOwnerKind, delegate_id: str) -> dict[str, Any]:
        """Return the exchange keys that delegators of one kind have towards a delegate.

        Shape: ``{delegatorId: {fp of delegator key: {fp of encrypting key: hex}}}``.
        """
        response = await self._session.request(
            "GET",
            path(kind, delegate_id, "aesExchangeKeys"),
            action=f"read the exchange keys of {delegate_id}",
            repeatable=True,
        )
        return response.json_object()

    async def _typed(self, owner_id: str, action: str) -> TypedDataOwner | None:
        response = await self._session.request(
            "GET", path("dataowner", owner_id), action=action, repeatable=True
        )
        answer = response.json_object()
        kind, document = _KIND_BY_TYPE.get(str(answer.get("type"))), answer.get("dataOwner")
        if kind is None or not isinstance(document, dict):
            return None
        owner = cast("dict[str, Any]", document)
        return TypedDataOwner(kind, owner) if isinstance(owner.get("id"), str) else None
