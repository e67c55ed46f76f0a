"""Keys that a device remembers, and questions about the others."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async import KeyPair, KeyQuestion, MedTechApi, MedTechApiBuilder, Patient, PublicKey
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ConfigurationError, CryptoError, StorageError
from icure_async.keys.known_keys import KnownKey, KnownKeys
from icure_async.keys.trust import KeyTrust
from icure_async.sandbox import Sandbox
from icure_async.storage import FileStorage, KeyStorage, MemoryKeyStorage, MemoryStorage, Storage
from tests.support.attacker import Attacker
from tests.support.builders import builder_for
from tests.support.key_material import as_key_pair
from tests.support.seeds import Json, add_hcp, key_pair_of, stage

RECORD = "icure.known_keys."


class Person:
    """A person who is asked about keys, and remembers the questions."""

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
            builder_for(self.sandbox.icure_url, user["login"], user["token"])
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


def _with_friends_key(device: Device, pair: KeyPair, exported: Json) -> None:
    """Give the friend another key, and let Ned have no exchange key to the friend."""
    exported["entities"]["hcparty"]["hcp-friend"]["publicKey"] = pair.public_key
    ned = exported["entities"]["patient"][device.world["users"]["ned"]["dataOwnerId"]]
    for by_delegate in ned["aesExchangeKeys"].values():
        by_delegate.pop("hcp-friend", None)
    ned["hcPartyKeys"].pop("hcp-friend", None)


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


async def test_a_no_is_one_answer_for_the_whole_of_a_call(device: Device) -> None:
    before = await device.start(lambda builder: builder.with_in_memory_keys())
    patient_id = await _write(before)
    device.storage = MemoryStorage()
    person = Person(answer=False)
    api = await device.start(lambda builder: builder.with_public_key_policy(person))
    patient = await api.patient_api.get_patient(patient_id)
    for _ in range(2):
        patient.note = "another"
        with pytest.raises(CryptoError, match="with_public_key_policy"):
            await api.patient_api.create_or_modify_patient(patient)
        asked = [question.digest for question in person.take()]
        assert asked
        assert len(asked) == len(set(asked))


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

    async with await _moved(
        device.sandbox, partial(_with_friends_key, device, new_pair)
    ) as elsewhere:
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

    async with await _moved(
        device.sandbox, partial(_with_friends_key, device, new_pair)
    ) as elsewhere:
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


async def test_trust_on_first_use_asks_about_another_key_of_the_user(
    device: Device, new_pair: KeyPair
) -> None:
    """The user's own keys are known where one of them is on the device."""
    device.storage = _Persistent()
    person = Person(answer=False)
    ned_id = device.world["users"]["ned"]["dataOwnerId"]

    def plant(exported: Json) -> None:
        ned = exported["entities"]["patient"][ned_id]
        ned["aesExchangeKeys"][new_pair.public_key] = {}

    async with await _moved(device.sandbox, plant) as elsewhere:
        moved = Device(device.world, device.session, elsewhere, device.storage, device.keys)
        api = await moved.start(lambda builder: builder.with_trust_on_first_use(person))
        with pytest.raises(CryptoError, match="not confirmed"):
            await api.data_owner_api.give_access_back_to(ned_id, new_pair.public_key)
        assert _kinds(person.take()) == [("public_key", "changed", None)]
        person.answer = True
        await api.data_owner_api.give_access_back_to(ned_id, new_pair.public_key)
        assert len(person.take()) == 1


