"""The sharing of new records: as the user chose last, on any device."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
import time_machine

from icure_async import KeyPair, MedTechApi, Notification, Patient
from icure_async.errors import ConflictError
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, add_patient, add_user, key_pair_of

CURRENT = "GET /rest/v1/user/current"


@pytest.fixture
def friend(world: Json, seed: Json) -> str:
    friend = add_hcp(seed, "friend")
    pair: KeyPair = key_pair_of(world, "arya")
    seed["entities"]["hcparty"][friend]["publicKey"] = pair.public_key
    return friend


@pytest.fixture
def user(world: Json, seed: Json, friend: str) -> Json:
    stored: Json = seed["entities"]["user"][world["users"]["ned"]["userId"]]
    stored["autoDelegations"] = {"all": [friend]}
    return stored


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(1_795_500_000, tick=False) as traveller:
        yield traveller


@pytest.fixture
async def ned(user: Json, clock: object, opener: Opener) -> MedTechApi:
    return await opener.golden("ned")


async def _share_with(sandbox: Sandbox, user: Json, *owner_ids: str) -> None:
    """Share from another device of the user's."""
    master = sandbox.master_hcp
    auth = aiohttp.encode_basic_auth(master.login, master.password)
    async with aiohttp.ClientSession(headers={"Authorization": auth}) as session:
        async with session.get(f"{sandbox.icure_url}/user/{user['id']}") as answer:
            document = await answer.json()
        document["autoDelegations"] = {"all": list(owner_ids)} if owner_ids else {}
        async with session.put(f"{sandbox.icure_url}/user", json=document) as answer:
            assert answer.status == 200, await answer.text()


async def _readers_of_a_new_patient(api: MedTechApi, sandbox: Sandbox) -> set[str]:
    saved = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    stored = await sandbox.stored("patient", str(saved.id))
    assert stored is not None
    assert stored["delegations"].keys() == stored["encryptionKeys"].keys()
    return set(stored["delegations"])


async def test_who_was_removed_on_another_device_gets_nothing_more(
    ned: MedTechApi,
    sandbox: Sandbox,
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    requests: RequestLog,
) -> None:
    assert friend in await _readers_of_a_new_patient(ned, sandbox)
    await _share_with(sandbox, user)
    clock.shift(5.5)
    requests.take()
    assert friend not in await _readers_of_a_new_patient(ned, sandbox)
    assert requests.take() == [CURRENT, "POST /rest/v1/patient"]
    # Shared with nobody, as far as is known: that is not asked again for a while.
    clock.shift(60)
    await _readers_of_a_new_patient(ned, sandbox)
    assert requests.take() == ["POST /rest/v1/patient"]
    await _share_with(sandbox, user, friend)
    clock.shift(300)
    assert friend in await _readers_of_a_new_patient(ned, sandbox)


async def test_a_burst_of_creations_asks_once(
    ned: MedTechApi, sandbox: Sandbox, clock: time_machine.Traveller, requests: RequestLog
) -> None:
    await _readers_of_a_new_patient(ned, sandbox)
    clock.shift(10)
    requests.take()
    await asyncio.gather(*(_readers_of_a_new_patient(ned, sandbox) for _ in range(5)))
    assert requests.take().count(CURRENT) == 1


async def test_a_clock_that_was_set_back_makes_nothing_fresh(
    ned: MedTechApi, sandbox: Sandbox, user: Json, friend: str, clock: time_machine.Traveller
) -> None:
    assert friend in await _readers_of_a_new_patient(ned, sandbox)
    await _share_with(sandbox, user)
    clock.shift(-3600)
    assert friend not in await _readers_of_a_new_patient(ned, sandbox)


async def test_who_is_removed_while_exchange_keys_are_made_gets_nothing(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
) -> None:
    api = await opener.golden("ned", url=proxy.url)

    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, user)
        clock.shift(20)

    proxy.before("PUT /patient", slowly)
    assert friend not in await _readers_of_a_new_patient(api, sandbox)
    assert [done.path for done in proxy.exchanges].count("/patient") == 2


async def test_notifications_follow_as_well(
    ned: MedTechApi,
    sandbox: Sandbox,
    user: Json,
    friend: str,
    world: Json,
    clock: time_machine.Traveller,
) -> None:
    hcp_id = world["users"]["hcp"]["dataOwnerId"]

    async def readers() -> set[str]:
        saved = await ned.notification_api.create_or_modify_notification(
            Notification(type="OTHER"), hcp_id
        )
        stored = await sandbox.stored("maintenancetask", str(saved.id))
        assert stored is not None
        return set(stored["delegations"])

    assert friend in await readers()
    await _share_with(sandbox, user)
    clock.shift(5.5)
    assert friend not in await readers()


async def test_a_user_who_shares_with_nobody_pays_no_request(
    seed: Json,
    clock: time_machine.Traveller,
    sandbox: Sandbox,
    opener: Opener,
    requests: RequestLog,
) -> None:
    api = await opener.plain("lonely")
    await api.init_user_crypto()
    await _readers_of_a_new_patient(api, sandbox)
    clock.shift(100)
    requests.take()
    await _readers_of_a_new_patient(api, sandbox)
    assert requests.take() == ["POST /rest/v1/patient"]


@pytest.fixture
def seed(seed: Json, world: Json) -> Json:
    seed["entities"]["hcparty"]["hcp-lonely"] = {"id": "hcp-lonely", "lastName": "Snow"}
    seed["entities"]["patient"]["plain"] = {
        "id": "plain",
        "firstName": "Arya",
        "lastName": "Stark",
        "delegations": {world["users"]["ned"]["dataOwnerId"]: []},
    }
    add_patient(seed, "bran", autoDelegations={"all": ["hcp-friend"]})
    add_user(seed, "lonely", healthcarePartyId="hcp-lonely", autoDelegations={"all": []})
    return seed


