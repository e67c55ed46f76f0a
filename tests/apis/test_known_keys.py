"""What a device remembers of keys, and whom it asks about the others."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async import KeyPair, KeyQuestion, MedTechApi, MedTechApiBuilder, Patient, PublicKey
from icure_async.errors import ConfigurationError, CryptoError, StorageError
from icure_async.sandbox import Sandbox
from icure_async.storage import FileStorage, KeyStorage, MemoryKeyStorage, MemoryStorage, Storage
from tests.key_material import as_key_pair

from .support import Json, add_hcp, key_pair_of, stage

RECORD = "icure.known_keys."


class Person:
    """Answers what the application asks, and remembers the questions."""

    def __init__(self, *, answer: bool = True) -> None:
        self.answer = answer
        self.asked: list[KeyQuestion] = []

    async def __call__(self, question: KeyQuestion) -> bool:
        self.asked.append(question)
        return self.answer

    async def be_told(self, question: KeyQuestion) -> None:
        self.asked.append(question)

    def take(self) -> list[KeyQuestion]:
        taken, self.asked = self.asked, []
        return taken


@attrs.define
class Device:
    """A device of Ned's: its storages outlive the API objects."""

    world: Json
    session: aiohttp.ClientSession
    sandbox: Sandbox
    storage: Storage = attrs.field(factory=MemoryStorage)
    keys: KeyStorage = attrs.field(factory=MemoryKeyStorage)

    def builder(self) -> MedTechApiBuilder:
        user = self.world["users"]["ned"]
        return (
            MedTechApiBuilder()
            .with_icure_base_url(self.sandbox.icure_url)
            .with_user_name(user["login"])
            .with_password(user["token"])
            .with_client_session(self.session)
            .with_storage(self.storage)
            .with_key_storage(self.keys)
        )

    async def start(self, configure: Callable[[MedTechApiBuilder], object]) -> MedTechApi:
        builder = self.builder()
        configure(builder)
        api = await builder.build()
        await api.init_user_crypto(key_pair_of(self.world, "ned"))
        return api


@pytest.fixture(scope="module")
def new_pair() -> KeyPair:
    return as_key_pair(rsa.generate_private_key(65537, 2048))


@pytest.fixture
def friend_pair(world: Json) -> KeyPair:
    return key_pair_of(world, "arya")


@pytest.fixture
def seed(seed: Json, world: Json, friend_pair: KeyPair) -> Json:
    """Ned shares with one friend, to whom he has no exchange key yet."""
    friend = add_hcp(seed, "friend")
    seed["entities"]["hcparty"][friend]["publicKey"] = friend_pair.public_key
    user = seed["entities"]["user"][world["users"]["ned"]["userId"]]
    user["autoDelegations"] = {"all": [friend]}
    return seed


@pytest.fixture
async def device(world: Json, client_session: aiohttp.ClientSession, sandbox: Sandbox) -> Device:
    return Device(world, client_session, sandbox)


async def _write(api: MedTechApi) -> str:
    saved = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    return str(saved.id)


async def _moved(sandbox: Sandbox, edit: Callable[[Json], None]) -> Sandbox:
    """Another sandbox with the same data, edited."""
    exported = await sandbox.export()
    edit(exported)
    return Sandbox(seed=exported, jwt=False)


def _kinds(questions: list[KeyQuestion]) -> list[tuple[str, str, str | None]]:
    return [(asked.kind, asked.history, asked.delegate_id) for asked in questions]


async def test_a_device_asks_once(device: Device, world: Json, friend_pair: KeyPair) -> None:
    ned_id = world["users"]["ned"]["dataOwnerId"]
    person = Person()
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    await _write(api)
    asked = person.take()
    # His exchange key to himself was made on another device, the friend's public key by the friend.
    assert _kinds(asked) == [("exchange_key", "new", ned_id), ("public_key", "new", None)]
    assert asked[1].data_owner_id == "hcp-friend"
    assert asked[1].public_key == friend_pair.public_key
    assert asked[1].digest == PublicKey("", friend_pair.public_key).digest
    await _write(api)
    again = await device.start(lambda builder: builder.with_public_key_policy(person))
    await _write(again)
    assert person.asked == []


async def test_what_the_device_made_itself_is_not_asked_about(
    device: Device, world: Json, client_session: aiohttp.ClientSession
) -> None:
    """Not even after a restart: its exchange keys are known again."""
    person = Person()
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    await _write(api)
    person.take()
    refusing = Person(answer=False)
    again = await device.start(lambda builder: builder.with_public_key_policy(refusing))
    patient_id = await _write(again)
    stored = await device.sandbox.stored("patient", patient_id)
    assert stored is not None
    assert "hcp-friend" in stored["delegations"]
    assert refusing.asked == []


