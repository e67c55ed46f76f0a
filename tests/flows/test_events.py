"""Subscriptions to events, from the API to the sandbox and back."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import (
    ConnectionChange,
    EncryptedPatient,
    Event,
    MedTechApi,
    NotificationFilter,
    Patient,
    PatientFilter,
    Reconnected,
    Reconnection,
    User,
    UserFilter,
)
from icure_async.errors import (
    ConfigurationError,
    ICureError,
    PermissionDeniedError,
    ValidationError,
    WrongArgumentsError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.builders import builder_for
from tests.support.golden import GOLDEN
from tests.support.golden_sandbox import opener, sandbox, seed
from tests.support.notifications import People, other, people, text_of
from tests.support.our_sdk import register_with_sdk
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, key_pair_of

__all__ = ["opener", "people", "sandbox", "seed"]

AT_ONCE = Reconnection(first_wait=0)
SOON = Reconnection(first_wait=0.02, longest_wait=0.02)
TRANSCRIPT: list[Json] = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))["events"]
TICKET = "GET /rest/v1/auth/token/GET//ws/v1/notification"


@pytest.fixture
async def hcp(people: People) -> AsyncIterator[MedTechApi]:
    api = await people.opener.golden("hcp")
    yield api
    await api.aclose()


async def written(api: MedTechApi, **members: Any) -> Patient:
    members = {"first_name": "Jon", "last_name": "Snow", "note": "knows nothing", **members}
    return await api.patient_api.create_or_modify_patient(Patient(**members))


async def test_patients_come_decrypted_when_they_are_created_changed_and_deleted(
    hcp: MedTechApi,
) -> None:
    async with hcp.patient_api.subscribe_to_patient_events(["CREATE", "UPDATE"]) as events:
        created = await written(hcp)
        assert await events.get(5) == Event(record=created)
        changed = await hcp.patient_api.create_or_modify_patient(created.evolve(note="a bit"))
        assert await events.get(5) == Event(record=changed)
        await hcp.patient_api.delete_patient(created.id)
        deleted = await events.get(5)
    assert isinstance(deleted, Event)
    assert isinstance(deleted.record, Patient)
    assert deleted.record.note == "a bit"
    assert deleted.record.deletion_date is not None


async def test_only_what_was_asked_for_comes(hcp: MedTechApi) -> None:
    wanted = PatientFilter().by_gender_education_profession("female")
    subscribe = hcp.patient_api.subscribe_to_patient_events
    async with subscribe(["UPDATE"], wanted) as events:
        created = await written(hcp, gender="female")
        await written(hcp, gender="male")
        changed = await hcp.patient_api.create_or_modify_patient(created.evolve(note="x"))
        assert await events.get(5) == Event(record=changed)
        assert await events.get(0.1) is None


async def test_what_no_key_opens_comes_as_the_sealed_record(
    people: People, hcp: MedTechApi, world: Json
) -> None:
    user = world["users"]["hcp"]
    without_keys = await people.opener.plain(user["login"], user["token"])
    async with without_keys.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        created = await written(hcp)
        item = await events.get(5)
    assert isinstance(item, Event)
    assert isinstance(item.record, EncryptedPatient)
    assert item.record.id == created.id
    await without_keys.aclose()


async def test_nobody_hears_of_what_it_may_not_read(people: People) -> None:
    ned, arya = await people.opener.golden("ned"), await people.opener.golden("arya")
    async with ned.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        await written(arya)
        own = await written(ned)
        assert await events.get(5) == Event(record=own)
        assert await events.get(0.05) is None
    await ned.aclose()
    await arya.aclose()


async def test_notifications_come_decrypted(people: People, hcp: MedTechApi) -> None:
    wanted = NotificationFilter().with_type("OTHER")
    async with hcp.notification_api.subscribe_to_notification_events(["CREATE"], wanted) as events:
        ned, _, (said,) = await people.told("Winter is here")
        item = await events.get(5)
    assert isinstance(item, Event)
    assert item.record.id == said.id
    assert text_of(item.record) == "Winter is here"
    await ned.aclose()


async def test_the_frames_are_those_of_the_reference(
    hcp: MedTechApi, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send_frame = aiohttp.ClientWebSocketResponse.send_frame

    async def noting(self: Any, message: bytes, *rest: Any) -> None:
        sent.append(message.decode())
        await send_frame(self, message, *rest)

    monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_frame", noting)
    by_entity = {event["entity"]: _frames(event) for event in TRANSCRIPT}
    golden = "25d9e505-f66a-4e36-920d-95bfbfe07a2f"
    patients = PatientFilter().by_gender_education_profession("female")
    async with hcp.patient_api.subscribe_to_patient_events(["CREATE", "UPDATE"], patients):
        pass
    async with hcp.user_api.subscribe_to_user_events(["CREATE"]):
        pass
    told = NotificationFilter().with_type("OTHER")
    async with hcp.notification_api.subscribe_to_notification_events(["CREATE", "UPDATE"], told):
        pass
    async with hcp.patient_api.subscribe_to_patient_events(["DELETE"]):
        pass
    expected = [
        by_entity["Patient"].replace(golden, people.hcp_id),
        by_entity["User"],
        by_entity["Notification"].replace("b01dd1a6-e1ff-4e5b-9761-11009260e87b", people.hcp_id),
        by_entity["Patient, ping, garbage, server close and reconnection"],
    ]
    assert sent == expected


def _frames(event: Json) -> str:
    """Return the first frame that the client sends."""
    websocket = next(request for request in event["requests"] if request["method"] == "WS")
    return str(websocket["frames"][0]["text"])


async def test_each_attempt_takes_one_request_for_a_token(
    people: People, hcp: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    subscribe = hcp.patient_api.subscribe_to_patient_events
    requests.take()
    async with subscribe(["CREATE"], reconnection=AT_ONCE) as events:
        assert [line.partition(";")[0] for line in requests.take()] == [
            TICKET,
            "GET /ws/v1/notification/subscribe",
        ]
        await written(hcp)
        assert isinstance(await events.get(5), Event)
        requests.take()
        assert await sandbox.disconnect_subscribers() == 1
        assert isinstance(await events.get(5), Reconnected)
        assert len(requests.take()) == 2


async def test_a_new_connection_goes_on_after_a_marker(hcp: MedTechApi, sandbox: Sandbox) -> None:
    subscribe = hcp.patient_api.subscribe_to_patient_events
    async with subscribe(["CREATE"], reconnection=AT_ONCE) as events:
        for _ in range(3):
            await sandbox.disconnect_subscribers()
            marker = await events.get(5)
            assert isinstance(marker, Reconnected)
            assert marker.since <= marker.at
            created = await written(hcp)
            assert await events.get(5) == Event(record=created)


async def go_down(sandbox: Sandbox) -> None:
    """Have no connection for events until the faults are cleared."""
    sandbox.inject_fault(Fault(kind="status", status=503, path="/ws/v1/*"))
    await sandbox.disconnect_subscribers()


async def test_notifications_of_the_time_in_between_are_caught_up_with_each_once(
    people: People, hcp: MedTechApi, sandbox: Sandbox
) -> None:
    ned = await people.opener.golden("ned")
    tell = ned.notification_api.create_or_modify_notification
    subscribe = hcp.notification_api.subscribe_to_notification_events
    async with subscribe(["CREATE"], reconnection=SOON) as events:
        before = await tell(other("before"), people.hcp_id)
        assert [text_of((await events.get(5)).record)] == ["before"]  # type: ignore[union-attr]
        await go_down(sandbox)
        missed = [await tell(other(f"missed {n}"), people.hcp_id) for n in range(3)]
        sandbox.clear_faults()
        marker = await events.get(5)
        assert isinstance(marker, Reconnected)
        caught = [await events.get(5) for _ in missed]
        after = await tell(other("after"), people.hcp_id)
        last = await events.get(5)
        assert await events.get(0.1) is None
    assert all(isinstance(item, Event) and item.caught_up for item in caught)
    assert {item.record.id for item in caught if isinstance(item, Event)} == {
        notification.id for notification in missed
    }
    assert isinstance(last, Event)
    assert (last.record.id, last.caught_up) == (after.id, False)
    assert before.id not in {item.record.id for item in caught if isinstance(item, Event)}
    await ned.aclose()


async def test_catching_up_can_be_left_out(
    people: People, hcp: MedTechApi, sandbox: Sandbox
) -> None:
    subscribe = hcp.notification_api.subscribe_to_notification_events
    async with subscribe(["CREATE"], reconnection=SOON, catch_up=False) as events:
        await go_down(sandbox)
        ned, _, _ = await people.told("missed")
        sandbox.clear_faults()
        assert isinstance(await events.get(5), Reconnected)
        assert await events.get(0.1) is None
    await ned.aclose()


async def test_users_come_once_also_those_of_the_gateway(hcp: MedTechApi, sandbox: Sandbox) -> None:
    async with hcp.user_api.subscribe_to_user_events(["CREATE"]) as events:
        result = await register_with_sdk(sandbox, "+32470999999")
        item = await events.get(5)
        assert isinstance(item, Event)
        assert isinstance(item.record, User)
        assert item.record.login == "+32470999999"
        assert await events.get(0.1) is None
        await result.med_tech_api.aclose()
    async with hcp.user_api.subscribe_to_user_events(["UPDATE"], UserFilter()) as events:
        assert await events.get(0.05) is None


async def test_the_iterator_ends_when_it_is_closed(hcp: MedTechApi) -> None:
    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    waiting = asyncio.ensure_future(anext(events))
    await written(hcp)
    first = asyncio.create_task(_all(events))
    await asyncio.sleep(0)
    await asyncio.wait([waiting], timeout=0.5)
    await events.aclose()
    await events.aclose()
    await asyncio.wait([first, waiting], timeout=5)
    assert first.done()
    assert [item async for item in events] == []
    with pytest.raises(ConfigurationError, match="Subscribe again"):
        await events.get()
    with pytest.raises(ConfigurationError, match="Subscribe again"):
        async with events:
            pass
    waiting.cancel()


async def _all(events: Any) -> list[object]:
    return [item async for item in events]


async def test_giving_up_a_wait_loses_nothing(hcp: MedTechApi) -> None:
    async with hcp.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        created = [await written(hcp, first_name=f"Jon {n}") for n in range(20)]
        taken: list[object] = []
        async with asyncio.timeout(20):
            while len(taken) < len(created):
                waiting = asyncio.ensure_future(anext(events))
                await asyncio.sleep(0.001 * (len(taken) % 3))
                waiting.cancel()
                try:
                    taken.append(await waiting)
                except asyncio.CancelledError:
                    item = await events.get(5)
                    taken.append(item)
    assert taken == [Event(record=patient) for patient in created]


async def test_closing_the_api_ends_its_subscriptions(hcp: MedTechApi, sandbox: Sandbox) -> None:
    async with hcp.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        waiting = asyncio.create_task(_all(events))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(hcp.aclose(), 5)
        assert await asyncio.wait_for(waiting, 5) == []
    assert await sandbox.disconnect_subscribers() == 0


async def test_one_that_is_about_to_begin_ends_with_the_api_too(
    people: People, sandbox: Sandbox, client_session: aiohttp.ClientSession
) -> None:
    api = await people.opener.golden("hcp")
    sandbox.inject_fault(Fault(kind="delay", seconds=0.3, path="/ws/v1/*"))
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])
    opening = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.1)
    await api.aclose()
    with pytest.raises(ICureError):
        await asyncio.wait_for(opening, 5)
    assert not client_session.closed
    assert sandbox._events is not None
    async with asyncio.timeout(5):
        while sandbox._events.is_watching():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_logging_out_ends_subscriptions(hcp: MedTechApi, sandbox: Sandbox) -> None:
    async with hcp.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        await hcp.logout()
        assert [item async for item in events] == []


async def test_a_subscription_that_is_dropped_leaves_nothing_behind(
    hcp: MedTechApi, sandbox: Sandbox
) -> None:
    async for _ in _first_of(hcp):
        break
    gc.collect()
    async with asyncio.timeout(5):
        while any(  # noqa: ASYNC110
            task.get_name() == "icure events" for task in asyncio.all_tasks()
        ):
            await asyncio.sleep(0.01)
        while await sandbox.disconnect_subscribers():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _first_of(api: MedTechApi) -> AsyncIterator[object]:
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])
    asking = asyncio.ensure_future(anext(events))
    while True:
        await written(api)
        done, _ = await asyncio.wait([asking], timeout=0.2)
        if done:
            yield asking.result()
            return


async def test_functions_are_called_for_events_and_changes_of_the_connection(
    hcp: MedTechApi, sandbox: Sandbox
) -> None:
    items: asyncio.Queue[object] = asyncio.Queue()
    changes: list[str] = []

    async def on_event(item: object) -> None:
        await items.put(item)

    async def on_state(change: ConnectionChange) -> None:
        changes.append(change.state)

    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"], reconnection=AT_ONCE)
    await events.start(on_event, on_state=on_state)
    created = await written(hcp)
    assert await asyncio.wait_for(items.get(), 5) == Event(record=created)
    await sandbox.disconnect_subscribers()
    assert isinstance(await asyncio.wait_for(items.get(), 5), Reconnected)
    with pytest.raises(ConfigurationError, match="calls a function already"):
        await events.start(on_event)
    await events.aclose()
    await asyncio.wait_for(events.wait(), 5)
    assert changes == ["connected", "interrupted", "connected", "closed"]


async def test_an_error_of_a_function_ends_the_subscription_and_is_told(hcp: MedTechApi) -> None:
    ends: list[ConnectionChange] = []

    async def on_event(item: object) -> None:
        raise LookupError("secret of an application")

    async def on_state(change: ConnectionChange) -> None:
        ends.append(change)

    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    await events.start(on_event, on_state=on_state)
    await written(hcp)
    with pytest.raises(LookupError):
        await asyncio.wait_for(events.wait(), 5)
    assert [change.state for change in ends] == ["connected", "closed"]
    assert isinstance(ends[-1].error, LookupError)
    assert "secret" not in repr(ends[-1])


async def test_a_function_may_close_its_subscription(hcp: MedTechApi) -> None:
    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])

    async def on_event(item: object) -> None:
        await events.aclose()

    await events.start(on_event)
    await written(hcp)
    await asyncio.wait_for(events.wait(), 5)


async def test_a_backend_that_keeps_events_from_being_read_is_told_of_once(
    people: People, hcp: MedTechApi, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe = hcp.notification_api.subscribe_to_notification_events
    async with subscribe(["CREATE"], reconnection=SOON) as events:
        path = "/rest/v1/maintenancetask/filter*"
        sandbox.inject_fault(Fault(kind="status", status=500, path=path))
        await sandbox.disconnect_subscribers()
        assert isinstance(await events.get(5), Reconnected)
        assert await events.get(0.3) is None
        sandbox.clear_faults()
        ned, _, _ = await people.told("Winter is here")
        assert isinstance(await events.get(5), Event)
    told = [r.getMessage() for r in caplog.records if "Events can't be read" in r.getMessage()]
    assert len(told) == 1
    assert "ServerError" in told[0]
    await ned.aclose()


async def test_those_who_wait_for_the_end_of_an_iterator_see_its_error(
    hcp: MedTechApi, sandbox: Sandbox
) -> None:
    subscribe = hcp.patient_api.subscribe_to_patient_events
    async with subscribe(["CREATE"], reconnection=AT_ONCE) as events:
        waiting = asyncio.ensure_future(events.wait())
        sandbox.inject_fault(Fault(kind="status", status=403, path="/ws/v1/*"))
        await sandbox.disconnect_subscribers()
        with pytest.raises(PermissionDeniedError):
            await asyncio.wait_for(waiting, 5)


async def test_a_function_can_not_wait_for_its_own_end(hcp: MedTechApi) -> None:
    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])

    async def on_event(item: object) -> None:
        await events.wait()

    await events.start(on_event)
    await written(hcp)
    with pytest.raises(ConfigurationError, match="can't wait for its end"):
        await asyncio.wait_for(events.wait(), 5)


async def test_a_cancellation_from_within_a_function_is_an_error(hcp: MedTechApi) -> None:
    ends: list[ConnectionChange] = []

    async def on_event(item: object) -> None:
        work = asyncio.ensure_future(asyncio.sleep(5))
        work.cancel()
        await work

    async def on_state(change: ConnectionChange) -> None:
        ends.append(change)

    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    await events.start(on_event, on_state=on_state)
    await written(hcp)
    with pytest.raises(ConfigurationError, match="on_event has waited for something"):
        await asyncio.wait_for(events.wait(), 5)
    assert isinstance(ends[-1].error, ConfigurationError)


async def test_one_that_is_closed_as_soon_as_it_has_begun_tells_both(hcp: MedTechApi) -> None:
    changes: list[str] = []

    async def on_event(item: object) -> None:
        raise AssertionError

    async def on_state(change: ConnectionChange) -> None:
        await asyncio.sleep(0.01)
        changes.append(change.state)

    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    await events.start(on_event, on_state=on_state)
    await events.aclose()
    assert changes == ["connected", "closed"]


async def test_a_function_that_is_being_called_is_cancelled_by_closing(hcp: MedTechApi) -> None:
    called = asyncio.Event()
    changes: list[str] = []

    async def on_event(item: object) -> None:
        called.set()
        await asyncio.sleep(30)

    async def on_state(change: ConnectionChange) -> None:
        changes.append(f"{change.state} {change.error}")

    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    await events.start(on_event, on_state=on_state)
    await written(hcp)
    await asyncio.wait_for(called.wait(), 5)
    await asyncio.wait_for(events.aclose(), 5)
    await asyncio.wait_for(events.wait(), 5)
    assert changes == ["connected None", "closed None"]


@pytest.mark.parametrize("function", [None, 5, "print"], ids=repr)
async def test_what_can_not_be_called_is_refused(hcp: MedTechApi, function: Any) -> None:
    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    with pytest.raises(ConfigurationError, match="on_event must be an async function"):
        await events.start(function)


@pytest.mark.parametrize("types", [[], ["created"], "CREATE", None, 5, [None], [[]]], ids=repr)
async def test_event_types_that_make_no_sense_are_refused(
    hcp: MedTechApi, requests: RequestLog, types: Any
) -> None:
    requests.take()
    with pytest.raises(ValidationError, match=r"event_types .*CREATE, UPDATE, DELETE"):
        hcp.patient_api.subscribe_to_patient_events(types)
    assert requests.take() == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"buffer_size": 0}, "buffer_size"),
        ({"buffer_size": True}, "buffer_size"),
        ({"reconnection": 5}, "reconnection"),
        ({"patient_filter": UserFilter()}, "patients"),
        ({"patient_filter": "x"}, "Filter"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(
    hcp: MedTechApi, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        hcp.patient_api.subscribe_to_patient_events(["CREATE"], **options)


@pytest.mark.parametrize(
    "options",
    [{"max_attempts": -1}, {"max_attempts": 1.5}, {"first_wait": -1}, {"longest_wait": "x"}],
    ids=repr,
)
def test_a_reconnection_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        Reconnection(**options)


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")], ids=repr)
async def test_a_timeout_that_makes_no_sense_is_refused(hcp: MedTechApi, timeout: Any) -> None:
    events = hcp.patient_api.subscribe_to_patient_events(["CREATE"])
    with pytest.raises(ValidationError, match="timeout"):
        await events.get(timeout)


async def test_awaiting_a_subscription_is_explained(hcp: MedTechApi) -> None:
    with pytest.raises(WrongArgumentsError, match="async with"):
        await hcp.patient_api.subscribe_to_patient_events(["CREATE"])  # type: ignore[misc]


async def test_a_subscription_leaves_a_connection_for_requests(
    people: People, sandbox: Sandbox, world: Json
) -> None:
    user = world["users"]["hcp"]
    builder = builder_for(sandbox.icure_url, user["login"], user["token"])
    async with builder.with_connection_limit(2).build() as api:
        await api.init_user_crypto(key_pair_of(world, "hcp"))
        async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            created = await written(api)
            assert await events.get(5) == Event(record=created)
            with pytest.raises(ConfigurationError, match=r"with_connection_limit\(\)"):
                async with api.user_api.subscribe_to_user_events(["CREATE"]):
                    pass
        async with api.user_api.subscribe_to_user_events(["CREATE"]):
            pass
