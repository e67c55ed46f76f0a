"""Twins, plain implementations of async protocols, and what an error looks like."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import subprocess
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import pytest

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.storage import FileStorage, StorageLock
from icure_async.storage.locks import lock_of
from icure_sync._iterators import ClosableIterator, iterate
from icure_sync._plain import adapt, callback
from icure_sync._runtime import run
from icure_sync._twins import Twin
from tests.support.interpreters import fail_at_the_end

USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER")


class AsyncClient:
    def __init__(self, password: str = "secret") -> None:
        self._password = password
        self._closed = False
        self.friend = AsyncFriend()

    def __repr__(self) -> str:
        return "AsyncClient(url='https://x')"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True

    async def get(self, number: int) -> int:
        await anyio.to_thread.run_sync(self._check, number)
        return number

    def _check(self, number: int) -> None:
        if number < 0:
            try:
                [][number]
            except IndexError as error:
                raise ValidationError("negative") from error

    async def count(self) -> AsyncIterator[int]:
        yield 1
        await self.get(-1)


class AsyncFriend:
    pass


class Friend(Twin[AsyncFriend]):
    pass


class Client(Twin[AsyncClient]):
    def __init__(self, password: str = "secret") -> None:
        super().__init__(AsyncClient(password))

    def get(self, number: int) -> int:
        return self._run(self._inner.get, number)

    def count(self) -> ClosableIterator[int]:
        return self._iterate(self._inner.count)

    @property
    def friend(self) -> Friend:
        return Friend._wrap(self._inner.friend)

    def close(self) -> None:
        self._run(self._inner.__aexit__, None, None, None)


@pytest.fixture
def client() -> Any:
    client = Client()
    yield client
    client.close()


def functions_in(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_a_twin_blocks_on_the_async_object(client: Client) -> None:
    assert client.get(3) == 3


def test_one_object_has_one_twin_while_it_is_in_use(client: Client) -> None:
    friend = client.friend

    assert client.friend is friend
    assert Client._wrap(client._inner) is client


def test_a_twin_that_nobody_uses_is_garbage(client: Client) -> None:
    friend = weakref.ref(client.friend)

    assert friend() is None


def test_a_repr_is_the_async_objects_under_the_twins_name(client: Client) -> None:
    assert repr(client) == "Client(url='https://x')"
    assert repr(client.friend) == "<Friend>"


def test_a_repr_in_angle_brackets_is_renamed_too() -> None:
    class AsyncServer:
        def __repr__(self) -> str:
            return "<AsyncServer not running>"

    class Server(Twin[AsyncServer]):
        pass

    assert repr(Server._wrap(AsyncServer())) == "<Server not running>"


def test_a_client_left_open_is_named_when_it_is_garbage() -> None:
    # It comes from a finaliser, which has nobody to raise it to, and may run any time.
    with pytest.warns(ResourceWarning, match="A Client was not closed"):  # noqa: PT031
        warnings.simplefilter("always")
        client = Client()
        del client
        gc.collect()


def test_a_closed_client_goes_without_a_word() -> None:
    client = Client()
    client.close()
    gone = weakref.ref(client)
    del client

    # The loop thread may still be clearing up after the last call.
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
    assert gone() is None


def test_a_twin_is_not_missed_as_long_as_the_async_object_is_in_use() -> None:
    inner = AsyncClient()
    Client._wrap(inner)
    gc.collect()  # A warning is an error.

    Client._wrap(inner).close()


def test_a_traceback_has_the_callers_line_and_the_sdks(client: Client) -> None:
    with pytest.raises(ValidationError) as raised:
        client.get(-1)

    assert functions_in(raised.value) == [
        "test_a_traceback_has_the_callers_line_and_the_sdks",
        "get",
        "get",
        "_check",
    ]
    assert isinstance(raised.value.__cause__, IndexError)
    assert functions_in(raised.value.__cause__) == ["_check"]


def test_the_frames_of_run_itself_are_hidden_from_pytest_and_ipython() -> None:
    async def fail() -> None:
        raise ValidationError("x")

    with pytest.raises(ValidationError) as raised:
        run(fail)

    assert [entry.name for entry in raised.traceback if not entry.ishidden(raised)] == [
        "test_the_frames_of_run_itself_are_hidden_from_pytest_and_ipython",
        "fail",
    ]


def test_the_plumbing_inside_a_group_is_trimmed_too() -> None:
    async def fail() -> None:
        await anyio.to_thread.run_sync(int, "x")

    async def parent() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)

    with pytest.raises(ExceptionGroup) as raised:
        run(parent)

    assert functions_in(raised.value)[-1:] == ["parent"]
    assert functions_in(raised.value.exceptions[0]) == ["fail"]


def test_the_error_of_an_iterator_is_trimmed_too(client: Client) -> None:
    numbers = client.count()
    next(numbers)
    with pytest.raises(ValidationError) as raised:
        next(numbers)

    assert functions_in(raised.value) == [
        "test_the_error_of_an_iterator_is_trimmed_too",
        "count",
        "get",
        "_check",
    ]


def test_the_error_of_an_iterators_cleanup_is_trimmed_too() -> None:
    numbers = iterate(fail_at_the_end)
    next(numbers)
    with pytest.raises(ValueError, match="cleanup") as raised:
        numbers.close()

    assert functions_in(raised.value) == [
        "test_the_error_of_an_iterators_cleanup_is_trimmed_too",
        "fail_at_the_end",
    ]


def test_what_an_error_came_from_survives_the_callers_own_handling(client: Client) -> None:
    async def fail() -> None:
        try:
            [][1]
        except IndexError:
            raise ValidationError("x")  # noqa: B904

    with pytest.raises(ValidationError) as raised:  # noqa: PT012
        try:
            int("of the caller")
        except ValueError:
            run(fail)

    assert isinstance(raised.value.__context__, IndexError)


def test_what_was_suppressed_stays_suppressed(client: Client) -> None:
    async def fail() -> None:
        try:
            raise ValueError("a secret")
        except ValueError:
            raise ValidationError("x") from None

    with pytest.raises(ValidationError) as raised:
        run(fail)

    assert "a secret" not in "".join(traceback.format_exception(raised.value))


def test_an_error_is_garbage_as_soon_as_it_was_handled() -> None:
    class TracedError(Exception):
        pass

    async def fail() -> None:
        raise TracedError

    gone: list[weakref.ref[TracedError]] = []
    gc.disable()
    try:
        try:
            run(fail)
        except TracedError as error:
            gone.append(weakref.ref(error))
        deadline = time.monotonic() + 5
        while gone[0]() is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gone[0]() is None
    finally:
        gc.enable()


METHODS = ("get_item", "set_item")


class PlainStorage:
    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.users: list[str] = []

    def get_item(self, name: str) -> str:
        self.threads.add(threading.get_ident())
        self.users.append(USER.get())
        return name.upper()

    def set_item(self, name: str, value: str) -> None:
        raise OSError(name, value)


def test_a_plain_implementation_runs_in_a_worker_thread_with_the_callers_context() -> None:
    storage = PlainStorage()
    adapted = adapt(storage, METHODS)
    loop_thread = run(callback_free_thread_id)
    USER.set("ned")

    assert run(adapted.get_item, "name") == "NAME"
    assert storage.users == ["ned"]
    assert not storage.threads & {threading.get_ident(), loop_thread}
    assert repr(adapted) == "<adapted PlainStorage>"


async def callback_free_thread_id() -> int:
    return threading.get_ident()


def test_an_error_of_a_plain_implementation_keeps_its_type() -> None:
    adapted = adapt(PlainStorage(), METHODS)

    with pytest.raises(OSError, match="name") as raised:
        run(adapted.set_item, "name", value="x")

    assert functions_in(raised.value)[-1] == "set_item"
    assert raised.value.args == ("name", "x")


def test_an_async_implementation_is_taken_as_it_is() -> None:
    class AsyncStorage:
        async def get_item(self, name: str) -> str:
            return name

        async def set_item(self, name: str, value: str) -> None:
            pass

    storage = AsyncStorage()

    assert adapt(storage, METHODS) is storage


def test_an_implementation_may_be_half_async() -> None:
    where: list[int] = []

    class Mixed:
        async def get_item(self, name: str) -> str:
            where.append(threading.get_ident())
            return name

        def set_item(self, name: str, value: str) -> Any:
            return self.get_item(name + value)

    adapted = adapt(Mixed(), METHODS)
    loop_thread = run(callback_free_thread_id)

    assert run(adapted.get_item, "a") == "a"
    assert run(adapted.set_item, "a", "b") == "ab"
    assert where == [loop_thread, loop_thread]


def test_a_twin_is_taken_apart(client: Client) -> None:
    assert adapt(client, ()) is client._inner


class Turns:
    """Notes who has the lock."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def __enter__(self) -> StorageLock:
        self._events.append("entered")
        return StorageLock(waited=False)

    def __exit__(self, *error: object) -> None:
        self._events.append("left")

    async def __aenter__(self) -> StorageLock:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)


