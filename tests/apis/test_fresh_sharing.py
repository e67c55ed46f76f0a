"""Whom new records are shared with: what the user said last, on whichever device."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
import time_machine

from icure_async import KeyPair, MedTechApi, Notification, Patient
from icure_async.sandbox import Sandbox
from tests.conftest import RequestLog

from .support import Exchange, Json, Opener, Proxy, add_hcp, add_user, key_pair_of

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
    """What another device of the user's does."""
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
def seed(seed: Json) -> Json:
    seed["entities"]["hcparty"]["hcp-lonely"] = {"id": "hcp-lonely", "lastName": "Snow"}
    add_user(seed, "lonely", healthcarePartyId="hcp-lonely", autoDelegations={"all": []})
    return seed
