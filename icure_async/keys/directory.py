"""Exchange keys of the current data owner: looked up, and created where they are missing."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import anyio

from icure_async.crypto.exchange_keys import (
    LEGACY_KEY,
    add_exchange_key,
    delegates_of,
    exchange_key_of_pair,
    exchange_keys_in_view,
    exchange_keys_to,
    has_exchange_key,
    public_keys_of,
)
from icure_async.crypto.key_ring import EXCHANGE_KEY_BYTES
from icure_async.crypto.transfer_keys import add_transfer_keys
from icure_async.entities.wholeness import looks_whole, owner_looks_whole
from icure_async.errors import (
    BadRequestError,
    ConflictError,
    CryptoError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.current_user import data_owner_of
from icure_async.models.key_pair import fingerprint_of
from icure_async.rest.data_owners import DATA_OWNER_KINDS, DataOwnerKind, TypedDataOwner
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.recovery import KeyRecovery
    from icure_async.keys.trust import KeyTrust
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.data_owners import DataOwnerResource

__all__ = ["MAX_CONFLICTS", "MAX_PARENTS", "OwnKeyDirectory"]

_log: Final = logging.getLogger(__name__)

MAX_CONFLICTS: Final = 8
"""How often a data owner's document is re-read and merged before giving up."""

MAX_PARENTS: Final = 32
"""How many parents a data owner may have, one above the other."""

_READ_AT_ONCE: Final = 16

_REFUSED: Final = (NotFoundError, PermissionDeniedError, BadRequestError)

# Professionals mostly read what patients share with them, and everybody else the other way round.
_VIEW_ORDER: Final[Mapping[DataOwnerKind, tuple[DataOwnerKind, ...]]] = {
    "hcparty": ("patient", "hcparty", "device"),
    "patient": ("hcparty", "patient", "device"),
    "device": ("hcparty", "patient", "device"),
}


