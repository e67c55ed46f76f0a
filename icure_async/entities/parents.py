"""The parents of data owners, one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from icure_async.errors import ValidationError
from icure_async.foreign_text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["MAX_PARENTS", "ReadOwner", "refuse_circle"]

ReadOwner: TypeAlias = "Callable[[str], Awaitable[Mapping[str, Any] | None]]"
"""Returns a data owner as it is stored, or None where it can't be read."""

MAX_PARENTS: Final = 32
"""The most parents that a data owner may have, one above the other."""


async def refuse_circle(owner_id: str, parent_id: str | None, read: ReadOwner) -> None:
    """Refuse a parent that has the data owner itself among its own parents.

    Args:
        owner_id: the data owner.
        parent_id: its new parent; None for none.
        read: reads the parents.

    Raises:
        ValidationError: there is a circle, or no such parent.
    """
    seen = [owner_id]
    while parent_id:
        if parent_id in seen or len(seen) > MAX_PARENTS:
            raise ValidationError(
                f"The parents of data owner {owner_id} would never end: {printable(parent_id)} is "
                "below it, or in a circle itself. Choose another parent_id. Nothing was changed."
            )
        parent = await read(parent_id)
        if parent is None and len(seen) == 1:
            raise ValidationError(
                f"The parent_id of data owner {owner_id} names nobody, or nobody whom this user "
                "may read. Check the id. Nothing was changed."
            )
        seen.append(parent_id)
        parent_id = (parent or {}).get("parentId")
