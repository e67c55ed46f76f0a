"""Medical devices: created, read, found, modified and deleted, one by one and many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from icure_async import (
    BatchProgress,
    BatchResult,
    CodingReference,
    HealthcareProfessionalFilter,
    Identifier,
    MedicalDevice,
    MedicalDeviceFilter,
    MedTechApi,
    Patient,
    Property,
    PropertyType,
    TypedValueObject,
)
from icure_async.errors import (
    BatchError,
    ConflictError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog

PICTURE = bytes(range(256))


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


def thermometer(name: str = "thermometer", **members: Any) -> MedicalDevice:
    return MedicalDevice(
        name=name,
        type="thermometer",
        brand="Acme",
        model="T1",
        serial_number="S1",
        external_id="x",
        picture=PICTURE,
        identifiers=[Identifier(system="urn:oid", value="1")],
        labels=[CodingReference(type="T", code="c", version="1")],
        codes=[CodingReference(id="S|device|1")],
        properties=[
            Property(
                id="p",
                type=PropertyType(type="INTEGER"),
                typed_value=TypedValueObject(type="INTEGER", integer_value=8),
                deleted=5,
            )
        ],
        **members,
    )


async def save(api: MedTechApi, device: MedicalDevice) -> MedicalDevice:
    return await api.medical_device_api.create_or_modify_medical_device(device)


async def save_all(api: MedTechApi, *devices: MedicalDevice) -> BatchResult[MedicalDevice]:
    return await api.medical_device_api.create_or_modify_medical_devices(devices)


async def stored(sandbox: Sandbox, device_id: str) -> dict[str, Any]:
    document = await sandbox.stored("device", device_id)
    assert document is not None
    return document


async def test_create_read_and_modify(
    api: MedTechApi, requests: RequestLog, sandbox: Sandbox
) -> None:
    created = await save(api, thermometer())
    assert requests.take() == ["POST /rest/v1/device"]
    assert created.picture == PICTURE
    assert created.author
    assert created.responsible == await api.data_owner_id()
    assert await api.medical_device_api.get_medical_device(created.id) == created
    requests.take()

    modified = await save(api, created.evolve(name="renamed", end_of_life=7))
    assert requests.take() == ["PUT /rest/v1/device"]
    assert modified == await api.medical_device_api.get_medical_device(created.id)
    document = await stored(sandbox, created.id)
    assert (document["name"], document["endOfLife"]) == ("renamed", 7)
    # The reference loses these two (data-model.md §7).
    assert document["identifiers"] == [{"system": "urn:oid", "value": "1"}]
    assert document["properties"][0]["deletionDate"] == 5


async def test_a_device_needs_no_name(api: MedTechApi) -> None:
    assert (await save(api, MedicalDevice())).id


async def test_a_device_built_by_hand_keeps_its_author(api: MedTechApi, sandbox: Sandbox) -> None:
    created = await save(api, thermometer())
    built = MedicalDevice(id=created.id, rev=created.rev, name="built")
    saved = await save(api, built)
    assert (saved.author, saved.created, saved.responsible) == (
        created.author,
        created.created,
        created.responsible,
    )
    assert (saved.name, saved.picture) == ("built", None)


class TestMany:
    async def test_new_ones(self, api: MedTechApi, requests: RequestLog) -> None:
        result = await save_all(api, thermometer("a"), thermometer("b"))
        result.raise_for_failures()
        assert requests.take() == ["POST /rest/v1/device/batch", "POST /rest/v1/device/byIds"]
        assert [device.name for device in result.saved] == ["a", "b"]
        ids = [device.id for device in result.saved]
        assert await api.medical_device_api.get_medical_devices(ids) == result.saved

    async def test_new_and_changed_ones(self, api: MedTechApi, requests: RequestLog) -> None:
        old = await save(api, thermometer("old"))
        requests.take()
        result = await save_all(api, thermometer("new"), old.evolve(name="changed"))
        assert [device.name for device in result.saved] == ["new", "changed"]
        assert [device.rev[:2] for device in result.saved] == ["1-", "2-"]
        assert len(requests.take()) == 4

    async def test_changed_ones_that_this_session_has_not_read(
        self, api: MedTechApi, opener: Opener, requests: RequestLog
    ) -> None:
        devices = (await save_all(api, *(thermometer(str(i)) for i in range(5)))).saved
        other = await opener.golden("hcp")
        for device in devices:
            device.brand = "other"
        requests.take()
        result = await save_all(other, *devices)
        result.raise_for_failures()
        lines = requests.take()
        assert [line.split("/")[-1] for line in lines] == ["byIds", "batch", "byIds"]

    async def test_none(self, api: MedTechApi, requests: RequestLog) -> None:
        assert len(await save_all(api)) == 0
        assert requests.take() == []

    async def test_progress(self, api: MedTechApi) -> None:
        seen: list[BatchProgress] = []

        async def note(progress: BatchProgress) -> None:
            seen.append(progress)

        await api.medical_device_api.create_or_modify_medical_devices(
            [MedicalDevice(name=str(number)) for number in range(251)], progress=note
        )
        assert seen == [BatchProgress(done=250, total=251), BatchProgress(done=251, total=251)]

    async def test_failures_are_told_for_each(self, api: MedTechApi, sandbox: Sandbox) -> None:
        """The backend answers with those that it saved, and says nothing of the others."""
        stale = await save(api, thermometer("stale"))
        await save(api, stale.evolve(name="newer"))
        taken = await save(api, thermometer("taken"))
        twice = thermometer("twice")
        result = await save_all(
            api,
            thermometer("fine"),
            stale.evolve(brand="ours"),
            MedicalDevice(id=taken.id, name="other"),
            MedicalDevice(name=5),  # type: ignore[arg-type]
            twice,
            twice,
            MedicalDevice(id="gone", rev="1-x", name="gone"),
            Patient(last_name="x"),  # type: ignore[arg-type]
        )
        assert [type(item.error) for item in result] == [
            type(None),
            ConflictError,
            ConflictError,
            ValidationError,
            type(None),
            ValidationError,
            NotFoundError,
            ValidationError,
        ]
        with pytest.raises(BatchError, match="6 of 8"):
            result.raise_for_failures()
        assert (await stored(sandbox, stale.id))["name"] == "newer"
        assert (await stored(sandbox, taken.id))["name"] == "taken"

    async def test_a_lost_answer(self, proxied: MedTechApi, proxy: Proxy) -> None:
        devices = [thermometer("a"), thermometer("b")]
        proxy.lose("POST /device/batch")
        first = await save_all(proxied, *devices)
        # Those that were stored are found at once.
        assert [device.name for device in first.saved] == ["a", "b"]
        again = await save_all(proxied, *devices)
        again.raise_for_failures()
        assert [device.rev for device in again.saved] == [device.rev for device in first.saved]

    async def test_a_lost_answer_to_changes(self, proxied: MedTechApi, proxy: Proxy) -> None:
        devices = (await save_all(proxied, thermometer("a"), thermometer("b"))).saved
        for device in devices:
            device.brand = "other"
        proxy.lose("PUT /device/batch")
        saved = (await save_all(proxied, *devices)).saved
        assert [(device.rev[:2], device.brand) for device in saved] == [("2-", "other")] * 2

    async def test_the_same_call_again_after_the_network_broke(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        devices = [thermometer("a"), thermometer("b")]
        proxy.lose("POST /device/batch")
        proxy.lose("POST /device/byIds")
        proxy.lose("POST /device/byIds")
        proxy.lose("POST /device/byIds")
        proxy.lose("POST /device/byIds")
        first = await save_all(proxied, *devices)
        assert [type(item.error) for item in first] == [NetworkError, NetworkError]
        again = await save_all(proxied, *devices)
        again.raise_for_failures()
        assert [device.rev[:2] for device in again.saved] == ["1-", "1-"]

    @pytest.mark.parametrize("change", [{"name": "other"}, {"publicKey": "ab" * 200}, {"id": "x"}])
    async def test_a_hostile_answer_is_no_success(
        self, proxied: MedTechApi, proxy: Proxy, change: dict[str, Any]
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer[0].update(change)

        proxy.after("POST /device/byIds", lie)
        (saved,) = (await save_all(proxied, thermometer("a"))).saved
        assert saved.name == "a"
        assert saved.system_meta_data is not None
        assert not saved.system_meta_data.public_key
        assert len(proxy.sent("POST /device/byIds")) == 2

    async def test_an_answer_that_stays_wrong_is_no_success(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer[0]["name"] = "other"

        for _ in range(2):
            proxy.after("POST /device/byIds", lie)
        result = await save_all(proxied, MedicalDevice(name="a", brand="b"))
        # Sent again by itself, and found to be stored already.
        assert [device.name for device in result.saved] == ["a"]

    @pytest.mark.parametrize(
        "answer",
        [[{"id": "another", "rev": "1-x"}], [{"id": 5, "rev": []}], {"x": 1}, [None], "text"],
    )
    async def test_a_malformed_answer(self, proxied: MedTechApi, proxy: Proxy, answer: Any) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = answer

        proxy.after("POST /device/batch", lie)
        # They are stored, which reading them shows.
        (await save_all(proxied, thermometer("a"), thermometer("b"))).raise_for_failures()

    async def test_what_is_no_list(self, api: MedTechApi) -> None:
        with pytest.raises(ValidationError, match="must be a list"):
            await api.medical_device_api.create_or_modify_medical_devices("abc")  # type: ignore[arg-type]


class TestFind:
    @pytest.fixture
    async def devices(self, api: MedTechApi, requests: RequestLog) -> list[MedicalDevice]:
        devices = (await save_all(api, *(thermometer(str(n)) for n in range(5)))).saved
        requests.take()
        return devices

    async def test_by_ids(
        self, api: MedTechApi, devices: list[MedicalDevice], requests: RequestLog
    ) -> None:
        wanted = MedicalDeviceFilter().by_ids([device.id for device in devices])
        find = api.medical_device_api.filter_medical_devices
        assert [device async for device in find(wanted, page_size=2)] == devices
        assert len(requests.take()) == 3

    async def test_match(
        self, api: MedTechApi, devices: list[MedicalDevice], requests: RequestLog
    ) -> None:
        """The reference always throws here (second-world.md §4)."""
        ids = [device.id for device in devices]
        match = api.medical_device_api.match_medical_devices
        assert await match(MedicalDeviceFilter().by_ids(ids)) == ids
        assert requests.take() == ["POST /rest/v1/device/match"]
        assert set(await match()) >= set(ids)

    async def test_all(self, api: MedTechApi, devices: list[MedicalDevice]) -> None:
        found = [device async for device in api.medical_device_api.filter_medical_devices()]
        assert {device.id for device in found} >= {device.id for device in devices}

    async def test_a_filter_of_another_kind_is_refused(self, api: MedTechApi) -> None:
        with pytest.raises(ValidationError, match="medical device"):
            await api.medical_device_api.match_medical_devices(
                HealthcareProfessionalFilter()  # type: ignore[arg-type]
            )

    @pytest.mark.parametrize("ids", [["x", "x"], [5], ["a b"], {"x": 1}, "text", [None]])
    async def test_hostile_answers_to_a_match(
        self, proxied: MedTechApi, proxy: Proxy, ids: Any
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = ids

        proxy.after("POST /device/match", lie)
        with pytest.raises(InvalidResponseError):
            await proxied.medical_device_api.match_medical_devices()

    async def test_delete(
        self,
        api: MedTechApi,
        devices: list[MedicalDevice],
        requests: RequestLog,
        sandbox: Sandbox,
    ) -> None:
        first, *others = [device.id for device in devices]
        assert await api.medical_device_api.delete_medical_device(first) == first
        assert requests.take() == [f"DELETE /rest/v1/device/{first}"]
        assert await api.medical_device_api.delete_medical_devices([*others, others[0]]) == others
        assert requests.take() == ["POST /rest/v1/device/delete/batch"]
        for device_id in (first, *others):
            assert (await stored(sandbox, device_id))["deletionDate"]

    async def test_what_does_not_exist_is_named(
        self, api: MedTechApi, devices: list[MedicalDevice], sandbox: Sandbox
    ) -> None:
        with pytest.raises(NotFoundError):
            await api.medical_device_api.delete_medical_device("nothing")
        with pytest.raises(NotFoundError, match="nothing"):
            await api.medical_device_api.delete_medical_devices([devices[0].id, "nothing"])
        assert (await stored(sandbox, devices[0].id))["deletionDate"]
        with pytest.raises(NotFoundError, match="nothing"):
            await api.medical_device_api.get_medical_devices([devices[1].id, "nothing"])

    @pytest.mark.parametrize(
        "answer", [{"id": "another", "rev": "2-x"}, {"rev": "2-x"}, [], "text", {"id": None}]
    )
    async def test_hostile_answers_to_deletions(
        self, proxied: MedTechApi, proxy: Proxy, answer: Any
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = answer

        created = await save(proxied, thermometer())
        proxy.after(f"DELETE /device/{created.id}", lie)
        with pytest.raises(InvalidResponseError):
            await proxied.medical_device_api.delete_medical_device(created.id)
        proxy.after("POST /device/delete/batch", lie)
        with pytest.raises(ICureError):
            await proxied.medical_device_api.delete_medical_devices([created.id])


@pytest.mark.parametrize("bad", ["", "a,b", "a/b", None, 5])
async def test_bad_ids(api: MedTechApi, requests: RequestLog, bad: Any) -> None:
    devices = api.medical_device_api
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: devices.get_medical_device(bad),
        lambda: devices.get_medical_devices([bad]),
        lambda: devices.delete_medical_device(bad),
        lambda: devices.delete_medical_devices(["fine", bad]),
    ]
    for call in calls:
        with pytest.raises(ValidationError, match="medical device id"):
            await call()
    assert requests.take() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "name must be a str"),
        ({"picture": "text"}, "picture must be bytes"),
        ({"id": "x", "parent_id": "x"}, "own id"),
        ({"id": "a,b"}, "without a comma"),
        ({"end_of_life": 2**63}, "64 bits"),
    ],
)
async def test_bad_members(
    api: MedTechApi, requests: RequestLog, change: dict[str, Any], message: str
) -> None:
    device = MedicalDevice()
    for name, value in change.items():
        setattr(device, name, value)
    with pytest.raises(ValidationError, match=message):
        await save(api, device)
    assert requests.take() == []


async def test_a_circle_of_devices_is_refused(api: MedTechApi) -> None:
    top = await save(api, MedicalDevice(name="top", parent_id=await api.data_owner_id()))
    bottom = await save(api, MedicalDevice(name="bottom", parent_id=top.id))
    with pytest.raises(ValidationError, match="would never end"):
        await save(api, top.evolve(parent_id=bottom.id))
    result = await save_all(api, top.evolve(parent_id=bottom.id), bottom.evolve(name="fine"))
    assert [type(item.error) for item in result] == [ValidationError, type(None)]


class TestPicturesOfPatients:
    """The reference can't save any picture (data-model.md §3.5)."""

    async def test_are_bytes_in_the_model_and_base64_on_the_wire(
        self, api: MedTechApi, sandbox: Sandbox
    ) -> None:
        created = await api.patient_api.create_or_modify_patient(
            Patient(last_name="Stark", picture=PICTURE)
        )
        patient = await api.patient_api.get_patient(created.id)
        assert patient.picture == PICTURE
        patient.picture = PICTURE[::-1]
        await api.patient_api.create_or_modify_patient(patient)
        document = await sandbox.stored("patient", patient.id)
        assert document is not None
        assert document["picture"].startswith("//79")
        assert Patient.from_dict(patient.to_dict()) == patient
