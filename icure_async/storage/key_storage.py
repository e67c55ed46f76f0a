"""Private keys on any storage, under the names and in the form of the reference."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.errors import StorageError, ValidationError
from icure_async.models.key_pair import (
    FINGERPRINT_LENGTH,
    KeyPair,
    fingerprint_of,
    is_fingerprint,
)
from icure_async.secret_holders import SecretHolder
from icure_async.storage.files import ExposedFileError, FileStorage
from icure_async.storage.locks import StorageLock, lock_of
from icure_async.storage.memory import MemoryStorage
from icure_async.threads import CRYPTO

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from icure_async.storage.protocols import Storage

__all__ = [
    "FileKeyStorage",
    "MemoryKeyStorage",
    "StorageKeyStorage",
    "StoredKey",
    "is_in_memory",
]

_logger = logging.getLogger(__name__)

_BASE_LIBRARY_PREFIX: Final = "org.taktik.icure.rsa."
_CACHE_SIZE: Final = 32
_HALVES: Final = frozenset({"publicKey", "privateKey"})


@attrs.frozen
class StoredKey:
    """An item that is a key pair by its name.

    Attributes:
        name: of the item.
        data_owner_id: whose key pair it is.
        fingerprint: of the key pair (32 hex characters); None where it cannot be told.
        problem: why it cannot be used, or None.
    """

    name: str
    data_owner_id: str
    fingerprint: str | None
    problem: str | None = None


class StorageKeyStorage:
    """A :class:`~icure_async.storage.KeyStorage` on any :class:`~icure_async.storage.Storage`.

    Names and contents are the reference's, byte for byte (cryptography.md §1.3, §2). A pair is
    written as ``{dataOwnerId}.{fingerprint}``. Reading also looks under
    ``org.taktik.icure.rsa.{dataOwnerId}.{fingerprint}`` and ``org.taktik.icure.rsa.{dataOwnerId}``,
    where the base library of the reference keeps keys, and accepts its fuller JWKs.

    Key pairs, and items that hold none:

    * An item whose JSON object has no other member than ``publicKey``, if any, holds no key pair.
      One that lacks ``publicKey`` does, since the private half tells the public one; the reference
      takes it for none.
    * A broken item (not JSON, another member in place of ``privateKey``, mangled numbers, halves
      that do not match, another key than its name says) is a
      :class:`~icure_async.errors.StorageError` that names it. Where another item gives the key that
      was asked for, or at least one key of the list, the broken one is skipped with a logged
      warning. Where it is all there is, it is an error and not "no keys": a program that believed
      so would create a new key, and the old records would seem lost.
    * On a :class:`~icure_async.storage.FileStorage`, a key file to which group or others have any
      permission is always an error, which names the file and the ``chmod`` to run: the key may have
      leaked. Of a mounted Kubernetes Secret, it says which mode to set.

    Keys are validated in full, in a worker thread, when they are stored or first read. The 32 most
    recently used pairs are kept in memory so that reading them again costs no validation.
    Use an object from one event loop at a time.

    Every method raises :class:`~icure_async.errors.ValidationError` for a data owner id that is
    empty or holds a slash, a backslash or a control character.

    Args:
        storage: where the items are.

    Example:
        >>> keys = StorageKeyStorage(MemoryStorage())
        >>> await keys.store_key_pair("4711", key_pair)
        >>> await keys.list_key_pairs("4711") == [key_pair]
        True
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._validated: dict[bytes, KeyPair] = {}

    def __getstate__(self) -> dict[str, object]:
        # A copy, or an object that is pickled for another process, reads its keys again.
        return {**self.__dict__, "_validated": {}}

    @property
    def storage(self) -> Storage:
        """The storage that holds the items."""
        return self._storage

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        """Return the key pair with this fingerprint, or None.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            fingerprint: ``str``, 32 hex characters in either case; a whole public key also serves
                (cryptography.md §1.4).

        Returns:
            The ``KeyPair`` as lower-case hex of canonical DER, or None.

        Raises:
            ValidationError: an argument is malformed.
            StorageError: the key may be there, and cannot be read; or its file is exposed.

        Example:
            >>> keys = MemoryKeyStorage()
            >>> await keys.store_key_pair("4711", key_pair)
            >>> await keys.get_key_pair("4711", key_pair.fingerprint) == key_pair
            True
        """
        _check_data_owner_id(data_owner_id)
        fingerprint = _check_fingerprint(fingerprint)
        legacy = _legacy_name(data_owner_id)
        failures: list[StorageError] = []
        for name in (*_names(data_owner_id, fingerprint), legacy):
            named = None if name == legacy else fingerprint
            key_pair = await self._load_or_skip(name, named, failures)
            if key_pair is not None and key_pair.fingerprint == fingerprint:
                return key_pair
        if failures:
            raise failures[0]
        return None

    async def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        """Return all key pairs of the data owner that are on this device, each once.

        Broken items are skipped with a logged warning as long as there is one good pair.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.

        Returns:
            A ``list`` of ``KeyPair``, sorted by item name; the reference's current names first.

        Raises:
            ValidationError: the id is malformed.
            StorageError: the items cannot be listed, none of them can be read, or a key file is
                exposed.

        Example:
            >>> await MemoryKeyStorage().list_key_pairs("4711")
            []
        """
        _check_data_owner_id(data_owner_id)
        found: dict[str, KeyPair] = {}
        failures: list[StorageError] = []
        for name, fingerprint in await self._items_of(data_owner_id):
            key_pair = await self._load_or_skip(name, fingerprint, failures)
            if key_pair is not None:
                found.setdefault(key_pair.public_key, key_pair)
        if failures and not found:
            raise failures[0]
        return list(found.values())

    async def list_stored_keys(self) -> Sequence[StoredKey]:
        """Return every item that is a key pair by its name, of any data owner, broken ones too.

        Raises:
            StorageError: the items cannot be listed.
        """
        found: list[StoredKey] = []
        for name in await self._storage.list_items():
            rest = name.removeprefix(_BASE_LIBRARY_PREFIX)
            owner_id, _, end = rest.rpartition(".")
            fingerprint: str | None = end
            if not owner_id or not is_fingerprint(end):
                if rest == name:
                    continue
                owner_id, fingerprint = rest, None
            try:
                key_pair = await self._load(name, fingerprint)
            except StorageError as error:
                found.append(StoredKey(name, owner_id, fingerprint, str(error)))
                continue
            if key_pair is not None:
                found.append(StoredKey(name, owner_id, key_pair.fingerprint))
        return found

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Write the key pair; it is durable, and was read back, when the call returns.

        An item that holds another private key, or something that might be one, is never
        overwritten. Storing the same pair again is no error.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            key_pair: ``KeyPair`` of an RSA key of 2048 bits or more, public half in canonical DER.

        Raises:
            ValidationError: an argument is malformed, or the halves do not belong together. Nothing
                was written.
            StorageError: the item is taken, cannot be written, or does not read back the same. Do
                not use the key pair.

        Example:
            >>> await FileKeyStorage(folder / "keys").store_key_pair("4711", key_pair)
        """
        _check_data_owner_id(data_owner_id)
        value, stored = await CRYPTO.run(_validated, key_pair)
        name = f"{data_owner_id}.{stored.fingerprint}"
        await self._refuse_to_destroy(name, value, stored.public_key)
        await self._storage.set_item(name, value)
        if await self._read(name) != value:
            raise StorageError(
                f"The item {name!r} does not read back as it was written: the key pair is not"
                " stored. Do not use it; check the storage and try again."
            )
        self._remember(_digest(value), stored)

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove the key pair under all its names; removing an absent one is no error.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            fingerprint: ``str``, 32 hex characters in either case, or a whole public key.

        Raises:
            ValidationError: an argument is malformed.
            StorageError: an item cannot be removed, or holds another key than its name says.

        Example:
            >>> keys = FileKeyStorage(folder / "keys")
            >>> await keys.store_key_pair("4711", key_pair)
            >>> await keys.remove_key_pair("4711", key_pair.fingerprint)
        """
        _check_data_owner_id(data_owner_id)
        fingerprint = _check_fingerprint(fingerprint)
        for name in _names(data_owner_id, fingerprint):
            if await self._holds(name) not in {None, fingerprint}:
                raise StorageError(
                    f"The item {name!r} holds another key than its name says, and is not removed."
                    " Move it out of the storage by hand."
                )
            await self._storage.remove_item(name)
        legacy = _legacy_name(data_owner_id)
        if await self._holds(legacy) == fingerprint:
            await self._storage.remove_item(legacy)
        self._validated = {
            digest: pair
            for digest, pair in self._validated.items()
            if pair.fingerprint != fingerprint
        }

    def lock(self, name: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return lock_of(self._storage, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._storage!r})"

    async def _items_of(self, data_owner_id: str) -> list[tuple[str, str | None]]:
        items: list[tuple[str, str | None]] = []
        for prefix in (f"{data_owner_id}.", f"{_legacy_name(data_owner_id)}."):
            for name in await self._storage.list_items(prefix):
                # An id may be the beginning of another one.
                fingerprint = name.removeprefix(prefix)
                if is_fingerprint(fingerprint):
                    items.append((name, fingerprint))
        items.append((_legacy_name(data_owner_id), None))
        return items

    async def _read(self, name: str) -> str | None:
        refuse_exposed: Any = getattr(self._storage, "refuse_exposed", None)
        if refuse_exposed is not None:
            await refuse_exposed(name)
        return await self._storage.get_item(name)

    async def _load_or_skip(
        self, name: str, fingerprint: str | None, failures: list[StorageError]
    ) -> KeyPair | None:
        """Return the key pair of an item; note the failure of a broken one, and log it."""
        try:
            return await self._load(name, fingerprint)
        except ExposedFileError:
            raise
        except StorageError as error:
            _logger.warning("The key in the item %r cannot be read, and is skipped.", name)
            failures.append(error)
            return None

    async def _load(self, name: str, fingerprint: str | None) -> KeyPair | None:
        value = await self._read(name)
        if value is None:
            return None
        key_pair = await self._parse(name, value)
        if key_pair is not None and fingerprint not in {None, key_pair.fingerprint}:
            raise StorageError(
                f"The item {name!r} holds another key than its name says. Restore it from a backup"
                " or move it out of the storage."
            )
        return key_pair

    async def _parse(self, name: str, value: str) -> KeyPair | None:
        digest = _digest(value)
        key_pair = self._validated.pop(digest, None)
        if key_pair is None:
            try:
                key_pair = await CRYPTO.run(_key_pair_in, value)
            except ValidationError as error:
                raise StorageError(
                    f"The item {name!r} holds no usable key pair: {error}. Restore it from a backup"
                    " or move it out of the storage."
                ) from None
            if key_pair is None:
                return None
        self._remember(digest, key_pair)
        return key_pair

    def _remember(self, digest: bytes, key_pair: KeyPair) -> None:
        self._validated.pop(digest, None)
        self._validated[digest] = key_pair
        while len(self._validated) > _CACHE_SIZE:
            self._validated.pop(next(iter(self._validated)))

    async def _refuse_to_destroy(self, name: str, value: str, public_key: str) -> None:
        existing = await self._read(name)
        if existing is None or existing == value or not existing.strip():
            return
        try:
            key_pair = await self._parse(name, existing)
        except StorageError:
            taken = True
        else:
            # Both halves were found to match, so one public key means one private key.
            taken = key_pair is not None and key_pair.public_key != public_key
        if taken:
            raise StorageError(
                f"The item {name!r} exists and may hold another private key, which is never"
                " overwritten: the key pair is not stored. Move the item out of the storage, keep"
                " it, and try again."
            )

    async def _holds(self, name: str) -> str | None:
        try:
            value = await self._storage.get_item(name)
            key_pair = None if value is None else await self._parse(name, value)
        except StorageError:
            return None
        return None if key_pair is None else key_pair.fingerprint


