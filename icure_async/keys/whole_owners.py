"""Data owners with all their keys: a document that looks cut off is read once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from icure_async.entities.wholeness import (
    ENTITY_METADATA,
    KEY_MATERIAL,
    SHARES_MEMBER,
    has_all_keys_of,
    looks_whole,
    owner_looks_whole,
    same_material,
    stub_looks_whole,
)
from icure_async.errors import InvalidResponseError
from icure_async.foreign_text import printable
from icure_async.rest.data_owners import DataOwnerResource, TypedDataOwner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.rest.data_owners import DataOwnerKind

__all__ = ["WholeDataOwners", "says_two_things"]

_MAX_READS: Final = 3
_GUARDED: Final = (*KEY_MATERIAL, *ENTITY_METADATA)

OwnerT = TypeVar("OwnerT", TypedDataOwner, "TypedDataOwner | None")


class WholeDataOwners(DataOwnerResource):
    """Data owners whose documents may be written back, with a change.

    A document in which something may be missing is believed where a second answer says the same.
    """

    async def current(self) -> TypedDataOwner | None:
        """Return the logged-in user's data owner, or None where the answer is of no use."""
        return await self._confirmed(super().current, with_transfers=True)

    async def get(self, owner_id: str) -> TypedDataOwner | None:
        """Return a data owner of any kind, or None where the answer is of no use."""
        read = super().get
        return await self._confirmed(lambda: read(owner_id))

    async def get_stub(self, owner_id: str) -> TypedDataOwner:
        """Return the keys of a data owner of any kind, who may be anybody."""
        read = super().get_stub
        return await self._confirmed(lambda: read(owner_id))

    async def get_of_kind(self, kind: DataOwnerKind, owner_id: str) -> TypedDataOwner:
        """Return a data owner whose kind is known."""
        read = super().get_of_kind
        return await self._confirmed(lambda: read(kind, owner_id))

    async def modify(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Replace a data owner's document. Not repeated blindly.

        Raises:
            InvalidResponseError: the answer has other keys than were sent.
        """
        saved = await super().modify(owner)
        if not same_material(owner.document, saved.document, _GUARDED):
            raise InvalidResponseError(
                f"Could not modify {owner.kind} {printable(owner.id)}: the keys in the server's "
                "answer are not those that were sent. Read it again to see what is stored."
            )
        return saved

    def _compare(self, stored: TypedDataOwner, owner: TypedDataOwner) -> None:
        """Refuse to write a document in which keys are missing that are stored.

        Raises:
            InvalidResponseError: they were missing in the answer that it was made from.
        """
        # A member that is missing altogether is stored as it is; shares for notaries are replaced.
        kept = stored.document | owner.document
        kept[SHARES_MEMBER] = stored.document.get(SHARES_MEMBER)
        if stored.kind != owner.kind or (
            stored.rev == owner.rev and not has_all_keys_of(kept, stored.document)
        ):
            raise says_two_things(owner.id)

    async def _confirmed(
        self, read: Callable[[], Awaitable[OwnerT]], *, with_transfers: bool = False
    ) -> OwnerT:
        """Read a data owner, and once more where something may be missing.

        Raises:
            InvalidResponseError: two answers with the same revision have other keys.
        """
        owner = await read()
        for _ in range(_MAX_READS - 1):
            if owner is None or self.is_whole(owner, with_transfers=with_transfers):
                break
            before, owner = owner, await read()
            if owner is None or owner.id != before.id:
                raise says_two_things(before.id)
            if owner.document.get("rev") == before.document.get("rev"):
                if not same_material(before.document, owner.document, _GUARDED):
                    raise says_two_things(before.id)
                break
        return owner

    def is_whole(self, owner: TypedDataOwner, *, with_transfers: bool = False) -> bool:
        """Return whether no sign says that a part of a document was cut off.

        Where there are stubs, nothing but the keys is written back.
        """
        if self.has_stubs:
            return stub_looks_whole(owner.document, with_transfers=with_transfers)
        is_whole = owner_looks_whole(owner.document, with_transfers=with_transfers)
        return is_whole and (owner.kind != "patient" or looks_whole(owner.document))


def says_two_things(owner_id: str) -> InvalidResponseError:
    """Return the error for answers that contradict each other."""
    return InvalidResponseError(
        f"Could not read data owner {printable(owner_id)}: the server says two things about its "
        "keys. Nothing was changed. Try again; where it stays so, call the administrator of the "
        "backend."
    )
