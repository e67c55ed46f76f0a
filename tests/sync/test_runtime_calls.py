"""Blocking calls: results, errors, threads, contexts, and what interrupts them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from icure_async.errors import ConfigurationError, ICureError
from icure_sync import _runtime
from icure_sync._runtime import run
from tests.support.interpreters import (
    Interrupted,
    interrupt_after,
    run_program,
    swallowed_interrupts_are_no_matter,
)

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER")


async def double(number: int, *, more: int = 0) -> int:
    await anyio.lowlevel.checkpoint()
    return number * 2 + more


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, None, int]:
        return double(4).__await__()


def test_a_call_returns_the_result() -> None:
    assert run(double, 2, more=3) == 7


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (Later, 8),
        (lambda: double(3), 6),
        (functools.partial(double, 2, more=1), 5),
        (lambda: asyncio.ensure_future(double(5)), 10),
    ],
    ids=["object", "lambda", "partial", "task"],
)
def test_anything_that_returns_an_awaitable_can_be_called(
    function: Callable[[], Awaitable[int]], result: int
) -> None:
    assert run(function) == result


def test_all_threads_share_one_loop_thread() -> None:
    async def where() -> int:
        await anyio.sleep(0.01)
        return threading.get_ident()

    with ThreadPoolExecutor(8) as pool:
        used = set(pool.map(lambda _: run(where), range(32)))

    assert used == {run(where)}
    assert used != {threading.get_ident()}


def test_calls_of_several_threads_run_at_the_same_time() -> None:
    present: list[int] = []
    complete = asyncio.Event()

    async def meet() -> None:
        present.append(1)
        if len(present) == 4:
            complete.set()
        await asyncio.wait_for(complete.wait(), 10)

    with ThreadPoolExecutor(4) as pool:
        for meeting in [pool.submit(run, meet) for _ in range(4)]:
            meeting.result(timeout=10)

    assert len(present) == 4


async def test_calls_block_inside_a_running_event_loop_too() -> None:
    assert run(double, 21) == 42


def test_the_callers_context_flows_in_and_not_out() -> None:
    async def read_and_write() -> int:
        number = NUMBER.get()
        NUMBER.set(number + 1)
        return number

    NUMBER.set(3)

    assert run(read_and_write) == 3
    assert NUMBER.get() == 3


def test_an_import_starts_nothing() -> None:
    ended = run_program("""
        import icure_sync
        from icure_sync import _runtime
        say(threading.active_count(), _runtime._runtime)
        """)

    assert ended.lines == ["1 None"], ended.errors


class CustomError(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [ICureError("x"), CustomError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_the_error_itself_reaches_the_caller_and_later_calls_work(error: BaseException) -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    with pytest.raises(BaseException) as raised:  # noqa: PT011
        run(fail)

    assert raised.value is error
    assert run(double, 1) == 2


def test_an_error_of_a_plain_function_reaches_the_caller() -> None:
    error = StopIteration("x")

    def fail() -> Awaitable[None]:
        raise error

    with pytest.raises(StopIteration) as raised:
        run(fail)

    assert raised.value is error


def test_a_stop_iteration_in_a_coroutine_is_the_error_it_is_with_await() -> None:
    async def fail() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        run(fail)


def test_a_system_exit_of_a_child_task_leaves_the_other_calls_alone() -> None:
    started = threading.Event()

    async def bystander() -> str:
        started.set()
        await anyio.sleep(0.2)
        return "unharmed"

    async def leave() -> None:
        raise SystemExit(1)

    async def parent() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(leave)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run, bystander)
        started.wait(5)
        with pytest.raises(BaseExceptionGroup) as raised:
            run(parent)

        assert raised.group_contains(SystemExit)
        assert other.result(timeout=5) == "unharmed"


def test_what_is_not_awaitable_is_a_type_error() -> None:
    not_async: Any = lambda: 3  # noqa: E731

    with pytest.raises(TypeError, match="await"):
        run(not_async)


def test_a_cancellation_from_within_is_an_ordinary_error() -> None:
    async def cancel_oneself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(5)

    with pytest.raises(concurrent.futures.CancelledError, match="from within") as raised:
        run(cancel_oneself)

    assert isinstance(raised.value, Exception)
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert run(double, 1) == 2


def test_a_call_whose_task_is_cancelled_before_it_began_ends_too() -> None:
    async def cancel_all() -> None:
        me = asyncio.current_task()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for task in asyncio.all_tasks():
                if task is not me and "_drive" in repr(task.get_coro()):
                    task.cancel()
                    return
            await asyncio.sleep(0)

    with ThreadPoolExecutor(1) as pool:
        canceller = pool.submit(run, cancel_all)
        with pytest.raises(concurrent.futures.CancelledError):  # noqa: PT012
            for _ in range(100_000):
                run(double, 1)
        canceller.result(timeout=5)


def test_a_call_on_the_loop_thread_is_an_error_and_no_deadlock() -> None:
    async def call_back() -> int:
        return run(double, 1)

    with pytest.raises(ConfigurationError, match="own loop thread"):
        run(call_back)


def test_a_call_from_a_worker_thread_of_a_call_works() -> None:
    async def outer() -> int:
        return await anyio.to_thread.run_sync(run, functools.partial(double, 4))

    assert run(outer) == 8


def test_an_interrupt_cancels_the_call_and_waits_for_its_cleanup() -> None:
    events: list[str] = []

    async def work() -> None:
        try:
            await anyio.sleep(5)
            events.append("written")
        finally:
            # Cancelled once, not at every await as anyio does it: asyncio's habit.
            await anyio.sleep(0.05)
            await anyio.sleep(0.05)
            events.append("cleaned up")

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(work)

    assert events == ["cleaned up"]


def test_an_interrupt_waits_for_work_in_a_worker_thread() -> None:
    events: list[str] = []

    def write() -> None:
        events.append("begun")
        time.sleep(0.3)
        events.append("complete")

    async def work() -> None:
        try:
            await anyio.to_thread.run_sync(write)
            await anyio.lowlevel.checkpoint()
            events.append("went on")
        finally:
            await anyio.sleep(0.01)
            events.append("cleaned up")

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(work)

    assert events == ["begun", "complete", "cleaned up"]


def test_an_interrupt_cancels_the_tasks_of_the_call() -> None:
    events: list[str] = []

    async def child() -> None:
        try:
            await anyio.sleep(5)
        finally:
            events.append("child")

    async def work() -> None:
        async with anyio.create_task_group() as group, asyncio.TaskGroup() as tasks:
            group.start_soon(child)
            tasks.create_task(child())

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(work)

    assert events == ["child", "child"]


class Opened:
    """Something that has to be closed."""

    def __init__(self) -> None:
        self.is_open = True

    async def aclose(self) -> None:
        await anyio.sleep(0.01)
        self.is_open = False


def test_what_was_opened_for_an_interrupted_call_is_closed() -> None:
    made: list[Opened] = []

    async def build() -> Opened:
        # Shielded work goes on after the interrupt, to its end.
        await anyio.to_thread.run_sync(time.sleep, 0.2)
        made.append(Opened())
        return made[0]

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(build)
    assert [one.is_open for one in made] == [False]


@swallowed_interrupts_are_no_matter
def test_interrupts_at_any_moment_leave_nothing_open() -> None:
    made: list[Opened] = []

    async def build() -> Opened:
        made.append(Opened())
        return made[-1]

    received = interrupted = 0
    for step in range(60):
        try:
            with interrupt_after(0.0005 + step * 0.00002):
                for _ in range(1000):
                    run(build)
                    received += 1
        except Interrupted:
            interrupted += 1
    assert interrupted > 0
    lost = sum(one.is_open for one in made) - received
    # An interrupt between two lines of Python can't be ruled out.
    assert lost <= interrupted / 4


@swallowed_interrupts_are_no_matter
def test_interrupts_at_any_moment_leave_the_runtime_usable() -> None:
    interrupted = 0
    for step in range(60):
        try:
            with interrupt_after(0.0005 + step * 0.00002):
                for _ in range(1000):
                    run(double, 1)
        except Interrupted:
            interrupted += 1

    assert interrupted > 0
    assert run(double, 1) == 2


def test_a_first_call_that_comes_too_late_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(_runtime, "_runtime", None)
    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(ConfigurationError, match="interpreter is exiting"):
        run(double, 1)
    gc.collect()  # A warning about a loop that was left open is an error.
