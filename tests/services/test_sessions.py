"""Sessions by random id, which the storage alone neither tells nor opens."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import AnonymousMedTechApi
from icure_async.errors import TokenExpiredError, ValidationError
from icure_async.sandbox import Fault, Sandbox
from icure_async.services import ApiPool, SessionStore, UserCredentials
from icure_async.storage import MemoryStorage
from tests.support.death import DeathError, Fate, MortalStorage
from tests.support.logins import authenticate, tokens_of
from tests.support.loopback import NOW, Clock
from tests.support.service_backend import someone

NED = UserCredentials(
    user_id="user-ned",
    login="+32470123456",
    token="token-of-ned",
    token_expires_at=int((NOW + 7200) * 1000),
    data_owner_id="owner-ned",
)


def store(storage: MemoryStorage, clock: Clock, hours: int = 1) -> SessionStore:
    return SessionStore(storage, validity=timedelta(hours=hours), _clock=clock)


async def test_a_session_is_found_by_its_id_in_any_worker(storage: MemoryStorage) -> None:
    session_id = await store(storage, Clock()).create(NED)
    session = await store(storage, Clock()).get(session_id)
    assert session is not None
    assert (session.user_id, session.login, session.token) == ("user-ned", NED.login, NED.token)
    assert session.data_owner_id == "owner-ned"
    assert session.token_expires_at == NED.token_expires_at
    assert session.created_at == NOW * 1000
    assert session.expires_at == (NOW + 3600) * 1000
    assert NED.token not in repr(session)


async def test_the_storage_alone_tells_nothing(storage: MemoryStorage) -> None:
    session_id = await store(storage, Clock()).create(NED)
    names = await storage.list_items()
    content = json.dumps([[name, await storage.get_item(name)] for name in names])
    for secret in (session_id, session_id.partition("-")[2], NED.token, NED.login, "user-ned"):
        assert secret not in content
    assert "owner-ned" not in content


@pytest.mark.parametrize("session_id", [None, "", "x", "../..", "é" * 43, "a" * 43, 7, "\ud800"])
async def test_a_strangers_cookie_finds_nothing(storage: MemoryStorage, session_id: Any) -> None:
    sessions = store(storage, Clock())
    await sessions.create(NED)
    assert await sessions.get(session_id) is None
    assert not await sessions.replace_token(session_id, "t", expires_at=1)


async def test_a_session_ends_after_its_time(storage: MemoryStorage) -> None:
    clock = Clock()
    sessions = store(storage, clock)
    session_id = await sessions.create(NED)
    clock.now += 3599
    assert await sessions.get(session_id) is not None
    clock.now += 1
    assert await sessions.get(session_id) is None


async def test_a_session_never_outlasts_its_token(storage: MemoryStorage) -> None:
    clock = Clock()
    sessions = store(storage, clock, hours=24)
    session_id = await sessions.create(NED)
    clock.now += 7200
    assert await sessions.get(session_id) is None


async def test_a_new_token_makes_the_session_last_longer(storage: MemoryStorage) -> None:
    clock = Clock()
    sessions = store(storage, clock, hours=24)
    session_id = await sessions.create(NED)
    later = int((NOW + 14400) * 1000)
    assert await sessions.replace_token(session_id, "token-2", expires_at=later)
    clock.now += 7200
    session = await sessions.get(session_id)
    assert session is not None
    assert (session.token, session.token_expires_at) == ("token-2", later)
    assert session.created_at == NOW * 1000


async def test_a_malformed_token_is_not_written(storage: MemoryStorage) -> None:
    sessions = store(storage, Clock())
    session_id = await sessions.create(NED)
    with pytest.raises(ValidationError):
        await sessions.replace_token(session_id, "", expires_at=1)
    session = await sessions.get(session_id)
    assert session is not None
    assert session.token == NED.token


async def test_the_sessions_of_a_user_are_listed_and_removed(storage: MemoryStorage) -> None:
    clock = Clock()
    sessions = store(storage, clock)
    phone = await sessions.create(NED)
    clock.now += 1
    laptop, tablet = await sessions.create(NED), await sessions.create(NED)
    arya = await sessions.create(someone("arya"))

    first, *others = await sessions.list_sessions("user-ned")
    assert first.created_at == NOW * 1000
    assert len(others) == 2
    assert not await sessions.remove_session("user-arya", first.key)
    assert await sessions.remove_session("user-ned", first.key)
    assert not await sessions.remove_session("user-ned", first.key)
    assert await sessions.get(phone) is None

    assert await sessions.remove_sessions("user-ned", but=laptop) == 1
    assert await sessions.get(tablet) is None
    assert await sessions.get(laptop) is not None
    assert await sessions.remove_sessions("user-ned") == 1
    assert await sessions.list_sessions("user-ned") == []
    assert await sessions.get(arya) is not None


async def test_expired_sessions_are_purged(storage: MemoryStorage) -> None:
    clock = Clock()
    sessions = store(storage, clock)
    await sessions.create(NED)
    clock.now += 1800
    kept = await sessions.create(NED)
    clock.now += 1800
    assert await sessions.list_sessions("user-ned") != []
    assert await sessions.purge() == 1
    assert await sessions.purge() == 0
    assert await sessions.get(kept) is not None


async def test_a_purge_leaves_what_is_not_a_session(storage: MemoryStorage) -> None:
    await storage.set_item("icure.session.settings", "of somebody else")
    await storage.set_item("something", "else")
    assert await store(storage, Clock()).purge() == 0
    assert len(await storage.list_items()) == 2


async def test_a_session_of_one_user_is_not_that_of_another(storage: MemoryStorage) -> None:
    # Somebody who can write to the storage gives Arya's id the session of Ned.
    sessions = store(storage, Clock())
    await sessions.create(NED)
    arya = await sessions.create(someone("arya"))
    ned_item, arya_item = await storage.list_items("icure.session.")
    for one, other in ((ned_item, arya_item), (arya_item, ned_item)):
        value = await storage.get_item(one)
        assert value is not None
        await storage.set_item(other, value)
    assert await sessions.get(arya) is None


@pytest.mark.parametrize("member", ["version", "createdAt", "expiresAt", "sealed"])
async def test_a_session_that_somebody_has_changed_counts_as_absent(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture, member: str
) -> None:
    sessions = store(storage, Clock())
    session_id = await sessions.create(NED)
    (name,) = await storage.list_items()
    document = json.loads(await storage.get_item(name) or "")
    document[member] = document[member][:-1] + "x" if member == "sealed" else 2**60
    await storage.set_item(name, json.dumps(document))
    assert await sessions.get(session_id) is None
    assert "is damaged, or somebody has changed it" in caplog.text
    assert session_id not in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
HOSTILE = (
    st.text()
    | JSON.map(json.dumps)
    | st.fixed_dictionaries(
        {"version": JSON, "createdAt": JSON, "expiresAt": JSON, "sealed": JSON}
    ).map(json.dumps)
)


class SlowStorage(MemoryStorage):
    """Lets others come in between a read and all that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.has_read, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.is_slow = False

    async def get_item(self, name: str) -> str | None:
        value = await super().get_item(name)
        if self.is_slow:
            self.is_slow = False
            self.has_read.set()
            await self.may_go_on.wait()
        return value


