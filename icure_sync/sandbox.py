"""A local iCure backend and message gateway, for blocking callers to develop and test against."""

from icure_async.sandbox.control.messages import Channel, Message, MessageState
from icure_async.sandbox.control.people import PersonKind, SandboxPerson
from icure_async.sandbox.control.requests import Request
from icure_async.sandbox.faults import Fault, FaultKind, InjectedFault
from icure_async.sandbox.master import MasterHcp
from icure_sync._generated.sandbox import Sandbox

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
