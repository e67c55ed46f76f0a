"""Subscriptions of blocking callers: an iterator with a timeout, and plain functions."""

from __future__ import annotations

import gc
import queue
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import icure_sync
from icure_sync import (
    ConnectionChange,
    Event,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
    Reconnected,
    Reconnection,
)
from icure_sync.errors import ConfigurationError
from icure_sync.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def api(sandbox: Sandbox) -> Iterator[MedTechApi]:
    master = sandbox.master_hcp
    builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
    builder.with_user_name(master.login).with_password(master.password)
    with builder.build() as built:
        key_pair = master.key_pair
        built.init_user_crypto(icure_sync.KeyPair(key_pair.public_key, key_pair.private_key))
        yield built


def written(api: MedTechApi) -> Patient:
    return api.patient_api.create_or_modify_patient(
        Patient(first_name="Jon", last_name="Snow", note="knows nothing")
    )


def test_events_come_within_a_timeout(api: MedTechApi) -> None:
    with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
        created = written(api)
        assert events.get(timeout=5) == Event(record=created)
        before = time.monotonic()
        assert events.get(timeout=0.1) is None
        assert time.monotonic() - before < 5
        created = written(api)
        assert events.get(5) == Event(record=created)


def test_a_loop_gets_each_event_until_the_subscription_is_closed(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    at_once = Reconnection(first_wait=0)
    events = api.patient_api.subscribe_to_patient_events(["CREATE"], reconnection=at_once)
    seen: list[object] = []
    opened = threading.Event()

    def read() -> None:
        with events:
            opened.set()
            for item in events:
                seen.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    assert opened.wait(5)
    created = written(api)
    wait_for(lambda: len(seen) == 1)
    sandbox.disconnect_subscribers()
    wait_for(lambda: len(seen) == 2)
    events.close()
    reader.join(5)
    assert not reader.is_alive()
    assert seen[0] == Event(record=created)
    assert isinstance(seen[1], Reconnected)
    with pytest.raises(ConfigurationError, match="Subscribe again"):
        events.get(1)
    assert list(events) == []


def wait_for(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore:A Subscription was not closed:ResourceWarning")
@pytest.mark.parametrize("is_entered", [False, True])
def test_a_subscription_that_is_dropped_leaves_nothing_behind(
    api: MedTechApi, sandbox: Sandbox, is_entered: bool
) -> None:
    def take_one() -> None:
        events = api.patient_api.subscribe_to_patient_events(["CREATE"])
        if is_entered:
            events.__enter__()
        assert events.get(0.01) is None

    take_one()
    gc.collect()
    served = sandbox._inner._events
    assert served is not None
    wait_for(lambda: not served.is_watching())


def test_plain_functions_are_called_in_a_worker_thread_and_may_block(api: MedTechApi) -> None:
    items: queue.Queue[tuple[object, str]] = queue.Queue()
    states: list[str] = []
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])

    def on_event(item: object) -> None:
        assert isinstance(item, Event)
        # A blocking call of the SDK, from inside of it.
        read = api.patient_api.get_patient(item.record.id)
        items.put((read, threading.current_thread().name))

    def on_state(change: ConnectionChange) -> None:
        states.append(change.state)

    events.start(on_event, on_state=on_state)
    created = written(api)
    read, thread = items.get(timeout=5)
    assert read == created
    assert thread not in (threading.current_thread().name, "icure_sync")
    events.close()
    events.wait()
    assert states == ["connected", "closed"]


def test_a_function_may_close_its_subscription(api: MedTechApi) -> None:
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])

    def on_event(_: object) -> None:
        events.close()

    before = time.monotonic()
    events.start(on_event)
    written(api)
    events.wait()
    assert time.monotonic() - before < 4


def test_the_error_of_a_function_is_raised_by_those_who_wait(api: MedTechApi) -> None:
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])

    def on_event(_: object) -> None:
        raise LookupError

    events.start(on_event)
    written(api)
    with pytest.raises(LookupError):
        events.wait()


def test_a_function_that_exits_is_told_of_to_those_who_wait(api: MedTechApi) -> None:
    events = api.patient_api.subscribe_to_patient_events(["CREATE"])

    def on_event(_: object) -> None:
        sys.exit(3)

    events.start(on_event)
    written(api)
    with pytest.raises(ConfigurationError, match="on_event has ended with a SystemExit"):
        events.wait()
