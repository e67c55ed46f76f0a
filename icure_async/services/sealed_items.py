"""Items of a storage that only a secret opens, which its owner keeps: the id in a cookie, say.

From the secret, HKDF derives the name of the item and
the AES-256-GCM key of its value, so that the storage alone neither tells the secret nor opens
anything. The name and the members that are in clear are authenticated.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.json_shapes import is_object, parse_json_object
from icure_async.storage.locks import StorageLock, lock_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from icure_async.storage.protocols import Storage

__all__ = ["SealedItem", "SealedItems", "tag_of"]

_log: Final = logging.getLogger(__name__)

_VERSION: Final = 1
_SECRET_BYTES: Final = 32
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_DIGITS: Final = 32
_SECRET: Final = re.compile(r"(?:([0-9a-f]{32})-)?([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"(?:([0-9a-f]{32})\.)?([0-9a-f]{64})")


@attrs.frozen(kw_only=True)
class SealedItem:
    """The part of an item that the storage can read.

    Attributes:
        name: of the item.
        created_at: epoch milliseconds.
        expires_at: epoch milliseconds.
    """

    name: str
    created_at: int
    expires_at: int


class SealedItems:
    """Sealed items of one kind, each found and opened by its secret.

    Args:
        storage: where they are.
        prefix: of their names in the storage; it is part of every key.
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix

    def new_secret(self, tag: str | None = None) -> str:
        """Return a secret nobody can guess, which fits into a cookie or a URL.

        Args:
            tag: of the items that are to be listed together: 32 hexadecimal digits.
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        return secret if tag is None else f"{tag}-{secret}"

    def is_secret(self, secret: object) -> bool:
        """Return whether this has the form of a secret."""
        return isinstance(secret, str) and _SECRET.fullmatch(secret) is not None

    def lock(self, secret: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the lock of an item, where the storage has locks."""
        return lock_of(self._storage, self._name_of(secret) or self._prefix)

    async def read(self, secret: object) -> tuple[SealedItem, dict[str, Any]] | None:
        """Return an item with its sealed members; None where there is none that this secret opens.

        Raises:
            StorageError: the storage can't be read.
        """
        name = self._name_of(secret)
        if name is None or not isinstance(secret, str):
            return None
        text = await self._storage.get_item(name)
        if text is None:
            return None
        opened = self._opened(name, secret, text)
        if opened is None:
            _log.warning(
                "An item below %r in the storage is damaged, or somebody has changed it: it counts "
                "as absent.",
                self._prefix,
            )
        return opened

    async def write(
        self, secret: str, members: Mapping[str, object], *, created_at: int, expires_at: int
    ) -> None:
        """Write an item, or replace it.

        Raises:
            StorageError: the storage can't be written.
        """
        name = self._name_of(secret)
        if name is None:
            raise ValueError("The secret is not one of new_secret().")
        item = SealedItem(name=name, created_at=created_at, expires_at=expires_at)
        await self._storage.set_item(name, self._sealed(item, secret, members))

    async def remove(self, secret: object) -> None:
        """Remove an item; removing an absent one is no error."""
        name = self._name_of(secret)
        if name is not None:
            await self._storage.remove_item(name)

    async def remove_named(self, name: str) -> None:
        """Remove an item by its name in the storage, once nobody changes it.

        Somebody who has read it before would write it again afterwards.
        """
        async with lock_of(self._storage, name):
            await self._storage.remove_item(name)

    async def each(self, tag: str | None = None) -> AsyncIterator[SealedItem]:
        """Yield the items of a tag, or all of them, as far as the storage can read them.

        A damaged one is yielded as if it had expired long ago.
        """
        prefix = self._prefix if tag is None else f"{self._prefix}{tag}."
        for name in await self._storage.list_items(prefix):
            if _NAME.fullmatch(name.removeprefix(self._prefix)):
                text = await self._storage.get_item(name)
                if text is not None:
                    yield _clear_part(name, parse_json_object(text)) or _damaged(name)

    def _name_of(self, secret: object) -> str | None:
        found = _SECRET.fullmatch(secret) if isinstance(secret, str) else None
        if found is None:
            return None
        tag = found.group(1)
        digest = _derived(found.group(2), f"{self._prefix}name").hex()
        return f"{self._prefix}{digest}" if tag is None else f"{self._prefix}{tag}.{digest}"

    def _sealed(self, item: SealedItem, secret: str, members: Mapping[str, object]) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        plaintext = json.dumps(members, separators=(",", ":")).encode()
        ciphertext = AESGCM(self._key(secret)).encrypt(nonce, plaintext, _bound(item))
        return json.dumps(
            {
                "version": _VERSION,
                "createdAt": item.created_at,
                "expiresAt": item.expires_at,
                "sealed": (nonce + ciphertext).hex(),
            }
        )

    def _opened(
        self, name: str, secret: str, text: object
    ) -> tuple[SealedItem, dict[str, Any]] | None:
        from icure_async.storage._sealing import decrypt

        document = parse_json_object(text)
        item = _clear_part(name, document)
        sealed = _bytes_of_hex((document or {}).get("sealed"))
        if document is None or item is None or sealed is None:
            return None
        if document.get("version") != _VERSION:
            return None
        plaintext = decrypt(self._key(secret), sealed, _bound(item))
        members = parse_json_object(plaintext)
        return None if members is None else (item, members)

    def _key(self, secret: str) -> bytes:
        return _derived(secret, f"{self._prefix}key")


def tag_of(text: str) -> str:
    """Return a tag for items that belong together, which does not show the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_TAG_DIGITS]


def _derived(secret: str, purpose: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    hkdf = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode())
    return hkdf.derive(secret.encode())


def _bound(item: SealedItem) -> bytes:
    members = [_VERSION, item.name, item.created_at, item.expires_at]
    return json.dumps(members, separators=(",", ":")).encode()


def _clear_part(name: str, document: object) -> SealedItem | None:
    if not is_object(document):
        return None
    version, created_at, expires_at = map(document.get, ("version", "createdAt", "expiresAt"))
    if type(version) is not int or type(created_at) is not int or type(expires_at) is not int:
        return None
    return SealedItem(name=name, created_at=created_at, expires_at=expires_at)


def _damaged(name: str) -> SealedItem:
    return SealedItem(name=name, created_at=0, expires_at=0)


def _bytes_of_hex(text: object) -> bytes | None:
    try:
        return bytes.fromhex(text) if isinstance(text, str) and text.isascii() else None
    except ValueError:
        return None
