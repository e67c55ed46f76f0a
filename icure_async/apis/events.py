"""Subscriptions to events: an iterator, or functions that are called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, NoReturn, Self, TypeVar

from icure_async.errors import ConfigurationError, ValidationError, WrongArgumentsError
from icure_async.mistakes import explained
from icure_async.models.base import EntityModel
from icure_async.models.events import (
    Reconnection,
    validate_buffer_size,
    validate_event_types,
    validate_timeout,
)
from icure_async.models.filters import filter_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from icure_async.entities.event_feed import EventFeed
    from icure_async.entities.event_source import EventSource
    from icure_async.models.events import ConnectionChange, EventType, SubscriptionItem
    from icure_async.models.filters import Combinable

__all__ = ["Subscription", "subscribed"]

RecordT = TypeVar("RecordT", bound=EntityModel)

_CLOSED: Final = "This subscription is closed. Subscribe again: each subscription is opened once."


@explained
class Subscription(Generic[RecordT]):
    """A subscription to events. The connection is made when it is entered, or first asked.

    As an iterator it gives out an :class:`Event` for each record that was created or changed, a
    :class:`Reconnected` where the connection was lost and is there again, and an
    :class:`UnreadableEvent` for a message that is no event. Nothing is left out silently::

        async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            async for event in events:
                ...

    With :meth:`start` a function is called for each of them instead.

    In the cardinal flavour, the records of patients do not name them. A patient who subscribes is
    told of what is shared under the keys that it had when the connection was made: the first record
    that somebody new shares with it is found by reading, and told of after the next connection.

    Events that are not taken wait, up to a limit; from there on the backend has to wait. One that
    does not wait closes the connection, which is then made again, as a :class:`Reconnected` tells.

    A subscription that is neither entered nor closed ends when it is dropped, or with its API
    object. One that calls a function goes on when it is dropped.
    """

    def __init__(self, feed: EventFeed[RecordT]) -> None:
        self._feed = feed

    @property
    def _closed(self) -> bool:
        return not self._feed.is_open

    async def __aenter__(self) -> Self:
        """Open the connection, and return the subscription: from here on nothing is missed.

        Raises:
            ValidationError: the filter can't be used.
            AuthenticationError: the credentials are refused, or the backend refuses the connection.
            PermissionDeniedError: the user may not subscribe.
            NotFoundError: the backend has no events.
            NetworkError: there is no connection, or it broke before anything was said.
            ConfigurationError: the subscription is closed.

        Example:
            >>> async with api.patient_api.subscribe_to_patient_events(["UPDATE"]) as events:
            ...     patient.note = "Has a direwolf"
            ...     patient = await api.patient_api.create_or_modify_patient(patient)
            ...     event = await events.get(timeout=10)
            >>> event.record.note
            'Has a direwolf'
        """
        await self._feed.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        """Return the subscription itself: it is an iterator."""
        return self

    async def __anext__(self) -> SubscriptionItem[RecordT]:
        """Return the next item; the iteration ends when the subscription is closed.

        Raises:
            ICureError: the subscription has ended, because the backend refuses it, or because
                connecting again did not work as often as is allowed.
        """
        return await self._feed.next()

    async def get(self, timeout: float | None = None) -> SubscriptionItem[RecordT] | None:
        """Return the next item, or None where none comes in time.

        Args:
            timeout: how many seconds to wait for it, once the connection is there; None waits as
                long as it takes.

        Raises:
            ValidationError: the timeout is malformed.
            ConfigurationError: the subscription is closed.
            ICureError: the subscription has ended, as for the iterator.

        Example:
            >>> async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            ...     print(await events.get(timeout=0.01))
            None
        """
        seconds = validate_timeout(timeout)
        await self._feed.start()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._feed.next()
        except StopAsyncIteration:
            pass
        except TimeoutError:
            if limit.expired():
                return None
            raise
        raise ConfigurationError(_CLOSED)

    async def start(
        self,
        on_event: Callable[[SubscriptionItem[RecordT]], Awaitable[None]],
        *,
        on_state: Callable[[ConnectionChange], Awaitable[None]] | None = None,
    ) -> None:
        """Open the connection, and have a function called for each item from now on.

        It is called for one item after the other. The error that it raises ends the subscription:
        ``on_state`` is told, and :meth:`wait` raises it. Either function may close the
        subscription.

        Args:
            on_event: called with each item that the iterator would give out.
            on_state: called when the connection is there, when it is interrupted, and when the
                subscription has ended, with the reason.

        Raises:
            ConfigurationError: a function can't be called, one is called already, or the
                subscription is closed.
            ICureError: the connection could not be made, as when the subscription is entered.

        Example:
            >>> async def show(item):
            ...     print(type(item).__name__)
            >>> events = api.patient_api.subscribe_to_patient_events(["CREATE"])
            >>> await events.start(show)
            >>> await events.aclose()
        """
        await self._feed.deliver(on_event, on_state)

    async def wait(self) -> None:
        """Wait until the subscription has ended, and no function is called any more.

        Raises:
            ConfigurationError: a function that is called for this subscription waits.
            ICureError: it has ended with that. The error of a function that was called is raised as
                it is.

        Example:
            >>> async def stop_at_first(item):
            ...     await events.aclose()
            >>> events = api.patient_api.subscribe_to_patient_events(["UPDATE"])
            >>> await events.start(stop_at_first)
            >>> patient = await api.patient_api.create_or_modify_patient(patient)
            >>> await events.wait()
        """
        await self._feed.wait()

    async def aclose(self) -> None:
        """Close the connection. Those who wait for an item wait no more.

        Calling it again does nothing. A function that is being called for an event is cancelled.

        Example:
            >>> events = api.patient_api.subscribe_to_patient_events(["CREATE"])
            >>> await events.aclose()
        """
        await self._feed.aclose()

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.stop()

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            raise WrongArgumentsError(
                "A subscription is not awaited: write `async with ... as events:`, and in it "
                "`async for event in events:`, or await its start()."
            )


def subscribed(
    source: EventSource[RecordT],
    event_types: Sequence[EventType],
    wanted: Combinable | None,
    *,
    reconnection: Reconnection | None,
    buffer_size: int,
    catch_up: bool = False,
) -> Subscription[RecordT]:
    """Return a new subscription.

    Raises:
        ValidationError: an argument is malformed, or the filter searches encrypted members.
    """
    from icure_async.entities.event_source import Wanted

    if reconnection is not None and not isinstance(reconnection, Reconnection):
        raise ValidationError("reconnection must be a Reconnection.")
    if not isinstance(catch_up, bool):
        raise ValidationError("catch_up must be True or False.")
    checked = Wanted(
        event_types=validate_event_types(event_types),
        filter=None if wanted is None else filter_for(source.kind.noun, wanted),
        reconnection=reconnection or Reconnection(),
        buffer_size=validate_buffer_size(buffer_size),
    )
    return Subscription(source.feed(checked, catch_up=catch_up))
