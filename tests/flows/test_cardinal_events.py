"""Events in today's flavour, from the API to the sandbox and back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from icure_async import Event, Notification, Patient, Reconnected, Reconnection, User
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog

SOON = Reconnection(first_wait=0.02, longest_wait=0.02)
SUBSCRIBE = "GET /ws/v2/notification/subscribe"


@pytest.fixture
async def world(client_session: aiohttp.ClientSession) -> AsyncIterator[TodayWorld]:
    async with Sandbox(seed=of_stage("2-anonymous")) as sandbox:
        yield TodayWorld(sandbox, client_session)


async def test_patients_come_decrypted_when_they_are_created_and_changed(
    world: TodayWorld, requests: RequestLog
) -> None:
    async with await world.user("doc1") as api:
        requests.take()
        async with api.patient_api.subscribe_to_patient_events(["CREATE", "UPDATE"]) as events:
            assert SUBSCRIBE in requests.take()
            created = await api.patient_api.create_or_modify_patient(
                Patient(first_name="Jon", last_name="Snow", note="knows nothing")
            )
            event = await events.get(5)
            assert isinstance(event, Event)
            assert event.record == created
            # The record of an event can be saved, and loses nothing.
            changed = await api.patient_api.create_or_modify_patient(
                event.record.evolve(note="a bit")
            )
            assert await events.get(5) == Event(record=changed)
    assert not [line for line in requests.take() if "/auth/token/" in line]


async def test_an_anonymous_patient_is_told_of_what_is_shared_with_it(world: TodayWorld) -> None:
    async with (
        await world.user("doc1") as doctor,
        await world.user("pat2") as patient,
        patient.notification_api.subscribe_to_notification_events(["CREATE"]) as events,
    ):
        made = await doctor.notification_api.create_or_modify_notification(
            Notification(type="OTHER"), owner_of("pat2")
        )
        event = await events.get(5)
    assert isinstance(event, Event)
    assert event.record.id == made.id


async def test_an_anonymous_patient_is_told_of_what_strangers_share_after_a_new_connection(
    world: TodayWorld,
) -> None:
    """Access control keys go with the first text of a connection."""
    async with (
        await world.user("doc2") as doctor,
        await world.user("pat2") as patient,
        patient.notification_api.subscribe_to_notification_events(
            ["CREATE"], reconnection=SOON
        ) as events,
    ):
        first = await doctor.notification_api.create_or_modify_notification(
            Notification(type="OTHER"), owner_of("pat2")
        )
        assert await world.sandbox.disconnect_subscribers() == 1
        assert isinstance(await events.get(5), Reconnected)
        second = await doctor.notification_api.create_or_modify_notification(
            Notification(type="OTHER"), owner_of("pat2")
        )
        ids = {first.id, second.id}
        while second.id in ids:
            event = await events.get(5)
            assert isinstance(event, Event)
            ids.discard(event.record.id)


async def test_users_come_too(world: TodayWorld) -> None:
    async with await world.user("doc1") as api:
        me = await api.user_api.get_logged_user()
        async with api.user_api.subscribe_to_user_events(["UPDATE"]) as events:
            me.name = "Another name"
            await api.user_api.create_or_modify_user(me)
            event = await events.get(5)
    assert isinstance(event, Event)
    assert isinstance(event.record, User)
    assert event.record.name == "Another name"


async def test_a_connection_that_breaks_is_made_again_with_the_token_of_the_session(
    world: TodayWorld, requests: RequestLog
) -> None:
    async with (
        await world.user("doc1") as api,
        api.user_api.subscribe_to_user_events(["UPDATE"], reconnection=SOON) as events,
    ):
        requests.take()
        await world.sandbox.disconnect_subscribers()
        assert isinstance(await events.get(5), Reconnected)
        assert requests.take() == [SUBSCRIBE]
