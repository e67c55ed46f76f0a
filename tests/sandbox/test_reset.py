"""A sandbox that is reset: as it was right after its start."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Fault, Sandbox
from tests.support.bare_client import Json, World, me
from tests.support.sandbox_control import page_of

PHONE = "+32588235595"


async def test_everything_is_as_it_was_after_the_start(world: World) -> None:
    sandbox = world.sandbox
    before, page_url = await sandbox.export(), sandbox.page_url
    await world.register(PHONE)
    await sandbox.create_group("clinic")
    await sandbox.register("patient")
    sandbox.inject_fault(Fault("status", status=500, path="/nowhere"))
    sandbox.advance_clock(3600)
    sandbox.set_codes({PHONE: "123456"})
    await sandbox.reset()
    assert await sandbox.export() == before
    assert sandbox.messages() == []
    assert sandbox.requests() == []
    page = page_of(world)
    assert (await page.get("/faults")).body == []
    assert (await page.get("/clock")).body["offset"] == 0
    assert (await page.get("/codes")).body == {}
    assert all("token" not in person for person in (await page.get("/people")).body[1:])
    assert sandbox.page_url == page_url


async def test_the_same_person_registers_again_after_a_reset(world: World) -> None:
    first = await world.register(PHONE)
    await world.sandbox.reset()
    assert (await first.get("/user/current")).status == 401
    again = await world.register(PHONE)
    assert (await me(again))["mobilePhone"] == PHONE
    assert world.sandbox.messages()[0].number == 1


async def test_a_code_of_before_is_not_waited_for(world: World) -> None:
    await world.start(PHONE)
    waiting = asyncio.create_task(world.sandbox.wait_for_code("+32588235596"))
    await asyncio.sleep(0)
    await world.sandbox.reset()
    with pytest.raises(TimeoutError):
        await world.sandbox.wait_for_code(PHONE, timeout=0.01)
    await world.start("+32588235596")
    assert len(await waiting) == 6


async def test_a_reset_undoes_an_import(world: World) -> None:
    async with Sandbox(jwt=False) as other:
        exported, theirs = await other.export(), other.master_hcp
    before, master = await world.sandbox.export(), world.sandbox.master_hcp
    await world.sandbox.load(exported)
    assert world.sandbox.master_hcp == theirs != master
    await world.login(theirs.login, theirs.password)
    await world.sandbox.reset()
    assert world.sandbox.master_hcp == master
    assert await world.sandbox.export() == before


async def test_a_reset_right_after_an_import_has_the_last_word_about_the_master(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(jwt=False) as other:
        exported = await other.export()
    sandbox = world.sandbox
    master = sandbox.master_hcp
    store, run = sandbox._open_store, sandbox._open_store.run
    gate, are_done = threading.Event(), threading.Event()
    is_asked = asyncio.Event()

    def asked(*args: Any, **options: Any) -> Any:
        is_asked.set()
        return run(*args, **options)

    waiting = asyncio.create_task(run(lambda _tx: gate.wait(10)))
    monkeypatch.setattr(store, "run", asked)
    loading = asyncio.create_task(sandbox.load(exported))
    await is_asked.wait()
    resetting = asyncio.create_task(sandbox.reset())
    last = asyncio.create_task(run(lambda _tx: are_done.set()))
    await asyncio.sleep(0)
    # Both are done before this loop has a turn again.
    gate.set()
    assert are_done.wait(10)
    await asyncio.gather(waiting, loading, resetting, last)
    assert sandbox.master_hcp == master
    assert await sandbox.stored("user", master.user_id)


async def test_a_seeded_sandbox_goes_back_to_its_seed(
    session: aiohttp.ClientSession, people: Json
) -> None:
    async with Sandbox(seed=people, jwt=False) as sandbox:
        before = await sandbox.export()
        await sandbox.register("patient")
        await sandbox.reset()
        assert await sandbox.export() == before


async def test_a_database_file_goes_back_to_its_state_at_the_start(
    fresh: Path, session: aiohttp.ClientSession
) -> None:
    async with Sandbox(database=fresh) as sandbox:
        kept = await sandbox.register("patient")
    async with Sandbox(database=fresh) as sandbox:
        await sandbox.register("patient")
        await sandbox.reset()
        before = await sandbox.export()
    async with Sandbox(database=fresh) as sandbox:
        assert await sandbox.export() == before
        assert list(before["entities"]["patient"]) == [kept.data_owner_id]


async def test_open_subscriptions_are_closed(world: World) -> None:
    master = await world.master()
    url = f"{world.sandbox.backend_url}/ws/v2/notification/subscribe"
    async with world.session.ws_connect(url, headers=master.headers) as socket:
        await socket.send_json(
            {"eventTypes": ["CREATE"], "entityClass": "org.taktik.icure.entities.Patient"}
        )
        told = asyncio.create_task(socket.receive(timeout=5))
        while not told.done():
            await master.created("/patient", {"firstName": "Robb", "lastName": "Stark"})
            await asyncio.sleep(0.01)
        await world.sandbox.reset()
        while (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == aiohttp.WSCloseCode.SERVICE_RESTART


async def test_requests_at_the_same_time_see_one_state_or_the_other(world: World) -> None:
    master = await world.master()
    for _ in range(5):
        answers = await asyncio.gather(
            *(
                master.post("/patient", {"id": f"p{n}", "firstName": "R", "lastName": "S"})
                for n in range(10)
            ),
            world.sandbox.reset(),
        )
        assert all(answer is None or answer.status == 200 for answer in answers)
    await world.sandbox.reset()
    assert (await world.sandbox.export())["entities"]["patient"] == {}


async def test_a_closed_sandbox_can_not_be_reset() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        await Sandbox().reset()
