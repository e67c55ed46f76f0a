"""A second flavour of metadata, whose exchange keys are documents of their own."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import pytest

from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.encrypted_self import encrypt_members
from icure_async.entities.kinds import PATIENT, EntityKind
from icure_async.entities.metadata import (
    EncryptionMetadata,
    Granted,
    ReadableEntity,
    Readers,
    Shared,
)
from icure_async.entities.repository import Repository
from icure_async.entities.sealing import EntityCrypto
from icure_async.entities.shares import Shares
from icure_async.errors import CryptoError
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.rest.entities import EntityResource

Json = dict[str, Any]
Documents = Sequence[Mapping[str, Any]]

CRYPTO = SoftwareCrypto()


class Backend:
    """Exchange keys and patients, with the requests that were made for them."""

    def __init__(self) -> None:
        self.exchange_keys: dict[str, bytes] = {}
        self.patients: dict[str, Json] = {}
        self.requests: list[str] = []

    async def read_exchange_keys(self, ids: Sequence[str]) -> dict[str, bytes]:
        self.requests.append("read exchange keys")
        return {
            key_id: self.exchange_keys[key_id] for key_id in ids if key_id in self.exchange_keys
        }

    async def create_exchange_key(self) -> str:
        self.requests.append("create an exchange key")
        key_id = f"x{len(self.exchange_keys)}"
        self.exchange_keys[key_id] = os.urandom(32)
        return key_id

    async def create(self, document: Json) -> Json:
        self.requests.append("create a patient")
        self.patients[document["id"]] = document | {"rev": "1-a"}
        return self.patients[document["id"]]

    async def modify(self, document: Json) -> Json:
        self.requests.append("modify a patient")
        self.patients[document["id"]] = document | {"rev": "2-a"}
        return self.patients[document["id"]]

    async def get(self, patient_id: str) -> Json:
        self.requests.append("read a patient")
        return self.patients[patient_id]

    async def get_many(self, ids: Sequence[str]) -> list[Json]:
        self.requests.append("read patients")
        return [self.patients[patient_id] for patient_id in ids]


@attrs.frozen
class Cached:
    """Keys that were read before."""

    flavour: "ExchangeData"

    async def keys_of(self, documents: Documents, /) -> list[list[bytes]]:
        return [await self.flavour.keys_in(document) for document in documents]


@attrs.frozen
class Fetched(Cached):
    """Keys that are read now, all at once."""

    async def keys_of(self, documents: Documents, /) -> list[list[bytes]]:
        ids = list(dict.fromkeys(exchange_key_of(document) for document in documents))
        self.flavour.known |= await self.flavour.backend.read_exchange_keys(ids)
        return await super().keys_of(documents)


def exchange_key_of(document: Mapping[str, Any]) -> str:
    return str(document["securityMetadata"]["exchangeKey"])


class ExchangeData:
    """The flavour: a key for each entity, encrypted with an exchange key that it names."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.known: dict[str, bytes] = {}
        self.sources = (Cached(self), Fetched(self))

    async def keys_in(self, document: Mapping[str, Any]) -> list[bytes]:
        exchange_key = self.known.get(exchange_key_of(document))
        if exchange_key is None:
            return []
        wrapped = bytes.fromhex(document["securityMetadata"]["key"])
        try:
            return [await CRYPTO.aes_decrypt(exchange_key, wrapped)]
        except ValueError:
            return []

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        return "securityMetadata" in document

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        return {exchange_key_of(document)}

    async def authors_of(self, document: Mapping[str, Any], /) -> set[str]:
        return {exchange_key_of(document)}

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        if key not in await self.keys_in(document):
            raise CryptoError("This key is of another entity.")

    async def prepare(
        self, kind: EntityKind[Any, Any], documents: Documents, readers: Readers, /
    ) -> list[Json | CryptoError]:
        key_id = await self.backend.create_exchange_key()
        return [
            await self.add_key(kind, {**document, "exchangeKey": key_id}, readers.delegates)
            for document in documents
        ]

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str], /
    ) -> Json:
        clear, key = dict(document), os.urandom(16)
        key_id = clear.pop("exchangeKey")
        wrapped = await CRYPTO.aes_encrypt(self.backend.exchange_keys[key_id], key)
        clear["securityMetadata"] = {"exchangeKey": key_id, "key": wrapped.hex()}
        return await encrypt_members(CRYPTO, key, clear, kind.encrypted)

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
        /,
    ) -> list[Shared]:
        lacking = await self.lacking([entity.document for entity in entities], delegates[0])
        if any(lacking):
            await self.backend.create_exchange_key()
        shared: list[Shared] = []
        for entity, lacks in zip(entities, lacking, strict=True):
            changed = entity.document
            if lacks:
                metadata = {**entity.document["securityMetadata"], "readers": list(delegates)}
                changed = {**entity.document, "securityMetadata": metadata}
            access: Granted = "given" if lacks else "present"
            shared.append(Shared(changed, dict.fromkeys(delegates, access)))
        return shared

    async def secret_ids_of(self, document: Mapping[str, Any], /) -> list[str]:
        return [exchange_key_of(document)]

    async def holders_of_secret_ids(self, document: Mapping[str, Any], /) -> dict[str, set[str]]:
        return {one: {"me"} for one in await self.secret_ids_of(document)}

    async def owning_ids_of(self, documents: Documents, /) -> list[list[str]]:
        return [[] for _ in documents]

    async def lacking(self, documents: Documents, delegate_id: str, /) -> list[bool]:
        return [
            delegate_id not in document["securityMetadata"].get("readers", ())
            for document in documents
        ]