async def test_trust_on_first_use_gives_no_new_private_key_to_a_key_it_finds(
    device: Device, new_pair: KeyPair
) -> None:
    person = Person(answer=False)
    ned_id = device.world["users"]["ned"]["dataOwnerId"]

    def plant(exported: Json) -> None:
        ned = exported["entities"]["patient"][ned_id]
        ned["aesExchangeKeys"][new_pair.public_key] = {}

    async with await _moved(device.sandbox, plant) as elsewhere:
        fresh = Device(device.world, device.session, elsewhere, _Persistent())
        api = await fresh.builder().with_trust_on_first_use(person).build()
        (made,) = await api.init_user_crypto(missing_key="allow")
        published = {asked.public_key for asked in person.take()}
        assert published == {key_pair_of(device.world, "ned").public_key, new_pair.public_key}
        attacker = Attacker(private_keys=[new_pair.private_key])
        attacker.learn(await elsewhere.export())
        assert not attacker.knows_private_key(made.private_key)


@pytest.mark.parametrize(
    "configure",
    [
        lambda builder: builder.with_public_key_policy(lambda question: True),
        lambda builder: builder.with_trust_on_first_use(lambda question: True),
    ],
)
async def test_a_policy_that_is_no_async_function_is_refused(
    device: Device, new_pair: KeyPair, configure: Callable[[MedTechApiBuilder], object]
) -> None:
    device.storage = _Persistent()
    api = await device.start(configure)
    ned_id = device.world["users"]["ned"]["dataOwnerId"]

    def plant(exported: Json) -> None:
        ned = exported["entities"]["patient"][ned_id]
        ned["aesExchangeKeys"][new_pair.public_key] = {}

    async with await _moved(device.sandbox, plant) as elsewhere:
        moved = Device(device.world, device.session, elsewhere, device.storage, device.keys)
        api = await moved.start(configure)
        with pytest.raises(ConfigurationError, match="async function"):
            await api.data_owner_api.give_access_back_to(ned_id, new_pair.public_key)


async def test_a_listener_that_is_no_async_function_is_refused(
    device: Device, new_pair: KeyPair
) -> None:
    told: list[KeyQuestion] = []
    await _write(await device.start(lambda builder: None))

    async with await _moved(
        device.sandbox, partial(_with_friends_key, device, new_pair)
    ) as elsewhere:
        moved = Device(device.world, device.session, elsewhere, device.storage, device.keys)
        listener: Any = told.append
        api = await moved.start(lambda builder: builder.on_key_change(listener))
        with pytest.raises(ConfigurationError, match="async function"):
            await _write(api)


async def test_a_policy_may_read_with_the_same_api(device: Device) -> None:
    """To show the person whom it asks a name, for example."""
    apis: list[MedTechApi] = []

    async def look_it_up(question: KeyQuestion) -> bool:
        (api,) = apis
        sansa = "c69063c1-3f21-4a48-8974-6902818d4265"
        return (await api.patient_api.get_patient(sansa)).first_name == "Sansa"

    apis.append(await device.start(lambda builder: builder.with_public_key_policy(look_it_up)))
    await _write(apis[0])


@pytest.mark.parametrize("in_a_task", [True, False])
async def test_a_policy_that_writes_with_the_same_api_is_refused(
    device: Device, in_a_task: bool
) -> None:
    """The key that it is asked about would be needed for that: it would wait for itself."""
    apis: list[MedTechApi] = []

    async def write(question: KeyQuestion) -> bool:
        if in_a_task:
            await asyncio.create_task(_write(apis[0]))
        else:
            await _write(apis[0])
        return True

    apis.append(await device.start(lambda builder: builder.with_public_key_policy(write)))
    with pytest.raises(ConfigurationError, match="while it is asked"):
        async with asyncio.timeout(5):
            await _write(apis[0])


async def test_a_question_that_is_given_up_is_asked_again(device: Device) -> None:
    person = Person()
    asked = asyncio.Event()

    async def never(question: KeyQuestion) -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    policies: list[Callable[[KeyQuestion], Awaitable[bool]]] = [never, person]

    async def policy(question: KeyQuestion) -> bool:
        return await policies[0](question)

    api = await device.start(lambda builder: builder.with_public_key_policy(policy))
    writing = asyncio.create_task(_write(api))
    await asked.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    policies.pop(0)
    await _write(api)
    assert len(person.take()) == 2