@pytest.mark.parametrize("all_of_them", [False, True])
async def test_a_session_that_is_removed_while_its_token_is_replaced_does_not_come_back(
    all_of_them: bool,
) -> None:
    storage = SlowStorage()
    sessions = SessionStore(storage)
    ned = someone("ned")
    session_id = await sessions.create(ned)
    (stored,) = await sessions.list_sessions(ned.user_id)
    storage.is_slow = True
    replacing = asyncio.create_task(
        sessions.replace_token(session_id, "token-2", expires_at=10**14)
    )
    await storage.has_read.wait()
    removing = asyncio.create_task(
        sessions.remove_sessions(ned.user_id)
        if all_of_them
        else sessions.remove_session(ned.user_id, stored.key)
    )
    # Time to remove it, if it could.
    for _ in range(20):
        await asyncio.sleep(0)
    storage.may_go_on.set()
    assert await asyncio.gather(replacing, removing) == [True, 1]
    assert await sessions.get(session_id) is None


class AnyStorage(MemoryStorage):
    """A storage that has no rules about values."""

    async def set_item(self, name: str, value: str) -> None:
        self._items[name] = value


@given(HOSTILE)
async def test_an_item_may_be_anything(value: str) -> None:
    storage = AnyStorage()
    sessions = store(storage, Clock())
    session_id = await sessions.create(NED)
    (name,) = await storage.list_items()
    await storage.set_item(name, value)
    assert await sessions.get(session_id) is None
    await sessions.list_sessions("user-ned")
    await sessions.purge()
    assert await sessions.remove_sessions("user-ned") in (0, 1)