async def take_turn(storage: object, events: list[str]) -> StorageLock:
    async with lock_of(storage, "name") as lock:
        events.append("inside")
        return lock


async def test_an_overridden_method_leaves_the_lock_of_a_storage_alone(tmp_path: Path) -> None:
    class Counting(FileStorage):
        reads = 0

        def get_item(self, name: str) -> Any:
            self.reads += 1
            return super().get_item(name)

    ours, others = adapt(Counting(tmp_path), METHODS), FileStorage(tmp_path)
    async with lock_of(others, "name"):
        with pytest.raises(TimeoutError), anyio.fail_after(0.1):
            await take_turn(ours, [])

    assert await take_turn(ours, []) == StorageLock(waited=False)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_plain_storage_may_have_locks(kind: str) -> None:
    events: list[str] = []
    turns = Turns(events)

    @contextlib.contextmanager
    def plain() -> Iterator[StorageLock]:
        with turns as lock:
            yield lock

    class Lockable(PlainStorage):
        def lock(self, name: str) -> Any:
            assert name == "name"
            return plain() if kind == "plain" else turns

    assert run(take_turn, adapt(Lockable(), METHODS), events) == StorageLock(waited=False)
    assert events == ["entered", "inside", "left"]


def test_a_plain_lock_is_entered_and_left_in_worker_threads() -> None:
    free = threading.Lock()
    free.acquire()

    class Lockable(PlainStorage):
        def lock(self, name: str) -> threading.Lock:
            return free

    async def wait_for_turn() -> StorageLock:
        waiting = asyncio.create_task(take_turn(adapt(Lockable(), METHODS), []))
        await anyio.sleep(0.05)
        free.release()
        return await waiting

    # It doesn't say whether it waited, so somebody may have done the work.
    assert run(wait_for_turn) == StorageLock(waited=True)
    assert not free.locked()


