"""Waiting: for slow hashes, requests that nobody waits for any more, and closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from icure_async.sandbox import Sandbox, hashing
from icure_async.sandbox.clock import Clock
from icure_async.sandbox.errors import ClosingError
from tests.support.bare_client import World, basic, me

PHONE = "+32588235595"
PASSWORD = "winter-is-coming"
# Fewer than the connections of a client.
AT_ONCE = 90


class Hashes:
    """The slow hashes that were computed, and a gate that can hold them up."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.open = threading.Event()
        self.open.set()

    @property
    def count(self) -> int:
        return len(self.threads)

    def take(self) -> int:
        count = self.count
        self.threads.clear()
        return count


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashes]:
    seen = Hashes()

    def scrypt(secret: str, salt: str) -> str:
        seen.threads.append(threading.current_thread().name)
        assert seen.open.wait(10)
        return hashing.quick_digest(secret, salt)

    monkeypatch.setattr(hashing, "slow_digest", scrypt)
    yield seen
    seen.open.set()


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110 - what is waited for happens in other threads
            await asyncio.sleep(0.001)


@asynccontextmanager
async def held_up(sandbox: Sandbox) -> AsyncIterator[None]:
    """Keep the database busy."""
    begun, go = threading.Event(), threading.Event()

    def job(_: object) -> None:
        begun.set()
        assert go.wait(10)

    busy = asyncio.create_task(sandbox._open_store.run(job))
    await until(begun.is_set)
    try:
        yield
    finally:
        go.set()
        await busy


async def test_a_registration_needs_no_slow_hash(world: World, hashes: Hashes) -> None:
    ned = await world.register(PHONE)
    for _ in range(3):
        await world.register(PHONE)
    answer = await ned.post(f"/user/token/{(await me(ned))['id']}/key?tokenValidity=2592000")
    await world.login(PHONE, answer.body)
    assert hashes.count == 0


async def test_a_login_costs_one_slow_hash_however_many_secrets_there_are(
    world: World, hashes: Hashes
) -> None:
    master = await world.master()
    user = await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    for number in range(8):
        path = f"/user/token/{user['id']}/key-{number}?tokenValidity=-1"
        await master.post(path, headers={"token": f"short-{number}"})
    for number in range(8):
        await master.post(f"/user/token/{user['id']}/long-{number}")
    hashes.take()
    for secret, status in ((PASSWORD, 200), ("short-3", 200), ("short-7", 200), ("wrong", 401)):
        body = {"username": "ned", "password": secret}
        assert (await world.anonymous.post("/auth/login", body)).status == status
        assert hashes.take() == 1


async def test_a_token_is_found_without_a_slow_hash_of_the_password(
    world: World, hashes: Hashes
) -> None:
    master = await world.master()
    user = await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    secret = (await master.post(f"/user/token/{user['id']}/key?tokenValidity=-1")).body
    hashes.take()
    await world.login("ned", secret)
    assert hashes.take() == 0


async def test_short_lived_secrets_are_hashed_cheaply_and_others_slowly(
    world: World, hashes: Hashes
) -> None:
    ned = await world.register(PHONE)
    for validity, slow in (("1", 0), ("600", 0), ("601", 1), ("-1", 1)):
        path = f"/user/token/{(await me(ned))['id']}/{validity}?tokenValidity={validity}"
        answer = await ned.post(path, headers={"token": "1234"})
        assert (answer.status, hashes.take()) == (200, slow)


async def test_slow_hashes_hold_nobody_else_up(world: World, hashes: Hashes) -> None:
    master = await world.master()
    await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    hashes.take()
    hashes.open.clear()
    credentials = basic("ned", PASSWORD)
    logins = [
        asyncio.create_task(world.with_headers(credentials).get("/user/current")) for _ in range(20)
    ]
    await until(lambda: hashes.count)
    for _ in range(5):
        await me(master)
        await world.register(PHONE)
    assert not any(login.done() for login in logins)
    hashes.open.set()
    assert [answer.status for answer in await asyncio.gather(*logins)] == [200] * 20
    assert all(name.startswith("icure-sandbox-work") for name in hashes.threads)


