"""Requests for many things, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from icure_async.errors import (
    AuthenticationError,
    ICureError,
    NetworkError,
    TooManyRequestsError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["ENDING", "each_at_once"]

ENDING: Final = (NetworkError, AuthenticationError, TooManyRequestsError)
"""After one of these errors there is no point in sending more."""

_AT_ONCE: Final = 8

Item = TypeVar("Item")


async def each_at_once(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[None]],
    failed: Callable[[Item, ICureError], None],
) -> ICureError | None:
    """Work on many items, a few at a time; return an error that ends it all.

    Args:
        items: those to work on; after such an error, the rest is left alone.
        work: sends the requests of one.
        failed: told of the error of one.
    """
    ending: ICureError | None = None
    # Those of an application's own cryptography, say: not wrapped in a group.
    crashes: list[Exception] = []
    turn = anyio.Semaphore(_AT_ONCE)

    async def run(item: Item) -> None:
        nonlocal ending
        async with turn:
            if ending is not None or crashes:
                return
            try:
                await work(item)
            except ICureError as error:
                failed(item, error)
                if isinstance(error, ENDING):
                    ending = error
            except Exception as error:
                crashes.append(error)

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(run, item)
    if crashes:
        raise crashes[0]
    return ending
