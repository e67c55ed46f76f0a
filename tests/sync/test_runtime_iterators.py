"""Blocking iterators: laziness, closing, and scopes around a yield."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from icure_async.errors import ConfigurationError
from icure_sync._iterators import ClosableIterator, iterate
from icure_sync._plain import callback
from icure_sync._runtime import run
from tests.support.interpreters import (
    Interrupted,
    fail_at_the_end,
    handle_after,
    interrupt_after,
    swallowed_interrupts_are_no_matter,
)

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER")


class Pages:
    """An async generator that notes what it does."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def read(self, count: int = 3) -> AsyncIterator[int]:
        try:
            for number in range(count):
                self.events.append(f"fetched {number}")
                yield number
        finally:
            await anyio.sleep(0.01)
            self.events.append("closed")


@pytest.fixture
def pages() -> Pages:
    return Pages()


def test_a_plain_function_is_called_at_once(pages: Pages) -> None:
    def read(size: int) -> AsyncIterator[int]:
        if size < 1:
            raise ValueError(size)
        return pages.read(size)

    with pytest.raises(ValueError, match="0"):
        iterate(read, 0)
    assert list(iterate(read, 1)) == [0]


def test_all_items_come_in_order(pages: Pages) -> None:
    assert list(iterate(pages.read, 5)) == [0, 1, 2, 3, 4]
    assert pages.events[-1] == "closed"


def test_nothing_is_fetched_before_it_is_asked_for(pages: Pages) -> None:
    numbers = iterate(pages.read)
    assert pages.events == []

    next(numbers)
    time.sleep(0.05)
    assert pages.events == ["fetched 0"]

    numbers.close()


def test_a_loop_that_breaks_closes_at_once(pages: Pages) -> None:
    for number in iterate(pages.read):
        if number == 1:
            break
    events = list(pages.events)

    assert events == ["fetched 0", "fetched 1", "closed"]


def test_a_loop_that_fails_closes_at_once(pages: Pages) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        for number in iterate(pages.read):
            assert 1 / number
    events = list(pages.events)

    assert events == ["fetched 0", "closed"]


def test_a_with_statement_closes(pages: Pages) -> None:
    with iterate(pages.read) as numbers:
        next(numbers)

    assert pages.events == ["fetched 0", "closed"]
    assert next(numbers, None) is None
    numbers.close()
    assert pages.events == ["fetched 0", "closed"]


def test_one_that_was_never_begun_is_closed_without_a_call(pages: Pages) -> None:
    numbers = iterate(pages.read)
    numbers.close()

    assert next(numbers, None) is None
    assert pages.events == []


def test_a_cycle_of_garbage_closes(pages: Pages) -> None:
    numbers = iterate(pages.read)
    next(numbers)
    cycle: list[Any] = [numbers]
    cycle.append(cycle)
    del numbers, cycle
    gc.collect()

    assert pages.events == ["fetched 0", "closed"]


def test_garbage_on_the_loop_thread_is_closed_without_waiting(pages: Pages) -> None:
    holder = [iterate(pages.read)]
    next(holder[0])

    async def drop() -> None:
        holder.clear()
        with anyio.fail_after(5):
            while "closed" not in pages.events:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    run(drop)

    assert pages.events == ["fetched 0", "closed"]


def test_an_error_comes_when_its_item_would_have(pages: Pages) -> None:
    error = ValueError("x")

    async def fail() -> AsyncIterator[int]:
        yield 1
        raise error

    numbers = iterate(fail)
    assert next(numbers) == 1
    with pytest.raises(ValueError, match="x") as raised:
        next(numbers)

    assert raised.value is error
    assert next(numbers, None) is None


def test_an_error_of_the_cleanup_comes_from_close() -> None:
    numbers = iterate(fail_at_the_end)
    next(numbers)
    with pytest.raises(ValueError, match="cleanup"):
        numbers.close()


def test_a_stop_iteration_is_an_error_and_no_end() -> None:
    class Odd:
        def __aiter__(self) -> Odd:
            return self

        def __anext__(self) -> Any:
            raise StopIteration

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        next(iterate(Odd))


