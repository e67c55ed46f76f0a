"""New data shared with some data owners, and no more with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icure_async import MedTechApi, Patient
from icure_async.errors import (
    CryptoError,
    ICureError,
    InvalidResponseError,
    NotFoundError,
    ValidationError,
)
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Backend, Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, stage

IDS: dict[str, str] = {name: user["dataOwnerId"] for name, user in WORLD2["users"].items()}
USER_ID: str = WORLD2["users"]["hcpA"]["userId"]


@pytest.fixture
def world() -> Json:
    return WORLD2


@pytest.fixture
def seed() -> Json:
    seed = stage(WORLD2, "10-shared-by-hand")
    add_hcp(seed, "keyless")
    # Members that the model of users does not know.
    seed["entities"]["user"][USER_ID] |= {"termsOfUseDate": 17, "status": "ACTIVE"}
    return seed


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("hcpA")
    await opened.user_api.get_logged_user()
    requests.take()
    return opened


async def user_of(backend: Backend) -> Json:
    stored = await backend.sandbox.stored("user", USER_ID)
    assert stored is not None
    return stored


async def delegates_of_a_new_patient(api: MedTechApi) -> set[str]:
    patient = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert patient.system_meta_data is not None
    return {*patient.system_meta_data.delegations} - {IDS["hcpA"]}


async def test_on_and_off_holds_at_once(
    api: MedTechApi, opener: Opener, backend: Backend, requests: RequestLog
) -> None:
    before = await user_of(backend)
    assert await delegates_of_a_new_patient(api) == set()
    requests.take()
    user = await api.user_api.share_all_future_data_with([IDS["hcpB"], IDS["hcpC"], IDS["hcpB"]])
    assert requests.take() == ["GET /rest/v1/user/current", "PUT /rest/v1/user"]
    assert user.sharing_data_with["all"] == [IDS["hcpB"], IDS["hcpC"]]
    assert await delegates_of_a_new_patient(api) == {IDS["hcpB"], IDS["hcpC"]}
    after = await user_of(backend)
    changing = ("rev", "autoDelegations")
    for name in before.keys() - set(changing):
        assert after[name] == before[name], name

    requests.take()
    assert await api.user_api.share_all_future_data_with([IDS["hcpC"]]) == user
    assert requests.take() == ["GET /rest/v1/user/current"]

    user = await api.user_api.stop_sharing_data_with([IDS["hcpB"]])
    assert requests.take() == ["GET /rest/v1/user/current", "PUT /rest/v1/user"]
    assert user.sharing_data_with["all"] == [IDS["hcpC"]]
    assert await delegates_of_a_new_patient(api) == {IDS["hcpC"]}
    requests.take()
    assert await api.user_api.stop_sharing_data_with([IDS["hcpB"]]) == user
    assert requests.take() == ["GET /rest/v1/user/current"]


async def test_a_delegate_reads_new_patients_and_keeps_the_old_ones(
    api: MedTechApi, opener: Opener
) -> None:
    await api.user_api.share_all_future_data_with([IDS["hcpB"]])
    shared = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    await api.user_api.stop_sharing_data_with([IDS["hcpB"]])
    assert await delegates_of_a_new_patient(api) == set()
    reader = await opener.golden("hcpB")
    assert (await reader.patient_api.get_patient(shared.id)).note == "n"


async def test_a_category_is_no_other(api: MedTechApi, backend: Backend) -> None:
    """The reference changes nothing where the category is left out and has a list already."""
    users = api.user_api
    await users.share_all_future_data_with([IDS["hcpB"]], "all")
    await users.share_all_future_data_with([IDS["hcpC"]])
    await users.share_all_future_data_with([IDS["hcpC"]], "medicalInformation")
    await users.share_all_future_data_with([IDS["ned"]], "financialInformation")
    user = await users.stop_sharing_data_with([IDS["hcpC"]])
    assert user.sharing_data_with == {
        "all": [IDS["hcpB"]],
        "medicalInformation": [IDS["hcpC"]],
        "financialInformation": [IDS["ned"]],
    }
    assert (await user_of(backend))["autoDelegations"] == user.sharing_data_with
    assert await delegates_of_a_new_patient(api) == {IDS["hcpB"], IDS["hcpC"]}


async def test_those_who_read_anonymously_get_the_key_only(api: MedTechApi) -> None:
    await api.user_api.share_all_future_data_with([IDS["hcpB"]], "anonymousMedicalInformation")
    patient = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert patient.system_meta_data is not None
    assert IDS["hcpB"] in patient.system_meta_data.encryption_keys
    assert IDS["hcpB"] not in patient.system_meta_data.delegations


BAD: list[tuple[Any, type[ICureError], str]] = [
    ([], ValidationError, "empty"),
    (IDS["hcpB"], ValidationError, "list"),
    (None, ValidationError, "list"),
    ([None], ValidationError, "delegate id"),
    (["a b"], ValidationError, "delegate id"),
    ([IDS["hcpA"]], ValidationError, "current one"),
    ([IDS["hcpB"], "nobody"], NotFoundError, "does not exist"),
    ([IDS["hcpB"], "hcp-keyless"], CryptoError, "no public key"),
]


@pytest.mark.parametrize(("ids", "error", "words"), BAD)
async def test_bad_input(
    api: MedTechApi,
    backend: Backend,
    requests: RequestLog,
    ids: Any,
    error: type[ICureError],
    words: str,
) -> None:
    before = await user_of(backend)
    with pytest.raises(error, match=words):
        await api.user_api.share_all_future_data_with(ids)
    lines = requests.take()
    if error is ValidationError:
        assert lines == []
    assert not any("PUT" in line for line in lines)
    assert await user_of(backend) == before


async def test_bad_input_for_stopping(api: MedTechApi, requests: RequestLog) -> None:
    bad: Any
    for bad in ([], IDS["hcpB"], None, ["a b"]):
        with pytest.raises(ValidationError):
            await api.user_api.stop_sharing_data_with(bad)
    for bad in ("everything", "", None, 7):
        for call in (
            api.user_api.stop_sharing_data_with([IDS["hcpB"]], bad),
            api.user_api.share_all_future_data_with([IDS["hcpB"]], bad),
        ):
            with pytest.raises(ValidationError, match="data_type"):
                await call
    assert requests.take() == []
    # Somebody who is gone can be removed.
    await api.user_api.stop_sharing_data_with(["somebody-who-is-gone"])


async def test_two_devices_change_it_at_once(opener: Opener, backend: Backend) -> None:
    devices = [await opener.golden("hcpA") for _ in range(3)]
    names = ["hcpB", "hcpC", "ned"]
    await asyncio.gather(
        *(
            device.user_api.share_all_future_data_with([IDS[name]])
            for device, name in zip(devices, names, strict=True)
        )
    )
    assert {*(await user_of(backend))["autoDelegations"]["all"]} == {IDS[name] for name in names}


@pytest.mark.parametrize("adds", [True, False])
async def test_after_a_lost_answer_new_data_is_shared_with_whom_the_backend_has(
    opener: Opener, proxy: Proxy, adds: bool
) -> None:
    api = await opener.golden("hcpA", url=proxy.url)
    if not adds:
        await api.user_api.share_all_future_data_with([IDS["hcpB"]])
        assert await delegates_of_a_new_patient(api) == {IDS["hcpB"]}

    async def refuse(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 400, "refused by a proxy"

    proxy.after("PUT /user", refuse)
    change = (
        api.user_api.share_all_future_data_with if adds else api.user_api.stop_sharing_data_with
    )
    with pytest.raises(ICureError):
        await change([IDS["hcpB"]])
    assert await delegates_of_a_new_patient(api) == ({IDS["hcpB"]} if adds else set())


async def test_an_answer_without_the_change_is_no_success(opener: Opener, proxy: Proxy) -> None:
    api = await opener.golden("hcpA", url=proxy.url)

    async def drop(exchange: Exchange) -> None:
        exchange.answer["autoDelegations"] = {}

    proxy.after("PUT /user", drop)
    with pytest.raises(InvalidResponseError, match="sharing_data_with"):
        await api.user_api.share_all_future_data_with([IDS["hcpB"]])


async def test_an_older_answer_under_way_is_not_remembered(opener: Opener, proxy: Proxy) -> None:
    """Another task has asked for the user just before it is changed."""
    api = await opener.golden("hcpA", url=proxy.url)
    await api.user_api.share_all_future_data_with([IDS["hcpB"]])
    answered, changed = asyncio.Event(), asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        answered.set()
        await changed.wait()

    async def fail(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 400, "refused"
        changed.set()

    async def read() -> None:
        proxy.after("GET /user/current", hold)
        await api.user_api.get_logged_user()

    async def change() -> None:
        # Read before, so that it need not wait for the other one.
        proxy.after("PUT /user", fail)
        with pytest.raises(ICureError):
            await api.user_api.stop_sharing_data_with([IDS["hcpB"]])

    stopping: asyncio.Event = asyncio.Event()

    async def start_reading(exchange: Exchange) -> None:
        stopping.set()
        await answered.wait()

    proxy.before("PUT /user", start_reading)
    task = asyncio.create_task(change())
    await stopping.wait()
    await asyncio.gather(task, read())
    assert await delegates_of_a_new_patient(api) == set()
