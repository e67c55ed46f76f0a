"""The data owners with whom the logged-in user shares all new data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.shares import checked_delegates
from icure_async.errors import InvalidResponseError
from icure_async.json_shapes import as_list, as_object
from icure_async.rest.changes import change_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.users import UserResource

__all__ = ["AutomaticSharing"]

_MEMBER: Final = "autoDelegations"
_ADVICE: Final = "Nothing was changed. Try again."


class AutomaticSharing:
    """Changes with whom the user shares. A repeated call sends nothing but a look."""

    def __init__(
        self, users: UserResource, current_user: CurrentUser, own_document: OwnDocument
    ) -> None:
        self._users = users
        self._current_user = current_user
        self._own = own_document

    async def add(self, owner_ids: object, category: str) -> Mapping[str, Any]:
        """Share new data of a category with data owners, and return the user."""
        added = checked_delegates(owner_ids, await self._own.own_id())

        async def change(user: Mapping[str, Any]) -> Mapping[str, Any] | None:
            present = _listed(user, category)
            missing = [owner_id for owner_id in added if owner_id not in present]
            if not missing:
                return None
            await self._own.require_delegates(missing)
            return _with(user, category, [*present, *missing])

        return await self._change(change)

    async def remove(self, owner_ids: object, category: str) -> Mapping[str, Any]:
        """Share no more new data of a category with data owners, and return the user."""
        removed = checked_delegates(owner_ids, None)

        async def change(user: Mapping[str, Any]) -> Mapping[str, Any] | None:
            present = _listed(user, category)
            kept = [owner_id for owner_id in present if owner_id not in removed]
            return None if len(kept) == len(present) else _with(user, category, kept)

        return await self._change(change)

    async def _change(
        self, change: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]
    ) -> Mapping[str, Any]:
        return await change_document(
            "The user",
            read=lambda: self._current_user.get(fresh=True),
            change=change,
            write=self._write,
            advice=_ADVICE,
        )

    async def _write(self, user: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            saved = await self._users.modify(user)
        finally:
            # New data is shared with those whom the backend has now, whatever became of the answer.
            self._current_user.changed()
        if _sharing_of(saved) != _sharing_of(user):
            raise InvalidResponseError(
                "Could not change with whom the user shares: the server answers with something "
                "else than what was sent. Look at sharing_data_with of get_logged_user()."
            )
        await self._current_user.learn(saved)
        return saved


def _listed(user: Mapping[str, Any], category: str) -> list[str]:
    return [one for one in as_list(as_object(user.get(_MEMBER)).get(category)) if one]


def _with(user: Mapping[str, Any], category: str, owner_ids: Sequence[str]) -> Mapping[str, Any]:
    return {**user, _MEMBER: {**as_object(user.get(_MEMBER)), category: list(owner_ids)}}


def _sharing_of(user: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the data owners of each category, as far as there are any."""
    listed = {name: set(_listed(user, name)) for name in as_object(user.get(_MEMBER))}
    return {name: owners for name, owners in listed.items() if owners}
