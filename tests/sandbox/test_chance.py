"""Randomness of the sandbox that tests make repeatable."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox, chance
from tests.support.bare_client import World

PHONE = "+32588235595"
REQUEST_ID = str(uuid.UUID(int=4, version=4))


async def story(sandbox: Sandbox, session: aiohttp.ClientSession) -> list[Any]:
    """A registration and a placed person: everything that was random of it."""
    world = World(sandbox, session)
    await world.gateway.post(
        f"/process/{sandbox.patient_process_by_sms_id}/{REQUEST_ID}",
        {
            "captcha": "solved",
            "mobilePhone": PHONE,
            "hcpId": sandbox.master_hcp.data_owner_id,
        },
    )
    code = await sandbox.wait_for_code(PHONE)
    assert (await world.validate(REQUEST_ID, code)).status == 200
    person = await sandbox.register("patient")
    exported = await sandbox.export()
    ids = {kind: list(entities) for kind, entities in exported["entities"].items()}
    revisions = [patient["rev"] for patient in exported["entities"]["patient"].values()]
    return [code, ids, revisions, person.token, person.login]


async def test_the_same_requests_have_the_same_codes_ids_and_tokens(
    session: aiohttp.ClientSession,
) -> None:
    stories: list[Any] = []
    for seed in (7, 7, 8):
        async with Sandbox(random_seed=seed, jwt=False) as sandbox:
            stories.append([sandbox.master_hcp.login, await story(sandbox, session)])
    assert stories[0] == stories[1] != stories[2]


async def test_a_reset_begins_the_same_again(session: aiohttp.ClientSession) -> None:
    async with Sandbox(random_seed=7, jwt=False) as sandbox:
        first = await story(sandbox, session)
        await sandbox.reset()
        assert await story(sandbox, session) == first


async def test_keys_and_the_token_of_the_page_are_never_repeated() -> None:
    kept: list[tuple[str, str]] = []
    for _ in range(2):
        async with Sandbox(random_seed=7, jwt=False) as sandbox:
            kept.append((sandbox.master_hcp.key_pair.public_key, sandbox.page_url[-43:]))
    assert kept[0][0] != kept[1][0]
    assert kept[0][1] != kept[1][1]


async def test_a_repeatable_sandbox_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "icure_async.sandbox"):
        async with Sandbox(random_seed=7, jwt=False):
            pass
    assert "can be guessed" in caplog.text


async def test_another_sandbox_in_the_same_program_stays_random(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(random_seed=7, jwt=False), Sandbox(jwt=False) as other:
        first = await story(other, session)
        await other.reset()
        assert await story(other, session) != first


def test_values_have_their_forms() -> None:
    assert uuid.UUID(chance.new_id()).version == 4
    assert len(chance.token_hex(16)) == 32
    assert len(chance.token_urlsafe(32)) == 43
    assert chance.digits(6).isdecimal()
    assert chance.new_id() != chance.new_id()