def test_an_iterator_that_is_no_generator_works_too() -> None:
    class Countdown:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> Countdown:
            return self

        async def __anext__(self) -> int:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    assert list(iterate(Countdown)) == [2, 1, 0]
    for number in iterate(Countdown):
        assert number == 2
        break


def test_a_task_group_around_a_yield_holds() -> None:
    events: list[str] = []

    async def background() -> None:
        try:
            await anyio.sleep(30)
        finally:
            events.append("stopped")

    async def items() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(background)
            yield 1
            yield 2
            group.cancel_scope.cancel()

    assert list(iterate(items)) == [1, 2]
    assert events == ["stopped"]
    for _ in iterate(items):
        break
    assert events == ["stopped", "stopped"]


def test_an_error_of_a_task_around_a_yield_comes_at_the_next_step() -> None:
    async def fail() -> None:
        await anyio.sleep(0.02)
        raise ValueError("background")

    async def items() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            yield 1
            yield 2

    numbers = iterate(items)
    assert next(numbers) == 1
    time.sleep(0.1)
    with pytest.raises(ExceptionGroup) as raised:
        next(numbers)

    assert raised.group_contains(ValueError, match="background")


def test_a_deadline_around_a_yield_holds_while_fetching() -> None:
    async def items() -> AsyncIterator[int]:
        with anyio.fail_after(0.05):
            yield 1
            await anyio.sleep(30)
            yield 2

    numbers = iterate(items)
    assert next(numbers) == 1
    with pytest.raises(TimeoutError):
        next(numbers)


def test_a_deadline_around_a_yield_holds_while_the_caller_is_busy() -> None:
    async def items() -> AsyncIterator[int]:
        with anyio.fail_after(0.02):
            yield 1

    numbers = iterate(items)
    assert next(numbers) == 1
    time.sleep(0.1)
    with pytest.raises(TimeoutError):
        next(numbers)
    assert next(numbers, None) is None


@pytest.mark.parametrize("pause", [0.1, 0.0], ids=["early", "while asking"])
def test_a_generator_goes_on_after_a_scope_around_its_yield_expired(pause: float) -> None:
    async def items() -> AsyncIterator[str]:
        with anyio.move_on_after(0.02):
            yield "inside"
        await anyio.sleep(0.1)
        yield "after"
        yield "end"

    words: Iterator[str] = iterate(items)
    assert next(words) == "inside"
    time.sleep(0.03 + pause)
    assert list(words) == ["after", "end"]


def test_closing_while_a_scope_around_the_yield_is_being_left() -> None:
    events: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            with anyio.move_on_after(0.02):
                yield 1
            await anyio.sleep(0.1)
            events.append("on its own")
            yield 2
        finally:
            events.append("closed")

    with iterate(items) as numbers:
        next(numbers)
        time.sleep(0.05)

    assert events == ["on its own", "closed"]


def test_an_interrupt_cancels_the_step_and_ends_the_iteration(pages: Pages) -> None:
    events: list[str] = []

    async def slow() -> AsyncIterator[int]:
        try:
            yield 1
            await anyio.sleep(5)
            events.append("fetched")
        finally:
            await anyio.sleep(0.05)
            events.append("closed")

    numbers = iterate(slow)
    next(numbers)
    with pytest.raises(Interrupted), interrupt_after(0.1):
        next(numbers)

    assert events == ["closed"]
    assert next(numbers, None) is None


def test_an_interrupt_that_comes_with_an_item_lets_the_iterator_clean_up() -> None:
    closed: list[bool] = []

    async def items() -> AsyncIterator[int]:
        arrived = asyncio.get_running_loop().create_future()
        # The caller is interrupted while the loop is busy, and has it abort this when the item
        # has come, and is not handed over yet.
        hold_up_the_loop(0.3)
        asyncio.get_running_loop().call_soon(arrived.set_result, 1)
        try:
            yield await arrived
        finally:
            await anyio.sleep(0.01)
            closed.append(True)

    with pytest.raises(Interrupted), iterate(items) as iterator, interrupt_after(0.1):
        next(iterator)
    assert closed == [True]