async def test_another_device_asks_once_of_its_own(device: Device) -> None:
    person = Person()
    first = await device.start(lambda builder: builder.with_public_key_policy(person))
    await _write(first)
    person.take()
    second = Device(device.world, device.session, device.sandbox)
    api = await second.start(lambda builder: builder.with_public_key_policy(person))
    await _write(api)
    # Both exchange keys are there by now, so the friend's public key needs no answer.
    assert [asked.kind for asked in person.take()] == ["exchange_key", "exchange_key"]
    await _write(await second.start(lambda builder: builder.with_public_key_policy(person)))
    assert person.asked == []


async def test_a_no_is_not_remembered(device: Device) -> None:
    person = Person(answer=False)
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    with pytest.raises(CryptoError, match="with_public_key_policy"):
        await _write(api)
    assert len(person.take()) == 1
    person.answer = True
    await _write(api)
    assert len(person.take()) == 2


@pytest.mark.parametrize(
    "tamper",
    [
        lambda record: record["keys"].append(["public_key", "hcp-evil", "", "0" * 64, "made"]),
        lambda record: record["keys"].clear(),
        lambda record: record.update(macs={}),
        lambda record: record.update(macs=dict.fromkeys(record["macs"], "0" * 64)),
        lambda record: record.update(version=2),
        lambda record: record.update(keys={}),
        lambda record: record.update(keys=[["public_key", "a", "", "b", "confirmed by me"]]),
        lambda record: record.update(keys=[[1, 2, 3, 4, 5]]),
        lambda record: record.update(macs=dict.fromkeys(record["macs"], "\u00e9")),
    ],
)
async def test_a_record_that_was_tampered_with_counts_for_nothing(
    device: Device, tamper: Callable[[Json], None], caplog: pytest.LogCaptureFixture
) -> None:
    person = Person()
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    await _write(api)
    person.take()
    (name,) = await device.storage.list_items(RECORD)
    record = json.loads(str(await device.storage.get_item(name)))
    tamper(record)
    await device.storage.set_item(name, json.dumps(record))
    again = await device.start(lambda builder: builder.with_public_key_policy(person))
    with caplog.at_level(logging.WARNING, "icure_async"):
        await _write(again)
    assert {asked.history for asked in person.take()} == {"changed"}
    assert "can't be verified" in caplog.text
    # It was written anew, and is believed.
    await _write(await device.start(lambda builder: builder.with_public_key_policy(person)))
    assert person.asked == []


async def test_a_record_moved_to_another_data_owner_counts_for_nothing(device: Device) -> None:
    person = Person()
    await _write(await device.start(lambda builder: builder.with_public_key_policy(person)))
    person.take()
    (name,) = await device.storage.list_items(RECORD)
    record = str(await device.storage.get_item(name))
    await device.storage.set_item(name, record.replace(name.removeprefix(RECORD), "somebody"))
    await _write(await device.start(lambda builder: builder.with_public_key_policy(person)))
    assert {asked.history for asked in person.take()} == {"changed"}


async def test_the_record_holds_no_key_and_survives_a_backup(
    device: Device, world: Json, tmp_path: Path
) -> None:
    person = Person()
    files = Device(
        world, device.session, device.sandbox, FileStorage(tmp_path / "state"), device.keys
    )
    await _write(await files.start(lambda builder: builder.with_public_key_policy(person)))
    person.take()
    (name,) = await files.storage.list_items(RECORD)
    record = str(await files.storage.get_item(name))
    pair = key_pair_of(world, "ned")
    assert pair.private_key not in record
    assert pair.public_key not in record
    restored = Device(world, device.session, device.sandbox)
    await restored.storage.set_item(name, record)
    await _write(await restored.start(lambda builder: builder.with_public_key_policy(person)))
    assert person.asked == []


async def test_two_programs_on_one_device_remember_for_each_other(device: Device) -> None:
    person, other = Person(), Person()
    first = await device.start(lambda builder: builder.with_public_key_policy(person))
    second = await device.start(lambda builder: builder.with_public_key_policy(other))
    await _write(first)
    await _write(second)
    assert len(person.asked) == 2
    assert other.asked == []


