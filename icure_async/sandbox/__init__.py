"""A local iCure backend and message gateway, to develop and test against.

It is a second implementation of the backend's contract: it shares nothing with the SDK, so that a
mistake in one shows against the other. The sections that its modules cite are those of
server-behaviour.md.
"""

from __future__ import annotations

from icure_async.sandbox.control.messages import Channel, Message, MessageState
from icure_async.sandbox.control.people import PersonKind, SandboxPerson
from icure_async.sandbox.control.requests import Request
from icure_async.sandbox.faults import Fault, FaultKind, InjectedFault
from icure_async.sandbox.master import MasterHcp
from icure_async.sandbox.server import Sandbox

__all__ = [
    "Channel",
    "Fault",
    "FaultKind",
    "InjectedFault",
    "MasterHcp",
    "Message",
    "MessageState",
    "PersonKind",
    "Request",
    "Sandbox",
    "SandboxPerson",
]
