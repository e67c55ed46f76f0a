"""init_user_crypto in today's flavour: keys are found, or stored and then published in a stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from icure_async import KeyPair, MedTechApi, MedTechApiBuilder
from icure_async.errors import (
    InvalidResponseError,
    KeyPairNotFoundError,
    NetworkError,
    StorageError,
    ValidationError,
)
from icure_async.models.missing_key import MissingKey
from icure_async.storage import FileKeyStorage, KeyStorage, MemoryKeyStorage, MemoryStorage
from tests.support.seeds import Json
from tests.support.stub_backend import StubBackend

ME = "hcp-me"
PATIENT = "patient-me"
TODAYS = "publicKeysForOaepWithSha256"
CURRENT = "GET /dataowner/current"
STUB = f"GET /dataowner/stub/{ME}"
PUT = "PUT /dataowner/stub"


@pytest.fixture
async def backend() -> AsyncIterator[StubBackend]:
    async with StubBackend() as running:
        running.add("hcparty", ME)
        yield running


class Device:
    """Opens API objects on one device of a user."""

    def __init__(self, backend: StubBackend, key_storage: KeyStorage, login: str = ME) -> None:
        self._backend = backend
        self.key_storage = key_storage
        self.storage = MemoryStorage()
        self._login = login
        self._opened: list[MedTechApi] = []

    async def open(self) -> MedTechApi:
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(self._backend.url)
            .with_user_name(self._login)
            .with_password("correct horse battery staple")
            .with_flavour("cardinal")
            .with_storage(self.storage)
            .with_key_storage(self.key_storage)
            .with_in_memory_keys()
        )
        api = await builder.build()
        self._opened.append(api)
        return api

    async def aclose(self) -> None:
        for api in self._opened:
            await api.aclose()


@pytest.fixture
async def device(backend: StubBackend) -> AsyncIterator[Device]:
    device = Device(backend, MemoryKeyStorage())
    yield device
    await device.aclose()


@pytest.fixture
async def other_device(backend: StubBackend) -> AsyncIterator[Device]:
    device = Device(backend, MemoryKeyStorage())
    yield device
    await device.aclose()


def pair_of(world: Json, name: str) -> KeyPair:
    pair = world["users"][name]["keyPairs"][0]
    return KeyPair(pair["publicKey"], pair["privateKey"])


@pytest.fixture
def pair(world: Json) -> KeyPair:
    return pair_of(world, "arya")


@pytest.fixture
def other_pair(world: Json) -> KeyPair:
    return pair_of(world, "nedLost")


async def test_a_new_professional_publishes_a_key_for_sha_256_by_stub(
    backend: StubBackend, device: Device
) -> None:
    api = await device.open()
    (pair,) = await api.init_user_crypto()
    assert await device.key_storage.list_key_pairs(ME) == [pair]
    assert backend.take() == [CURRENT, STUB, PUT]
    assert backend.document(ME)[TODAYS] == [pair.public_key]
    assert backend.document(ME)["firstName"] == "A"
    assert backend.bodies == [
        {"type": "hcp", "stub": {"id": ME, "rev": "1-a", TODAYS: [pair.public_key]}}
    ]
    assert backend.document(ME).keys() == {"id", "rev", "firstName", TODAYS}


async def test_a_start_with_a_stored_key_reads_the_data_owner_and_writes_nothing(
    backend: StubBackend, device: Device, pair: KeyPair
) -> None:
    backend.add("hcparty", ME, **{TODAYS: [pair.public_key]})
    await device.key_storage.store_key_pair(ME, pair)
    api = await device.open()
    assert await api.init_user_crypto() == [pair]
    # With the switch to the group, where the backend has groups, one more.
    assert set(backend.requests) <= {"POST /auth/login", "GET /user/matches", CURRENT}
    assert len(backend.requests) <= 3
    backend.requests.clear()
    assert await api.init_user_crypto() == [pair]
    assert backend.take() == []
    assert api.unknown_public_keys == ()


async def test_a_key_of_2023_goes_on_working_and_nothing_is_written_for_its_owner(
    backend: StubBackend, device: Device, pair: KeyPair
) -> None:
    backend.add("hcparty", ME, publicKey=pair.public_key)
    await device.key_storage.store_key_pair(ME, pair)
    api = await device.open()
    assert await api.init_user_crypto() == [pair]
    assert {line.partition(" ")[0] for line in backend.take()} == {"GET"}
    assert TODAYS not in backend.document(ME)


async def test_keys_of_both_flavours_are_used_together(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, publicKey=pair.public_key, **{TODAYS: [other_pair.public_key]})
    for stored in (other_pair, pair):
        await device.key_storage.store_key_pair(ME, stored)
    api = await device.open()
    assert await api.init_user_crypto() == [pair, other_pair]
    assert backend.bodies == []


async def test_a_given_pair_is_stored_and_published(
    backend: StubBackend, device: Device, other_device: Device, pair: KeyPair
) -> None:
    shouted = KeyPair(pair.public_key.upper(), pair.private_key.upper())
    assert await (await device.open()).init_user_crypto(shouted) == [pair]
    assert backend.document(ME)[TODAYS] == [pair.public_key]
    assert await device.key_storage.list_key_pairs(ME) == [pair]
    assert await (await other_device.open()).init_user_crypto(shouted) == [pair]
    assert len(backend.bodies) == 1


async def test_a_pair_that_is_not_published_is_refused_where_keys_are(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, **{TODAYS: [pair.public_key]})
    api = await device.open()
    for given in (other_pair, None):
        with pytest.raises(KeyPairNotFoundError, match=pair.fingerprint) as caught:
            await api.init_user_crypto(given)
        assert caught.value.fingerprints == (pair.fingerprint,)
    assert backend.bodies == []
    assert await device.key_storage.list_key_pairs(ME) == []


async def test_find_key_is_asked_for_the_fingerprints_of_both_flavours(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, publicKey=pair.public_key, **{TODAYS: [other_pair.public_key]})
    asked: list[MissingKey] = []

    async def find(missing: MissingKey) -> KeyPair:
        asked.append(missing)
        return other_pair

    api = await device.open()
    assert await api.init_user_crypto(find_key=find) == [other_pair]
    assert asked[0].fingerprints == (pair.fingerprint, other_pair.fingerprint)
    assert backend.bodies == []


async def test_a_malformed_key_of_somebody_else_locks_nobody_out(
    backend: StubBackend, device: Device, pair: KeyPair
) -> None:
    backend.add("hcparty", ME, **{TODAYS: ["nonsense", pair.public_key]})
    await device.key_storage.store_key_pair(ME, pair)
    assert await (await device.open()).init_user_crypto() == [pair]


async def test_a_key_that_cannot_be_stored_is_not_published(
    backend: StubBackend, pair: KeyPair
) -> None:
    class Full(MemoryKeyStorage):
        async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
            raise StorageError("full")

    device = Device(backend, Full())
    api = await device.open()
    with pytest.raises(StorageError):
        await api.init_user_crypto()
    assert backend.bodies == []
    await device.aclose()


@pytest.mark.parametrize("published", [True, False])
async def test_a_program_that_is_cut_off_publishes_the_stored_pair_on_the_next_start(
    backend: StubBackend, device: Device, published: bool
) -> None:
    async def die() -> None:
        raise asyncio.CancelledError

    api = await device.open()
    if published:
        backend.after[PUT] = lambda _: None
    else:
        backend.before[PUT] = die
    with pytest.raises(NetworkError):
        await api.init_user_crypto()
    (stored,) = await device.key_storage.list_key_pairs(ME)
    assert backend.document(ME).get(TODAYS, []) == ([stored.public_key] if published else [])
    again = await device.open()
    assert await again.init_user_crypto() == [stored]
    assert backend.document(ME)[TODAYS] == [stored.public_key]
    assert await device.key_storage.list_key_pairs(ME) == [stored]


async def test_a_conflict_is_merged_with_what_is_stored_then(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, **{TODAYS: [pair.public_key]})
    other_devices = other_pair.public_key

    async def overtake() -> None:
        backend.add("hcparty", ME, rev="2-b", **{TODAYS: [pair.public_key, other_devices]})

    for moment in (STUB, PUT):
        backend.add("hcparty", ME, **{TODAYS: [pair.public_key]})
        backend.before[moment] = overtake
        key_storage = MemoryKeyStorage()
        opened = Device(backend, key_storage)
        api = await opened.open()
        with pytest.MonkeyPatch.context() as patched:
            _without_notices(patched)
            (new,) = await api.init_user_crypto(missing_key="allow")
        assert backend.document(ME)[TODAYS] == [pair.public_key, other_devices, new.public_key]
        assert await key_storage.list_key_pairs(ME) == [new]
        await opened.aclose()


def _without_notices(patched: pytest.MonkeyPatch) -> None:
    async def none(*_: object) -> list[object]:
        return []

    patched.setattr("icure_async.keys.notices.KeyNotices.send_outstanding", none)


async def test_two_devices_racing_with_the_first_key_publish_one(
    backend: StubBackend, device: Device, other_device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    winner, loser = await device.open(), await other_device.open()

    async def overtake() -> None:
        await winner.init_user_crypto(pair)

    backend.before[PUT] = overtake
    with pytest.raises(KeyPairNotFoundError, match=pair.fingerprint):
        await loser.init_user_crypto(other_pair)
    assert backend.document(ME)[TODAYS] == [pair.public_key]
    assert await loser.init_user_crypto(pair) == [pair]


async def test_api_objects_of_one_device_make_one_key(backend: StubBackend, tmp_path: Path) -> None:
    devices = [Device(backend, FileKeyStorage(tmp_path / "keys")) for _ in range(3)]
    apis = [await device.open() for device in devices]
    for api in apis:
        await api.data_owner_id()
    results = await asyncio.gather(*(api.init_user_crypto() for api in apis))
    assert results[0] == results[1] == results[2]
    assert backend.document(ME)[TODAYS] == [results[0][0].public_key]
    assert len(backend.bodies) == 1
    for device in devices:
        await device.aclose()


async def test_another_pair_than_that_on_the_device_is_refused(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    await (await device.open()).init_user_crypto(pair)
    with pytest.raises(ValidationError, match="not present on the device"):
        await (await device.open()).init_user_crypto(other_pair)


class TestHostileAnswers:
    async def test_a_list_of_keys_that_was_cut_off_destroys_none(
        self, backend: StubBackend, device: Device, pair: KeyPair
    ) -> None:
        backend.add("hcparty", ME, **{TODAYS: [pair.public_key]})
        api = await device.open()

        def cut(answer: Json) -> Json:
            del answer["dataOwner"][TODAYS]
            return answer

        backend.after[CURRENT] = cut
        with pytest.raises(InvalidResponseError, match="two things"):
            await api.init_user_crypto()
        assert backend.bodies == []
        assert backend.document(ME)[TODAYS] == [pair.public_key]

    async def test_a_list_that_lost_one_key_destroys_none(
        self, backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
    ) -> None:
        listed = [pair.public_key, other_pair.public_key]
        backend.add("hcparty", ME, **{TODAYS: listed})
        api = await device.open()

        def cut(answer: Json) -> Json:
            answer["dataOwner"][TODAYS].pop()
            return answer

        backend.after[CURRENT] = cut
        with pytest.raises(InvalidResponseError, match="two things"):
            await api.init_user_crypto(missing_key="allow")
        assert backend.bodies == []
        assert backend.document(ME)[TODAYS] == listed
        # The stored pair is the one that the next start publishes.
        (stored,) = await device.key_storage.list_key_pairs(ME)
        with pytest.MonkeyPatch.context() as patched:
            _without_notices(patched)
            assert await api.init_user_crypto(missing_key="allow") == [stored]
        assert backend.document(ME)[TODAYS] == [*listed, stored.public_key]

    @pytest.mark.parametrize(
        "stub",
        [
            {"id": "somebody-else", "rev": "1-a"},
            {"id": ME},
            {"id": ME, "rev": "1-a", TODAYS: "a text"},
            {"id": ME, "rev": "1-a", TODAYS: [1]},
            {"id": ME, "rev": "1-a", "transferKeys": []},
            {"id": ME, "rev": "1-a", "parentId": 1},
            None,
            [],
        ],
    )
    async def test_a_stub_that_is_another_or_malformed_is_refused(
        self, backend: StubBackend, device: Device, stub: object
    ) -> None:
        api = await device.open()
        backend.after[STUB] = lambda answer: answer | {"stub": stub}
        with pytest.raises(InvalidResponseError, match=ME):
            await api.init_user_crypto()
        assert backend.bodies == []

    @pytest.mark.parametrize("kind", ["patient", "nonsense", None, 1])
    async def test_a_stub_of_another_kind_is_refused(
        self, backend: StubBackend, device: Device, kind: object
    ) -> None:
        api = await device.open()
        backend.after[STUB] = lambda answer: answer | {"type": kind}
        with pytest.raises(InvalidResponseError):
            await api.init_user_crypto()
        assert backend.bodies == []

    async def test_an_answer_to_the_write_without_the_new_key_is_refused(
        self, backend: StubBackend, device: Device
    ) -> None:
        api = await device.open()

        def forget(answer: Json) -> Json:
            del answer["stub"][TODAYS]
            return answer

        backend.after[PUT] = forget
        with pytest.raises(InvalidResponseError, match="not those that were sent"):
            await api.init_user_crypto()

    async def test_members_of_a_stub_that_are_not_known_go_back(
        self, backend: StubBackend, device: Device
    ) -> None:
        properties = [{"id": "p", "typedValue": {"type": "STRING", "stringValue": "v"}}]
        backend.add("hcparty", ME, cryptoActorProperties=properties, parentId="organisation")
        backend.add("hcparty", "organisation")
        api = await device.open()
        backend.after[STUB] = lambda answer: {
            **answer,
            "stub": {**answer["stub"], "fromTheFuture": [{"a": 1}], "publicKey": None},
        }
        await api.init_user_crypto()
        assert backend.bodies[0]["stub"]["fromTheFuture"] == [{"a": 1}]
        # Nothing is left out by sending it empty.
        assert "publicKey" not in backend.bodies[0]["stub"]
        assert backend.bodies[0]["stub"]["cryptoActorProperties"] == properties
        assert backend.bodies[0]["stub"]["parentId"] == "organisation"


async def test_parents_are_read_one_by_one_and_their_keys_are_put_to_use(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, parentId="ward", **{TODAYS: [pair.public_key]})
    backend.add("hcparty", "ward", parentId="clinic", **{TODAYS: [other_pair.public_key]})
    backend.add("hcparty", "clinic")
    await device.key_storage.store_key_pair(ME, pair)
    api = await device.open()
    pairs = await api.init_user_crypto(parent_key_pairs={"ward": [other_pair]})
    assert pairs == [pair]
    lines = backend.take()
    assert lines == [CURRENT, "GET /dataowner/stub/ward", "GET /dataowner/stub/clinic"]
    assert await device.key_storage.list_key_pairs("ward") == [other_pair]


async def test_a_published_key_that_nobody_knows_here_is_told(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", ME, **{TODAYS: [pair.public_key, other_pair.public_key]})
    await device.key_storage.store_key_pair(ME, pair)
    api = await device.open()
    await api.init_user_crypto()
    assert [key.public_key for key in api.unknown_public_keys] == [other_pair.public_key]


async def test_a_data_owner_is_shown_with_its_name_and_all_its_keys(
    backend: StubBackend, device: Device, pair: KeyPair, other_pair: KeyPair
) -> None:
    backend.add("hcparty", "other", publicKey=pair.public_key, **{TODAYS: [other_pair.public_key]})
    api = await device.open()
    owner = await api.data_owner_api.get_data_owner("other")
    assert owner.first_name == "A"
    assert [key.public_key for key in owner.public_keys] == [
        pair.public_key,
        other_pair.public_key,
    ]
