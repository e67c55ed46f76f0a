"""Keys in the documents of professionals and devices: a record that is saved never changes them."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from icure_async import (
    HealthcareProfessional,
    MedicalDevice,
    MedTechApi,
    Notification,
    SystemMetaDataOwner,
)
from icure_async.entities.wholeness import KEY_MATERIAL, same_material
from icure_async.errors import ConflictError, InvalidResponseError, NetworkError, ValidationError
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, key_pair_of, stage

Json = dict[str, Any]

FRIENDS = ("hcp-friend", "hcp-other", "hcp-third")


@pytest.fixture
def seed(world: Json) -> Json:
    """The golden world, with friends who have a key and may be shared with."""
    seed = stage(world)
    for name in ("friend", "other", "third"):
        hcp_id = add_hcp(seed, name)
        seed["entities"]["hcparty"][hcp_id]["publicKey"] = key_pair_of(world, "arya").public_key
    seed["entities"]["hcparty"][FRIENDS[2]]["hcPartyKeys"] = {FRIENDS[2]: ["ab", "cd"]}
    return seed


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("hcp")
    requests.take()
    return opened


@pytest.fixture
async def proxied(opener: Opener, proxy: Proxy) -> MedTechApi:
    opened = await opener.golden("hcp", url=proxy.url)
    proxy.exchanges.clear()
    return opened


async def own_record(api: MedTechApi) -> HealthcareProfessional:
    own_id = await api.data_owner_id()
    return await api.healthcare_professional_api.get_healthcare_professional(own_id)


async def save(api: MedTechApi, professional: HealthcareProfessional) -> HealthcareProfessional:
    return await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        professional
    )


async def stored_own(sandbox: Sandbox, api: MedTechApi) -> Json:
    document = await sandbox.stored("hcparty", await api.data_owner_id())
    assert document is not None
    return document


async def write_to(api: MedTechApi, friend_id: str) -> None:
    """Write something to somebody, which takes an exchange key in our own document."""
    await api.notification_api.create_or_modify_notification(
        Notification(type="OTHER"), delegate=friend_id
    )


def keys_of(document: Json) -> Json:
    return {name: document[name] for name in KEY_MATERIAL if document.get(name)}


async def test_a_renamed_owner_goes_on_writing_keys(
    api: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = keys_of(await stored_own(sandbox, api))
    own = await own_record(api)
    await save(api, own.evolve(last_name="Renamed"))
    assert keys_of(await stored_own(sandbox, api)) == before
    requests.take()
    await write_to(api, FRIENDS[0])
    # It knows the revision that the rename has made: no conflict, nothing is read again.
    lines = requests.take()
    assert lines.count("PUT /rest/v1/hcparty") == 1
    assert not any(f"/{own.id}" in line for line in lines)
    after = await stored_own(sandbox, api)
    assert after["lastName"] == "Renamed"
    assert FRIENDS[0] in after["hcPartyKeys"]


async def test_a_record_from_before_a_key_was_written_is_saved_onto_the_key(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    """In the reference that is a conflict."""
    own = await own_record(api)
    await write_to(api, FRIENDS[0])
    with_key = keys_of(await stored_own(sandbox, api))
    saved = await save(api, own.evolve(last_name="Renamed"))
    after = await stored_own(sandbox, api)
    assert after["lastName"] == saved.last_name == "Renamed"
    assert keys_of(after) == with_key
    assert saved.system_meta_data is not None
    assert FRIENDS[0] in (saved.system_meta_data.hc_party_keys or {})


async def test_a_key_that_another_device_writes_at_the_same_time_stays(
    proxied: MedTechApi, proxy: Proxy, opener: Opener, sandbox: Sandbox
) -> None:
    other = await opener.golden("hcp")

    async def write(_: Exchange) -> None:
        await write_to(other, FRIENDS[0])

    own = await own_record(proxied)
    proxy.before("PUT /hcparty", write)
    await save(proxied, own.evolve(last_name="Renamed"))
    after = await stored_own(sandbox, other)
    assert after["lastName"] == "Renamed"
    assert FRIENDS[0] in after["hcPartyKeys"]
    assert len(proxy.sent("PUT /hcparty")) == 2


async def test_renames_and_keys_at_the_same_time_all_survive(
    api: MedTechApi, opener: Opener, sandbox: Sandbox
) -> None:
    other = await opener.golden("hcp")
    own = await own_record(api)
    await asyncio.gather(
        write_to(api, FRIENDS[0]),
        save(api, own.evolve(notes="changed")),
        write_to(other, FRIENDS[1]),
        write_to(api, FRIENDS[2]),
    )
    after = await stored_own(sandbox, api)
    assert after["notes"] == "changed"
    assert after["hcPartyKeys"].keys() >= set(FRIENDS)


async def test_another_change_at_the_same_time_is_a_conflict(
    api: MedTechApi, opener: Opener, sandbox: Sandbox
) -> None:
    other = await opener.golden("hcp")
    own = await own_record(api)
    await write_to(other, FRIENDS[0])
    await save(other, (await own_record(other)).evolve(notes="theirs"))
    with pytest.raises(ConflictError):
        await save(api, own.evolve(last_name="Renamed"))
    after = await stored_own(sandbox, api)
    assert after["notes"] == "theirs"
    assert after["lastName"] != "Renamed"


async def test_a_lost_answer_and_a_new_key(
    proxied: MedTechApi, proxy: Proxy, opener: Opener, sandbox: Sandbox
) -> None:
    other = await opener.golden("hcp")

    async def drop(_: Exchange) -> None:
        await write_to(other, FRIENDS[0])
        raise ConnectionLostError

    changed = (await own_record(proxied)).evolve(notes="n")
    proxy.after("PUT /hcparty", drop)
    with pytest.raises(NetworkError):
        await save(proxied, changed)
    saved = await save(proxied, changed)
    assert saved.notes == "n"
    assert FRIENDS[0] in (await stored_own(sandbox, other))["hcPartyKeys"]


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": "ab" * 200},
        {"public_key": None},
        {"hc_party_keys": {}},
        {"aes_exchange_keys": None},
        {"aes_exchange_keys": {"ab" * 200: {"x": {"y": "z"}}}},
        {"transfer_keys": {"x": {"y": "z"}}},
        {"private_key_shamir_partitions": {"x": "y"}},
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_caller_can_not_change_keys(
    api: MedTechApi, sandbox: Sandbox, change: Json, by_hand: bool
) -> None:
    before = await stored_own(sandbox, api)
    own = await own_record(api)
    assert own.system_meta_data is not None
    own.system_meta_data = own.system_meta_data.evolve(**change)
    if by_hand:
        own = HealthcareProfessional.from_dict(own.to_dict())
    with pytest.raises(ValidationError, match=r"system_meta_data .* was changed"):
        await save(api, own)
    assert await stored_own(sandbox, api) == before


@pytest.mark.parametrize("metadata", [None, "as it was read"])
async def test_a_record_built_by_hand_keeps_the_keys(
    api: MedTechApi, sandbox: Sandbox, metadata: str | None
) -> None:
    before = keys_of(await stored_own(sandbox, api))
    own = await own_record(api)
    built = HealthcareProfessional(
        id=own.id,
        rev=own.rev,
        last_name="Built",
        system_meta_data=own.system_meta_data if metadata else None,
    )
    saved = await save(api, built)
    assert saved.last_name == "Built"
    assert keys_of(await stored_own(sandbox, api)) == before


async def test_unknown_keys_of_a_newer_backend_stay(api: MedTechApi, sandbox: Sandbox) -> None:
    own = await own_record(api)
    assert own.unknown_fields is not None
    own.unknown_fields["publicKeysForOaepWithSha256"] = ["ab" * 200]
    await save(api, own)
    assert not (await stored_own(sandbox, api)).get("publicKeysForOaepWithSha256")


class TestAnswersWithoutKeys:
    """A proxy or a disk has cut something off: it must not be written back like that."""

    @pytest.mark.parametrize("name", ["publicKey", "hcPartyKeys", "aesExchangeKeys"])
    async def test_are_not_believed_when_read(
        self, proxied: MedTechApi, proxy: Proxy, sandbox: Sandbox, name: str
    ) -> None:
        async def cut(exchange: Exchange) -> None:
            del exchange.answer[name]

        own_id = await proxied.data_owner_id()
        before = keys_of(await stored_own(sandbox, proxied))
        professionals = proxied.healthcare_professional_api
        proxy.after(f"GET /hcparty/{own_id}", cut)
        own = await professionals.get_healthcare_professional(own_id)
        with pytest.raises((ValidationError, InvalidResponseError)):
            await save(proxied, own.evolve(notes="n"))
        assert keys_of(await stored_own(sandbox, proxied)) == before

        own = await professionals.get_healthcare_professional(own_id)
        await save(proxied, own.evolve(notes="n"))
        assert keys_of(await stored_own(sandbox, proxied)) == before

    async def test_are_not_believed_when_one_level_is_missing(
        self, proxied: MedTechApi, proxy: Proxy, sandbox: Sandbox
    ) -> None:
        async def cut(exchange: Exchange) -> None:
            for by_delegate in exchange.answer["aesExchangeKeys"].values():
                by_delegate.popitem()

        own = await own_record(proxied)
        before = keys_of(await stored_own(sandbox, proxied))
        proxy.after(f"GET /hcparty/{own.id}", cut)
        with pytest.raises(InvalidResponseError, match="two things"):
            await own_record(proxied)
        assert keys_of(await stored_own(sandbox, proxied)) == before

    async def test_do_not_pass_for_what_was_stored(
        self, proxied: MedTechApi, proxy: Proxy, sandbox: Sandbox
    ) -> None:
        async def cut(exchange: Exchange) -> None:
            exchange.answer["aesExchangeKeys"] = {}

        own = await own_record(proxied)
        proxy.after("PUT /hcparty", cut)
        with pytest.raises(InvalidResponseError, match="its keys"):
            await save(proxied, own.evolve(notes="n"))
        # The next key is written onto what is really there.
        await write_to(proxied, FRIENDS[0])
        after = await stored_own(sandbox, proxied)
        assert FRIENDS[0] in after["hcPartyKeys"]
        assert after["notes"] == "n"


async def test_only_odd_documents_are_read_again_before_they_are_replaced(
    api: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    own = await own_record(api)
    requests.take()
    await save(api, own.evolve(notes="n"))
    assert requests.take() == ["PUT /rest/v1/hcparty"]
    # This one has exchange keys of the former key scheme alone.
    friend = await api.healthcare_professional_api.get_healthcare_professional(FRIENDS[2])
    requests.take()
    await save(api, friend.evolve(notes="n"))
    reads = [f"GET /rest/v1/hcparty/{FRIENDS[2]}"] * 2
    assert requests.take() == [*reads, "PUT /rest/v1/hcparty"]
    after = await sandbox.stored("hcparty", FRIENDS[2])
    assert after is not None
    assert after["hcPartyKeys"] == {FRIENDS[2]: ["ab", "cd"]}


class TestDevicesWithKeys:
    @pytest.fixture
    def seed(self, seed: Json, world: Json) -> Json:
        hcp = seed["entities"]["hcparty"][world["users"]["hcp"]["dataOwnerId"]]
        self.keys = {name: hcp[name] for name in KEY_MATERIAL if name in hcp}
        seed["entities"]["device"] = {
            f"device-{number}": {"id": f"device-{number}", "name": "d", **self.keys}
            for number in range(3)
        } | {f"other-{number}": {"id": f"other-{number}"} for number in range(1000)}
        self.key = {"publicKey": self.keys["publicKey"]}
        seed["entities"]["device"]["new"] = {"id": "new", **self.key}
        return seed

    async def assert_keys(self, sandbox: Sandbox) -> None:
        for number in range(3):
            device = await sandbox.stored("device", f"device-{number}")
            assert device is not None
            assert same_material(self.keys, device, KEY_MATERIAL)

    async def test_are_modified_in_a_batch(
        self, api: MedTechApi, sandbox: Sandbox, requests: RequestLog
    ) -> None:
        devices = await api.medical_device_api.get_medical_devices(
            [f"device-{number}" for number in range(3)]
        )
        for device in devices:
            device.name = "changed"
        result = await api.medical_device_api.create_or_modify_medical_devices(devices)
        result.raise_for_failures()
        await self.assert_keys(sandbox)

    async def test_that_were_read_long_ago_are_read_again(
        self, api: MedTechApi, sandbox: Sandbox, requests: RequestLog
    ) -> None:
        devices = api.medical_device_api
        device = await devices.get_medical_device("new")
        await devices.get_medical_devices([f"other-{number}" for number in range(1000)])
        requests.take()
        result = await devices.create_or_modify_medical_devices([device.evolve(name="changed")])
        result.raise_for_failures()
        assert len(requests.take()) == 3
        stored = await sandbox.stored("device", "new")
        assert stored is not None
        assert (stored["name"], stored["publicKey"]) == ("changed", self.key["publicKey"])

    async def test_refuse_a_change_of_one_and_save_the_others(
        self, api: MedTechApi, sandbox: Sandbox
    ) -> None:
        devices = await api.medical_device_api.get_medical_devices(
            [f"device-{number}" for number in range(3)]
        )
        devices[1].system_meta_data = SystemMetaDataOwner(public_key="ab" * 200)
        devices[0].name = devices[2].name = "changed"
        result = await api.medical_device_api.create_or_modify_medical_devices(devices)
        assert [type(item.error) for item in result] == [type(None), ValidationError, type(None)]
        await self.assert_keys(sandbox)

    async def test_are_not_copied(self, api: MedTechApi) -> None:
        device = await api.medical_device_api.get_medical_device("device-0")
        copy: MedicalDevice = attrs.evolve(device, id=None, rev=None)  # type: ignore[arg-type]
        created = await api.medical_device_api.create_or_modify_medical_device(copy)
        assert created.system_meta_data is not None
        assert not created.system_meta_data.public_key
