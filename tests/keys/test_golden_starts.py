"""Starts of everybody in the golden world of today's clients, on the sandbox."""

from __future__ import annotations

import aiohttp
import pytest

from icure_async import KeyPair, KeyReport, MedTechApi
from icure_async.keys.own_record import is_new_record
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL
from tests.support.exchange_backend import pairs_of
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, stage


def people() -> list[tuple[str, str]]:
    return [
        (name, user)
        for name, world in CARDINAL["stages"].items()
        for user, about in CARDINAL["users"].items()
        if about["userId"] in world["entities"]["user"]
        and pairs_of(user)
        and _is_published(world, about)
    ]


def _is_published(world: Json, about: Json) -> bool:
    owners = {**world["entities"]["hcparty"], **world["entities"]["patient"]}
    owner = owners.get(about["dataOwnerId"], {})
    published = [owner.get("publicKey"), *(owner.get("publicKeysForOaepWithSha256") or [])]
    return any(pair["publicKey"] in published for pair in about["keyPairs"])


async def opened(
    sandbox: Sandbox, user: Json, flavour: Flavour, session: aiohttp.ClientSession
) -> MedTechApi:
    storage = MemoryKeyStorage()
    for pair in user["keyPairs"]:
        key_pair = KeyPair(pair["publicKey"], pair["privateKey"])
        await storage.store_key_pair(user["dataOwnerId"], key_pair)
    builder = builder_for(sandbox.icure_url, user["login"], user["token"])
    return await (
        builder.with_flavour(flavour)
        .with_client_session(session)
        .with_key_storage(storage)
        .with_in_memory_keys()
        .build()
    )


@pytest.mark.parametrize(("stage_name", "name"), people())
async def test_a_start_with_a_stored_key_is_short_and_writes_nothing(
    stage_name: str, name: str, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """The requests are login, matches, switch to the group, and the data owner."""
    user = CARDINAL["users"][name]
    async with Sandbox(seed=stage(CARDINAL, stage_name)) as sandbox:
        record = await sandbox.stored("patient", user["dataOwnerId"])
        if record is not None and is_new_record(record):
            await (await opened(sandbox, user, "cardinal", client_session)).init_user_crypto()
            completed = await sandbox.stored("patient", user["dataOwnerId"])
            assert completed is not None
            assert completed["securityMetadata"]
            assert completed["firstName"] == record["firstName"]
        api = await opened(sandbox, user, "cardinal", client_session)
        before = await sandbox.export()
        requests.take()
        pairs = await api.init_user_crypto()
        assert [pair.public_key for pair in pairs]
        assert {pair.public_key for pair in pairs} <= public_keys_of(user)
        lines = requests.take()
        assert len(lines) <= 4
        assert lines[-1] == "GET /rest/v2/dataowner/current"
        assert (await sandbox.export())["entities"] == before["entities"]


@pytest.mark.parametrize("name", ["doc1", "pat1", "pat2"])
async def test_a_start_in_the_flavour_of_2023_reads_with_keys_of_today_and_destroys_nothing(
    name: str, client_session: aiohttp.ClientSession
) -> None:
    user = CARDINAL["users"][name]
    kind = "hcparty" if name == "doc1" else "patient"
    async with Sandbox(seed=stage(CARDINAL, "3-more-entities"), jwt=False) as sandbox:
        before = await sandbox.stored(kind, user["dataOwnerId"])
        api = await opened(sandbox, user, "medtech", client_session)
        pairs = await api.init_user_crypto()
        after = await sandbox.stored(kind, user["dataOwnerId"])
    assert before is not None
    assert after is not None
    assert public_keys_of(user) < {pair.public_key for pair in pairs}
    # It writes with a key pair of its own.
    assert after["publicKey"] == pairs[0].public_key
    assert after["publicKey"] not in public_keys_of(user)
    for member in ("publicKeysForOaepWithSha256", "securityMetadata", "encryptedSelf"):
        assert after.get(member) == before.get(member)
    assert not after.get("delegations")


def public_keys_of(user: Json) -> set[str]:
    return {pair["publicKey"] for pair in user["keyPairs"]}


async def report_of(
    name: str, stage_name: str, session: aiohttp.ClientSession, flavour: Flavour = "cardinal"
) -> KeyReport:
    async with Sandbox(seed=stage(CARDINAL, stage_name)) as sandbox:
        before = await sandbox.export()
        api = await opened(sandbox, CARDINAL["users"][name], flavour, session)
        report = await api.data_owner_api.examine_keys()
        assert (await sandbox.export())["entities"] == before["entities"]
        return report


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
async def test_a_report_names_those_who_can_give_access_back_through_exchange_data(
    client_session: aiohttp.ClientSession, flavour: Flavour
) -> None:
    lost = CARDINAL["users"]["k-doc1"]
    others = {CARDINAL["users"][name]["dataOwnerId"] for name in ("k-doc2", "k-pat1")}
    report = await report_of("k-doc1-new", "k2-key-lost", client_session, flavour)
    old, new = report.keys
    assert (old.status, new.status) == ("missing", "on_device")
    assert old.public_key == lost["keyPairs"][0]["publicKey"]
    assert set(old.helpers) == set(report.correspondents) == others
    assert report.unknown == (old.fingerprint,)
    assert any("access given back" in problem for problem in report.problems)
    assert not report.lacks_self_delegation

    report = await report_of("k-doc1-new", "k3-access-given-back", client_session, flavour)
    assert report.keys[0].helpers == ()
    # Exchange data to herself, which nobody else can open.
    assert report.keys[0].only_opens == 1


@pytest.mark.parametrize("name", ["doc1", "pat1", "pat2"])
async def test_nothing_is_wrong_with_the_keys_of_somebody_of_today(
    name: str, client_session: aiohttp.ClientSession
) -> None:
    report = await report_of(name, "3-more-entities", client_session)
    assert [key.status for key in report.keys] == ["on_device"]
    assert report.problems == []


@pytest.mark.parametrize("name", ["hcp", "ned", "arya"])
async def test_nothing_is_wrong_with_the_keys_of_somebody_of_2023(
    name: str, client_session: aiohttp.ClientSession
) -> None:
    report = await report_of(name, "legacy-2-cardinal", client_session)
    assert report.problems == []
    assert len(report.keys) == 1
