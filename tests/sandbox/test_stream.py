"""The stream of server-sent events: everything that happens, to readers of any patience."""

from __future__ import annotations

import asyncio

import pytest

from icure_async.sandbox import Fault
from icure_async.sandbox.control import feed, stream
from icure_async.sandbox.control.feed import Feed
from tests.support.bare_client import World
from tests.support.sandbox_control import follow, page_of

PHONE = "+32588235595"


async def test_a_code_arrives_as_it_is_sent_and_then_as_it_is_used(world: World) -> None:
    events = await follow(world)
    request_id = await world.start(PHONE)
    message = await events.next_of("message")
    assert message == world.sandbox.messages()[0].to_json()
    assert (await world.validate(request_id, message["code"])).status == 200
    assert await events.next_of("used") == {"number": 1, "state": "used"}


async def test_a_process_that_is_closed_is_told(world: World) -> None:
    events = await follow(world)
    request_id = await world.start(PHONE)
    for _ in range(5):
        await world.validate(request_id, "wrong")
    assert await events.next_of("used") == {"number": 1, "state": "closed"}


async def test_requests_are_told_as_they_are_noted(world: World) -> None:
    events = await follow(world)
    await world.anonymous.get("/icure/ok")
    assert await events.next() == ("request", world.sandbox.requests()[0].to_json())


async def test_stored_records_are_told_without_their_content(world: World) -> None:
    master = await world.master()
    events = await follow(world)
    created = await master.created("/patient", {"firstName": "Robb", "lastName": "Stark"})
    told = {"group": "sandbox", "kind": "patient", "id": created["id"]}
    assert await events.next_of("data") == {**told, "rev": created["rev"], "change": "created"}
    changed = (await master.put("/patient", {**created, "firstName": "Bran"})).body
    assert await events.next_of("data") == {**told, "rev": changed["rev"], "change": "changed"}
    (deleted,) = (await master.delete(f"/patient/{created['id']}")).body
    assert await events.next_of("data") == {**told, "rev": deleted["rev"], "change": "deleted"}


async def test_the_clock_and_faults_are_told_from_any_thread(world: World) -> None:
    events = await follow(world)
    await asyncio.to_thread(world.sandbox.advance_clock, 60)
    assert (await events.next_of("clock"))["offset"] == 60_000
    injected = await asyncio.to_thread(world.sandbox.inject_fault, Fault("drop-after", times=1))
    assert await events.next_of("faults") == [injected.to_json()]
    world.sandbox.clear_faults()
    assert await events.next_of("faults") == []


async def test_a_stream_survives_a_reset_and_tells_of_it(world: World) -> None:
    events = await follow(world)
    world.sandbox.advance_clock(60)
    await world.sandbox.reset()
    assert (await events.next_of("reset"))["offset"] == 0
    await world.start(PHONE)
    assert (await events.next_of("message"))["number"] == 1


async def test_a_stream_goes_on_after_the_last_event_that_its_reader_knows(world: World) -> None:
    events = await follow(world)
    world.sandbox.advance_clock(1)
    world.sandbox.advance_clock(1)
    await events.next()
    events.response.close()
    again = await follow(world, headers={"Last-Event-ID": str(events.last_id)})
    assert (await again.next())[1]["offset"] == 2000
    again = await follow(world, f"?after={events.last_id}")
    assert (await again.next())[1]["offset"] == 2000
    assert (await (await follow(world, "?after=0")).next())[1]["offset"] == 1000


async def test_a_reader_of_another_start_is_told_that_it_missed_something(world: World) -> None:
    events = await follow(world, "?after=1000")
    assert (await events.next())[0] == "missed"
    world.sandbox.advance_clock(1)
    assert (await events.next())[0] == "clock"


async def test_a_stream_ends_when_the_sandbox_is_closed(world: World) -> None:
    events = await follow(world)
    await world.sandbox.aclose()
    assert await events.at_end()


async def test_there_is_a_sign_of_life_where_nothing_happens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.01)
    events = await follow(world)
    async with asyncio.timeout(5):
        assert await events.response.content.readuntil(b": still here\n\n")


async def test_a_reader_that_takes_nothing_is_dropped_and_costs_no_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PATIENCE_SECONDS", 0.05)
    events = await follow(world)
    its_feed = world.sandbox._desk.feed
    async with asyncio.timeout(20):
        while its_feed._readers:
            for _ in range(200):
                its_feed.tell("clock", {"filler": "x" * 5000})
            await asyncio.sleep(0.01)
    assert its_feed._ring._weight <= feed._HEAVIEST
    events.response.close()


async def test_a_reader_that_falls_behind_is_told_so_and_ended(world: World) -> None:
    events = await follow(world)
    for _ in range(feed._MOST_KEPT + 10):
        world.sandbox._desk.feed.tell("clock", {})
    assert await events.next() == ("dropped", {"events": 10})
    assert await events.at_end()


async def test_only_so_many_streams_are_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_MOST_READERS", 1)
    await follow(world)
    answer = await page_of(world).get("/events")
    assert answer.status == 503


async def test_nothing_is_looked_up_for_streams_that_nobody_reads(world: World) -> None:
    store = world.sandbox._store
    assert store is not None
    assert store._watcher is not None
    assert not store._watcher.is_watching()
    await follow(world)
    assert store._watcher.is_watching()


async def test_a_feed_that_is_not_open_tells_nothing() -> None:
    closed = Feed()
    closed.tell("clock", {})
    closed.open()
    reader = closed.follow(0)
    assert reader is not None
    assert closed.take(reader, 10) == []
    assert closed.missed(reader) == 0


async def test_large_messages_do_not_fill_the_memory() -> None:
    full = Feed()
    full.open()
    for _ in range(100):
        full.tell("message", {"text": "x" * 2**20})
    assert full._ring._weight <= feed._HEAVIEST
