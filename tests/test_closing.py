"""Closing API objects: one by one, after the calls under way, and what comes too late."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from icure_async import (
    AnonymousMedTechApi,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
)
from icure_async.errors import ConfigurationError, KeyPairNotFoundError, NetworkError
from icure_async.sandbox import Sandbox
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.loopback import NOW, Backend, login_answer

USER: dict[str, object] = {"id": "ned", "healthcarePartyId": "hcp"}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend(lambda: NOW) as running:
        yield running


def builder(backend: Backend) -> MedTechApiBuilder:
    return builder_for(backend.base_url, "ned", "hodor")


class Gate:
    """An answer that waits until it is let go."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        self.arrived.set()
        await self.open.wait()
        return web.json_response(self._answer)


async def test_a_call_under_way_finishes_with_all_its_requests(backend: Backend) -> None:
    login = Gate(login_answer())
    backend.on("POST /auth/login", login).on("GET /user/current", USER)
    api = await builder(backend).build()
    call = asyncio.create_task(api.user_api.get_logged_user())
    await login.arrived.wait()

    closing = asyncio.create_task(api.aclose())
    await asyncio.sleep(0.05)
    assert not closing.done()
    login.open.set()

    assert (await call).id == "ned"
    await closing
    assert backend.calls == ["POST /auth/login", "GET /user/current"]


async def test_new_calls_are_refused_from_the_first_moment_on(backend: Backend) -> None:
    login = Gate(login_answer())
    backend.on("POST /auth/login", login).on("GET /user/current", USER)
    api = await builder(backend).build()
    call = asyncio.create_task(api.user_api.get_logged_user())
    await login.arrived.wait()
    closing = asyncio.create_task(api.aclose())
    await asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match="This MedTechApi is closed"):
        await api.user_api.get_user("x")

    login.open.set()
    await asyncio.gather(call, closing)
    assert backend.count("GET /user/x") == 0


CALLS: list[Callable[[MedTechApi], Any]] = [
    lambda api: api.user_api.get_logged_user(),
    lambda api: api.user_api.get_user("x"),
    lambda api: api.patient_api.get_patient("x"),
    lambda api: api.patient_api.create_or_modify_patient(Patient(last_name="Stark")),
    lambda api: api.notification_api.get_notification("x"),
    lambda api: anext(aiter(api.notification_api.filter_notifications())),
    lambda api: api.data_owner_api.examine_keys(),
    lambda api: api.authentication_api.start_authentication(
        "captcha", phone_number="+32470123456", first_name="Ned", last_name="Stark"
    ),
    lambda api: api.init_user_crypto(),
    lambda api: api.export_keys("four words make a passphrase"),
    lambda api: api.generate_rsa_keypair(),
    lambda api: api.identify(),
]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
async def test_every_call_of_a_closed_object_is_refused_although_its_sibling_is_open(
    backend: Backend, call: Callable[[MedTechApi], Any]
) -> None:
    async with aiohttp.ClientSession() as shared:
        siblings = builder(backend).with_client_session(shared).with_msg_gw_spec_id("ic")
        async with siblings.with_auth_process_by_sms_id("sms").build():
            api = await siblings.build()
            await api.aclose()
            with pytest.raises(ConfigurationError, match="This MedTechApi is closed") as caught:
                await call(api)
    assert "Keep it open" in str(caught.value)
    assert backend.seen == []