async def test_a_storage_that_cannot_be_written_asks_again(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(MemoryStorage):
        async def set_item(self, name: str, value: str) -> None:
            raise StorageError("The disk is full.")

    device.storage = Full()
    person = Person()
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    with caplog.at_level(logging.WARNING, "icure_async"):
        await _write(api)
    assert "may be asked about again" in caplog.text
    await _write(api)
    assert len(person.take()) == 2
    await _write(await device.start(lambda builder: builder.with_public_key_policy(person)))
    assert len(person.take()) == 2


async def test_a_storage_that_cannot_be_read_stops_only_who_has_a_policy(device: Device) -> None:
    class Broken(MemoryStorage):
        async def get_item(self, name: str) -> str | None:
            if name.startswith(RECORD):
                raise StorageError("The disk is gone.")
            return await super().get_item(name)

    device.storage = Broken()
    with pytest.raises(StorageError, match="gone"):
        await device.start(lambda builder: builder.with_public_key_policy(Person()))
    await _write(await device.start(lambda builder: None))


async def test_a_policy_that_does_not_say_yes_or_no_is_refused(device: Device) -> None:
    async def forgot_to_await(question: KeyQuestion) -> Any:
        return [question]

    api = await device.start(lambda builder: builder.with_public_key_policy(forgot_to_await))
    with pytest.raises(ConfigurationError, match="must return True or False"):
        await _write(api)


async def test_pinned_keys_are_the_only_ones_besides_the_devices_own(
    device: Device, friend_pair: KeyPair
) -> None:
    person = Person(answer=False)
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    with pytest.raises(CryptoError):
        await _write(api)
    (own,) = person.take()
    pinned = [own.digest.upper()]
    api = await device.start(lambda builder: builder.with_pinned_keys(pinned))
    stored = await device.sandbox.stored("patient", await _write(api))
    assert stored is not None
    assert "hcp-friend" not in stored["delegations"]

    pinned.append(PublicKey("", friend_pair.public_key).digest)
    api = await device.start(lambda builder: builder.with_pinned_keys(pinned))
    stored = await device.sandbox.stored("patient", await _write(api))
    assert stored is not None
    assert "hcp-friend" in stored["delegations"]


async def test_trust_on_first_use_asks_when_a_key_changes(
    device: Device, new_pair: KeyPair
) -> None:
    storage = _Persistent()
    device.storage = storage
    person = Person(answer=False)
    api = await device.start(lambda builder: builder.with_trust_on_first_use(person))
    await _write(api)
    assert person.asked == []

    def change(exported: Json) -> None:
        exported["entities"]["hcparty"]["hcp-friend"]["publicKey"] = new_pair.public_key
        ned = exported["entities"]["patient"][device.world["users"]["ned"]["dataOwnerId"]]
        for by_delegate in ned["aesExchangeKeys"].values():
            by_delegate.pop("hcp-friend", None)
        ned["hcPartyKeys"].pop("hcp-friend", None)

    async with await _moved(device.sandbox, change) as elsewhere:
        moved = Device(device.world, device.session, elsewhere, storage, device.keys)
        api = await moved.start(lambda builder: builder.with_trust_on_first_use(person))
        stored = await elsewhere.stored("patient", await _write(api))
        assert stored is not None
        assert "hcp-friend" not in stored["delegations"]
        (asked,) = person.take()
        assert (asked.kind, asked.history) == ("public_key", "changed")
        assert asked.public_key == new_pair.public_key
        person.answer = True
        stored = await elsewhere.stored("patient", await _write(api))
        assert stored is not None
        assert "hcp-friend" in stored["delegations"]


class _Persistent(MemoryStorage):
    """Stands for a storage that outlives the program."""


async def test_a_changed_key_is_told_where_there_is_no_policy(
    device: Device, new_pair: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    person = Person()
    api = await device.start(lambda builder: builder.on_key_change(person.be_told))
    await _write(api)
    assert person.asked == []
    assert list(api.key_changes) == []

    def change(exported: Json) -> None:
        exported["entities"]["hcparty"]["hcp-friend"]["publicKey"] = new_pair.public_key
        ned = exported["entities"]["patient"][device.world["users"]["ned"]["dataOwnerId"]]
        for by_delegate in ned["aesExchangeKeys"].values():
            by_delegate.pop("hcp-friend", None)
        ned["hcPartyKeys"].pop("hcp-friend", None)

    async with await _moved(device.sandbox, change) as elsewhere:
        moved = Device(device.world, device.session, elsewhere, device.storage, device.keys)
        api = await moved.start(lambda builder: builder.on_key_change(person.be_told))
        with caplog.at_level(logging.WARNING, "icure_async"):
            stored = await elsewhere.stored("patient", await _write(api))
        # As the reference does, it is encrypted for all the same.
        assert stored is not None
        assert "hcp-friend" in stored["delegations"]
        (told,) = person.take()
        assert (told.data_owner_id, told.history) == ("hcp-friend", "changed")
        assert told.digest == PublicKey("", new_pair.public_key).digest
        assert list(api.key_changes) == [told]
        assert told.digest in caplog.text
        await _write(await moved.start(lambda builder: builder.on_key_change(person.be_told)))
        assert person.asked == []


async def test_a_friend_with_two_keys_has_not_changed(
    world: Json, client_session: aiohttp.ClientSession, seed: Json, new_pair: KeyPair
) -> None:
    friend = seed["entities"]["hcparty"]["hcp-friend"]
    friend["aesExchangeKeys"] = {new_pair.public_key: {}}
    person = Person()
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        device = Device(world, client_session, sandbox, _Persistent())
        believing = await device.start(lambda builder: builder.on_key_change(person.be_told))
        await _write(believing)
        assert person.asked == []
    async with Sandbox(seed=stage(world) | seed, jwt=False) as sandbox:
        device = Device(world, client_session, sandbox, _Persistent())
        await _write(await device.start(lambda builder: builder.with_trust_on_first_use(person)))
        assert person.asked == []