@pytest.mark.parametrize("validity", [timedelta(0), timedelta(days=-1), 3600, None])
def test_a_validity_that_makes_no_sense_is_refused(validity: Any) -> None:
    with pytest.raises(ValidationError, match="validity of a SessionStore"):
        SessionStore(MemoryStorage(), validity=validity)


async def test_a_stranger_gets_no_session(storage: MemoryStorage) -> None:
    with pytest.raises(ValidationError):
        await store(storage, Clock()).create("ned")  # type: ignore[arg-type]


async def signed_in(api: AnonymousMedTechApi, sandbox: Sandbox, sessions: SessionStore) -> str:
    result = await authenticate(api, sandbox)
    await result.med_tech_api.aclose()
    return await sessions.create(result)


async def test_signing_out_revokes_the_token(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, sessions: SessionStore, pool: ApiPool
) -> None:
    session_id = await signed_in(anonymous_api, sandbox, sessions)
    session = await sessions.get(session_id)
    assert session is not None
    async with pool.use(session) as api:
        assert (await api.user_api.get_logged_user()).id == session.user_id

    result = await sessions.sign_out(session_id, pool)
    assert result is not None
    assert result.token_revoked
    assert await tokens_of(sandbox) == {}
    assert await sessions.get(session_id) is None
    assert await sessions.sign_out(session_id, pool) is None
    with pytest.raises(Exception, match="HTTP 401"):
        async with pool.use(session):
            pass


async def test_signing_out_without_a_network_is_finished_by_repeating_it(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    sessions: SessionStore,
    pool: ApiPool,
    no_pauses: None,
) -> None:
    session_id = await signed_in(anonymous_api, sandbox, sessions)
    sandbox.inject_fault(Fault("drop-before", times=None))
    result = await sessions.sign_out(session_id, pool)
    assert result is not None
    assert not result.token_revoked
    assert await sessions.get(session_id) is None

    sandbox.clear_faults()
    again = await sessions.sign_out(session_id, pool)
    assert again is not None
    assert again.token_revoked
    assert await tokens_of(sandbox) == {}


async def test_a_program_that_dies_while_it_signs_out_leaves_a_session_to_sign_out(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, storage: MemoryStorage, pool: ApiPool
) -> None:
    dies_at = 0
    while True:
        session_id = await signed_in(anonymous_api, sandbox, SessionStore(storage))
        fate = Fate(dies_at)
        try:
            await SessionStore(MortalStorage(storage, fate)).sign_out(session_id, pool)
        except DeathError:
            await SessionStore(storage).sign_out(session_id, pool)
        else:
            break
        assert await SessionStore(storage).get(session_id) is None
        assert await tokens_of(sandbox) == {}, fate.points[-1]
        assert await storage.list_items("icure.session.") == []
        assert await storage.list_items("icure.leaving_session.") == []
        dies_at += 1
    assert dies_at == len(fate.points) > 6


async def test_a_session_whose_token_was_revoked_elsewhere_is_refused(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, sessions: SessionStore, pool: ApiPool
) -> None:
    session_id = await signed_in(anonymous_api, sandbox, sessions)
    session = await sessions.get(session_id)
    assert session is not None
    async with pool.use(session) as api:
        (token,) = [token for token in await api.user_api.list_tokens() if token.is_current]
        await api.user_api.revoke_token(token.key)
    sandbox.advance_clock(90_000)
    with pytest.raises(TokenExpiredError):
        async with pool.use(session) as api:
            await api.user_api.get_logged_user()
    assert pool.statistics.refused == 1