async def test_the_api_of_a_person_outlives_the_anonymous_one_and_the_other_way_round(
    sandbox: Sandbox,
) -> None:
    async def register(anonymous: AnonymousMedTechApi, phone: str) -> MedTechApi:
        process = await anonymous.authentication_api.start_authentication(
            "captcha",
            phone_number=phone,
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        code = await sandbox.wait_for_code(phone, timeout=5)
        result = await anonymous.authentication_api.complete_authentication(process, code)
        return result.med_tech_api

    anonymous = await anonymous_builder_for(sandbox).build()
    first = await register(anonymous, "+32588235595")
    await first.aclose()
    with pytest.raises(ConfigurationError, match="This MedTechApi is closed"):
        await first.user_api.get_logged_user()

    second = await register(anonymous, "+32588235596")
    await anonymous.aclose()
    with pytest.raises(ConfigurationError, match="This AnonymousMedTechApi is closed"):
        await register(anonymous, "+32588235597")
    assert (await second.user_api.get_logged_user()).id
    await second.aclose()


async def test_a_save_under_way_is_complete_after_the_with_block(sandbox: Sandbox) -> None:
    master = sandbox.master_hcp

    def build() -> Any:
        return builder_for(sandbox.icure_url, master.login, master.password).build()

    async with build() as api:
        await api.init_user_crypto(master.key_pair)
        saving = [
            asyncio.create_task(
                api.patient_api.create_or_modify_patient(Patient(last_name="Stark", note=str(n)))
            )
            for n in range(5)
        ]
        await asyncio.sleep(0)
    saved = await asyncio.gather(*saving)
    async with build() as api:
        await api.init_user_crypto(master.key_pair)
        read = await api.patient_api.get_patients([patient.id for patient in saved])
    assert [patient.note for patient in read] == ["0", "1", "2", "3", "4"]


async def test_what_takes_too_long_ends_with_an_error_that_says_who_closed(
    backend: Backend,
) -> None:
    never = Gate(USER)
    backend.on("POST /auth/login", login_answer()).on("GET /user/x", never)
    api = await builder(backend).with_timeout(0.3).build()
    # Another object's time limit, so that it is the closing that ends the request.
    api._transport._timeout = aiohttp.ClientTimeout(total=60)
    call = asyncio.create_task(api.user_api.get_user("x"))
    await never.arrived.wait()
    started = time.monotonic()

    await api.aclose()

    with pytest.raises(
        NetworkError, match="Could not read user x: this program closed this MedTechApi"
    ) as caught:
        await call
    assert caught.value.maybe_processed
    assert 0.25 < time.monotonic() - started < 5


async def test_a_cancelled_close_closes_at_once(backend: Backend) -> None:
    never = Gate(USER)
    backend.on("POST /auth/login", login_answer()).on("GET /user/x", never)
    api = await builder(backend).build()
    call = asyncio.create_task(api.user_api.get_user("x"))
    await never.arrived.wait()
    closing = asyncio.create_task(api.aclose())
    await asyncio.sleep(0.01)

    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(NetworkError, match="this program closed"):
        await call
    assert api._connection.client_session.closed


async def test_a_step_of_an_iterator_finishes_and_the_next_one_is_refused(
    backend: Backend,
) -> None:
    page = Gate({"rows": [], "pageSize": 0})
    backend.on("POST /auth/login", login_answer()).on("GET /user/current", USER)
    backend.on("GET /dataowner/current", {"type": "hcp", "dataOwner": {"id": "hcp", "rev": "1-x"}})
    backend.on("POST /maintenancetask/filter", page)
    api = await builder(backend).build()
    iterator = aiter(api.notification_api.filter_notifications())
    step = asyncio.ensure_future(anext(iterator, None))
    await asyncio.wait_for(page.arrived.wait(), 5)

    closing = asyncio.create_task(api.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    page.open.set()

    assert await step is None
    await closing


async def test_an_iterator_that_nobody_steps_holds_nothing_up(backend: Backend) -> None:
    api = await builder(backend).build()
    iterator = api.notification_api.filter_notifications()
    async with asyncio.timeout(2):
        await api.aclose()
    with pytest.raises(ConfigurationError, match="is closed"):
        await anext(aiter(iterator))


async def test_the_next_page_that_nobody_waits_for_holds_nothing_up(backend: Backend) -> None:
    next_page = Gate({"rows": [], "pageSize": 0})
    first_page: dict[str, object] = {
        "rows": [{"id": "x", "rev": "1-a"}],
        "nextKeyPair": {"startKeyDocId": "y"},
    }
    backend.on("POST /auth/login", login_answer()).on("GET /user/current", USER)
    backend.on("GET /dataowner/current", {"type": "hcp", "dataOwner": {"id": "hcp", "rev": "1-x"}})
    backend.on("POST /patient/filter", first_page, next_page)
    api = await builder(backend).build()
    patients = api.patient_api.filter_patients(page_size=1)
    assert (await anext(patients)).id == "x"
    await asyncio.wait_for(next_page.arrived.wait(), 5)
    async with asyncio.timeout(2):
        await api.aclose()
    with pytest.raises(ConfigurationError, match="is closed"):
        await anext(patients)


async def test_closing_from_within_a_call_does_not_wait_for_itself(sandbox: Sandbox) -> None:
    master = sandbox.master_hcp
    closed: list[bool] = []

    async def find_key(missing: object) -> None:
        async with asyncio.timeout(5):
            await api.aclose()
        closed.append(True)

    api = await builder_for(sandbox.icure_url, master.login, master.password).build()
    with pytest.raises(KeyPairNotFoundError):
        await api.init_user_crypto(find_key=find_key)
    assert closed == [True]


async def test_a_call_within_a_call_is_part_of_it(sandbox: Sandbox) -> None:
    """A callback of a call under way may use the object, although it was closed since."""
    master = sandbox.master_hcp
    api = await builder_for(sandbox.icure_url, master.login, master.password).build()
    closing: list[asyncio.Task[None]] = []
    users: list[str | None] = []

    async def find_key(missing: object) -> Any:
        async def close() -> None:
            await api.aclose()

        # In a context of its own: it does not belong to this call.
        closing.append(loop.create_task(close(), context=outside))
        await asyncio.sleep(0.01)
        users.append((await api.user_api.get_logged_user()).id)
        return master.key_pair

    outside = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    assert await api.init_user_crypto(find_key=find_key) == [master.key_pair]
    await closing[0]
    assert users == [master.user_id]


async def built_elsewhere() -> MedTechApi:
    return await (
        builder_for("http://127.0.0.1:9", "ned", "hodor")
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("sms")
        .build()
    )


def test_another_event_loop_is_refused_by_every_call() -> None:
    api = asyncio.run(built_elsewhere())

    async def use() -> None:
        for call in CALLS:
            with pytest.raises(ConfigurationError, match=r"MedTechApi was made in another event"):
                await call(api)
        await api.aclose()
        await api.aclose()

    asyncio.run(use())


def test_without_an_event_loop_of_asyncios_every_call_is_refused_but_closing() -> None:
    """As under trio: nothing here waits for anything that asyncio would know of."""

    api = asyncio.run(built_elsewhere())

    async def use() -> None:
        for call in CALLS:
            with pytest.raises(ConfigurationError, match="needs a running event loop of asyncio's"):
                await call(api)
        await api.aclose()

    with pytest.raises(StopIteration):
        use().send(None)
    assert api._connection.client_session.closed


def test_building_needs_an_event_loop_of_asyncios() -> None:
    building = builder_for("http://127.0.0.1:9", "ned", "hodor").build()
    with pytest.raises(ConfigurationError, match="needs a running event loop of asyncio's"):
        building.__await__().send(None)


def said_of_garbage(drop: Callable[[], None]) -> list[str]:
    """Return the warnings about API objects that are given when something is dropped."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        drop()
        gc.collect()
    return [
        str(one.message)
        for one in given
        if issubclass(one.category, ResourceWarning) and "Api was not closed" in str(one.message)
    ]


async def test_an_api_left_open_is_named_when_it_is_garbage(backend: Backend) -> None:
    held = [await builder(backend).build()]
    # aiohttp speaks of its session, too, and to the event loop.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    assert said_of_garbage(held.clear) == [
        "A MedTechApi was not closed: use it in an async with statement, or await its aclose()."
    ]


async def test_an_api_left_open_in_the_session_of_the_caller_leaves_nothing_open(
    backend: Backend,
) -> None:
    async with aiohttp.ClientSession() as session:
        held = [await builder(backend).with_client_session(session).build()]
        assert said_of_garbage(held.clear) == []


async def test_a_closed_api_goes_without_a_word(backend: Backend) -> None:
    held = [await builder(backend).build()]
    await held[0].aclose()
    assert said_of_garbage(held.clear) == []