class OwnKeyDirectory:
    """A :class:`~icure_async.entities.sealing.KeyDirectory` on the backend, with a cache.

    A failed write is never kept: after one, the document is read again.
    """

    def __init__(
        self,
        owners: DataOwnerResource,
        current_user: CurrentUser,
        crypto: Crypto,
        key_ring: KeyRing,
        *,
        recovery: KeyRecovery,
        trust: KeyTrust,
    ) -> None:
        self._owners = owners
        self._current_user = current_user
        self._crypto = crypto
        self._key_ring = key_ring
        self._recovery = recovery
        self._trust = trust
        self._own: TypedDataOwner | None = None
        self._others: dict[str, TypedDataOwner] = {}
        self._views: dict[tuple[DataOwnerKind, str], Mapping[str, Any]] = {}
        self._reading = anyio.Lock()
        # Of many who need the same at once, one looks it up.
        self._looking_up: defaultdict[object, anyio.Lock] = defaultdict(anyio.Lock)
        self._writing = anyio.Lock()

    @property
    def has_policy(self) -> bool:
        """Whether the application decides which keys are written with."""
        return self._trust.has_policy

    def refuse_while_asking(self) -> None:
        """Refuse what the function that is asked about keys does with this API object.

        Raises:
            ConfigurationError: the application is being asked.
        """
        self._trust.refuse_while_asking()

    async def own(self) -> TypedDataOwner:
        """Return the current data owner.

        Raises:
            CryptoError: the user is not a data owner.
        """
        if self._own is not None:
            return self._own
        async with self._reading:
            if self._own is None:
                self._own = await self._read_own()
            return self._own

    async def own_id(self) -> str:
        """Return the id of the current data owner."""
        return (await self.own()).id

    async def read_own_anew(self) -> TypedDataOwner:
        """Return the current data owner as it is now, and keep what is cached."""
        return await self._read_own()

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
        missing: list[str] = []
        for delegator_id in delegator_ids:
            if delegator_id == own.id:
                found[delegator_id] = exchange_keys_to(own.document, delegate_id)
            else:
                missing.append(delegator_id)
        for kind in _VIEW_ORDER[own.kind]:
            if not missing:
                break
            view = await self._view(kind, delegate_id)
            for delegator_id in missing:
                keys = exchange_keys_in_view(view, delegator_id)
                if keys:
                    found[delegator_id] = keys
            missing = [delegator_id for delegator_id in missing if delegator_id not in found]
        return found

    async def refresh(self) -> None:
        """Forget what is cached, and recover key pairs that were published meanwhile."""
        self._own = None
        self._others.clear()
        self._views.clear()
        if self._key_ring:
            await self._recovery.recover((await self.own()).document)

    async def encryptable_among(self, owner_ids: Sequence[str]) -> list[str]:
        """Return those data owners who can be read and have a public key."""
        with_keys: list[str] = []
        for owner_id, owner in (await self._others_among(owner_ids)).items():
            if owner is not None and public_keys_of(owner.document):
                with_keys.append(owner_id)
            else:
                # It may publish one any moment: looked up again next time.
                self._others.pop(owner_id, None)
        return with_keys

    async def _others_among(self, owner_ids: Sequence[str]) -> dict[str, TypedDataOwner | None]:
        """Return other data owners by id, None for those who can't be read; many several a time."""
        if len(owner_ids) <= _READ_AT_ONCE:
            return {owner_id: await self._other(owner_id) for owner_id in owner_ids}
        found: dict[str, TypedDataOwner | None] = dict.fromkeys(owner_ids)
        limiter = anyio.CapacityLimiter(_READ_AT_ONCE)
        failures: list[ICureError] = []

        async def look_up(owner_id: str) -> None:
            async with limiter:
                if failures:
                    return
                try:
                    found[owner_id] = await self._other(owner_id)
                except ICureError as error:
                    failures.append(error)

        async with anyio.create_task_group() as tasks:
            for owner_id in found:
                tasks.start_soon(look_up, owner_id)
        if failures:
            raise failures[0]
        return found

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
                self._own = own = await self._read_own()
                if not _has_all_key_pairs(own, view):
                    raise _says_two_things(own.id)
            found.update(dict.fromkeys(view))
        found.update(dict.fromkeys(delegates_of(own.document)))
        found.pop(own.id, None)
        return list(found)

    def learn(self, document: Mapping[str, Any]) -> None:
        """Take note of a patient document as the backend just gave it, if it is our own."""
        if self._own is None or self._own.id != document.get("id"):
            return
        whole = owner_looks_whole(document) and looks_whole(document)
        # Else it is read when it is needed, with more care.
        self._own = TypedDataOwner(self._own.kind, dict(document)) if whole else None

    async def exchange_keys_for(self, delegate_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the exchange keys to write with: to ourselves first, then to the delegates.

        Missing ones are created, all in one write. A delegate that does not exist or has no public
        key yet is left out, with a warning in the log (cryptography.md §5.1).

        Raises:
            CryptoError: no key pair of ours is in use, or an exchange key of ours can't be opened.
            ConflictError: our document keeps changing under our hands.
        """
        self.refuse_while_asking()
        async with self._writing:
            own_id = await self.own_id()
            for _ in range(MAX_CONFLICTS):
                own = await self.own()
                document, keys = await self.prepare(own.document, delegate_ids)
                if document is own.document:
                    return keys
                if await self.save_own(TypedDataOwner(own.kind, document)):
                    return keys
        raise ConflictError(
            f"Data owner {own_id} was changed by somebody else {MAX_CONFLICTS} times in a row. "
            "Try again.",
            retryable=True,
        )

    async def save_own(self, owner: TypedDataOwner) -> bool:
        """Write our own document; return False where it was changed meanwhile."""
        self._own = None
        await self._trust.save(owner.id)
        try:
            self._own = await self._owners.modify(owner)
        except ConflictError:
            return False
        return True

    async def read_anew(self, owner_id: str) -> TypedDataOwner | None:
        """Return another data owner as it is now, or None where it can't be read."""
        self._others.pop(owner_id, None)
        return await self._other(owner_id)

    async def save_other(self, owner: TypedDataOwner) -> bool:
        """Write another data owner's document; return False where it was changed meanwhile."""
        self._others.pop(owner.id, None)
        await self._trust.save(await self.own_id())
        try:
            self._others[owner.id] = await self._owners.modify(owner)
        except ConflictError:
            return False
        self._views.clear()
        return True

    async def with_new_key_pair(
        self, document: dict[str, Any], key_pair: KeyPair
    ) -> dict[str, Any]:
        """Return our document with one more key pair, which the older ones lead to (§10).

        Its exchange key to ourselves is for all our key pairs, and its private half is there for
        the holders of those older ones that are on this device or confirmed by the policy. What is
        in the document stays as it is. Nothing is written.
        """
        own_id, public_key = str(document["id"]), key_pair.public_key
        older = await self._encryptable(own_id, document)
        exchange_key = await self._made_key(own_id, own_id)
        wrapped = await self._key_ring.wrap(exchange_key, [public_key, *older])
        self._key_ring.remember(wrapped, exchange_key)
        document = add_exchange_key(
            document, own_id, owner_key=public_key, wrapped=wrapped, delegate_public_key=None
        )
        # Whoever can write the document can name a key of their own among the older ones: the new
        # private half is for keys only that are known to be the user's.
        holders = [key for key in older if self._trust.has_policy or self._key_ring.holds(key)]
        if not holders:
            return document
        transfer = await self._crypto.aes_encrypt(exchange_key, bytes.fromhex(key_pair.private_key))
        return add_transfer_keys(document, holders, public_key, transfer)

    async def prepare(
        self, document: dict[str, Any], delegate_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return our document with all exchange keys in it, and the keys by delegate.

        Nothing is written; the document is the same object where nothing is missing.
        """
        own_id = str(document["id"])
        keys: dict[str, bytes] = {}
        for delegate_id in dict.fromkeys([own_id, *delegate_ids]):
            opened = await self._opened_keys(document, delegate_id)
            exchange_key = await self._trust.first_usable(own_id, own_id, delegate_id, opened)
            if exchange_key is None:
                is_own = delegate_id == own_id
                if opened and not self._has_free_slot(document, delegate_id):
                    if is_own:
                        raise _not_confirmed(own_id)
                    continue
                delegate = document if is_own else await self._delegate(delegate_id)
                if delegate is None:
                    continue
                public_keys = await self._encryptable(delegate_id, delegate)
                # Never left out ourselves: what we write, we must be able to read.
                if not public_keys and not is_own:
                    continue
                document, exchange_key = await self._create(
                    document, delegate_id, delegate, public_keys
                )
            keys[delegate_id] = exchange_key
        await self._trust.save(own_id)
        return document, keys

    async def may_write_with(self, owner_id: str, delegate_id: str, exchange_key: bytes) -> bool:
        """Return whether an exchange key protects what is written, as the policy sees it."""
        own_id = await self.own_id()
        usable = await self._trust.first_usable(own_id, owner_id, delegate_id, [exchange_key])
        return usable is not None

    async def _opened_keys(self, document: Mapping[str, Any], delegate_id: str) -> list[bytes]:
        wrapped_keys = exchange_keys_to(document, delegate_id)
        if not self._trust.has_policy:
            # The first one will be used: the others need not be opened.
            for wrapped in wrapped_keys:
                exchange_key = await self._key_ring.open(wrapped)
                if exchange_key is not None:
                    return [exchange_key]
            return []
        opened = [await self._key_ring.open(wrapped) for wrapped in wrapped_keys]
        return [exchange_key for exchange_key in opened if exchange_key is not None]

    def _has_free_slot(self, document: Mapping[str, Any], delegate_id: str) -> bool:
        return any(
            not has_exchange_key(document, delegate_id, owner_key=key)
            for key in self._key_ring.own_among(public_keys_of(document))
        )

    async def _made_key(self, own_id: str, delegate_id: str) -> bytes:
        """Return a new exchange key, which this device will know again."""
        exchange_key = await self._crypto.random_bytes(EXCHANGE_KEY_BYTES)
        self._trust.note_made(own_id, delegate_id, exchange_key)
        return exchange_key

    async def _create(
        self,
        document: dict[str, Any],
        delegate_id: str,
        delegate: Mapping[str, Any],
        public_keys: Sequence[str],
    ) -> tuple[dict[str, Any], bytes]:
        own_keys = self._key_ring.own_among(public_keys_of(document))
        if not own_keys:
            raise _no_own_key(document, self._key_ring)
        free = [
            key for key in own_keys if not has_exchange_key(document, delegate_id, owner_key=key)
        ]
        if not free:
            raise CryptoError(
                f"The exchange key from data owner {document['id']} to {delegate_id} exists, but "
                "none of the key pairs in use opens it. Nothing was changed: it may be readable "
                "with another key pair of this data owner."
            )
        exchange_key = await self._made_key(str(document["id"]), delegate_id)
        wrapped = await self._key_ring.wrap(exchange_key, [*own_keys, *public_keys])
        self._key_ring.remember(wrapped, exchange_key)
        changed = add_exchange_key(
            document,
            delegate_id,
            owner_key=free[0],
            wrapped=wrapped,
            delegate_public_key=delegate.get("publicKey"),
        )
        return changed, exchange_key

    async def _delegate(self, delegate_id: str) -> Mapping[str, Any] | None:
        """Return a delegate's document if it has a public key."""
        delegate = await self._other(delegate_id)
        if delegate is None:
            _log.warning(
                "Not sharing with data owner %s: it cannot be read", printable(delegate_id)
            )
            return None
        if not public_keys_of(delegate.document):
            _log.warning("Not sharing with data owner %s: it has no public key yet", delegate_id)
            # It may publish one any moment: looked up again next time.
            del self._others[delegate_id]
            return None
        return delegate.document

    async def _encryptable(self, owner_id: str, owner: Mapping[str, Any]) -> list[str]:
        """Return the owner's public keys that really are such, and may be encrypted for."""
        well_formed = await self._well_formed(owner_id, owner)
        foreign = [key for key in well_formed if not self._key_ring.holds(key)]
        own_id = await self.own_id()
        usable = await self._trust.encryptable(own_id, owner_id, foreign)
        return [key for key in well_formed if key in usable or self._key_ring.holds(key)]

    async def _well_formed(self, owner_id: str, owner: Mapping[str, Any]) -> list[str]:
        """Return the owner's public keys that really are such."""
        well_formed: list[str] = []
        for public_key in public_keys_of(owner):
            try:
                await self._crypto.rsa_encrypt(public_key, b"")
            except ValueError:
                _log.warning("A public key of data owner %s is malformed", owner_id)
                continue
            well_formed.append(public_key)
        return well_formed

    async def unknown_public_keys(self) -> list[str]:
        """Return our published keys that are neither on this device nor confirmed.

        One that is malformed nobody can encrypt for.
        """
        own = await self.own()
        return [
            key
            for key in await self._well_formed(own.id, own.document)
            if not self._key_ring.own_among([key])
            and not await self._trust.confirmed_before(own.id, key)
        ]

    async def _other(self, owner_id: str) -> TypedDataOwner | None:
        if not is_id(owner_id):
            # Somebody has put it into a document: nobody can have it.
            return None
        known = self._others.get(owner_id)
        if known is not None:
            return known
        async with self._looking_up[owner_id]:
            known = self._others.get(owner_id)
            if known is None:
                known = await self._read_other(owner_id)
                if known is not None:
                    self._others[owner_id] = known
            return known

    async def _read_other(self, owner_id: str) -> TypedDataOwner | None:
        try:
            owner = await self._owners.get(owner_id)
        except _REFUSED:
            owner = None
        if owner is not None:
            return owner
        for kind in DATA_OWNER_KINDS:
            try:
                return await self._owners.get_of_kind(kind, owner_id)
            except _REFUSED:
                continue
        return None

    async def _read_own(self) -> TypedDataOwner:
        user = self._current_user.known
        if user is None:
            try:
                owner = await self._owners.current()
            except _REFUSED:
                owner = None
            if owner is not None:
                return owner
            user = await self._current_user.get()
        kind, owner_id = data_owner_of(user)
        return await self._owners.get_of_kind(kind, owner_id)

    async def _view(self, kind: DataOwnerKind, delegate_id: str) -> Mapping[str, Any]:
        view = self._views.get((kind, delegate_id))
        if view is not None:
            return view
        async with self._looking_up[kind, delegate_id]:
            view = self._views.get((kind, delegate_id))
            if view is None:
                try:
                    view = await self._owners.exchange_keys(kind, delegate_id)
                except _REFUSED:
                    view = {}
                self._views[kind, delegate_id] = view
            return view


def _not_confirmed(own_id: str) -> CryptoError:
    return CryptoError(
        f"The exchange key that is stored for data owner {own_id} itself was not made on this "
        "device, and not confirmed by the policy given to with_public_key_policy(). Nothing was "
        "written. Confirm it where another device of the user's made it; else call the "
        "administrator of the backend."
    )


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


def _says_two_things(own_id: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not read data owner {printable(own_id)}: the server says two things about its "
        "keys. Nothing was changed. Try again; where it stays so, call the administrator of the "
        "backend."
    )


def _no_own_key(document: Mapping[str, Any], key_ring: KeyRing) -> CryptoError:
    for fingerprint in map(fingerprint_of, public_keys_of(document)):
        if fingerprint in key_ring:
            return CryptoError(
                f"The public key {fingerprint} that is stored for data owner {document['id']} is "
                "not that of the key pair in use with this fingerprint: somebody has replaced it. "
                "Nothing was written. Call the administrator of the backend."
            )
    return CryptoError(
        f"No key pair of data owner {document['id']} is in use: call init_user_crypto() first."
    )