def test_an_error_under_a_plain_lock_lets_go_of_it() -> None:
    free = threading.Lock()

    class Lockable(PlainStorage):
        def lock(self, name: str) -> threading.Lock:
            return free

    async def fail() -> None:
        async with lock_of(adapt(Lockable(), METHODS), "name"):
            raise ValidationError("x")

    with pytest.raises(ValidationError):
        run(fail)
    assert not free.locked()


def test_a_storage_without_locks_has_none_when_adapted() -> None:
    class Odd(PlainStorage):
        lock = threading.Lock()

    for storage in (PlainStorage(), Odd()):
        assert run(take_turn, adapt(storage, METHODS), []) == StorageLock(waited=False)


@pytest.mark.parametrize("attribute", [None, "a text"], ids=["missing", "no method"])
def test_a_missing_method_is_a_configuration_error(attribute: object) -> None:
    class Incomplete:
        set_item = attribute

        def get_item(self, name: str) -> str:
            return name

    with pytest.raises(ConfigurationError, match=r"Incomplete .* no method set_item\(\)"):
        adapt(Incomplete(), METHODS)


def test_a_plain_callback_does_not_block_the_loop() -> None:
    called = threading.Event()

    def wait(seconds: float) -> bool:
        return called.wait(seconds)

    async def both() -> bool:
        waiting = asyncio.create_task(callback(wait)(5))
        await anyio.sleep(0.05)
        called.set()
        return await waiting

    assert run(both)


def test_any_number_of_plain_callbacks_may_wait_for_calls_of_their_own() -> None:
    count = 60
    everybody_is_here = threading.Barrier(count)

    def call_back() -> int:
        everybody_is_here.wait(10)
        # The SDK's own work in worker threads has to find one, too.
        return run(anyio.to_thread.run_sync, threading.get_ident)

    async def call_all() -> None:
        with anyio.fail_after(15):
            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(callback(call_back))

    run(call_all)


@pytest.mark.parametrize("function", [None, 3, "a text"])
def test_what_can_not_be_called_is_a_configuration_error(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="A function is needed"):
        callback(function)


def test_processes_that_a_callback_starts_take_signals() -> None:
    code = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"

    def start() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout

    assert run(callback(start)) == "[]\n"


def test_an_async_callback_passes_through() -> None:
    class Callable:
        async def __call__(self) -> None:
            pass

    async def function() -> None:
        pass

    instance = Callable()

    assert callback(function) is function
    assert callback(instance) is instance


def test_a_plain_callback_may_make_blocking_calls(client: Client) -> None:
    assert run(callback(client.get), 5) == 5


def test_a_callback_is_not_run_after_its_call_was_cancelled() -> None:
    ran: list[int] = []

    async def impatient() -> None:
        with anyio.move_on_after(0):
            await callback(ran.append)(1)

    run(impatient)
    time.sleep(0.05)

    assert ran == []


def test_an_iterator_of_a_twin_closes(client: Client) -> None:
    with client.count() as numbers:
        assert next(numbers) == 1

    assert list(iterate(lambda: numbers_of(2))) == [0, 1]


async def numbers_of(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number
