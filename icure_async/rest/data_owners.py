"""Data owners (patients, healthcare parties, devices) as the crypto layer sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from icure_async.errors import ConflictError, InvalidResponseError
from icure_async.foreign_text import printable
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

    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session

__all__ = [
    "DATA_OWNER_KINDS",
    "STUB_MEMBERS",
    "DataOwnerKind",
    "DataOwnerResource",
    "TypedDataOwner",
]

DataOwnerKind = Literal["hcparty", "patient", "device"]
DATA_OWNER_KINDS: Final[tuple[DataOwnerKind, ...]] = ("hcparty", "patient", "device")
"""Path names of the resources that hold data owners."""

STUB_MEMBERS: Final = frozenset(
    {
        "id",
        "rev",
        "aesExchangeKeys",
        "cryptoActorProperties",
        "hcPartyKeys",
        "parentId",
        "privateKeyShamirPartitions",
        "publicKey",
        "publicKeysForOaepWithSha256",
        "transferKeys",
    }
)
"""The members of a data owner that its stub has (server-behaviour.md §14.4)."""

_KIND_BY_TYPE: Final[Mapping[str, DataOwnerKind]] = {
    "hcp": "hcparty",
    "patient": "patient",
    "device": "device",
}
_TYPE_BY_KIND: Final = {kind: name for name, kind in _KIND_BY_TYPE.items()}


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
    """Data owners as wire JSON, checked.

    Attributes:
        has_stubs: whether the keys of data owners are read and written by themselves, as today's
            backend does (today.md §3), and not with the rest of the document.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.has_stubs: Final = session.dialect.flavour == "cardinal"

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

    async def get_stub(self, owner_id: str) -> TypedDataOwner:
        """Return the keys of a data owner of any kind, who may be anybody."""
        action = f"read the keys of data owner {owner_id}"
        response = await self._session.request(
            "GET", path("dataowner", "stub", owner_id), action=action, repeatable=True
        )
        return _stub_in(response, owner_id)

    async def get_of_kind(self, kind: DataOwnerKind, owner_id: str) -> TypedDataOwner:
        """Return a data owner whose kind is known."""
        action = f"read {kind} {owner_id}"
        response = await self._session.request(
            "GET", path(kind, owner_id), action=action, repeatable=True
        )
        document = checked_document(response.json_object(), kind, owner_id, action)
        return TypedDataOwner(kind, document)

    async def modify(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Store a data owner's document; where there are stubs, its keys only.

        Not repeated blindly.
        """
        if self.has_stubs:
            return await self._modify_stub(owner)
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

    async def _modify_stub(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Store the keys in a document, and return it with those that are stored then.

        The stub is compared first: it is replaced as a whole, and the document may be from an
        answer in which keys were missing.

        Raises:
            ConflictError: somebody else has changed it, or is about to.
            InvalidResponseError: the server says two things about the keys.
        """
        stored = await self.get_stub(owner.id)
        self._compare(stored, owner)
        if stored.rev != owner.rev:
            raise ConflictError(
                f"Could not modify {owner.kind} {printable(owner.id)}: somebody else changed it. "
                "Nothing was sent. Read it again and change what you read."
            )
        action = f"modify the keys of {owner.kind} {owner.id}"
        # Members that we do not know go back as they are.
        stub = stored.document | {
            name: value for name, value in owner.document.items() if name in STUB_MEMBERS
        }
        response = await self._session.request(
            "PUT",
            "/dataowner/stub",
            action=action,
            body={"type": _TYPE_BY_KIND[owner.kind], "stub": _without_empty(stub)},
        )
        saved = _stub_in(response, owner.id, advice=AFTER_A_WRITE)
        if saved.kind != owner.kind:
            raise response.invalid("the server answers about another kind of data owner")
        others = {name: value for name, value in owner.document.items() if name not in STUB_MEMBERS}
        return TypedDataOwner(owner.kind, others | saved.document)

    def _compare(self, stored: TypedDataOwner, owner: TypedDataOwner) -> None:
        """Refuse to write a document to which the stored keys do not lead."""

    async def _typed(self, name: str, owner_id: str | None, action: str) -> TypedDataOwner | None:
        response = await self._session.request(
            "GET", path("dataowner", name), action=action, repeatable=True
        )
        answer = response.json_object()
        kind, document = _KIND_BY_TYPE.get(str(answer.get("type"))), answer.get("dataOwner")
        if kind is None or not is_object(document) or not isinstance(document.get("id"), str):
            return None
        return TypedDataOwner(kind, checked_document(document, kind, owner_id, action))


def _stub_in(response: Response, owner_id: str, **advice: str) -> TypedDataOwner:
    """Return the stub in an answer, if it is the one that was asked for."""
    answer = response.json_object()
    kind = _KIND_BY_TYPE.get(str(answer.get("type")))
    if kind is None:
        raise response.invalid("the server's answer names no kind of data owner that there is")
    document = answer.get("stub")
    return TypedDataOwner(
        kind, checked_document(document, "stub", owner_id, response.action, **advice)
    )


def _without_empty(stub: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stub as today's backend wants it: what is empty is left out (today.md §2)."""
    return {name: value for name, value in stub.items() if value not in (None, "", [], {})}
