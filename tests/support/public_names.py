"""Our names as pages write them, looked up in the package: ``PatientApi.get_patient()``."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import icure_async
from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder, Subscription
from icure_async.builders import Building

__all__ = ["call_of", "looked_up", "open_apis"]

NOWHERE = "http://127.0.0.1:9"


@contextlib.asynccontextmanager
async def open_apis() -> AsyncIterator[Mapping[str, object]]:
    """Yield API objects by the names of their classes: their attributes are no class attributes."""
    anonymous = (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url(NOWHERE)
        .with_msg_gw_spec_id("spec")
        .with_auth_process_by_sms_id("process")
    )
    named = (
        MedTechApiBuilder()
        .with_icure_base_url(NOWHERE)
        .with_user_name("user")
        .with_password("password")
        .with_msg_gw_spec_id("spec")
        .with_auth_process_by_sms_id("process")
    )
    async with anonymous.build() as anonymous_api, named.build() as api:
        yield {"AnonymousMedTechApi": anonymous_api, "MedTechApi": api}


def looked_up(name: str, apis: Mapping[str, object]) -> object | None:
    """Return what a name stands for, or None if nothing has it; its brackets don't count.

    Args:
        name: of a member of ``icure_async``, or of one of its members: ``Patient.from_dict()``.
        apis: what :func:`open_apis` yields.
    """
    owner, *members = name.removesuffix("()").split(".")
    found: object | None = apis.get(owner) or getattr(icure_async, owner, None)
    for member in members:
        found = getattr(found, member, None)
    return found


def call_of(member: object) -> str:
    """Return how a member is called: "async with", for example, or "" for a value."""
    if not (inspect.isfunction(member) or inspect.ismethod(member)):
        return ""
    if inspect.iscoroutinefunction(member):
        return "await"
    if inspect.isasyncgenfunction(member):
        return "async for"
    returned = inspect.signature(member).return_annotation
    for kind, call in _BY_TYPE.items():
        if str(returned).startswith(kind):
            return call
    return "plain"


_BY_TYPE = {
    AsyncGenerator.__name__: "async for",
    Subscription.__name__: "async with",
    Building.__name__: "await",
}
