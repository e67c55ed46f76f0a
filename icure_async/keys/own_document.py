"""The current data owner's document: changed, and the keys that it lacks put into it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs

from icure_async.crypto.exchange_keys import (
    add_exchange_key,
    exchange_keys_to,
    has_exchange_key,
    is_public_key,
    public_keys_of,
    published_keys_of,
)
from icure_async.crypto.key_ring import EXCHANGE_KEY_BYTES
from icure_async.crypto.transfer_keys import add_transfer_keys
from icure_async.entities.wholeness import looks_whole, owner_looks_whole, stub_looks_whole
from icure_async.errors import CryptoError, ICureError
from icure_async.foreign_text import printable
from icure_async.keys.delegate_errors import no_usable_key, unreachable, without_key
from icure_async.keys.directory import Directory
from icure_async.models.key_pair import fingerprint_of
from icure_async.rest.changes import change_document
from icure_async.rest.data_owners import TypedDataOwner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.recovery import KeyRecovery
    from icure_async.keys.trust import KeyTrust
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.data_owners import DataOwnerResource

__all__ = ["OwnDocument"]

_log: Final = logging.getLogger(__name__)


class OwnDocument(Directory):
    """The directory, and the one way to change the documents of data owners in it.

    A failed write is never kept: after one, the document is read again.

    Attributes:
        crypto: the cryptographic primitives.
        trust: which keys may be written with.
    """

    def __init__(
        self,
        owners: DataOwnerResource,
        current_user: CurrentUser,
        key_ring: KeyRing,
        recovery: KeyRecovery,
        *,
        crypto: Crypto,
        trust: KeyTrust,
    ) -> None:
        super().__init__(owners, current_user, key_ring, recovery)
        self.crypto: Final = crypto
        self.trust: Final = trust
        self._writing = anyio.Lock()

    @property
    def has_policy(self) -> bool:
        """True where the application decides which keys are written with."""
        return self.trust.has_policy

    async def change(
        self,
        change: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        *,
        other_id: str | None = None,
        advice: str = "Try again.",
    ) -> dict[str, Any]:
        """Return a document as it is stored after a change, which is made again after a conflict.

        Args:
            change: returns the document changed; the same object where there is nothing to write.
            other_id: id of another data owner, whose document is to be changed; None for our own.
            advice: the next step where others keep changing it.

        Raises:
            NotFoundError: the other data owner can't be read.
            ConflictError: others keep changing the document.
        """
        owner = await self.own()
        own_id = owner.id

        async def read() -> dict[str, Any]:
            nonlocal owner
            owner = await (self.require_anew(other_id) if other_id else self.own())
            return owner.document

        async def write(document: dict[str, Any]) -> dict[str, Any]:
            self._forget(owner.id)
            await self.trust.save(own_id)
            saved = await self._owners.modify(TypedDataOwner(owner.kind, document))
            if other_id:
                self._others[other_id] = saved
                self._views.clear()
            else:
                self._own = saved
            return saved.document

        name = f"Data owner {other_id or own_id}"
        return await change_document(name, read=read, change=change, write=write, advice=advice)

    def learn(self, route: str, document: Mapping[str, Any]) -> None:
        """Take note of a document as the backend just gave it, if it is of a known data owner.

        Args:
            route: names its kind: other kinds have ids of their own, which anybody may choose.
            document: the document.
        """
        other = self._others.get(str(document.get("id")))
        if other is not None and other.kind == route and other.rev != document.get("rev"):
            self._others.pop(other.id, None)
        if self._own is None or (self._own.kind, self._own.id) != (route, document.get("id")):
            return
        whole = (
            stub_looks_whole(document)
            if self._owners.has_stubs
            else owner_looks_whole(document) and looks_whole(document)
        )
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
        return _usable(await self._exchange_keys_to(delegate_ids))

    async def exchange_keys_to_each(
        self, delegate_ids: Sequence[str]
    ) -> dict[str, bytes | ICureError]:
        """Return the exchange keys as :meth:`exchange_keys_for`, and why one is missing.

        Raises:
            CryptoError: no key pair of ours is in use, or our exchange key to ourselves is closed.
            ConflictError: our document keeps changing under our hands.
        """
        return _or_errors(await self._exchange_keys_to(delegate_ids))

    async def require_delegates(self, delegate_ids: Sequence[str]) -> None:
        """Make sure that something can be shared with data owners; nothing is written.

        Raises:
            NotFoundError: one does not exist, or may not be read.
            CryptoError: one has no public key that may be used.
        """
        document = (await self.own()).document
        for delegate_id in delegate_ids:
            if exchange_keys_to(document, delegate_id):
                continue
            delegate = await self._delegate(delegate_id)
            if isinstance(delegate, ICureError):
                raise delegate
            of_all = published_keys_of if self._owners.has_stubs else public_keys_of
            if not await self._encryptable(delegate_id, of_all(delegate)):
                raise no_usable_key(delegate_id)

    async def prepare(
        self, document: dict[str, Any], delegate_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return our document with all exchange keys in it, and the keys by delegate.

        Nothing is written; the document is the same object where nothing is missing.
        """
        document, found = await self._prepared(document, delegate_ids)
        return document, _usable(found)

    async def prepare_each(
        self, document: dict[str, Any], delegate_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, bytes | ICureError]]:
        """Return our document as :meth:`prepare`, and why a key is missing."""
        document, found = await self._prepared(document, delegate_ids)
        return document, _or_errors(found)

    async def _exchange_keys_to(self, delegate_ids: Sequence[str]) -> dict[str, bytes | _LeftOut]:
        self.trust.refuse_while_asking()
        found: dict[str, bytes | _LeftOut] = {}

        async def complete(document: dict[str, Any]) -> dict[str, Any]:
            nonlocal found
            document, found = await self._prepared(document, delegate_ids)
            return document

        async with self._writing:
            await self.change(complete)
        return found

    async def _prepared(
        self, document: dict[str, Any], delegate_ids: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, bytes | _LeftOut]]:
        own_id = str(document["id"])
        found: dict[str, bytes | _LeftOut] = {}
        for delegate_id in dict.fromkeys([own_id, *delegate_ids]):
            opened = await self._opened_keys(document, delegate_id)
            exchange_key = await self.trust.first_usable(own_id, own_id, delegate_id, opened)
            if exchange_key is not None:
                found[delegate_id] = exchange_key
            else:
                document, found[delegate_id] = await self._with_key_to(
                    document, delegate_id, has_opened=bool(opened)
                )
        await self.trust.save(own_id)
        return document, found

    async def with_new_key_pair(
        self, document: dict[str, Any], key_pair: KeyPair
    ) -> dict[str, Any]:
        """Return our document with one more key pair, which the older ones lead to (§10).

        Its exchange key to ourselves is for all our key pairs, and its private half is there for
        the holders of those older ones that are on this device or confirmed by the policy. Nothing
        in the document is replaced, and nothing is written.
        """
        own_id, public_key = str(document["id"]), key_pair.public_key
        older = await self._encryptable(own_id, public_keys_of(document))
        document, exchange_key = await self.with_new_exchange_key(
            document, own_id, owner_key=public_key, public_keys=[public_key, *older]
        )
        # Others who can write the document may name a key of their own among the older ones: the
        # new private half is for keys only that are known to be the user's.
        holders = [key for key in older if self.has_policy or self.key_ring.holds(key)]
        if not holders:
            return document
        return await self.with_transfer_keys(document, holders, key_pair, exchange_key)

    async def with_new_exchange_key(
        self,
        document: Mapping[str, Any],
        delegate_id: str,
        *,
        owner_key: str,
        public_keys: Iterable[str],
        delegate_key: str | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        """Return our document with a new exchange key, and that. This device will know it again.

        Args:
            document: our own, which is not written.
            delegate_id: the delegate; we ourselves for the self entry.
            owner_key: our public key that the exchange key belongs to.
            public_keys: those to encrypt it for.
            delegate_key: the ``publicKey`` of the delegate.
        """
        own_id = str(document["id"])
        exchange_key = await self.crypto.random_bytes(EXCHANGE_KEY_BYTES)
        self.trust.note_made(own_id, delegate_id, exchange_key)
        wrapped = await self.key_ring.wrap(exchange_key, public_keys)
        self.key_ring.remember(wrapped, exchange_key)
        changed = add_exchange_key(
            document,
            delegate_id,
            owner_key=owner_key,
            wrapped=wrapped,
            delegate_public_key=delegate_key,
        )
        return changed, exchange_key

    async def with_transfer_keys(
        self,
        document: Mapping[str, Any],
        holders: Sequence[str],
        key_pair: KeyPair,
        exchange_key: bytes,
    ) -> dict[str, Any]:
        """Return our document with transfer keys from some public keys to a key pair.

        Args:
            document: our own, which is not written.
            holders: the public keys whose holders obtain the private key.
            key_pair: the one that they obtain.
            exchange_key: of that key pair, to ourselves.
        """
        private_key = bytes.fromhex(key_pair.private_key)
        transfer = await self.crypto.aes_encrypt(exchange_key, private_key)
        return add_transfer_keys(document, holders, key_pair.public_key, transfer)

    async def may_write_with(self, owner_id: str, delegate_id: str, exchange_key: bytes) -> bool:
        """Return whether the policy lets an exchange key protect new content."""
        own_id = await self.own_id()
        usable = await self.trust.first_usable(own_id, owner_id, delegate_id, [exchange_key])
        return usable is not None

    async def unknown_public_keys(self) -> list[str]:
        """Return our published keys that are neither on this device nor confirmed.

        One that is malformed nobody can encrypt for.
        """
        own = await self.own()
        return [
            key
            for key in await self._well_formed(own.id, published_keys_of(own.document))
            if not self.key_ring.own_among([key])
            and not await self.trust.confirmed_before(own.id, key)
        ]

    async def _opened_keys(self, document: Mapping[str, Any], delegate_id: str) -> list[bytes]:
        opened: list[bytes] = []
        for wrapped in exchange_keys_to(document, delegate_id):
            # One that a parent's key pair alone opens would be lost with the parent.
            exchange_key = await self.key_ring.open(wrapped, own_only=True)
            if exchange_key is not None:
                opened.append(exchange_key)
                if not self.has_policy:
                    # The first one will be used: the others need not be opened.
                    break
        return opened

    def _free_slots(self, document: Mapping[str, Any], delegate_id: str) -> list[str]:
        """Return our public keys in use that have no exchange key to the delegate."""
        return [
            key
            for key in self.key_ring.own_among(public_keys_of(document))
            if not has_exchange_key(document, delegate_id, owner_key=key)
        ]

    async def _with_key_to(
        self, document: dict[str, Any], delegate_id: str, *, has_opened: bool
    ) -> tuple[dict[str, Any], bytes | _LeftOut]:
        """Return our document with an exchange key to a delegate who has no usable one."""
        is_own = delegate_id == document["id"]
        free = self._free_slots(document, delegate_id)
        if has_opened and not free:
            if is_own:
                raise _not_confirmed(delegate_id)
            return document, _LeftOut("unconfirmed", _unconfirmed_exchange_key(delegate_id))
        delegate = document if is_own else await self._delegate(delegate_id)
        if isinstance(delegate, ICureError):
            return document, _LeftOut("unreachable", delegate)
        public_keys = await self._encryptable(delegate_id, public_keys_of(delegate))
        # Never left out ourselves: we must be able to read our own records.
        if not public_keys and not is_own:
            return document, _LeftOut("unconfirmed", no_usable_key(delegate_id))
        own_keys = self.key_ring.own_among(public_keys_of(document))
        if not own_keys:
            raise _no_own_key(document, self.key_ring)
        if not free:
            error = _closed_exchange_key(document, delegate_id)
            if is_own:
                raise error
            return document, _LeftOut("closed", error)
        return await self.with_new_exchange_key(
            document,
            delegate_id,
            owner_key=free[0],
            public_keys=[*own_keys, *public_keys],
            delegate_key=delegate.get("publicKey"),
        )

    async def _delegate(self, delegate_id: str) -> Mapping[str, Any] | ICureError:
        """Return a delegate's document, or why nothing can be shared with it."""
        delegate = await self._other(delegate_id)
        if delegate is None or delegate.document.get("deletionDate"):
            self._others.pop(delegate_id, None)
            return unreachable(delegate_id)
        if self._has_public_key(delegate_id, delegate):
            return delegate.document
        if published_keys_of(delegate.document):
            return CryptoError(
                f"Nothing can be shared with data owner {printable(delegate_id)} in the flavour of "
                '2023: it has keys of today\'s iCure only. Log in with with_flavour("cardinal") on '
                "the builder for that."
            )
        return without_key(delegate_id)

    async def _encryptable(self, owner_id: str, public_keys: Iterable[str]) -> list[str]:
        """Return those public keys of an owner that really are such, and may be encrypted for."""
        well_formed = await self._well_formed(owner_id, public_keys)
        foreign = [key for key in well_formed if not self.key_ring.holds(key)]
        usable = await self.trust.encryptable(await self.own_id(), owner_id, foreign)
        return [key for key in well_formed if key in usable or self.key_ring.holds(key)]

    async def _well_formed(self, owner_id: str, public_keys: Iterable[str]) -> list[str]:
        """Return those of a data owner's public keys that really are such."""
        well_formed: list[str] = []
        for public_key in public_keys:
            if await is_public_key(self.crypto, public_key):
                well_formed.append(public_key)
            else:
                _log.warning("A public key of data owner %s is malformed", owner_id)
        return well_formed


@attrs.frozen(eq=False, repr=False)
class _LeftOut:
    """A delegate for whom there is no exchange key to write with."""

    reason: Literal["unreachable", "unconfirmed", "closed"]
    error: ICureError


def _usable(found: Mapping[str, bytes | _LeftOut]) -> dict[str, bytes]:
    """Return the exchange keys that there are.

    Raises:
        CryptoError: there is one that can't be opened.
    """
    usable: dict[str, bytes] = {}
    for delegate_id, key in found.items():
        if isinstance(key, bytes):
            usable[delegate_id] = key
        elif key.reason == "closed":
            raise key.error
        elif key.reason == "unreachable":
            _log.warning(
                "Not sharing with data owner %s: it cannot be read, or has no public key of 2023",
                printable(delegate_id),
            )
    return usable


def _or_errors(found: Mapping[str, bytes | _LeftOut]) -> dict[str, bytes | ICureError]:
    return {name: key if isinstance(key, bytes) else key.error for name, key in found.items()}


def _unconfirmed_exchange_key(delegate_id: str) -> CryptoError:
    return CryptoError(
        f"Nothing can be shared with data owner {printable(delegate_id)}: the exchange key that is "
        "stored for it was not made on this device, and not confirmed by the policy given to "
        "with_public_key_policy(). Confirm it where another device of the user's made it."
    )


def _closed_exchange_key(document: Mapping[str, Any], delegate_id: str) -> CryptoError:
    return CryptoError(
        f"The exchange key from data owner {document['id']} to {printable(delegate_id)} exists, "
        "but none of the key pairs in use opens it. Nothing was changed: it may be readable with "
        "another key pair of this data owner."
    )


def _not_confirmed(own_id: str) -> CryptoError:
    return CryptoError(
        f"The exchange key that is stored for data owner {own_id} itself was not made on this "
        "device, and not confirmed by the policy given to with_public_key_policy(). Nothing was "
        "written. Confirm it where another device of the user's made it; else call the "
        "administrator of the backend."
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
