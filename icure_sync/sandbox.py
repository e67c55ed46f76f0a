"""A local iCure backend and message gateway, for blocking callers to develop and test against."""

from icure_async.sandbox.faults import Fault, FaultKind, InjectedFault
from icure_async.sandbox.master import MasterHcp
from icure_sync._generated.sandbox import Sandbox

__all__ = ["Fault", "FaultKind", "InjectedFault", "MasterHcp", "Sandbox"]
