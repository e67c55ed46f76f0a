"""Faults on demand: their effects, the requests they strike, and how often they have."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import re
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import attrs

from icure_async.sandbox.shapes import is_integer, is_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.sandbox.store import Json

__all__ = ["Fault", "FaultKind", "Faults", "InjectedFault"]

FaultKind = Literal["delay", "drop-before", "drop-after", "status", "truncate", "conflict"]
"""The effects of a fault on a request."""

_KINDS: tuple[str, ...] = get_args(FaultKind)
_STATUSES = range(400, 600)
_JSON_NAMES = {"retryAfter": "retry_after"}
_WITH_RETRY_AFTER = (429, 503)


def _ordinals(value: int | Sequence[int]) -> tuple[int, ...]:
    """Return one ordinal or several as a tuple; anything else as it is, to be refused."""
    if isinstance(value, int):
        return (value,)
    return tuple(value) if isinstance(value, list | tuple | range) else cast("Any", value)


def _is_count(value: object) -> bool:
    return is_integer(value) and value > 0


@attrs.frozen
class Fault:
    """Something that goes wrong with requests to the sandbox.

    Nothing but the answer is ever spoiled: where the request is handled, all of it is; else nothing
    of it is.

    Attributes:
        kind: what goes wrong.

            * ``"delay"``: the request is handled ``seconds`` later, also when its sender has lost
              patience by then.
            * ``"drop-before"``: the connection is closed, and the request is not handled.
            * ``"drop-after"``: the request is handled and what it writes is stored; then the
              connection is closed without an answer.
            * ``"status"``: the answer is the error ``status``, and the request is not handled.
            * ``"truncate"``: the request is handled and what it writes is stored; of the answer's
              body only the first half arrives, under the ``Content-Length`` of the whole, and the
              connection is closed.
            * ``"conflict"``: the request is answered as if somebody else had just saved the same,
              and is not handled: with the error 409, or, where entities of today are shared, with
              the rejection of every request that would have been accepted, to be sent again; these
              entities then have another revision.
        method: HTTP method of the requests that match, ``"*"`` for any. Never ``OPTIONS``.
        path: their path, the whole of it, unescaped and without the query:
            ``"/rest/v1/patient/*"``, ``"/msggtw/*/process/validate/*"``. ``*`` stands for any text,
            slashes included.
        nth: which of the matching requests are struck, counted from 1, from the injection on; one
            ordinal or several. Empty for each of them.
        times: how many requests are struck at most, None for no limit.
        status: for kind ``"status"``: 400 to 599, for example 401, 409, 429, 500 or 503.
        retry_after: for status 429 and 503: seconds in the header ``Retry-After``, if any.
        seconds: for kind ``"delay"``.

    Raises:
        ValueError: if a value makes no sense, or does not belong to this kind.

    Example:
        >>> Fault(kind="status", status=429, retry_after=1).matches("GET", "/rest/v1/user/current")
        True
    """

    kind: FaultKind
    method: str = attrs.field(default="*", kw_only=True)
    path: str = attrs.field(default="*", kw_only=True)
    nth: tuple[int, ...] = attrs.field(default=(), kw_only=True, converter=_ordinals)
    times: int | None = attrs.field(default=None, kw_only=True)
    status: int | None = attrs.field(default=None, kw_only=True)
    retry_after: int | None = attrs.field(default=None, kw_only=True)
    seconds: float | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        problem = self._problem_of_match() or self._problem_of_kind()
        if problem:
            raise ValueError(problem)

    def _problem_of_match(self) -> str | None:
        if self.kind not in _KINDS:
            return f"kind must be one of {', '.join(_KINDS)}, not {self.kind!r}"
        if not (isinstance(self.method, str) and re.fullmatch(r"\*|[A-Z]+", self.method)):
            return f'method must be an HTTP method in capitals, or "*", not {self.method!r}'
        if self.method == "OPTIONS":
            return "OPTIONS is never struck: browsers send it unasked"
        if not (isinstance(self.path, str) and self.path.startswith(("/", "*"))):
            return 'path must be the whole path, like "/rest/v1/patient/*", or begin with "*"'
        if "?" in self.path:
            return "path must be without the query, which is not compared"
        if not isinstance(self.nth, tuple) or not all(map(_is_count, self.nth)):
            return f"nth must be one or several whole numbers from 1 on, not {self.nth!r}"
        if self.times is not None and not _is_count(self.times):
            return f"times must be a whole number from 1 on, or None, not {self.times!r}"
        return None

    def _problem_of_kind(self) -> str | None:
        if (self.status is not None) != (self.kind == "status"):
            return 'status is needed for kind "status", and for no other'
        if (self.seconds is not None) != (self.kind == "delay"):
            return 'seconds are needed for kind "delay", and for no other'
        if self.status is not None and not (_is_count(self.status) and self.status in _STATUSES):
            return f"status must be an error, 400 to 599, not {self.status!r}"
        if self.seconds is not None and not _is_duration(self.seconds):
            return f"seconds must be a number above 0, not {self.seconds!r}"
        if self.retry_after is None:
            return None
        if self.status not in _WITH_RETRY_AFTER:
            return "retry_after belongs to status 429 or 503"
        if not is_integer(self.retry_after) or self.retry_after < 0:
            return f"retry_after must be a whole number of seconds, not {self.retry_after!r}"
        return None

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request is of those this fault is for, whichever of them it strikes."""
        if method == "OPTIONS" or self.method not in ("*", method):
            return False
        return _pattern(self.path).fullmatch(path) is not None

    def to_json(self) -> Json:
        """Return the fault as ``POST /sandbox/faults`` takes it, without what is not set."""
        members: Json = {"kind": self.kind, "method": self.method, "path": self.path}
        members |= {"nth": list(self.nth)} if self.nth else {}
        optional = {
            "times": self.times,
            "status": self.status,
            "retryAfter": self.retry_after,
            "seconds": self.seconds,
        }
        return members | {name: value for name, value in optional.items() if value is not None}

    @classmethod
    def from_json(cls, members: object) -> Fault:
        """Return the fault that a JSON object describes; ``to_json`` has its form.

        Raises:
            ValueError: if it is no object, or a member is unknown or makes no sense.
        """
        if not is_object(members):
            raise ValueError('A fault must be a JSON object, like {"kind": "drop-after"}')
        known = {"kind", "method", "path", "nth", "times", "status", "retryAfter", "seconds"}
        unknown = sorted(members.keys() - known)
        if unknown:
            raise ValueError(f"Unknown members of a fault: {', '.join(unknown)}")
        options: dict[str, Any] = {
            _JSON_NAMES.get(name, name): value
            for name, value in members.items()
            if value is not None
        }
        return cls(options.pop("kind", None), **options)


