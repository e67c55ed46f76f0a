"""A pool of API objects: one for each user, bounded, and nobody is interrupted."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import weakref
from collections.abc import AsyncIterator

import pytest

from icure_async import MedTechApi, MedTechApiBuilder
from icure_async.errors import (
    AuthenticationError,
    ConfigurationError,
    PoolBusyError,
    PoolClosedError,
    TokenExpiredError,
    ValidationError,
)
from icure_async.services import ApiPool, PoolUser, UserCredentials
from tests.support.loopback import NOW
from tests.support.service_backend import ServiceBackend, name_at, someone

NED, ARYA, JON = someone("ned"), someone("arya"), someone("jon")


@pytest.fixture
async def backend() -> AsyncIterator[ServiceBackend]:
    async with ServiceBackend() as running:
        yield running


@pytest.fixture
async def pool(backend: ServiceBackend) -> AsyncIterator[ApiPool]:
    async with backend.pool() as made:
        yield made


async def who(pool: ApiPool, user: PoolUser) -> str:
    async with pool.use(user) as api:
        return await name_at(api)


class Holder:
    """A task that holds an API object until it is told to let go."""

    def __init__(self, pool: ApiPool, user: PoolUser) -> None:
        self.holds, self.may_go = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._hold(pool, user))

    async def _hold(self, pool: ApiPool, user: PoolUser) -> str:
        async with pool.use(user) as api:
            self.holds.set()
            await self.may_go.wait()
            return await name_at(api)

    @classmethod
    async def of(cls, pool: ApiPool, user: PoolUser) -> Holder:
        holder = cls(pool, user)
        await holder.holds.wait()
        return holder

    async def go(self) -> str:
        self.may_go.set()
        return await self.task


async def test_a_hundred_first_uses_at_once_build_one_api(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    assert {*await asyncio.gather(*(who(pool, NED) for _ in range(100)))} == {"user-ned"}
    assert backend.logins == {NED.token: 1}
    assert (pool.statistics.built, pool.statistics.reused) == (1, 99)


async def test_everybody_gets_their_own_api(backend: ServiceBackend, pool: ApiPool) -> None:
    users = [someone(f"user{number}") for number in range(20)] * 3
    random.shuffle(users)
    names = await asyncio.gather(*(who(pool, user) for user in users))
    assert names == [user.user_id for user in users]
    assert backend.logins == {user.token: 1 for user in users}


async def test_an_api_of_another_user_than_the_one_asked_for_is_given_to_nobody(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    backend.ids["ned"] = "user-cersei"
    with pytest.raises(AuthenticationError, match="not those of the user it was asked for"):
        await who(pool, NED)
    assert pool.statistics.open == 0
    assert pool.statistics.failed == 1


async def test_the_options_of_one_user_do_not_get_to_another(backend: ServiceBackend) -> None:
    seen: list[tuple[MedTechApiBuilder, str]] = []

    async def configure(builder: MedTechApiBuilder, user: PoolUser) -> None:
        seen.append((builder, user.user_id))

    async with backend.pool(configure=configure) as pool:
        await who(pool, NED)
        await who(pool, ARYA)
    (one, first), (other, second) = seen
    assert one is not other
    assert (first, second) == ("user-ned", "user-arya")


async def test_a_build_that_fails_is_tried_again_by_the_next_use(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    backend.refused.add(NED.token)
    answers = await asyncio.gather(*(who(pool, NED) for _ in range(5)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuthenticationError}
    # Else the traceback of one would grow by that of each other.
    assert len({id(answer) for answer in answers}) == 5
    assert backend.logins == {NED.token: 1}

    backend.refused.clear()
    assert await who(pool, NED) == "user-ned"
    assert pool.statistics.failed == 1


async def test_a_cancelled_builder_does_not_fail_the_others(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    may_go = asyncio.Event()
    backend.hurdle = may_go.wait
    first, second = (asyncio.create_task(who(pool, NED)) for _ in range(2))
    await backend.arrived.wait()
    first.cancel()
    await asyncio.wait([first])
    may_go.set()
    assert await second == "user-ned"
    assert backend.logins == {NED.token: 1}


async def test_a_build_that_nobody_waits_for_any_more_is_kept_for_the_next(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    may_go = asyncio.Event()
    backend.hurdle = may_go.wait
    only = asyncio.create_task(who(pool, NED))
    await backend.arrived.wait()
    only.cancel()
    await asyncio.wait([only])
    may_go.set()
    assert await who(pool, NED) == "user-ned"
    assert backend.logins == {NED.token: 1}


async def test_the_one_that_was_idle_for_longest_makes_room(backend: ServiceBackend) -> None:
    async with backend.pool(max_apis=2) as pool:
        for user in (NED, ARYA, NED, JON, NED):
            await who(pool, user)
            assert pool.statistics.open <= 2
        assert backend.logins == {NED.token: 1, ARYA.token: 1, JON.token: 1}
        await who(pool, ARYA)
        assert backend.logins[ARYA.token] == 2
        assert pool.statistics.evicted == 2


async def test_a_newcomer_waits_until_one_is_free(backend: ServiceBackend) -> None:
    async with backend.pool(max_apis=1) as pool:
        ned = await Holder.of(pool, NED)
        newcomers = [asyncio.create_task(who(pool, user)) for user in (ARYA, JON, ARYA)]
        await asyncio.sleep(0.01)
        assert pool.statistics.waiting == 3
        assert await ned.go() == "user-ned"
        assert await asyncio.gather(*newcomers) == ["user-arya", "user-jon", "user-arya"]
        assert backend.logins == {NED.token: 1, ARYA.token: 1, JON.token: 1}


async def test_a_build_without_end_that_nobody_waits_for_makes_room(
    backend: ServiceBackend,
) -> None:
    begun = asyncio.Event()

    async def start(api: MedTechApi) -> None:
        if await name_at(api) == "user-ned":
            begun.set()
            await asyncio.Event().wait()

    async with backend.pool(start=start, max_apis=1) as pool:
        waiting = asyncio.create_task(who(pool, NED))
        await begun.wait()
        newcomer = asyncio.create_task(who(pool, ARYA))
        await asyncio.sleep(0)
        assert pool.statistics.waiting == 1
        waiting.cancel()
        assert await newcomer == "user-arya"
        assert pool.statistics.evicted == 1


async def test_those_who_wait_for_a_user_that_comes_into_being_wait_no_longer(
    backend: ServiceBackend,
) -> None:
    async with backend.pool(max_apis=2) as pool:
        ned, arya = await Holder.of(pool, NED), await Holder.of(pool, ARYA)
        first = Holder(pool, JON)
        other = asyncio.create_task(who(pool, JON))
        await asyncio.sleep(0.01)
        await ned.go()
        assert await other == "user-jon"
        await asyncio.gather(first.go(), arya.go())


async def test_a_newcomer_is_told_when_all_are_in_use_for_too_long(
    backend: ServiceBackend,
) -> None:
    async with backend.pool(max_apis=1, wait_seconds=0.02) as pool:
        ned = await Holder.of(pool, NED)
        with pytest.raises(PoolBusyError, match=r"All 1 API objects .* within 0\.02 s"):
            await who(pool, ARYA)
        assert pool.statistics.waiting == 0
        assert await ned.go() == "user-ned"
        assert await who(pool, ARYA) == "user-arya"


async def test_one_who_gives_up_waiting_takes_nothing_from_the_others(
    backend: ServiceBackend,
) -> None:
    async with backend.pool(max_apis=1) as pool:
        ned = await Holder.of(pool, NED)
        first, second = (asyncio.create_task(who(pool, user)) for user in (ARYA, JON))
        await asyncio.sleep(0.01)
        ned.may_go.set()
        await asyncio.wait([ned.task])
        # Called at this moment, perhaps.
        first.cancel()
        assert await second == "user-jon"


async def test_a_user_who_is_discarded_keeps_the_api_until_the_end(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    ned = await Holder.of(pool, NED)
    assert await pool.discard("user-ned") == 1
    assert await pool.discard("user-ned") == 0
    other = await Holder.of(pool, NED)
    assert backend.logins == {NED.token: 2}
    assert await ned.go() == "user-ned"
    assert await other.go() == "user-ned"
    await asyncio.sleep(0)
    assert pool.statistics.idle == 1


async def test_an_idle_api_is_let_go_of_after_a_while(backend: ServiceBackend) -> None:
    async with backend.pool(idle_seconds=0.03) as pool:
        await who(pool, NED)
        arya = await Holder.of(pool, ARYA)
        async with asyncio.timeout(5):
            while pool.statistics.open > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert (pool.statistics.expired, pool.statistics.in_use) == (1, 1)
        assert await arya.go() == "user-arya"


async def test_an_expired_token_is_not_tried(backend: ServiceBackend, pool: ApiPool) -> None:
    with pytest.raises(TokenExpiredError, match="has expired, and nothing was sent"):
        await who(pool, someone("ned", expires_at=int(NOW * 1000)))
    assert not backend.seen


async def test_a_token_that_expires_takes_its_api_with_it(backend: ServiceBackend) -> None:
    now = [NOW]
    async with backend.pool(_clock=lambda: now[0]) as pool:
        ned = someone("ned", expires_at=int((NOW + 60) * 1000))
        holder = await Holder.of(pool, ned)
        now[0] += 61
        with pytest.raises(TokenExpiredError):
            await who(pool, ned)
        # Nobody is interrupted, and the session goes on for as long as the backend lets it.
        assert await holder.go() == "user-ned"
        await asyncio.sleep(0)
        assert (pool.statistics.refused, pool.statistics.idle) == (1, 0)


async def test_a_token_that_was_revoked_takes_its_api_with_it(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    await who(pool, NED)
    backend.refused.add(NED.token)
    backend.on("GET /user/current", 401)
    with pytest.raises(TokenExpiredError):
        await who(pool, NED)
    assert pool.statistics.refused == 1
    assert pool.statistics.idle == 0


async def test_a_refusal_is_seen_that_the_application_has_swallowed(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    await who(pool, NED)
    backend.refused.add(NED.token)
    backend.on("GET /user/current", 401)
    async with pool.use(NED) as api:
        with pytest.raises(TokenExpiredError):
            await name_at(api)
    assert pool.statistics.refused == 1


async def test_an_error_that_is_no_refusal_lets_the_api_stay(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with pool.use(NED):
            raise ZeroDivisionError
    await who(pool, NED)
    assert backend.logins == {NED.token: 1}


async def test_a_refusal_in_a_group_of_errors_counts(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    with pytest.raises(ExceptionGroup):
        async with pool.use(NED):
            raise ExceptionGroup("two", [ValueError(), TokenExpiredError("expired")])
    assert pool.statistics.refused == 1


async def test_a_new_login_takes_effect_while_calls_of_the_old_one_go_on(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    old = await Holder.of(pool, NED)
    again = someone("ned", secret="token-2")
    assert await who(pool, again) == "user-ned"
    assert backend.logins == {NED.token: 1, again.token: 1}
    assert await old.go() == "user-ned"


async def test_closing_waits_for_those_who_use_an_api(backend: ServiceBackend) -> None:
    pool = backend.pool(max_apis=2)
    ned = await Holder.of(pool, NED)
    await who(pool, ARYA)
    closing = asyncio.create_task(pool.aclose())
    again = asyncio.create_task(pool.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    with pytest.raises(PoolClosedError, match="closed, since the service shuts down"):
        await who(pool, ARYA)
    assert await ned.go() == "user-ned"
    await asyncio.gather(closing, again)
    assert pool.statistics.open == 0
    await pool.aclose()


async def test_those_who_wait_are_told_that_the_pool_closes(backend: ServiceBackend) -> None:
    pool = backend.pool(max_apis=1)
    ned = await Holder.of(pool, NED)
    newcomer = asyncio.create_task(who(pool, ARYA))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(pool.aclose())
    with pytest.raises(PoolClosedError):
        await newcomer
    await ned.go()
    await closing


async def test_closing_inside_of_a_use_is_refused_and_changes_nothing(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    async with pool.use(NED) as api:
        with pytest.raises(ConfigurationError, match="would wait for the block of use"):
            await pool.aclose()
        assert await name_at(api) == "user-ned"
    assert await who(pool, ARYA) == "user-arya"


async def test_closing_waits_only_so_long(
    backend: ServiceBackend, caplog: pytest.LogCaptureFixture
) -> None:
    pool = backend.pool(closing_seconds=0.05)
    ned = await Holder.of(pool, NED)
    await pool.aclose()
    assert "1 of its API objects were still in use after 0.05 s" in caplog.text
    with pytest.raises(ConfigurationError, match="This MedTechApi is closed"):
        await ned.go()


async def test_closing_ends_a_build_that_takes_too_long(backend: ServiceBackend) -> None:
    pool = backend.pool(closing_seconds=0.05)
    may_go = asyncio.Event()
    backend.hurdle = may_go.wait
    ned = asyncio.create_task(who(pool, NED))
    await backend.arrived.wait()
    await pool.aclose()
    with pytest.raises(PoolClosedError):
        await ned
    assert pool.statistics.open == 0
    may_go.set()


async def test_one_who_gives_up_closing_leaves_no_half_closed_pool(
    backend: ServiceBackend,
) -> None:
    pool = backend.pool()
    ned = await Holder.of(pool, NED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.aclose()
    assert await ned.go() == "user-ned"
    await pool.aclose()
    assert pool.statistics.open == 0


async def test_all_share_one_connection_that_closes_with_the_pool(
    backend: ServiceBackend,
) -> None:
    async with backend.pool() as pool:
        async with pool.use(NED) as ned, pool.use(ARYA) as arya:
            sessions = {id(api._connection.client_session) for api in (ned, arya)}
            client_session = ned._connection.client_session
        assert len(sessions) == 1
        assert not client_session.closed
    assert client_session.closed


async def test_logging_out_revokes_and_interrupts_nobody(
    backend: ServiceBackend, pool: ApiPool
) -> None:
    ned = await Holder.of(pool, NED)
    result = await pool.log_out(NED)
    # This backend lists no tokens; the sandbox's does, see test_sessions.
    assert not result.token_revoked
    assert await ned.go() == "user-ned"
    await asyncio.sleep(0)
    assert pool.statistics.idle == 0


async def test_logging_out_sends_the_token_to_the_backend_of_the_user_only(
    backend: ServiceBackend,
) -> None:
    async def configure(builder: MedTechApiBuilder, user: PoolUser) -> None:
        builder.with_icure_base_url(neds.base_url)

    async with ServiceBackend() as neds, backend.pool(configure=configure) as pool:
        assert await who(pool, NED) == "user-ned"
        backend.refused.add(NED.token)
        # It still works at the backend that it belongs to.
        assert not (await pool.log_out(NED)).token_revoked
        assert neds.logins == {NED.token: 2}
        assert backend.logins == {}


@pytest.mark.parametrize(
    "user",
    [
        None,
        "ned",
        UserCredentials(user_id="", login="ned", token="t"),
        UserCredentials(user_id="u", login="ned", token=None),  # type: ignore[arg-type]
        UserCredentials(user_id="u", login="ned", token="t", token_expires_at="x"),  # type: ignore[arg-type]
        UserCredentials(user_id="u", login="ned", token="t", token_expires_at=True),
    ],
)
async def test_a_malformed_user_is_refused_before_anything_is_sent(
    backend: ServiceBackend, pool: ApiPool, user: PoolUser
) -> None:
    with pytest.raises(ValidationError):
        await who(pool, user)
    assert not backend.seen


@pytest.mark.parametrize(
    "options",
    [
        {"max_apis": 0},
        {"max_apis": True},
        {"idle_seconds": 0},
        {"wait_seconds": "1"},
        {"closing_seconds": float("nan")},
        {"configure": 1},
        {"start": "x"},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="of an ApiPool must be"):
        ApiPool(MedTechApiBuilder(), **options)  # type: ignore[arg-type]


def test_a_pool_needs_a_builder() -> None:
    with pytest.raises(ConfigurationError, match="needs a MedTechApiBuilder"):
        ApiPool(MedTechApiBuilder)  # type: ignore[arg-type]


async def test_a_start_that_is_not_async_is_explained(backend: ServiceBackend) -> None:
    async with backend.pool(start=lambda api: None) as pool:
        with pytest.raises(ConfigurationError, match="start of an ApiPool needs an async function"):
            await who(pool, NED)
        assert pool.statistics.open == 0


def test_a_pool_of_another_event_loop_is_explained() -> None:
    pools: list[ApiPool] = []

    async def use() -> str:
        async with ServiceBackend() as backend:
            pools.append(pools[0] if pools else backend.pool())
            name = await who(pools[0], NED)
            await pools[0].aclose()
            return name

    assert asyncio.run(use()) == "user-ned"
    with pytest.raises(ConfigurationError, match="belongs to another event loop"):
        asyncio.run(use())


async def test_a_pool_of_the_parent_process_is_explained(
    pool: ApiPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await who(pool, NED)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: 1)
        with pytest.raises(ConfigurationError, match=r"before os.fork\(\)"):
            await who(pool, NED)


async def test_a_pool_that_was_never_used_closes(backend: ServiceBackend) -> None:
    pool = backend.pool()
    await pool.aclose()
    with pytest.raises(PoolClosedError):
        await who(pool, NED)
    assert await pool.discard("user-ned") == 0


async def test_nothing_is_left_of_an_api_that_was_evicted(backend: ServiceBackend) -> None:
    left: weakref.WeakSet[MedTechApi] = weakref.WeakSet()

    async def remember(api: MedTechApi) -> None:
        left.add(api)

    async with backend.pool(max_apis=2, start=remember) as pool:
        for number in range(40):
            await who(pool, someone(f"user{number}"))
        await asyncio.sleep(0)
        gc.collect()
        assert len(left) <= 3
        assert pool.statistics.evicted == 38


async def test_no_token_is_in_a_repr(pool: ApiPool) -> None:
    await who(pool, NED)
    assert NED.token not in repr([NED, pool, pool.statistics])
    assert repr(pool) == "<ApiPool with 1 of 1000 API objects>"


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_at_once_keeps_the_promises(
    backend: ServiceBackend, seed: int
) -> None:
    chance = random.Random(seed)
    users = [someone(f"user{number}") for number in range(8)]
    most, in_use = 0, 0
    outcomes: set[str] = set()

    async def hurdle() -> None:
        await asyncio.sleep(chance.choice((0, 0, 0.002)))

    backend.hurdle = hurdle

    async def visit(pool: ApiPool) -> None:
        nonlocal most, in_use
        user = chance.choice(users)
        try:
            async with pool.use(user) as api:
                in_use += 1
                try:
                    assert (await api.identify())[0] == user.user_id
                    most = max(most, pool.statistics.open)
                    if chance.random() < 0.1:
                        await pool.discard(user.user_id)
                    await asyncio.sleep(chance.choice((0, 0.001, 0.003)))
                    assert await name_at(api) == user.user_id
                finally:
                    in_use -= 1
            outcomes.add("done")
        except (AuthenticationError, PoolBusyError, PoolClosedError) as error:
            outcomes.add(type(error).__name__)

    async def unrest(tasks: list[asyncio.Task[None]]) -> None:
        for _ in range(60):
            await asyncio.sleep(0.002)
            what = chance.random()
            if what < 0.5:
                chance.choice(tasks).cancel()
            elif what < 0.7:
                backend.refused ^= {chance.choice(users).token}

    pool = backend.pool(max_apis=3, idle_seconds=0.005, wait_seconds=0.05)
    tasks = [asyncio.create_task(visit(pool)) for _ in range(120)]
    await unrest(tasks)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    assert "done" in outcomes
    assert most <= 3
    await pool.aclose()
    assert (pool.statistics.open, pool.statistics.waiting, in_use) == (0, 0, 0)
