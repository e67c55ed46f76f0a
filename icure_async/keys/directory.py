"""Data owners and their exchange keys: looked up, and cached."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from icure_async.crypto.exchange_keys import (
    LEGACY_KEY,
    delegates_of,
    exchange_key_of_pair,
    exchange_keys_in_view,
    exchange_keys_to,
    public_keys_of,
    published_keys_of,
)
from icure_async.entities.parents import MAX_PARENTS
from icure_async.errors import (
    BadRequestError,
    DecryptionError,
    ICureError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.current_user import data_owner_of
from icure_async.keys.whole_owners import says_two_things
from icure_async.models.key_pair import fingerprint_of
from icure_async.rest.data_owners import DATA_OWNER_KINDS, DataOwnerKind, TypedDataOwner
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.recovery import KeyRecovery
    from icure_async.rest.data_owners import DataOwnerResource

__all__ = ["Directory"]

_READ_AT_ONCE: Final = 16

# Professionals mostly read what patients share with them, and everybody else the other way round.
_VIEW_ORDER: Final[Mapping[DataOwnerKind, tuple[DataOwnerKind, ...]]] = {
    "hcparty": ("patient", "hcparty", "device"),
    "patient": ("hcparty", "patient", "device"),
    "device": ("hcparty", "patient", "device"),
}

Key = TypeVar("Key")
Found = TypeVar("Found")


class Directory:
    """The current data owner, others, and the exchange keys between them, with a cache.

    Attributes:
        key_ring: the key pairs in use.
        recovery: adds key pairs to the ring.
    """

    def __init__(
        self,
        owners: DataOwnerResource,
        current_user: CurrentUser,
        key_ring: KeyRing,
        recovery: KeyRecovery,
    ) -> None:
        self.key_ring: Final = key_ring
        self.recovery: Final = recovery
        self._owners = owners
        self._current_user = current_user
        self._own: TypedDataOwner | None = None
        self._identity: tuple[str, str] | None = None
        self._others: dict[str, TypedDataOwner] = {}
        self._views: dict[tuple[DataOwnerKind, str], Mapping[str, Any]] = {}
        self._reading = anyio.Lock()
        self._looking_up: defaultdict[object, anyio.Lock] = defaultdict(anyio.Lock)

    async def own(self) -> TypedDataOwner:
        """Return the current data owner.

        Raises:
            CryptoError: the user is not a data owner.
        """
        if self._own is not None:
            return self._own
        async with self._reading:
            if self._own is None:
                self._own = await self.read_own_anew()
                self._identity = self._own.kind, self._own.id
            return self._own

    async def own_id(self) -> str:
        """Return the id of the current data owner."""
        return (await self.own()).id

    def is_own(self, route: str, entity_id: str) -> bool:
        """Return whether this is the current data owner, as far as that has been looked up.

        Args:
            route: names the kind: other kinds have ids of their own, which anybody may choose.
            entity_id: id of an entity of that kind.
        """
        return self._identity == (route, entity_id)

    async def read_own_anew(self) -> TypedDataOwner:
        """Return the current data owner as it is now, and leave the cache alone."""
        # Stubs are of use to everybody; who may read the whole of a document is another matter.
        user = None if self._owners.has_stubs else self._current_user.known
        if user is None:
            owner = await _unless_refused(self._owners.current())
            if owner is not None:
                return owner
            user = await self._current_user.get()
        kind, owner_id = data_owner_of(user)
        return await self._owners.get_of_kind(kind, owner_id)

    async def read_anew(self, owner_id: str) -> TypedDataOwner | None:
        """Return another data owner as it is now, or None where it can't be read."""
        self._forget(owner_id)
        return await self._other(owner_id)

    async def other(self, owner_id: str) -> TypedDataOwner | None:
        """Return another data owner, as it was last read, or None where it can't be read."""
        return await self._other(owner_id)

    def forget(self, owner_id: str) -> None:
        """Have a data owner read again when it is needed the next time."""
        self._forget(owner_id)

    async def read_person_anew(self, owner_id: str) -> TypedDataOwner | None:
        """Return another data owner as it is now, with its name where that may be read."""
        if not self._owners.has_stubs or not is_id(owner_id):
            return await self.read_anew(owner_id)
        return await _unless_refused(self._owners.get(owner_id)) or await self.read_anew(owner_id)

    async def read_document_anew(self, owner_id: str) -> Mapping[str, Any] | None:
        """Return the document of a data owner as it is now, or None where it can't be read."""
        owner = await self.read_anew(owner_id)
        return None if owner is None else owner.document

    async def require_anew(self, owner_id: str) -> TypedDataOwner:
        """Return another data owner as it is now.

        Raises:
            NotFoundError: it can't be read.
        """
        owner = await self.read_anew(owner_id)
        if owner is None:
            raise NotFoundError(
                f"Data owner {owner_id} does not exist, or the current user may not read it: check "
                "the id, or have the owner share its record. Nothing was changed."
            )
        return owner

    async def read_view(self, kind: DataOwnerKind, delegate_id: str) -> Mapping[str, Any]:
        """Return the exchange keys of delegators of a kind as they are now, as far as allowed."""
        return await _unless_refused(self._owners.exchange_keys(kind, delegate_id)) or {}

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the current data owner and its parents, nearest first: id → wire JSON.

        A parent that can't be read has no members.

        Raises:
            DecryptionError: they go round in a circle, or are more than there can be.
        """
        own = await self.own()
        found: dict[str, Mapping[str, Any]] = {own.id: own.document}
        document: Mapping[str, Any] = own.document
        while parent_id := document.get("parentId"):
            if parent_id in found or len(found) > MAX_PARENTS:
                raise DecryptionError(
                    f"The parents of data owner {printable(own.id)} never end: there is a circle "
                    f"among them, or there are more than {MAX_PARENTS}. Have an administrator of "
                    "the backend correct parentId.",
                    entity_type="data owner",
                    entity_ids=[own.id],
                )
            parent = await self._other(parent_id)
            document = parent.document if parent else {}
            found[parent_id] = document
        return found

    async def exchange_keys_towards(
        self, delegate_id: str, delegator_ids: Sequence[str]
    ) -> Mapping[str, Sequence[WrappedKey]]:
        """Return the exchange keys from each delegator to the delegate, as far as there are any.

        The current data owner's own come from its document; for others, the backend's views are
        asked one after the other until every delegator is found.
        """
        own = await self.own()
        found: dict[str, Sequence[WrappedKey]] = {}
        if own.id in delegator_ids:
            found[own.id] = exchange_keys_to(own.document, delegate_id)
        for kind in _VIEW_ORDER[own.kind]:
            missing = [delegator_id for delegator_id in delegator_ids if delegator_id not in found]
            if not missing:
                break
            view = await self._view(kind, delegate_id)
            for delegator_id in missing:
                if keys := exchange_keys_in_view(view, delegator_id):
                    found[delegator_id] = keys
        return found

    async def refresh(self) -> None:
        """Forget what is cached, and put key pairs to use that were published since."""
        self._own = None
        self._others.clear()
        self._views.clear()
        if self.key_ring:
            document = (await self.own()).document
            await self.recovery.use_stored(document)
            await self.recovery.recover(document)

    async def correspondents(self) -> list[str]:
        """Return the ids of all who have exchange keys from or to the current data owner.

        Raises:
            InvalidResponseError: our document lacks a key pair that the backend's view names.
        """
        own = await self.own()
        found: dict[str, None] = {}
        for kind in _VIEW_ORDER[own.kind]:
            view = await self._view(kind, own.id)
            if not _has_all_key_pairs(own, view):
                # Another device may have published one since our document was read.
                self._own = own = await self.read_own_anew()
                if not _has_all_key_pairs(own, view):
                    raise says_two_things(own.id)
            found.update(dict.fromkeys(view))
        found.update(dict.fromkeys(delegates_of(own.document)))
        found.pop(own.id, None)
        return list(found)

    async def encryptable_among(self, owner_ids: Sequence[str]) -> list[str]:
        """Return those data owners who can be read and have a public key."""
        owners = await self._others_among(owner_ids)
        return [
            owner_id for owner_id, owner in owners.items() if self._has_public_key(owner_id, owner)
        ]

    def _forget(self, owner_id: str) -> None:
        self._others.pop(owner_id, None)
        if self._own is not None and self._own.id == owner_id:
            self._own = None

    def _has_public_key(self, owner_id: str, owner: TypedDataOwner | None) -> bool:
        keys_of = published_keys_of if self._owners.has_stubs else public_keys_of
        if owner is not None and keys_of(owner.document):
            return True
        # It may publish one at any moment: it is looked up again next time.
        self._others.pop(owner_id, None)
        return False

    async def _others_among(self, owner_ids: Sequence[str]) -> dict[str, TypedDataOwner | None]:
        """Return other data owners by id, None for those who can't be read; several at a time."""
        if len(owner_ids) <= _READ_AT_ONCE:
            return {owner_id: await self._other(owner_id) for owner_id in owner_ids}
        found: dict[str, TypedDataOwner | None] = dict.fromkeys(owner_ids)
        limiter = anyio.CapacityLimiter(_READ_AT_ONCE)
        failures: list[ICureError] = []

        async def look_up(owner_id: str) -> None:
            async with limiter:
                try:
                    if not failures:
                        found[owner_id] = await self._other(owner_id)
                except ICureError as error:
                    failures.append(error)

        async with anyio.create_task_group() as tasks:
            for owner_id in found:
                tasks.start_soon(look_up, owner_id)
        if failures:
            raise failures[0]
        return found

    async def _other(self, owner_id: str) -> TypedDataOwner | None:
        # Somebody may put anything into a document as an id.
        if not is_id(owner_id):
            return None
        return await self._once(self._others, owner_id, lambda: self._read_other(owner_id))

    async def _read_other(self, owner_id: str) -> TypedDataOwner | None:
        if self._owners.has_stubs:
            return await _unless_refused(self._owners.get_stub(owner_id))
        owner = await _unless_refused(self._owners.get(owner_id))
        for kind in DATA_OWNER_KINDS:
            if owner is None:
                owner = await _unless_refused(self._owners.get_of_kind(kind, owner_id))
        return owner

    async def _view(self, kind: DataOwnerKind, delegate_id: str) -> Mapping[str, Any]:
        key = kind, delegate_id
        return await self._once(self._views, key, lambda: self.read_view(kind, delegate_id)) or {}

    async def _once(
        self, cache: dict[Key, Found], key: Key, read: Callable[[], Awaitable[Found | None]]
    ) -> Found | None:
        """Return the cached value; if many tasks need the same at once, one looks it up."""
        if key in cache:
            return cache[key]
        async with self._looking_up[key]:
            if key in cache:
                return cache[key]
            found = await read()
            if found is not None:
                cache[key] = found
            return found


async def _unless_refused(reading: Awaitable[Found]) -> Found | None:
    """Return the read value, or None where it does not exist or may not be read."""
    try:
        return await reading
    except (NotFoundError, PermissionDeniedError, BadRequestError):
        return None


def _has_all_key_pairs(own: TypedDataOwner, view: Mapping[str, Any]) -> bool:
    """Return whether our document has the exchange keys to ourselves, and what opens them."""
    present = {
        (fingerprint_of(level), fingerprint)
        for level in public_keys_of(own.document)
        for fingerprint in exchange_key_of_pair(own.document, own.id, owner_key=level)
    }
    named = {
        (fingerprint_of(level), fingerprint_of(name))
        for level, wrapped in as_object(view.get(own.id)).items()
        for name in as_object(wrapped)
        if name != LEGACY_KEY
    }
    return named <= present