def _is_duration(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and value > 0


@functools.lru_cache(maxsize=256)
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, path.split("*"))), re.DOTALL)


class InjectedFault:
    """A fault in force, and what has become of it.

    Attributes:
        id: names it in the answers of ``/sandbox/faults``.
        fault: what was injected.
        matched: requests that matched since it was injected, struck or not.
        struck: requests that were struck by it.
    """

    def __init__(self, fault_id: int, fault: Fault) -> None:
        self.id = fault_id
        self.fault = fault
        self.matched: int = 0
        self.struck: int = 0

    def __repr__(self) -> str:
        return f"InjectedFault({self.fault!r}, matched={self.matched}, struck={self.struck})"

    def notice(self, method: str, path: str) -> bool:
        """Count a request if it matches, and return whether it is one to strike."""
        fault = self.fault
        if not fault.matches(method, path):
            return False
        self.matched += 1
        if fault.nth and self.matched not in fault.nth:
            return False
        return fault.times is None or self.struck < fault.times

    def to_json(self) -> Json:
        """Return the fault and its counters, as ``/sandbox/faults`` answers."""
        return {
            "id": self.id,
            "fault": self.fault.to_json(),
            "matched": self.matched,
            "struck": self.struck,
        }


class Faults:
    """The faults in force. They are injected from any thread, and strike in the event loop."""

    def __init__(self) -> None:
        # A list's own methods are safe between threads; it is copied before it is walked through.
        self._injected: list[InjectedFault] = []
        self._ids = itertools.count(1)

    @property
    def injected(self) -> tuple[InjectedFault, ...]:
        """All that were injected since the last `clear`, in that order."""
        return tuple(self._injected)

    def inject(self, fault: Fault) -> InjectedFault:
        """Let a fault happen from now on."""
        injected = InjectedFault(next(self._ids), fault)
        self._injected.append(injected)
        return injected

    def remove(self, injected: InjectedFault) -> None:
        """Let one fault happen no more; nothing if it was removed already."""
        with contextlib.suppress(ValueError):
            self._injected.remove(injected)

    def clear(self) -> None:
        """Let no fault happen any more."""
        self._injected.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that happens to a request, if any: of several the earliest one.

        All faults count the request, and it counts as struck for the one that happens.
        """
        candidates = [injected for injected in self.injected if injected.notice(method, path)]
        if not candidates:
            return None
        candidates[0].struck += 1
        return candidates[0].fault
