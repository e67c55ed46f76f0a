"""Data owners as others see them: who they are, and their public keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.crypto.exchange_keys import is_public_key, published_keys_of
from icure_async.errors import InvalidResponseError, NotFoundError
from icure_async.models.public_key import PublicKey
from icure_async.models.shares import DataOwner
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.data_owners import TypedDataOwner

__all__ = ["PublicDataOwners"]


class PublicDataOwners:
    """Looks data owners up, as the backend has them now."""

    def __init__(self, own_document: OwnDocument) -> None:
        self._own = own_document

    async def get(self, owner_id: str) -> DataOwner:
        """Return a data owner.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is none of this id, or it may not be read.
            InvalidResponseError: what the backend has of it is malformed.
        """
        owner = await self._own.read_person_anew(validate_id(owner_id, "data owner id"))
        if owner is None:
            raise NotFoundError(
                f"Data owner {owner_id} does not exist, or the current user may not read it: check "
                "the id, or have the owner share its record."
            )
        parent_id = owner.document.get("parentId")
        return DataOwner(
            id=owner.id,
            type=owner.kind,
            name=_text(owner, "name"),
            first_name=_text(owner, "firstName"),
            last_name=_text(owner, "lastName"),
            parent_id=parent_id or None,
            deleted=bool(owner.document.get("deletionDate")),
            public_keys=tuple(
                [
                    PublicKey(owner.id, public_key)
                    for public_key in published_keys_of(owner.document)
                    if await is_public_key(self._own.crypto, public_key)
                ]
            ),
        )


def _text(owner: TypedDataOwner, name: str) -> str | None:
    value = owner.document.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidResponseError(
        f"Could not read {owner.kind} {owner.id}: {name} in the server's answer is not a text. "
        "Try again; where it stays so, call the administrator of the backend."
    )
