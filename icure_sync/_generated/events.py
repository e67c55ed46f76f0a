# Written by "python tools/gen_sync.py" from icure_async/apis/events.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Subscriptions to events: an iterator, or functions that are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from icure_async.apis.events import RecordT
from icure_async.apis.events import Subscription as AsyncSubscription
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from icure_async.models.events import ConnectionChange, SubscriptionItem

__all__ = ["Subscription"]


class Subscription(Twin[AsyncSubscription[RecordT]]):
    """A subscription to events. The connection is made when it is entered, or first asked.

    As an iterator it gives out an :class:`Event` for each record that was created or changed, a
    :class:`Reconnected` where the connection was lost and is there again, and an
    :class:`UnreadableEvent` for a message that is no event. Nothing is left out silently::

        with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            for event in events:
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

    def __enter__(self) -> Self:
        """Open the connection, and return the subscription: from here on nothing is missed.

        Raises:
            ValidationError: the filter can't be used.
            AuthenticationError: the credentials are refused, or the backend refuses the connection.
            PermissionDeniedError: the user may not subscribe.
            NotFoundError: the backend has no events.
            NetworkError: there is no connection, or it broke before anything was said.
            ConfigurationError: the subscription is closed.

        Example:
            >>> with api.patient_api.subscribe_to_patient_events(["UPDATE"]) as events:
            ...     patient.note = "Has a direwolf"
            ...     patient = api.patient_api.create_or_modify_patient(patient)
            ...     event = events.get(timeout=10)
            >>> event.record.note
            'Has a direwolf'
        """
        self._run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._inner.__aexit__, exc_type, exc_value, traceback)

    def __iter__(self) -> Self:
        """Return the subscription itself: it is an iterator."""
        self._call(self._inner.__aiter__)
        return self

    def __next__(self) -> SubscriptionItem[RecordT]:
        """Return the next item; the iteration ends when the subscription is closed.

        Raises:
            ICureError: the subscription has ended, because the backend refuses it, or because
                connecting again did not work as often as is allowed.
        """
        return self._next(self._inner.__anext__)

    def get(self, timeout: float | None = None) -> SubscriptionItem[RecordT] | None:
        """Return the next item, or None where none comes in time.

        Args:
            timeout: how many seconds to wait for it, once the connection is there; None waits as
                long as it takes.

        Raises:
            ValidationError: the timeout is malformed.
            ConfigurationError: the subscription is closed.
            ICureError: the subscription has ended, as for the iterator.

        Example:
            >>> with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            ...     print(events.get(timeout=0.01))
            None
        """
        return self._run(self._inner.get, timeout)

    def start(
        self,
        on_event: Callable[[SubscriptionItem[RecordT]], None],
        *,
        on_state: Callable[[ConnectionChange], None] | None = None,
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
            >>> def show(item):
            ...     print(type(item).__name__)
            >>> events = api.patient_api.subscribe_to_patient_events(["CREATE"])
            >>> events.start(show)
            >>> events.close()
        """
        self._run(
            self._inner.start,
            callback(on_event),
            on_state=None if on_state is None else callback(on_state),
        )

    def wait(self) -> None:
        """Wait until the subscription has ended, and no function is called any more.

        Raises:
            ConfigurationError: a function that is called for this subscription waits.
            ICureError: it has ended with that. The error of a function that was called is raised as
                it is.

        Example:
            >>> def stop_at_first(item):
            ...     events.close()
            >>> events = api.patient_api.subscribe_to_patient_events(["UPDATE"])
            >>> events.start(stop_at_first)
            >>> patient = api.patient_api.create_or_modify_patient(patient)
            >>> events.wait()
        """
        self._run(self._inner.wait)

    def close(self) -> None:
        """Close the connection. Those who wait for an item wait no more.

        Calling it again does nothing. A function that is being called for an event is cancelled.

        Example:
            >>> events = api.patient_api.subscribe_to_patient_events(["CREATE"])
            >>> events.close()
        """
        self._close(self._inner.aclose)