class Owner:
    """A user who is a data owner."""

    async def own_id(self) -> str:
        return "me"

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        return {"me": {}}

    def is_own(self, route: str, entity_id: str, /) -> bool:
        return False

    def learn(self, route: str, document: Mapping[str, Any], /) -> None:
        """Take note of nothing."""

    async def sharing(self, prepare: Any, /) -> Any:
        return await prepare({"id": "u", "autoDelegations": {"all": ["you"]}})


def patients_of(backend: Backend) -> Repository[Patient, EncryptedPatient]:
    owner = Owner()
    metadata: EncryptionMetadata = ExchangeData(backend)
    return Repository(
        PATIENT,
        cast("EntityResource", backend),
        crypto=CRYPTO,
        metadata=metadata,
        own=owner,
        user=owner,
        clock=lambda: 1.0,
    )


def named(number: int) -> Patient:
    return Patient(first_name=f"N{number}", note=f"note {number}")


@pytest.mark.parametrize("count", [1, 30, 300])
async def test_opening_many_costs_the_same_requests_however_many_they_are(count: int) -> None:
    backend = Backend()
    created = await patients_of(backend).prepare([named(number) for number in range(count)])
    assert backend.requests == ["create an exchange key"]
    documents = [document for document in created if not isinstance(document, CryptoError)]
    assert not any("note" in document for document in documents)

    backend.requests.clear()
    entities = EntityCrypto(CRYPTO, ExchangeData(backend))
    for requests in (["read exchange keys"], []):
        opened = await entities.open_many(documents)
        assert [entity and entity.document["note"] for entity in opened] == [
            f"note {number}" for number in range(count)
        ]
        # The second time, they are known.
        assert backend.requests == requests
        backend.requests.clear()


async def test_a_repository_reads_and_writes_in_the_flavour_it_is_given() -> None:
    backend = Backend()
    saved = [await patients_of(backend).save(named(number)) for number in range(20)]
    assert len(backend.exchange_keys) == 20
    backend.requests.clear()
    patients = await patients_of(backend).get_many([patient.id for patient in saved])
    assert patients == saved
    assert backend.requests == ["read patients", "read exchange keys"]


async def test_what_no_key_opens_stays_closed() -> None:
    backend = Backend()
    saved = await patients_of(backend).save(named(1))
    backend.exchange_keys.clear()
    (read,) = await patients_of(backend).get_many_and_try_decrypt([saved.id])
    assert isinstance(read, EncryptedPatient)
    assert read.note is None


async def test_many_are_shared_in_the_flavour_it_is_given() -> None:
    backend = Backend()
    repository = patients_of(backend)
    saved = [await repository.save(named(number)) for number in range(20)]
    backend.requests.clear()
    shares = Shares(repository, crypto=CRYPTO, own=Owner())
    shared = await shares.share(saved, ["you"])
    assert [one.access for one in shared] == [{"you": "given"}] * 20
    assert backend.requests.count("create an exchange key") == 1
    assert backend.requests.count("modify a patient") == 20
    backend.requests.clear()
    again = await shares.share([one.record for one in shared], ["you"])
    assert [one.access for one in again] == [{"you": "present"}] * 20
    assert backend.requests == []
