"""The golden data of today's clients, and every request that they were recorded with."""

from __future__ import annotations

import copy

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, basic, golden_stage
from tests.support.cardinal_transcript import (
    CARDINAL_STAGES,
    PARTS,
    Replay,
    actor_of,
    comparable,
    requests_of,
    without_what_came_later,
)

KINDS = ["patient", "helement", "contact", "maintenancetask", "exchangedata", "recoverydata"]
STANDARD = {"Cardinal-Model-Standard": "true"}


@pytest.mark.parametrize("name", CARDINAL_STAGES)
async def test_each_stage_is_a_seed_and_exported_as_it_was(name: str) -> None:
    stage = CARDINAL_STAGES[name]
    async with Sandbox(seed=stage, jwt=False) as sandbox:
        exported = await sandbox.export()
    for kind, entities in stage["entities"].items():
        assert {key: exported["entities"][kind][key] for key in entities} == entities
    assert exported["tokens"] == stage["tokens"]
    async with Sandbox(seed=exported, jwt=False) as again:
        assert await again.export() == exported


@pytest.mark.parametrize("name", CARDINAL_STAGES)
async def test_what_a_stage_has_is_answered_without_a_word_more(
    session: aiohttp.ClientSession, name: str
) -> None:
    stage = CARDINAL_STAGES[name]
    answered = 0
    async with Sandbox(seed=stage, jwt=False) as sandbox:
        for client in clients_of(session, sandbox, stage).values():
            for kind in KINDS:
                for entity_id, entity in stage["entities"][kind].items():
                    answer = await client.get(f"/{kind}/{entity_id}", headers=STANDARD)
                    assert answer.status in (200, 403)
                    if answer.status == 200:
                        answered += 1
                        assert answer.body.items() <= entity.items()
                        assert comparable(answer.body).keys() >= comparable(entity).keys() - LEGACY
    assert answered > len(stage["entities"]["patient"])


LEGACY = {"_type"}


def clients_of(session: aiohttp.ClientSession, sandbox: Sandbox, seed: Json) -> dict[str, Client]:
    """All users of a seed, by login."""
    return {
        user["login"]: Client(
            session, sandbox.icure_v2_url, basic(user["login"], seed["tokens"][user_id][0])
        )
        for user_id, user in seed["entities"]["user"].items()
    }


def legacy_seed() -> Json:
    """The world of 2023, and one more healthcare professional without keys."""
    seed, end = golden_stage("1-shared"), CARDINAL_STAGES["legacy-2-cardinal"]
    newcomers = without_what_came_later(end, "legacy")["entities"]
    for kind in ("user", "hcparty"):
        seed["entities"][kind] = {**newcomers[kind], **seed["entities"][kind]}
    return {"entities": seed["entities"], "tokens": end["tokens"]}


SEEDS = {
    "main": lambda: without_what_came_later(CARDINAL_STAGES["3-more-entities"], "main"),
    "de-anonymisation (on the end of main)": lambda: CARDINAL_STAGES["3-more-entities"],
    "over python-made data": lambda: CARDINAL_STAGES["r1-made-in-python"],
    "key loss and recovery": lambda: without_what_came_later(
        CARDINAL_STAGES["k1-before-loss"], "key loss and recovery"
    ),
    "legacy": legacy_seed,
}
LOGINS = {
    "hcp": "master",
    "ned": "+32470218182",
    "arya": "arya@winterfell.example",
    "py-me": "me",
    "py-other": "other",
    "py-pat": "pat",
}


@pytest.mark.parametrize("part", PARTS)
async def test_recorded_requests_are_answered_as_they_were(
    session: aiohttp.ClientSession, part: str
) -> None:
    """The strict profile refuses what the recorded backend refused, and nothing else."""
    seed = copy.deepcopy(SEEDS[part]())
    sent = 0
    async with Sandbox(seed=seed, profile="strict", jwt=False) as sandbox:
        by_login = clients_of(session, sandbox, seed)
        names = {name: by_login[login] for name, login in LOGINS.items() if login in by_login}
        replay = Replay({**by_login, **names})
        for recorded in requests_of(part):
            if recorded.path.startswith(("/rest/v2/auth/", "/rest/v2/user/")):
                continue
            answer = await replay.send(actor_of(part, recorded.step), recorded)
            where = f"{recorded.step}: {recorded.method} {recorded.path}"
            assert answer.status == recorded.status, (where, answer.body)
            if answer.status == 200:
                assert comparable(answer.body) == comparable(recorded.answer), where
            sent += 1
    assert sent >= {"main": 150, "legacy": 60}.get(part, 5)


async def test_the_end_of_the_recording_is_the_recorded_end(
    session: aiohttp.ClientSession,
) -> None:
    end = CARDINAL_STAGES["3-more-entities"]
    seed = copy.deepcopy(SEEDS["main"]())
    async with Sandbox(seed=seed, profile="strict", jwt=False) as sandbox:
        replay = Replay(clients_of(session, sandbox, seed))
        for recorded in requests_of("main"):
            if not recorded.path.startswith(("/rest/v2/auth/", "/rest/v2/user/")):
                await replay.send(actor_of("main", recorded.step), recorded)
        exported = (await sandbox.export())["entities"]
    for kind in (*KINDS, "exchangedatamap"):
        assert exported[kind].keys() == end["entities"][kind].keys()
        for entity_id, entity in end["entities"][kind].items():
            assert comparable(exported[kind][entity_id]) == comparable(entity)