async def test_several_calls_at_once_ask_once(device: Device) -> None:
    person = Person()

    async def slowly(question: KeyQuestion) -> bool:
        await asyncio.sleep(0.01)
        return await person(question)

    api = await device.start(lambda builder: builder.with_public_key_policy(slowly))
    await asyncio.gather(*(_write(api) for _ in range(4)))
    assert len(person.take()) == 2


async def test_what_a_policy_raises_reaches_the_caller_and_confirms_nothing(
    device: Device,
) -> None:
    class NobodyIsThereError(Exception):
        pass

    async def fail(question: KeyQuestion) -> bool:
        raise NobodyIsThereError

    api = await device.start(lambda builder: builder.with_public_key_policy(fail))
    with pytest.raises(NobodyIsThereError):
        await _write(api)
    person = Person()
    await _write(await device.start(lambda builder: builder.with_public_key_policy(person)))
    assert len(person.take()) == 2


@pytest.mark.parametrize("planted", ["zz", "30", "0" * 588, "1cf103acacb3f2158c64f50203010001"])
async def test_what_is_no_public_key_is_none_of_the_users(device: Device, planted: str) -> None:
    """Each of those that are named can be compared by its digest."""
    ned_id = device.world["users"]["ned"]["dataOwnerId"]

    def plant(exported: Json) -> None:
        exported["entities"]["patient"][ned_id]["aesExchangeKeys"][planted] = {}

    async with await _moved(device.sandbox, plant) as elsewhere:
        moved = Device(device.world, device.session, elsewhere)
        api = await moved.start(lambda builder: builder.with_pinned_keys([]))
        assert list(api.unknown_public_keys) == []
        again = await Device(device.world, device.session, elsewhere).builder().build()
        await again.init_user_crypto(missing_key="allow")
        assert [key.digest for key in again.unknown_public_keys] == [
            PublicKey("", key_pair_of(device.world, "ned").public_key).digest
        ]


async def test_nothing_is_forgotten_while_no_key_pair_is_in_use(device: Device) -> None:
    """The remembered keys have no MAC then, and replace none that have one."""
    key = KnownKey("public_key", "somebody", "", "0" * 64)
    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    await KnownKeys(device.storage, ring).remember("ned", key, "confirmed")
    emptied = KnownKeys(device.storage, KeyRing(SoftwareCrypto()))
    other = KnownKey("public_key", "somebody else", "", "1" * 64)
    await emptied.remember("ned", other, "confirmed")
    assert await emptied.origin_of("ned", other) == "confirmed"
    assert not emptied.is_doubtful("ned")
    assert await KnownKeys(device.storage, ring).origin_of("ned", key) == "confirmed"


@pytest.mark.parametrize("broken", [True, False])
async def test_what_is_known_better_is_not_forgotten_for_what_is_known_less(
    device: Device, broken: bool
) -> None:
    class Full(MemoryStorage):
        async def set_item(self, name: str, value: str) -> None:
            raise StorageError("The disk is full.")

    key = KnownKey("public_key", "somebody", "", "0" * 64)
    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    known = KnownKeys(Full() if broken else device.storage, ring)
    await known.remember("ned", key, "confirmed")
    await known.remember("ned", key, "seen")
    assert await known.origin_of("ned", key) == "confirmed"


async def test_keys_remembered_at_the_same_time_are_all_remembered(
    device: Device, tmp_path: Path
) -> None:
    """By two programs, for example: each reads, adds and writes."""
    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    keys = [KnownKey("public_key", "somebody", "", f"{number:064}") for number in range(8)]
    programs = [KnownKeys(FileStorage(tmp_path), ring) for _ in keys]
    await asyncio.gather(
        *(program.remember("ned", key, "made") for program, key in zip(programs, keys, strict=True))
    )
    later = KnownKeys(FileStorage(tmp_path), ring)
    assert [await later.origin_of("ned", key) for key in keys] == ["made"] * 8


