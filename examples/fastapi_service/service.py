"""The parts of the service that know iCure: where keys and sessions are, and a pool of APIs."""

import hashlib
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder, KeyPair, MedTechApiBuilder
from icure_async.services import ApiPool, ProcessStore, SessionStore
from icure_async.storage import (
    EncryptedKeyStorage,
    EncryptedStorage,
    PostgresStorage,
    StorageLock,
    derive_user_key,
)


@dataclass(frozen=True)
class Service:
    """All that the pages of one worker need.

    Attributes:
        anonymous: has codes sent, and takes them back.
        processes: people who have asked for a code, in the database.
        sessions: people who are signed in, in the database.
        pool: an API object for each person who is signed in and was here lately.
        doctor_id: id of the professional who reads what people write.
    """

    anonymous: AnonymousMedTechApi
    processes: ProcessStore
    sessions: SessionStore
    pool: ApiPool
    doctor_id: str


class KeysOfPeople:
    """Private keys in the database, those of each person under a key of this person's own.

    That key comes from the secret of the service, which is not in the database, and the id of the
    person. A thief who has the database has nothing: not even the names tell whose keys are there.
    A thief who has the secret as well has all keys; and so has the service, which reads and writes
    in the name of people while they are signed in.

    A secret in the person's cookie would do better, as ``user_secret`` of ``derive_user_key()``.
    But it would be gone with the cookie, and with it all keys: the next sign-in by SMS would make
    a new key pair that opens none of the old notes. Choose it where people bring a passphrase, or
    have written down a recovery key.
    """

    def __init__(self, storage: PostgresStorage, secret: str) -> None:
        self._storage = storage
        self._secret = secret

    def _of(self, data_owner_id: str) -> EncryptedKeyStorage:
        key = derive_user_key(self._secret, data_owner_id)
        name = hashlib.sha256(key).hexdigest()
        return EncryptedKeyStorage.over(self._storage.with_namespace(name), key=key)

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        """Return a key pair of a person, or None."""
        return await self._of(data_owner_id).get_key_pair(data_owner_id, fingerprint)

    async def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        """Return all key pairs of a person."""
        return await self._of(data_owner_id).list_key_pairs(data_owner_id)

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Write a key pair of a person."""
        await self._of(data_owner_id).store_key_pair(data_owner_id, key_pair)

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove a key pair of a person."""
        await self._of(data_owner_id).remove_key_pair(data_owner_id, fingerprint)

    def lock(self, name: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return a lock that all workers share, so that no two of them make keys for a person."""
        return self._storage.lock(name)


@asynccontextmanager
async def running_service() -> AsyncGenerator[Service]:
    """Connect to the database, and give the block all that the pages need.

    Each worker does so in its own event loop, after it was started: neither connections nor API
    objects survive a fork.
    """
    secret = setting("SERVICE_SECRET")
    url = setting("ICURE_DATABASE_URL")
    # Nobody waits longer for a page, should the database be away.
    async with PostgresStorage(url, namespace="notes", timeout=5) as database:
        keys = KeysOfPeople(database.with_namespace("keys"), secret)
        # The SDK writes a token there while a sign-in is under way.
        state = EncryptedStorage(
            database.with_namespace("state"), key=derive_user_key(secret, "the service itself")
        )
        sign_in_builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
        sign_in_builder.with_storage(state).with_key_storage(keys)
        builder = MedTechApiBuilder.from_env().with_storage(state).with_key_storage(keys)
        async with sign_in_builder.build() as anonymous, ApiPool(builder, max_apis=500) as pool:
            yield Service(
                anonymous=anonymous,
                processes=ProcessStore(state),
                sessions=SessionStore(state),
                pool=pool,
                doctor_id=setting("DOCTOR_ID"),
            )


def setting(name: str) -> str:
    """Return a setting of the service, which stands in the environment."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise RuntimeError(f"The service needs the environment variable {name}.")
    return value
