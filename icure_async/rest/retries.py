"""Retries after a failure: up to three attempts, and the waits between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import tenacity

__all__ = ["AS_USUAL", "ATTEMPTS", "repeated", "warm_up"]

Outcome = TypeVar("Outcome")

ATTEMPTS: Final = 3
AS_USUAL: Final = -1.0
"""Stands for a wait that nobody has asked for: two seconds at most, and growing."""
_FIRST_WAIT: Final = 0.1


async def repeated(
    attempt: Callable[[], Awaitable[Outcome]],
    wait_after: Callable[[Outcome], float | None],
    *,
    before_wait: Callable[[float], object],
) -> Outcome:
    """Make attempts until one is final, and return its outcome.

    Args:
        attempt: makes one attempt. An exception from it ends them all.
        wait_after: returns how many seconds to wait before the next one, ``AS_USUAL``, or None if
            the outcome is final.
        before_wait: is told how many seconds are about to be waited.
    """
    first = await attempt()
    if wait_after(first) is None:
        return first

    import tenacity

    outcomes: list[Outcome] = []

    async def attempt_once() -> float | None:
        outcomes.append(await attempt() if outcomes else first)
        return wait_after(outcomes[-1])

    usual = tenacity.wait_exponential(multiplier=_FIRST_WAIT, max=1) + tenacity.wait_random(0, 1)

    def wait(state: tenacity.RetryCallState) -> float:
        asked: float = state.outcome.result() if state.outcome else AS_USUAL
        return usual(state) if asked == AS_USUAL else asked

    async def sleep(seconds: float) -> None:
        before_wait(seconds)
        await pause(seconds)

    await tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        sleep=sleep,
        retry=tenacity.retry_if_not_result(lambda asked: asked is None),
        # Without it, tenacity would raise an error of its own after the last failure.
        retry_error_callback=lambda _: None,
    )(attempt_once)
    return outcomes[-1]


async def pause(seconds: float) -> None:
    """Wait. Tests put something quicker here."""
    await anyio.sleep(seconds)


def warm_up() -> None:
    """Import the library that takes long."""
    import tenacity

    tenacity.AsyncRetrying()
