"""One email or text message that the gateway sent, as tests and pages see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json

__all__ = ["Channel", "Message", "MessageState"]

Channel = Literal["email", "sms"]
"""The ways of a message."""

MessageState = Literal["open", "used", "expired", "closed"]
"""The states of the code in a message."""


@attrs.frozen(kw_only=True)
class Message:
    """An email or a text message that was sent.

    Attributes:
        number: its number: 1 is the first message since the start, or since the last reset.
        channel: "sms" or "email".
        recipient: the phone number or the email address, as the sender spelled it.
        subject: the subject of an email; empty in a text message.
        text: the text of a text message, the HTML of an email.
        code: the code of an authentication process, None in any other message.
        sent_at: the sandbox's time at the sending, in milliseconds since the epoch.
        expires_at: the end of the code's validity, in milliseconds; None without a code.
        state: "open" until the code was "used", has "expired", or its process was "closed" by too
            many wrong codes. A message without a code stays "open".
    """

    number: int
    channel: Channel
    recipient: str
    subject: str = attrs.field(default="", repr=False)
    text: str = attrs.field(default="", repr=False)
    code: str | None = attrs.field(default=None, repr=False)
    sent_at: int
    expires_at: int | None = None
    state: MessageState = "open"

    def at(self, now_ms: int) -> Message:
        """Return the message as it is at this time: its code may have expired."""
        if self.state != "open" or self.expires_at is None or now_ms <= self.expires_at:
            return self
        return attrs.evolve(self, state="expired")

    def to_json(self) -> Json:
        """Return the message as ``/sandbox/messages`` answers."""
        return {
            "number": self.number,
            "channel": self.channel,
            "recipient": self.recipient,
            "subject": self.subject,
            "text": self.text,
            "code": self.code,
            "sentAt": self.sent_at,
            "expiresAt": self.expires_at,
            "state": self.state,
        }