class MemoryKeyStorage(SecretHolder, StorageKeyStorage):
    """A :class:`StorageKeyStorage` in memory: its keys are gone when the program ends.

    Example:
        >>> keys = MemoryKeyStorage()
        >>> await keys.store_key_pair("4711", key_pair)
    """

    def __init__(self) -> None:
        super().__init__(MemoryStorage())


class FileKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` on a :class:`~icure_async.storage.FileStorage`.

    A key file to which group or others have any permission is a
    :class:`~icure_async.errors.StorageError` that names the file and the ``chmod`` to run.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``; created with mode 0700 by the first
            write.

    Example:
        >>> keys = FileKeyStorage(folder / "keys")
        >>> await keys.store_key_pair("4711", key_pair)
        >>> [found.fingerprint for found in await keys.list_key_pairs("4711")] == [
        ...     key_pair.fingerprint
        ... ]
        True
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._files = FileStorage(directory)
        super().__init__(self._files)

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._files.directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.
        """
        return self._files.path_of(name)

    def __repr__(self) -> str:
        return f"FileKeyStorage({str(self.directory)!r})"


def is_in_memory(key_storage: object) -> bool:
    """Return whether the keys of a key storage are gone when the program ends."""
    return isinstance(key_storage, StorageKeyStorage) and type(key_storage.storage) is MemoryStorage


# The cryptography package takes long to import: functions import it in the worker threads in which
# keys are checked.


def _validated(key_pair: KeyPair) -> tuple[str, KeyPair]:
    from icure_async.storage import jwk

    return jwk.validate(key_pair)


def _key_pair_in(value: str) -> KeyPair | None:
    from icure_async.storage import jwk

    document = jwk.load_document(value)
    private = document.get("privateKey")
    if private is None:
        # A private half may be there all the same, under a name that was damaged.
        if any(document[member] is not None for member in document.keys() - _HALVES):
            raise ValidationError("privateKey is missing, and there is something else")
        return None
    if document.get("publicKey") is None:
        # The public numbers are among the private ones.
        document = {**document, "publicKey": private}
    return jwk.key_pair_from_document(document)


def _digest(value: str) -> bytes:
    # A storage of somebody else's may hand out lone surrogates.
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()


def _legacy_name(data_owner_id: str) -> str:
    return f"{_BASE_LIBRARY_PREFIX}{data_owner_id}"


def _names(data_owner_id: str, fingerprint: str) -> tuple[str, str]:
    return (f"{data_owner_id}.{fingerprint}", f"{_legacy_name(data_owner_id)}.{fingerprint}")


def _check_data_owner_id(data_owner_id: str) -> None:
    if not data_owner_id:
        raise ValidationError("The data owner id must not be empty.")
    if any(
        character in "/\\" or unicodedata.category(character) in {"Cc", "Cs"}
        for character in data_owner_id
    ):
        raise ValidationError(
            "The data owner id must not contain a slash, a backslash or a control character."
        )


def _check_fingerprint(fingerprint: str) -> str:
    short = fingerprint_of(fingerprint)
    if not is_fingerprint(short):
        raise ValidationError(
            f"A fingerprint is the last {FINGERPRINT_LENGTH} hex characters of a public key."
        )
    return short
