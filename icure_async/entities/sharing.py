"""The data owners with whom the current user shares new entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["Sharing", "auto_delegates_of"]

Prepared = TypeVar("Prepared")


class Sharing(Protocol):
    """The current user, and the data owners it shares with at present."""

    async def sharing(
        self, prepare: Callable[[Mapping[str, Any]], Awaitable[Prepared]], /
    ) -> Prepared:
        """Return the result of preparing for the data owners the user shares with automatically."""
        ...


def auto_delegates_of(user: Mapping[str, Any], categories: Sequence[str]) -> list[str]:
    """Return the data owners with whom the user shares new records, without doubles."""
    by_category = as_object(user.get("autoDelegations"))
    listed = [owner for category in categories for owner in as_list(by_category.get(category))]
    return list(dict.fromkeys(owner for owner in listed if isinstance(owner, str) and owner))