def hold_up_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@swallowed_interrupts_are_no_matter
def test_interrupts_at_any_moment_leave_no_iterator_hanging() -> None:
    opened = 0

    async def count() -> AsyncIterator[int]:
        nonlocal opened
        opened += 1
        try:
            for number in range(1000):
                yield number
        finally:
            await anyio.sleep(0.001)
            opened -= 1

    interrupted = late = 0
    for step in range(60):
        try:
            with interrupt_after(0.0005 + step * 0.00003):
                for _ in iterate(count):
                    pass
        except Interrupted:
            interrupted += 1
        # The traceback of an interrupt may have kept the iterator until here.
        late += opened

    assert interrupted > 0
    # An interrupt between two lines of Python can't be ruled out.
    assert late <= 2
    assert len(list(iterate(count))) == 1000


def test_a_signal_handler_closes_what_it_interrupted() -> None:
    events: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await anyio.sleep(30)
            yield 2
        finally:
            await anyio.sleep(0.01)
            events.append("closed")

    numbers = iterate(endless)

    def handle() -> None:
        numbers.close()
        events.append("handled")

    with handle_after(0.1, handle):
        assert list(numbers) == [1]

    assert events == ["closed", "handled"]


@swallowed_interrupts_are_no_matter
def test_a_signal_handler_closes_at_any_moment() -> None:
    async def count() -> AsyncIterator[int]:
        for number in range(100_000):
            yield number

    for step in range(40):
        numbers = iterate(count)
        with handle_after(0.001 + step * 0.00003, numbers.close):
            assert len(list(numbers)) < 100_000
        assert next(numbers, None) is None


def test_a_signal_handler_takes_no_step_while_the_iterator_is_closed() -> None:
    stepped: list[object] = []

    async def slow_to_close() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await anyio.sleep(0.3)

    numbers = iterate(slow_to_close)
    next(numbers)
    with handle_after(0.1, lambda: stepped.append(next(numbers, "over"))):
        numbers.close()
    assert stepped == ["over"]


def test_a_signal_handler_can_not_take_a_step_within_a_step() -> None:
    errors: list[str] = []

    async def slow() -> AsyncIterator[int]:
        await anyio.sleep(0.2)
        yield 1

    numbers = iterate(slow)

    def handle() -> None:
        with pytest.raises(ConfigurationError, match="middle of a step") as raised:
            next(numbers)
        errors.append(str(raised.value))

    with handle_after(0.05, handle):
        assert list(numbers) == [1]
    assert len(errors) == 1


@pytest.mark.parametrize("action", [next, ClosableIterator.close], ids=["step", "close"])
def test_a_callback_of_an_iterator_can_not_use_that(action: Callable[[Any], object]) -> None:
    errors: list[str] = []

    def use_it() -> None:
        with pytest.raises(ConfigurationError, match="let it return first") as raised:
            action(numbers)
        errors.append(str(raised.value))

    def use_it_from_further_down() -> None:
        use_it()
        run(callback(use_it))

    async def call_back() -> AsyncIterator[int]:
        await callback(use_it_from_further_down)()
        yield 1

    numbers: ClosableIterator[int] = iterate(call_back)
    assert list(numbers) == [1]
    assert len(errors) == 2


def test_the_context_of_the_call_flows_in() -> None:
    async def read() -> AsyncIterator[int]:
        yield NUMBER.get()
        yield NUMBER.get()

    NUMBER.set(7)
    numbers = iterate(read)
    NUMBER.set(8)

    assert list(numbers) == [7, 7]


def test_threads_share_an_iterator(pages: Pages) -> None:
    numbers = iterate(pages.read, 200)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: list(numbers), range(4)))

    assert sorted(number for part in parts for number in part) == list(range(200))


def test_a_step_on_the_loop_thread_is_an_error_and_leaves_the_iterator_usable(
    pages: Pages,
) -> None:
    numbers: ClosableIterator[int] = iterate(pages.read)
    assert next(numbers) == 0

    async def step() -> int:
        return next(numbers)

    async def close() -> None:
        numbers.close()

    for function in (step, close):
        with pytest.raises(ConfigurationError, match="own loop thread"):
            run(function)
    assert list(numbers) == [1, 2]
