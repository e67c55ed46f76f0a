"""Sign-ins by random id: two requests, any worker, and a person who submits the code twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import AnonymousMedTechApi, AuthenticationProcess, AuthenticationState
from icure_async.errors import (
    CodeExpiredError,
    InvalidCodeError,
    ProcessStateError,
    TooManyAttemptsError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from icure_async.services import ApiPool, ProcessStore, SessionStore
from icure_async.storage import FileStorage, MemoryKeyStorage, MemoryStorage
from tests.support.builders import anonymous_builder_for
from tests.support.death import DeathError, Fate, MortalKeyStorage, MortalStorage
from tests.support.logins import PHONE, another, start, tokens_of
from tests.support.loopback import Clock

PROCESS = AuthenticationProcess(
    request_id="request", login=PHONE, state=AuthenticationState.CODE_SENT, phone_number=PHONE
)


async def sign_in(
    api: AnonymousMedTechApi, sandbox: Sandbox, processes: ProcessStore, phone: str = PHONE
) -> tuple[str, str]:
    process, code = await start(api, sandbox, phone)
    return await processes.add(process), code


async def registered(sandbox: Sandbox, phone: str = PHONE) -> list[dict[str, Any]]:
    users = (await sandbox.export())["entities"]["user"].values()
    return [user for user in users if user.get("login") == phone]


async def test_a_sign_in_that_one_worker_has_begun_is_completed_by_another(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, storage: MemoryStorage, pool: ApiPool
) -> None:
    sign_in_id, code = await sign_in(anonymous_api, sandbox, ProcessStore(storage))
    process = await ProcessStore(storage).get(sign_in_id)
    assert process is not None
    assert process.phone_number == PHONE

    sessions = SessionStore(storage)
    session_id = await ProcessStore(storage).complete(sign_in_id, code, anonymous_api, sessions)
    session = await sessions.get(session_id)
    assert session is not None
    async with pool.use(session) as api:
        assert await api.data_owner_id() == session.data_owner_id


async def test_the_storage_alone_tells_nothing(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
    storage: MemoryStorage,
) -> None:
    sign_in_id, code = await sign_in(anonymous_api, sandbox, processes)
    secrets = [sign_in_id, PHONE, "Stark"]
    secrets.append(await processes.complete(sign_in_id, code, anonymous_api, sessions))
    items = [
        (name, await storage.get_item(name))
        for prefix in ("icure.sign_in.", "icure.session.")
        for name in await storage.list_items(prefix)
    ]
    assert len(items) == 2
    assert not any(secret in json.dumps(items) for secret in secrets)


async def test_a_code_that_is_submitted_twice_gives_one_session(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
) -> None:
    sign_in_id, code = await sign_in(anonymous_api, sandbox, processes)
    several = [processes.complete(sign_in_id, code, anonymous_api, sessions) for _ in range(4)]
    session_ids = {*await asyncio.gather(*several)}
    # And once more, when the page is reloaded.
    session_ids.add(await processes.complete(sign_in_id, f" {code} ", anonymous_api, sessions))
    assert len(session_ids) == 1
    assert len(await registered(sandbox)) == 1
    assert len(await tokens_of(sandbox)) == 1


async def test_two_workers_that_share_a_folder_make_one_session(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def worker() -> tuple[ProcessStore, SessionStore]:
        storage = FileStorage(tmp_path)
        return ProcessStore(storage), SessionStore(storage)

    workers = [worker() for _ in range(3)]
    builder = anonymous_builder_for(sandbox).with_storage_directory(tmp_path / "keys")
    async with builder.build() as api:
        sign_in_id, code = await sign_in(api, sandbox, workers[0][0])
        session_ids = await asyncio.gather(
            *(
                processes.complete(sign_in_id, code, api, sessions)
                for processes, sessions in workers
            )
        )
    assert len({*session_ids}) == 1
    assert len(await tokens_of(sandbox)) == 1


async def test_a_person_who_asks_for_a_code_twice_is_one_user(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
) -> None:
    first, first_code = await sign_in(anonymous_api, sandbox, processes)
    second, second_code = await sign_in(anonymous_api, sandbox, processes)
    await asyncio.gather(
        processes.complete(first, first_code, anonymous_api, sessions),
        processes.complete(second, second_code, anonymous_api, sessions),
        return_exceptions=True,
    )
    assert len(await registered(sandbox)) == 1


async def test_the_session_is_handed_over_only_for_a_while(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, storage: MemoryStorage
) -> None:
    clock = Clock()
    processes, sessions = ProcessStore(storage, _clock=clock), SessionStore(storage)
    sign_in_id, code = await sign_in(anonymous_api, sandbox, processes)
    await processes.complete(sign_in_id, code, anonymous_api, sessions)
    clock.now += 120
    with pytest.raises(UnknownProcessError, match="no such sign-in, or it has expired"):
        await processes.complete(sign_in_id, code, anonymous_api, sessions)


async def test_another_code_does_not_get_the_session_and_ends_the_hand_over(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
) -> None:
    sign_in_id, code = await sign_in(anonymous_api, sandbox, processes)
    await processes.complete(sign_in_id, code, anonymous_api, sessions)
    with pytest.raises(ProcessStateError, match="This sign-in is over"):
        await processes.complete(sign_in_id, another(code), anonymous_api, sessions)
    with pytest.raises(UnknownProcessError):
        await processes.complete(sign_in_id, code, anonymous_api, sessions)


async def test_wrong_codes_are_counted_and_then_the_process_is_closed(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
) -> None:
    sign_in_id, code = await sign_in(anonymous_api, sandbox, processes)
    with pytest.raises(InvalidCodeError):
        await processes.complete(sign_in_id, another(code), anonymous_api, sessions)
    process = await processes.get(sign_in_id)
    assert process is not None
    assert process.wrong_codes == 1
    outcomes = [
        *await asyncio.gather(
            *(
                processes.complete(sign_in_id, another(code), anonymous_api, sessions)
                for _ in range(5)
            ),
            return_exceptions=True,
        )
    ]
    assert {type(outcome) for outcome in outcomes} == {InvalidCodeError, TooManyAttemptsError}
    process = await processes.get(sign_in_id)
    assert process is not None
    assert process.state is AuthenticationState.LOCKED


async def test_another_code_is_sent_for_the_same_sign_in(
    sandbox: Sandbox,
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
) -> None:
    sign_in_id, old = await sign_in(anonymous_api, sandbox, processes)
    await processes.resend(sign_in_id, anonymous_api, "captcha")
    code = await sandbox.wait_for_code(PHONE)
    await processes.complete(sign_in_id, code, anonymous_api, sessions)
    with pytest.raises(ProcessStateError):
        await processes.resend(sign_in_id, anonymous_api, "captcha")
    assert old != code


@pytest.mark.parametrize("sign_in_id", [None, "", "x", "é" * 43, "a" * 43, 7])
async def test_a_strangers_cookie_finds_nothing(
    anonymous_api: AnonymousMedTechApi,
    processes: ProcessStore,
    sessions: SessionStore,
    sign_in_id: Any,
) -> None:
    assert await processes.get(sign_in_id) is None
    with pytest.raises(UnknownProcessError):
        await processes.complete(sign_in_id, "123456", anonymous_api, sessions)
    with pytest.raises(UnknownProcessError):
        await processes.resend(sign_in_id, anonymous_api)
    await processes.forget(sign_in_id)


async def test_a_sign_in_expires_and_is_purged(storage: MemoryStorage) -> None:
    clock = Clock()
    processes = ProcessStore(storage, validity=timedelta(minutes=5), _clock=clock)
    sign_in_id = await processes.add(PROCESS)
    assert await processes.purge() == 0
    clock.now += 300
    assert await processes.get(sign_in_id) is None
    assert await processes.purge() == 1
    assert await storage.list_items() == []


async def test_a_sign_in_is_forgotten_on_demand(processes: ProcessStore) -> None:
    sign_in_id = await processes.add(PROCESS)
    await processes.forget(sign_in_id)
    assert await processes.get(sign_in_id) is None


async def test_only_a_process_is_kept(processes: ProcessStore) -> None:
    with pytest.raises(ValidationError, match="needs the AuthenticationProcess"):
        await processes.add(PROCESS.to_json())  # type: ignore[arg-type]


@given(st.text() | st.dictionaries(st.text(), st.text() | st.integers()).map(json.dumps))
async def test_an_item_may_be_anything(value: str) -> None:
    storage = MemoryStorage()
    processes = ProcessStore(storage)
    sign_in_id = await processes.add(PROCESS)
    (name,) = await storage.list_items()
    try:
        await storage.set_item(name, value)
    except ValidationError:
        return
    assert await processes.get(sign_in_id) is None
    await processes.purge()


async def test_a_saved_process_of_another_version_counts_as_absent(
    processes: ProcessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AuthenticationProcess, "to_json", lambda self: '{"version": 9}')
    assert await processes.get(await processes.add(PROCESS)) is None


Killing = Callable[[Fate], Awaitable[None]]


@pytest.mark.parametrize("cancelled", [False, True], ids=["dies", "is cancelled"])
async def test_a_worker_that_dies_at_any_moment_leaves_a_sign_in_to_complete(
    sandbox: Sandbox, cancelled: bool, keys_made_once: None, cheap_hashes: None
) -> None:
    """The same code, submitted again, finishes the job: one user, one key pair, one token."""
    points: set[str] = set()
    dies_at, is_over = 0, False
    while not is_over:
        # Each with another person: the sandbox is the same.
        phone = f"+324701{dies_at:05}"
        storage, key_storage = MemoryStorage(), MemoryKeyStorage()
        fate = Fate(dies_at, cancelled=cancelled)
        builder = anonymous_builder_for(sandbox).with_storage(storage)
        async with builder.with_key_storage(key_storage).build() as api:
            sign_in_id, code = await sign_in(api, sandbox, ProcessStore(storage), phone)
        mortal = MortalStorage(storage, fate)
        builder = anonymous_builder_for(sandbox).with_storage(mortal)
        builder.with_key_storage(MortalKeyStorage(key_storage, fate))
        async with builder.build() as api:
            completing = ProcessStore(mortal).complete(sign_in_id, code, api, SessionStore(mortal))
            fate.program = asyncio.ensure_future(completing)
            try:
                await fate.program
                is_over = True
            except (DeathError, asyncio.CancelledError):
                points.add(fate.points[-1])
        builder = anonymous_builder_for(sandbox).with_storage(storage)
        async with builder.with_key_storage(key_storage).build() as api:
            sessions = SessionStore(storage)
            session_id = await ProcessStore(storage).complete(sign_in_id, code, api, sessions)
        session = await sessions.get(session_id)
        assert session is not None, fate.points
        assert len(await registered(sandbox, phone)) == 1
        assert [*await tokens_of(sandbox, phone)] != []
        assert len(await tokens_of(sandbox, phone)) == 1, fate.points
        assert len(await key_storage.list_key_pairs(session.data_owner_id or "")) == 1
        # No progress is left, in which the token would be in clear.
        assert await storage.list_items("icure.authentication.") == []
        dies_at += 1
    assert {"after set_item", "before remove_item", "after remove_item"} <= points
    assert dies_at > 15


async def test_a_worker_that_dies_while_another_code_is_sent_leaves_a_sign_in_to_resend(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi, storage: MemoryStorage
) -> None:
    dies_at = 0
    sessions = SessionStore(storage)
    while True:
        phone = f"+324702{dies_at:05}"
        sign_in_id, _ = await sign_in(anonymous_api, sandbox, ProcessStore(storage), phone)
        fate = Fate(dies_at)
        try:
            await ProcessStore(MortalStorage(storage, fate)).resend(sign_in_id, anonymous_api, "c")
        except DeathError:
            await ProcessStore(storage).resend(sign_in_id, anonymous_api, "c")
        else:
            break
        # The newest one of perhaps two.
        async with asyncio.timeout(5):
            code = await sandbox.wait_for_code(phone)
        assert await ProcessStore(storage).complete(sign_in_id, code, anonymous_api, sessions)
        dies_at += 1
    assert dies_at == len(fate.points) == 4


async def test_a_completion_without_a_store_forgets_the_code(
    sandbox: Sandbox, anonymous_api: AnonymousMedTechApi
) -> None:
    process, code = await start(anonymous_api, sandbox)
    result = await anonymous_api.authentication_api.complete_authentication(process, code)
    await result.med_tech_api.aclose()
    with pytest.raises(CodeExpiredError):
        await anonymous_api.authentication_api.complete_authentication(process, code)
