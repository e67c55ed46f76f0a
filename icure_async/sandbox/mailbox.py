"""The emails and text messages that the gateway sent: in memory, for tests to read."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Literal

import attrs

from icure_async.sandbox.contacts import contact_key
from icure_async.sandbox.store import Json

__all__ = ["Mailbox"]

Channel = Literal["email", "sms"]


@attrs.define
class _Inbox:
    last: dict[Channel, Json] = attrs.field(factory=dict[Channel, Json], repr=False)
    unread: Json | None = attrs.field(default=None, repr=False)
    codes: list[str] = attrs.field(factory=list[str], repr=False)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)


class Mailbox:
    """One inbox per contact, whatever way the contact is spelled."""

    def __init__(self) -> None:
        self._inboxes: defaultdict[str, _Inbox] = defaultdict(_Inbox)

    def deliver(self, channel: Channel, contact: str, message: Json) -> None:
        """Put a message into the inbox of a contact."""
        inbox = self._inboxes[contact_key(contact)]
        inbox.last[channel] = inbox.unread = message
        inbox.arrived.set()

    def deliver_code(self, channel: Channel, contact: str, message: Json, code: str) -> None:
        """Put a message that carries a code into the inbox of a contact."""
        self._inboxes[contact_key(contact)].codes.append(code)
        self.deliver(channel, contact, message)

    def last(self, channel: Channel, contact: str) -> Json | None:
        """Return the last message sent to a contact, if any."""
        inbox = self._inboxes.get(contact_key(contact))
        return None if inbox is None else inbox.last.get(channel)

    async def wait_for_message(self, contact: str, timeout: float) -> Json:
        """Hand out the newest message to a contact that was not handed out yet.

        Raises:
            TimeoutError: if none arrives in time.
        """
        inbox = self._inboxes[contact_key(contact)]
        try:
            async with asyncio.timeout(timeout):
                while inbox.unread is None:
                    inbox.arrived.clear()
                    await inbox.arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"No message was sent to {contact} within {timeout} s") from None
        newest, inbox.unread = inbox.unread, None
        return newest

    async def wait_for_code(self, contact: str, timeout: float) -> str:
        """Hand out the newest code that was sent to a contact and not handed out yet.

        Raises:
            TimeoutError: if none arrives in time.
        """
        inbox = self._inboxes[contact_key(contact)]
        try:
            async with asyncio.timeout(timeout):
                while not inbox.codes:
                    inbox.arrived.clear()
                    await inbox.arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"No code was sent to {contact} within {timeout} s") from None
        newest = inbox.codes[-1]
        # A second wait is for another one, not for one that this one has replaced.
        inbox.codes.clear()
        return newest