async def test_a_password_that_is_changed_while_it_is_hashed_is_the_new_one(
    world: World, hashes: Hashes
) -> None:
    master = await world.master()
    user = await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    other = await master.created("/user", {"login": "arya", "passwordHash": "needle-needle"})
    hashes.open.clear()
    late = asyncio.create_task(
        world.anonymous.post("/auth/login", {"username": "ned", "password": PASSWORD})
    )
    await until(lambda: hashes.count)
    digest = (await world.sandbox.stored("user", other["id"]) or {})["passwordHash"]
    assert (await master.put("/user", {**user, "passwordHash": digest})).status == 200
    hashes.open.set()
    assert (await late).status == 401
    await world.login("ned", "needle-needle")


async def test_what_nobody_waits_for_is_dropped_before_it_is_done(world: World) -> None:
    master = await world.master()
    async with held_up(world.sandbox):
        abandoned = [
            asyncio.create_task(master.post("/patient", {"id": f"p{number}", "firstName": "R"}))
            for number in range(50)
        ]
        kept = asyncio.create_task(master.post("/patient", {"id": "kept", "firstName": "Robb"}))
        await asyncio.sleep(0.3)
        for request in abandoned:
            request.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)
        await asyncio.sleep(0.1)
    assert (await kept).status == 200
    assert set((await world.sandbox.export())["entities"]["patient"]) == {"kept"}


async def test_abandoned_logins_are_not_hashed(world: World, hashes: Hashes) -> None:
    master = await world.master()
    await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    hashes.take()
    hashes.open.clear()
    body = {"username": "ned", "password": PASSWORD}
    logins = [
        asyncio.create_task(world.anonymous.post("/auth/login", body)) for _ in range(AT_ONCE)
    ]
    await until(lambda: hashes.count)
    await asyncio.sleep(0.3)
    for login in logins:
        login.cancel()
    await asyncio.gather(*logins, return_exceptions=True)
    await asyncio.sleep(0.1)
    begun = hashes.count
    hashes.open.set()
    await world.login("ned", PASSWORD)
    assert hashes.count <= begun + 1
    assert begun < 10


async def test_a_code_is_delivered_though_its_sender_did_not_wait_for_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    now_ms = Clock.now_ms

    def slow_clock(clock: Clock) -> int:
        begun.set()
        assert go.wait(10)
        return now_ms(clock)

    monkeypatch.setattr(Clock, "now_ms", slow_clock)
    start = asyncio.create_task(world.start(PHONE))
    await until(begun.is_set)
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    await asyncio.sleep(0.05)
    go.set()
    assert len(await world.sandbox.wait_for_code(PHONE)) == 6


@pytest.mark.parametrize("gone", [True, False], ids=["clients have gone", "clients still wait"])
async def test_closing_drops_what_has_not_begun_and_keeps_what_was_acknowledged(
    session: aiohttp.ClientSession, fresh: Path, hashes: Hashes, gone: bool
) -> None:
    sandbox = Sandbox(database=fresh)
    await sandbox.start()
    world = World(sandbox, session)
    master = await world.master()
    await master.created("/user", {"login": "ned", "passwordHash": PASSWORD})
    hashes.take()
    hashes.open.clear()
    body = {"username": "ned", "password": PASSWORD}
    logins = [
        asyncio.create_task(world.anonymous.post("/auth/login", body)) for _ in range(AT_ONCE)
    ]
    await until(lambda: hashes.count)
    await asyncio.sleep(0.3)
    await master.created("/patient", {"id": "robb", "firstName": "Robb"})
    if gone:
        for login in logins:
            login.cancel()
        await asyncio.gather(*logins, return_exceptions=True)
    closing = asyncio.create_task(sandbox.aclose())
    await asyncio.sleep(0.05)
    begun = hashes.count
    hashes.open.set()
    await closing
    assert hashes.count == begun < 10
    answers = await asyncio.gather(*logins, return_exceptions=True)
    if not gone:
        refused = [answer for answer in answers if getattr(answer, "status", 0) == 503]
        assert len(refused) > AT_ONCE - 10
    async with Sandbox(database=fresh) as again:
        assert await again.stored("patient", "robb") is not None


