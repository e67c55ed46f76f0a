"""Finding exchange keys: hierarchies of professionals, refusals, stale caches, old backends."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from icure_async import Patient
from icure_async.errors import CryptoError, DecryptionError, InvalidResponseError
from icure_async.models.key_question import KeyQuestion
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.key_material import forge
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, key_pair_of, stage

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
NOTE = "You must keep one's head"
SANSA_ID = "c69063c1-3f21-4a48-8974-6902818d4265"


async def test_a_child_reads_through_its_parents(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    """With the parent's key pair on the device, which is two levels up."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    middle = add_hcp(seed, "middle")
    child = add_hcp(seed, "child")
    seed["entities"]["hcparty"][middle]["parentId"] = hcp_id
    seed["entities"]["hcparty"][child]["parentId"] = middle
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        keys = MemoryKeyStorage()
        opener = Opener(sandbox.icure_url, world, client_session)
        api = await opener.plain("child", key_storage=keys)
        own_pair = key_pair_of(world, "arya")
        await api.init_user_crypto(own_pair)
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(ROBB_ID)
        await keys.store_key_pair(hcp_id, key_pair_of(world, "hcp"))
        # Those of its own only are the child's.
        assert await api.init_user_crypto() == [own_pair]
        assert (await api.patient_api.get_patient(ROBB_ID)).note == NOTE


