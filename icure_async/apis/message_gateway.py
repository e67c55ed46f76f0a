"""The message gateway: emails, text messages, and the processes that send codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.authentication.contacts import normalise_email, normalise_phone_number
