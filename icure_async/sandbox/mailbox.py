"""The emails and text messages that the gateway sent: in memory, for tests to read."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import attrs

from icure_async.sandbox.contacts import contact_key
from icure_async.sandbox.control.messages import Channel, Message
from icure_async.sandbox.control.rings import Ring
from icure_async.sandbox.store import Json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mailbox"]

_MOST_MESSAGES: Final = 1000
_MOST_CHARACTERS: Final = 1 << 23
_MOST_INBOXES: Final = 10_000

T = TypeVar("T")


@attrs.define
class _Inbox:
    last: dict[Channel, Json] = attrs.field(factory=dict[Channel, Json], repr=False)
    unread: Json | None = attrs.field(default=None, repr=False)
    code: str | None = attrs.field(default=None, repr=False)
    """The newest code that was not handed out yet."""
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)
    waiting: int = 0
    """The number of those who wait for a message or a code."""


@attrs.define(eq=False, repr=False)
class _Sent:
    """A message, and the process that its code belongs to."""

    message: Message
    key: str
    request_id: str | None


def _characters(sent: _Sent) -> int:
    return len(sent.message.subject) + len(sent.message.text)


class Mailbox:
    """One inbox per contact, whatever way the contact is spelled.

    Args:
        on_change: called with each message that is sent, and with each one whose code was used
            or closed.
    """

    def __init__(self, on_change: Callable[[Message], None] = lambda _message: None) -> None:
        self._inboxes: OrderedDict[str, _Inbox] = OrderedDict()
        self._sent = Ring(_MOST_MESSAGES, _MOST_CHARACTERS, _characters)
        self._by_process: dict[str, _Sent] = {}
        self._numbers = itertools.count(1)
        self._on_change = on_change

    def deliver(self, channel: Channel, contact: str, message: Json, *, sent_at: int) -> None:
        """Put a message into the inbox of a contact."""
        self._deliver(channel, contact, message, sent_at=sent_at)

    def deliver_code(
        self,
        channel: Channel,
        contact: str,
        message: Json,
        code: str,
        *,
        request_id: str,
        sent_at: int,
        expires_at: int,
    ) -> None:
        """Put a message that carries the code of a process into the inbox of a contact."""
        self._inbox(contact_key(contact)).code = code
        self._deliver(
            channel,
            contact,
            message,
            sent_at=sent_at,
            code=code,
            expires_at=expires_at,
            request_id=request_id,
        )

    def _deliver(
        self,
        channel: Channel,
        contact: str,
        content: Json,
        *,
        sent_at: int,
        code: str | None = None,
        expires_at: int | None = None,
        request_id: str | None = None,
    ) -> None:
        key = contact_key(contact)
        inbox = self._inbox(key)
        inbox.last[channel] = inbox.unread = content
        inbox.arrived.set()
        message = Message(
            number=next(self._numbers),
            channel=channel,
            recipient=contact,
            subject=content.get("subject", ""),
            text=content.get("message") or content.get("html", ""),
            code=code,
            sent_at=sent_at,
            expires_at=expires_at,
        )
        sent = _Sent(message, key, request_id)
        if request_id is not None:
            self._by_process[request_id] = sent
        for gone in self._sent.append(sent):
            if gone.request_id is not None:
                self._by_process.pop(gone.request_id, None)
        self._on_change(message)

    def _inbox(self, key: str) -> _Inbox:
        """Return the inbox of a contact, and forget those that nobody used for longest."""
        inbox = self._inboxes.setdefault(key, _Inbox())
        self._inboxes.move_to_end(key)
        if len(self._inboxes) > _MOST_INBOXES:
            oldest = next((old for old, its in self._inboxes.items() if not its.waiting), key)
            if oldest != key:
                del self._inboxes[oldest]
        return inbox

    def settle(self, request_id: str, state: Literal["used", "closed"]) -> None:
        """Note that the code of a process was used, or can't be used any more."""
        sent = self._by_process.get(request_id)
        if sent is not None and sent.message.state != state:
            sent.message = attrs.evolve(sent.message, state=state)
            self._on_change(sent.message)

    def messages(self, now_ms: int, contact: str | None = None) -> list[Message]:
        """Return the messages that were sent, to a contact or to anybody, the oldest first."""
        key = None if contact is None else contact_key(contact)
        return [
            sent.message.at(now_ms) for sent in self._sent.items if key is None or sent.key == key
        ]

    def clear(self) -> None:
        """Forget all messages; those who wait for one go on waiting."""
        self._inboxes = OrderedDict(
            (key, inbox) for key, inbox in self._inboxes.items() if inbox.waiting
        )
        for inbox in self._inboxes.values():
            inbox.last.clear()
            inbox.unread = inbox.code = None
        self._sent.clear()
        self._by_process.clear()
        self._numbers = itertools.count(1)

    def last(self, channel: Channel, contact: str) -> Json | None:
        """Return the last message sent to a contact, if any."""
        inbox = self._inboxes.get(contact_key(contact))
        return None if inbox is None else inbox.last.get(channel)

    async def wait_for_message(self, contact: str, timeout: float) -> Json:
        """Hand out the newest message to a contact that was not handed out yet.

        Raises:
            TimeoutError: if none arrives in time.
        """

        def take(inbox: _Inbox) -> Json | None:
            newest, inbox.unread = inbox.unread, None
            return newest

        return await self._wait("message", contact, timeout, take)

    async def wait_for_code(self, contact: str, timeout: float) -> str:
        """Hand out the newest code that was sent to a contact and not handed out yet.

        Raises:
            TimeoutError: if none arrives in time.
        """

        def take(inbox: _Inbox) -> str | None:
            # A second wait is for another one, not for one that this one has replaced.
            newest, inbox.code = inbox.code, None
            return newest

        return await self._wait("code", contact, timeout, take)

    async def _wait(
        self, noun: str, contact: str, timeout: float, take: Callable[[_Inbox], T | None]
    ) -> T:
        inbox = self._inbox(contact_key(contact))
        inbox.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                while (newest := take(inbox)) is None:
                    inbox.arrived.clear()
                    await inbox.arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"No {noun} was sent to {contact} within {timeout} s") from None
        finally:
            inbox.waiting -= 1
        return newest
