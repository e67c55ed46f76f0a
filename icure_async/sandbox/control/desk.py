"""The parts of a running sandbox that its own API works with, and what it does to all of them."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.control.feed import Feed
from icure_async.sandbox.control.key_pool import KEY_POOL, checked_pair
from icure_async.sandbox.control.people import is_published, place
from icure_async.sandbox.control.requests import RequestLog
from icure_async.sandbox.control.token import ControlToken
from icure_async.sandbox.faults import Fault, Faults, InjectedFault
from icure_async.sandbox.mailbox import Mailbox
from icure_async.sandbox.workers import in_new_thread

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.control.codes import FixedCodes
    from icure_async.sandbox.control.messages import Message
    from icure_async.sandbox.control.people import SandboxPerson, Wishes
    from icure_async.sandbox.control.requests import Request
    from icure_async.sandbox.store import Json, Store, Transaction

__all__ = ["Desk"]

_OPEN: Final = "open"


class Desk:
    """Messages, requests, faults and the clock, and the feed that tells of each change of them.

    Args:
        clock: the sandbox's time.
        codes: those of contacts that are always sent the same one.
    """

    def __init__(self, clock: Clock, codes: FixedCodes) -> None:
        self.clock = clock
        self.codes = codes
        self.token: ControlToken = ControlToken()
        self.feed: Feed = Feed()
        self.mailbox: Mailbox = Mailbox(self._tell_message)
        self.request_log: RequestLog = RequestLog(self._tell_request)
        self.faults: Faults = Faults()
        self.people: dict[str, SandboxPerson] = {}
        self._key_places = itertools.count()

    def open(self) -> None:
        """Begin, in this event loop, with a token of its own."""
        self.token = ControlToken()
        self.feed.open()

    def messages(self, contact: str | None = None) -> list[Message]:
        """Return the messages that were sent, to a contact or to anybody, the oldest first."""
        return self.mailbox.messages(self.clock.now_ms(), contact)

    def inject(self, faults: list[Fault]) -> list[InjectedFault]:
        """Let faults happen from now on."""
        injected = [self.faults.inject(fault) for fault in faults]
        self._tell_faults()
        return injected

    def clear_faults(self) -> list[InjectedFault]:
        """Let no fault happen any more, and return those that did until now."""
        injected = list(self.faults.injected)
        self.faults.clear()
        self._tell_faults()
        return injected

    @contextmanager
    def fault(self, fault: Fault) -> Generator[InjectedFault]:
        """Let a fault happen inside of a ``with`` statement."""
        (injected,) = self.inject([fault])
        try:
            yield injected
        finally:
            self.faults.remove(injected)
            self._tell_faults()

    async def place(self, store: Store, wishes: Wishes, key_pair: KeyPair | None) -> SandboxPerson:
        """Place a person, with a key pair of the pool unless one is given.

        Raises:
            TypeError: if the key pair is none.
            ValueError: if it, or something that was wished for, makes no sense.
        """
        placed: list[SandboxPerson] = []

        def note() -> None:
            if placed:
                self.people[placed[-1].user_id] = placed[-1]

        def work(tx: Transaction) -> SandboxPerson | None:
            # Somebody of a seed or a file, or placed during a reset, may have this pair already.
            if key_pair is None and is_published(tx, pair.public_key):
                return None
            placed.append(place(tx, wishes, pair, self.clock.now_ms()))
            return placed[-1]

        while True:
            pair = await self._key_pair(key_pair)
            person = await store.run(work, committed=note)
            if person is not None:
                return person

    async def _key_pair(self, given: KeyPair | None) -> KeyPair:
        if given is not None:
            return await in_new_thread(checked_pair, given)
        number = next(self._key_places)
        known = KEY_POOL.known(number)
        return await in_new_thread(KEY_POOL.at, number) if known is None else known

    def advance_clock(self, seconds: float) -> None:
        """Move the clock forward by some seconds."""
        self.clock.advance(seconds)
        self.feed.tell("clock", self.time())

    def set_clock(self, moment: float | datetime) -> None:
        """Move the clock forward to a moment."""
        self.clock.set(moment)
        self.feed.tell("clock", self.time())

    def time(self) -> Json:
        """Return what the clock shows."""
        return {"now": self.clock.now_ms(), "offset": round(self.clock.offset * 1000)}

    def reset(self) -> None:
        """Forget what happened since the start."""
        self.mailbox.clear()
        self.faults.clear()
        self.clock.reset()
        self.codes.reset()
        self.people.clear()
        self._key_places = itertools.count()
        self.request_log.clear()
        self.feed.forget()
        self.feed.tell("reset", self.time())

    def _tell_message(self, message: Message) -> None:
        if message.state == _OPEN:
            self.feed.tell("message", message.to_json())
        else:
            self.feed.tell("used", {"number": message.number, "state": message.state})

    def _tell_request(self, request: Request) -> None:
        self.feed.tell("request", request.to_json())

    def _tell_faults(self) -> None:
        injected: list[Any] = [fault.to_json() for fault in self.faults.injected]
        self.feed.tell("faults", injected)