async def test_jobs_that_have_not_begun_are_dropped_when_the_sandbox_is_closed(
    world: World,
) -> None:
    sandbox = world.sandbox
    async with held_up(sandbox):
        waiting = asyncio.create_task(sandbox.export())
        await asyncio.sleep(0)
        closing = asyncio.create_task(sandbox.aclose())
        await asyncio.sleep(0.05)
    with pytest.raises(ClosingError, match="closed"):
        await waiting
    await closing


async def test_tokens_that_have_expired_go_with_the_next_write(world: World) -> None:
    ned = await world.register(PHONE)
    for key in ("a", "b", "c"):
        await ned.post(f"/user/token/{(await me(ned))['id']}/{key}?tokenValidity=60")
    await ned.post(f"/user/token/{(await me(ned))['id']}/kept?tokenValidity=-1")
    assert len((await me(ned))["authenticationTokens"]) == 5
    world.sandbox.advance_clock(700)
    ned = await world.register(PHONE)
    tokens = (await me(ned))["authenticationTokens"]
    assert len(tokens) == 2
    assert "kept" in tokens
    world.sandbox.advance_clock(700)
    master = await world.master()
    user = (await master.get(f"/user/{(await me(ned))['id']}")).body
    changed = await master.put("/user", {**user, "name": "Ned"})
    assert list(changed.body["authenticationTokens"]) == ["kept"]


async def test_a_crowd_at_the_door_keeps_nobody_inside_waiting(world: World) -> None:
    master = await world.master()
    order: list[str] = []

    async def noted(name: str, request: Awaitable[object]) -> None:
        await request
        order.append(name)

    async with held_up(world.sandbox):
        requests = [
            asyncio.create_task(noted("registers", world.start(f"+3247000{number:04d}")))
            for number in range(20)
        ]
        await asyncio.sleep(0.2)
        body = {"id": "robb", "firstName": "Robb"}
        for name, request in (
            ("writes", master.post("/patient", body)),
            ("reads", master.get("/user/current")),
        ):
            requests.append(asyncio.create_task(noted(name, request)))
            await asyncio.sleep(0.05)
    await asyncio.gather(*requests)
    # The first of the others may have been on its way already.
    assert order.index("reads") <= 1
    assert order.index("writes") <= 2


async def test_a_crowd_inside_keeps_nobody_at_the_door_waiting(world: World) -> None:
    master = await world.master()
    order: list[str] = []

    async def noted(name: str, request: Awaitable[object]) -> None:
        await request
        order.append(name)

    async with held_up(world.sandbox):
        requests = [
            asyncio.create_task(noted("reads", master.get("/user/current"))) for _ in range(30)
        ]
        await asyncio.sleep(0.2)
        body = {"id": "robb", "firstName": "Robb"}
        for name, request in (
            ("registers", world.start("+32588235595")),
            ("writes", master.post("/patient", body)),
        ):
            requests.append(asyncio.create_task(noted(name, request)))
            await asyncio.sleep(0.05)
    await asyncio.gather(*requests)
    assert order.index("writes") <= 10
    assert order.index("registers") <= 10


async def test_it_starts_and_ends_while_the_application_uses_up_its_own_threads() -> None:
    may_end = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        asyncio.get_running_loop().set_default_executor(busy)
        try:
            busy.submit(may_end.wait, 30)
            async with asyncio.timeout(10), Sandbox() as sandbox:
                assert sandbox.icure_url
        finally:
            may_end.set()