async def test_a_child_with_a_policy_writes_what_it_reads_through_its_parent(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    """The policy is asked about the exchange key, and about the parent like about others."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    child = add_hcp(seed, "child", autoDelegations={"all": [hcp_id]})
    seed["entities"]["hcparty"][child]["parentId"] = hcp_id
    asked: list[KeyQuestion] = []

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question)
        return True

    async with Sandbox(seed=seed, jwt=False) as sandbox:
        keys, storage = MemoryKeyStorage(), MemoryStorage()
        await keys.store_key_pair(hcp_id, key_pair_of(world, "hcp"))
        opener = Opener(sandbox.icure_url, world, client_session)
        for _ in range(2):
            api = await opener.plain(
                "child", key_storage=keys, storage=storage, public_key_policy=policy
            )
            await api.init_user_crypto()
            robb = await api.patient_api.get_patient(ROBB_ID)
            robb.note = NOTE
            await api.patient_api.create_or_modify_patient(robb)
            created = await api.patient_api.create_or_modify_patient(Patient(first_name="A"))
            stored = await sandbox.stored("patient", str(created.id))
            assert stored is not None
            assert stored["delegations"].keys() == {child, hcp_id}
        assert [(key.kind, key.data_owner_id, key.delegate_id) for key in asked] == [
            ("exchange_key", world["users"]["ned"]["dataOwnerId"], hcp_id),
            ("public_key", hcp_id, None),
        ]


async def test_a_child_reads_what_its_parent_was_given_back(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    """Through what the parent had shared, with the parent's new key (cryptography.md §5.2.4)."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    child = add_hcp(seed, "child")
    seed["entities"]["hcparty"][child]["parentId"] = hcp_id
    newcomer = add_hcp(seed, "newcomer")
    hcp_user = seed["entities"]["user"][
        next(u["id"] for u in seed["entities"]["user"].values() if u["login"] == "master")
    ]
    hcp_user["autoDelegations"] = {"all": [newcomer]}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        helper = await opener.plain("newcomer")
        await helper.init_user_crypto(key_pair_of(world, "arya"))
        hcp = await opener.golden("hcp")
        created = await hcp.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        user, keys = world["users"]["hcp"], MemoryKeyStorage()
        elsewhere = await opener.plain(user["login"], user["token"], key_storage=keys)
        (pair,) = await elsewhere.init_user_crypto(missing_key="allow")
        await helper.data_owner_api.give_access_back_to(hcp_id, pair.public_key)

        api = await opener.plain("child", key_storage=keys)
        await api.init_user_crypto()
        assert (await api.patient_api.get_patient(str(created.id))).note == "n"


@pytest.mark.parametrize("parents", [["child"], ["middle", "child"], ["nobody"], [""]])
async def test_a_hierarchy_that_leads_nowhere_ends(
    world: Json, client_session: aiohttp.ClientSession, parents: list[Any]
) -> None:
    seed = stage(world)
    ids = {name: add_hcp(seed, name) for name in ("child", "middle")}
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as proxy:
        api = await Opener(proxy.url, world, client_session).plain("child")
        await api.init_user_crypto(key_pair_of(world, "arya"))
        for name, parent in zip(("child", "middle"), parents, strict=False):

            async def link(exchange: Exchange, parent: Any = parent) -> None:
                owner = exchange.answer.get("dataOwner", exchange.answer)
                owner["parentId"] = ids.get(parent, parent)

            for line in (f"GET /hcparty/{ids[name]}", f"GET /dataowner/{ids[name]}"):
                for _ in range(4):
                    proxy.after(line, link)
            for _ in range(4):
                proxy.after("GET /dataowner/current", link)
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(ROBB_ID)


async def test_refused_views_count_as_empty_until_the_next_look(
    opener: Opener, proxy: Proxy, world: Json
) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 403, {"message": "no"}

    ned_id = world["users"]["ned"]["dataOwnerId"]
    api = await opener.golden("ned", url=proxy.url)
    # Sansa was made by the professional: the key is in the view of professionals.
    for _ in range(2):
        proxy.after(f"GET /hcparty/{ned_id}/aesExchangeKeys", refuse)
    with pytest.raises(DecryptionError):
        await api.patient_api.get_patient(SANSA_ID)
    assert (await api.patient_api.get_patient(SANSA_ID)).note == "created by hcp"


async def test_a_key_shared_after_the_first_look_is_found(
    world: Json, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """Views are kept, and looked up again once where nothing opens."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_hcp(seed, "colleague", autoDelegations={"all": [hcp_id]})
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        hcp = await opener.golden("hcp")
        assert (await hcp.patient_api.get_patient(ROBB_ID)).note is not None
        colleague = await opener.plain("colleague")
        await colleague.init_user_crypto(key_pair_of(world, "arya"))
        created = await colleague.patient_api.create_or_modify_patient(
            Patient(first_name="A", note="n")
        )
        requests.take()
        assert (await hcp.patient_api.get_patient(str(created.id))).note == "n"
        reads = len(requests.take())
        assert (await hcp.patient_api.get_patient(str(created.id))).note == "n"
        assert len(requests.take()) == 1 < reads <= 9


async def test_backends_without_dataowner_endpoints(
    world: Json, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """They are asked kind by kind."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_hcp(seed, "maester", autoDelegations={"all": [hcp_id]})
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as proxy:
        opener = Opener(proxy.url, world, client_session)

        async def unknown(exchange: Exchange) -> None:
            exchange.status, exchange.answer = 404, "no such endpoint"

        for line in ("GET /dataowner/current", f"GET /dataowner/{hcp_id}"):
            for _ in range(3):
                proxy.after(line, unknown)
        api = await opener.plain("maester")
        await api.init_user_crypto(key_pair_of(world, "arya"))
        await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        lines = requests.take()
        assert "GET /rest/v1/hcparty/hcp-maester" in lines
        assert f"GET /rest/v1/hcparty/{hcp_id}" in lines
        hcp = await opener.golden("hcp")
        (patient,) = proxy.sent("POST /patient")
        assert (await hcp.patient_api.get_patient(patient["id"])).note == "n"


@pytest.mark.parametrize("answer", ['{"type": "hcp"}', '{"type": "robot", "dataOwner": {}}'])
async def test_data_owner_answers_of_no_use_are_asked_for_by_kind(
    opener: Opener, proxy: Proxy, world: Json, answer: str
) -> None:
    async def change(exchange: Exchange) -> None:
        exchange.answer = answer

    proxy.after("GET /dataowner/current", change)
    api = await opener.golden("ned", url=proxy.url)
    assert (await api.patient_api.get_patient(ROBB_ID)).note is not None


async def test_an_answer_about_somebody_else_is_not_taken_for_our_own(
    opener: Opener, proxy: Proxy, world: Json, client_session: aiohttp.ClientSession
) -> None:
    async def swap(exchange: Exchange) -> None:
        exchange.answer["id"] = "somebody-else"

    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_hcp(seed, "maester", autoDelegations={"all": [hcp_id]})
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as own_proxy:
        api = await Opener(own_proxy.url, world, client_session).plain("maester")
        own_proxy.after("PUT /hcparty", swap)
        with pytest.raises(InvalidResponseError, match="hcp-maester"):
            await api.init_user_crypto(key_pair_of(world, "arya"))
        assert await api.init_user_crypto() == [key_pair_of(world, "arya")]


async def test_a_key_pair_that_was_taken_back_is_not_written_with(
    opener: Opener, world: Json
) -> None:
    api = await opener.golden("hcp")
    api._parts.key_registration._key_ring.clear()
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_forged_key_of_ones_own_is_not_taken_for_the_real_one(
    world: Json, client_session: aiohttp.ClientSession, trusted: bool
) -> None:
    """The backend replaces the real one by it; the fingerprint is the same."""
    seed = stage(world)
    ned, pair = world["users"]["ned"], key_pair_of(world, "ned")
    forged = forge(pair.public_key)
    newcomer = add_hcp(seed, "newcomer")
    seed["entities"]["hcparty"][newcomer]["publicKey"] = key_pair_of(world, "arya").public_key
    seed["entities"]["patient"][ned["dataOwnerId"]]["publicKey"] = forged.public_key
    seed["entities"]["user"][ned["userId"]]["autoDelegations"]["all"].append(newcomer)

    async def policy(key: KeyQuestion) -> bool:
        return trusted or key.public_key != forged.public_key

    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        api = await opener.plain(ned["login"], ned["token"], public_key_policy=policy)
        await api.init_user_crypto(pair)
        before = await sandbox.stored("patient", ned["dataOwnerId"])
        with pytest.raises(CryptoError, match="somebody has replaced it"):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert await sandbox.stored("patient", ned["dataOwnerId"]) == before