async def test_a_key_made_here_comes_before_those_that_need_an_answer(device: Device) -> None:
    person = Person(answer=False)
    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    trust = KeyTrust(KnownKeys(device.storage, ring), policy=person)
    made, planted = bytes(32), bytes([1]) * 32
    trust.note_made("ned", "friend", made)
    assert await trust.first_usable("ned", "ned", "friend", [planted, made]) == made
    assert person.asked == []


async def test_a_record_of_one_data_owner_says_nothing_under_the_name_of_another(
    device: Device,
) -> None:
    """The same key pair may be on the device for both."""
    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    key = KnownKey("public_key", "somebody", "", "0" * 64)
    await KnownKeys(device.storage, ring).remember("ned", key, "confirmed")
    record = await device.storage.get_item(f"{RECORD}ned")
    assert record is not None
    await device.storage.set_item(f"{RECORD}arya", record)
    known = KnownKeys(device.storage, ring)
    assert await known.origin_of("arya", key) is None
    assert known.is_doubtful("arya")


class _Dying(MemoryStorage):
    """A storage whose program dies before or after one of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.dies_at: tuple[int, str] | None = None

    async def get_item(self, name: str) -> str | None:
        self._die("before")
        value = await super().get_item(name)
        self._die("after")
        return value

    async def set_item(self, name: str, value: str) -> None:
        self._die("before")
        await super().set_item(name, value)
        self._die("after")

    def _die(self, when: str) -> None:
        self.calls += when == "before"
        if (self.calls, when) == self.dies_at:
            raise _DeathError


class _DeathError(BaseException):
    pass


async def test_what_a_device_made_is_known_wherever_its_program_dies(device: Device) -> None:
    """An exchange key is never published and unknown: the policy would be asked about it."""
    ned_id = device.world["users"]["ned"]["dataOwnerId"]

    def take_away(exported: Json) -> None:
        ned = exported["entities"]["patient"][ned_id]
        ned["hcPartyKeys"] = {}
        ned["aesExchangeKeys"] = {key_pair_of(device.world, "ned").public_key: {}}

    async def only_the_friend(question: KeyQuestion) -> bool:
        assert question.kind == "public_key", question
        return question.data_owner_id == "hcp-friend"

    async def run(storage: _Dying, sandbox: Sandbox) -> None:
        own = Device(device.world, device.session, sandbox, storage, device.keys)
        api = await own.start(lambda builder: builder.with_public_key_policy(only_the_friend))
        stored = await sandbox.stored("patient", await _write(api))
        assert stored is not None
        assert stored["delegations"].keys() == {ned_id, "hcp-friend"}

    before = await device.sandbox.export()
    take_away(before)
    whole = _Dying()
    async with Sandbox(seed=copy.deepcopy(before), jwt=False) as elsewhere:
        await run(whole, elsewhere)
    for call in range(1, whole.calls + 1):
        for when in ("before", "after"):
            storage = _Dying()
            storage.dies_at = call, when
            async with Sandbox(seed=copy.deepcopy(before), jwt=False) as elsewhere:
                with pytest.raises(_DeathError):
                    await run(storage, elsewhere)
                storage.dies_at = None
                await run(storage, elsewhere)


async def test_several_questions_about_one_key_at_once_are_one(device: Device) -> None:
    """Giving access back and saving a record do not wait for each other."""
    person = Person()

    async def slowly(question: KeyQuestion) -> bool:
        await asyncio.sleep(0.01)
        return await person(question)

    ring = KeyRing(SoftwareCrypto())
    await ring.add(key_pair_of(device.world, "ned"))
    trust = KeyTrust(KnownKeys(device.storage, ring), policy=slowly)
    answers = await asyncio.gather(
        *(trust.encryptable("ned", "friend", ["aa"]) for _ in range(3)),
    )
    assert answers == [["aa"]] * 3
    assert len(person.take()) == 1
