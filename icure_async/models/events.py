"""Events of a subscription, and what else it gives out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, cast, get_args

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.base import EntityModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.errors import ICureError

__all__ = [
    "ConnectionChange",
    "ConnectionState",
    "Event",
    "EventType",
    "Reconnected",
    "Reconnection",
    "SubscriptionItem",
    "UnreadableEvent",
    "validate_buffer_size",
    "validate_event_types",
    "validate_timeout",
]

EventType: TypeAlias = Literal["CREATE", "UPDATE", "DELETE"]
"""Kinds of events to subscribe to. A deletion is an UPDATE for many backends."""

ConnectionState: TypeAlias = Literal["connected", "interrupted", "closed"]
"""State of a subscription's connection: ``interrupted`` while it is made again."""

RecordT = TypeVar("RecordT", bound=EntityModel)


@attrs.frozen(kw_only=True)
class Event(Generic[RecordT]):
    """A record that was created or changed. The backend does not say which of the two it was.

    Attributes:
        record: as it was stored, decrypted where a key on this device opens it.
        caught_up: whether it was looked for after a reconnection, and not sent as an event.

    Example:
        >>> async with api.patient_api.subscribe_to_patient_events(["UPDATE"]) as events:
        ...     patient.note = "Has a direwolf"
        ...     patient = await api.patient_api.create_or_modify_patient(patient)
        ...     event = await events.get(timeout=10)
        >>> event.caught_up, event.record.note
        (False, 'Has a direwolf')
    """

    record: RecordT
    caught_up: bool = False


@attrs.frozen(kw_only=True)
class Reconnected:
    """The connection was lost and is there again: events of the time in between may be missing.

    Attributes:
        since: when the backend was last heard of before that, in epoch milliseconds.
        at: when the connection was there again, in epoch milliseconds.
        attempts: how many attempts it took, with those before whose connection did not last.
    """

    since: int
    at: int
    attempts: int = 1


@attrs.frozen(kw_only=True)
class UnreadableEvent:
    """A message of the backend that is no event of the kind that was subscribed to.

    The record may have changed all the same: where ``record_id`` is there, it can be read.

    Attributes:
        reason: the reason in words, without anything of the content.
        record_id: id of the record, where the message has one.
        error: the error behind it, where there is one.
    """

    reason: str
    record_id: str | None = None
    error: ICureError | None = attrs.field(default=None, eq=False, repr=False)


SubscriptionItem: TypeAlias = Event[RecordT] | Reconnected | UnreadableEvent
"""Each of the things that a subscription gives out."""


@attrs.frozen(kw_only=True)
class ConnectionChange:
    """A change of a subscription's connection.

    Attributes:
        state: the state it has now.
        error: the reason why it was interrupted, or closed; None where the program closed it. The
            error of a function that was called for an event is such a reason, too.
    """

    state: ConnectionState
    error: Exception | None = attrs.field(default=None, eq=False, repr=False)


def _seconds(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 86400:  # type: ignore[operator]
        raise ValidationError(f"{attribute.name} must be a number of seconds, at most a day.")


def _attempts(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValidationError(
            f"{attribute.name} must be an int of 0 or more, or None for attempts without end."
        )


@explained
@attrs.frozen(kw_only=True)
class Reconnection:
    """A subscription's way to make its connection again.

    The wait before each attempt is twice the one before, less a random part. A connection that
    lasts for a minute ends that: the next wait after it is the first one again.

    Attributes:
        max_attempts: after how many attempts in a row that did not last the subscription ends with
            an error; None goes on for ever.
        first_wait: seconds before the first attempt, about.
        longest_wait: seconds between attempts, at most.

    Example:
        >>> patient_events = api.patient_api.subscribe_to_patient_events(
        ...     ["CREATE"], reconnection=Reconnection(max_attempts=3)
        ... )
        >>> await patient_events.aclose()
    """

    max_attempts: int | None = attrs.field(default=None, validator=_attempts)
    first_wait: float = attrs.field(default=1.0, validator=_seconds)
    longest_wait: float = attrs.field(default=60.0, validator=_seconds)


def validate_event_types(event_types: object) -> Sequence[EventType]:
    """Return the kinds of events to subscribe to, each once.

    Raises:
        ValidationError: it is no list of them, or an empty one.
    """
    known = ", ".join(get_args(EventType))
    if isinstance(event_types, str) or not isinstance(event_types, Iterable):
        raise ValidationError(f"event_types must be a list of these: {known}.")
    wanted = list(cast("Iterable[object]", event_types))
    if not wanted:
        raise ValidationError(
            f"event_types is empty, and nothing would ever come: name at least one of {known}."
        )
    if not all(isinstance(item, str) and item in get_args(EventType) for item in wanted):
        raise ValidationError(f"event_types has an unknown event type. These are known: {known}.")
    return cast("Sequence[EventType]", list(dict.fromkeys(wanted)))


def validate_buffer_size(size: object) -> int:
    """Return how many events may wait, checked.

    Raises:
        ValidationError: it is no int of 1 or more.
    """
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValidationError("buffer_size must be an int of 1 or more.")
    return size


def validate_timeout(timeout: object) -> float | None:
    """Return how many seconds to wait, or None for as long as it takes.

    Raises:
        ValidationError: it is no such number.
    """
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
        raise ValidationError("timeout must be a number of seconds, or None to wait for ever.")
    return float(timeout)