async def test_an_answer_that_was_long_on_its_way_is_not_fresh(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
) -> None:
    api = await opener.golden("ned", url=proxy.url)
    assert friend in await _readers_of_a_new_patient(api, sandbox)
    clock.shift(10)

    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, user)
        clock.shift(20)

    proxy.after("GET /user/current", slowly)
    assert friend not in await _readers_of_a_new_patient(api, sandbox)


async def test_a_backend_that_always_takes_long_can_be_written_to(
    ned_with_slow_backend: MedTechApi, sandbox: Sandbox, friend: str
) -> None:
    assert friend in await _readers_of_a_new_patient(ned_with_slow_backend, sandbox)


@pytest.fixture
async def ned_with_slow_backend(
    user: Json, clock: time_machine.Traveller, opener: Opener, proxy: Proxy
) -> MedTechApi:
    async def slowly(_: Exchange) -> None:
        clock.shift(6)

    for _ in range(20):
        for line in ("GET /user/current", "PUT /patient"):
            proxy.after(line, slowly)
    return await opener.golden("ned", url=proxy.url)


async def test_whom_the_user_shares_with_may_not_change_for_ever(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
    world: Json,
) -> None:
    api = await opener.golden("ned", url=proxy.url)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    turn = 0

    async def change(exchange: Exchange) -> None:
        nonlocal turn
        turn += 1
        exchange.answer["autoDelegations"] = {"all": [friend, hcp_id][: 1 + turn % 2]}
        clock.shift(6)

    for _ in range(20):
        proxy.after("GET /user/current", change)
    with pytest.raises(ConflictError, match="Nothing was stored"):
        await _readers_of_a_new_patient(api, sandbox)


async def test_a_patient_that_gets_its_first_key_follows_as_well(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
    world: Json,
) -> None:
    api = await opener.golden("ned", url=proxy.url)
    ned_id = world["users"]["ned"]["dataOwnerId"]
    patient = await api.patient_api.get_patient("plain")
    patient.note = "n"

    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, user)
        clock.shift(20)

    proxy.before("PUT /patient", slowly)
    await api.patient_api.create_or_modify_patient(patient)
    stored = await sandbox.stored("patient", "plain")
    assert stored is not None
    assert stored["encryptionKeys"].keys() == {ned_id}


async def test_notices_about_a_new_key_follow_while_they_are_sent(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
    world: Json,
) -> None:
    ned = world["users"]["ned"]
    api = await opener.plain(ned["login"], ned["token"], url=proxy.url)

    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, user)
        clock.shift(20)

    proxy.before("POST /maintenancetask", slowly)
    await api.init_user_crypto(missing_key="allow")
    own, *others = proxy.sent("POST /maintenancetask")
    assert own["delegations"].keys() == {ned["dataOwnerId"]}
    assert len(others) > 1
    # Its own one, as somebody who has exchange keys with the user, and no other.
    assert sum(friend in task["delegations"] for task in others) == 1


async def test_the_first_login_of_a_patient_follows_as_well(
    seed: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
) -> None:
    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, {"id": "user-bran"})
        clock.shift(20)

    api = await opener.plain("bran", url=proxy.url)
    proxy.before(f"GET /dataowner/{friend}", slowly)
    await api.init_user_crypto()
    stored = await sandbox.stored("patient", "patient-bran")
    assert stored is not None
    assert stored["delegations"].keys() == {"patient-bran"}


async def test_one_of_many_that_is_sent_again_is_shared_with_nobody_who_was_removed(
    user: Json,
    friend: str,
    clock: time_machine.Traveller,
    opener: Opener,
    sandbox: Sandbox,
    proxy: Proxy,
) -> None:
    api = await opener.golden("ned", url=proxy.url)

    async def slowly(_: Exchange) -> None:
        await _share_with(sandbox, user)
        clock.shift(20)

    proxy.after("POST /patient/batch", slowly)
    # The backend refuses both because of one.
    refused = Patient(first_name="B", unknown_fields={"insurabilities": "none"})
    result = await api.patient_api.create_patients([Patient(first_name="A"), refused])
    assert [item.error is None for item in result] == [True, False]
    stored = await sandbox.stored("patient", result.saved[0].id)
    assert stored is not None
    assert friend not in stored["delegations"]
    assert friend not in stored["encryptionKeys"]


@pytest.fixture
def key_only_reader(user: Json, friend: str) -> str:
    user["autoDelegations"] = {"anonymousMedicalInformation": [friend]}
    return friend


async def test_many_with_key_only_readers_are_compared_with_one_request(
    key_only_reader: str, opener: Opener, sandbox: Sandbox, proxy: Proxy
) -> None:
    """A reader without the secret id looks like a document that a part was cut off of."""
    api = await opener.golden("ned", url=proxy.url)
    created = await api.patient_api.create_patients(
        [Patient(id=f"patient-{number}", first_name="A") for number in range(5)]
    )
    sent = len(proxy.exchanges)
    changed = await api.patient_api.modify_patients(
        [patient.evolve(note="changed") for patient in created.saved]
    )
    changed.raise_for_failures()
    asked = [f"{done.method} {done.path}" for done in proxy.exchanges[sent:]]
    assert asked == ["POST /patient/byIds", "PUT /patient/batch"]
    stored = await sandbox.stored("patient", "patient-0")
    assert stored is not None
    assert key_only_reader in stored["encryptionKeys"]
    assert key_only_reader not in stored["delegations"]
