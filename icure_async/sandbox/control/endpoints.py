"""The endpoints under ``/sandbox``, for administrators of the sandbox and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from icure_async.sandbox.control import records
from icure_async.sandbox.control.members import integer_in, members_of, number_in
from icure_async.sandbox.control.people_endpoints import (
    described,
    everybody,
    in_camel_case,
    wishes_in,
)
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.faults import Fault
from icure_async.sandbox.shapes import is_list
from icure_async.sandbox.workers import in_new_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.control.desk import Desk
    from icure_async.sandbox.control.state import State
    from icure_async.sandbox.faults import InjectedFault
    from icure_async.sandbox.store import Json, Store, Transaction

__all__ = ["ControlEndpoints", "ControlRoute"]


@attrs.frozen
class ControlRoute:
    """A method and a path under ``/sandbox``, and what answers there, in the event loop."""

    method: str
    path: str
    endpoint: Callable[[Call], Awaitable[Any]]


class ControlEndpoints:
    """The endpoints, each of which an administrator was admitted to.

    Args:
        desk: the parts of the sandbox that they show and change.
        store: its database.
        state: its description.
        reset: brings everything back to the state after the start.
        export: returns everything that it contains.
        load: replaces everything by a seed.
    """

    def __init__(
        self,
        desk: Desk,
        store: Store,
        state: State,
        *,
        reset: Callable[[], Awaitable[None]],
        export: Callable[[], Awaitable[Json]],
        load: Callable[[Json], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._store = store
        self._state = state
        self._reset_all = reset
        self._export_all = export
        self._load = load
        self.routes: list[ControlRoute] = [
            ControlRoute("GET", "/state", self._show_state),
            ControlRoute("GET", "/messages", self._messages),
            ControlRoute("GET", "/requests", self._requests),
            ControlRoute("POST", "/faults", self._inject),
            ControlRoute("GET", "/faults", self._faults),
            ControlRoute("DELETE", "/faults", self._clear_faults),
            ControlRoute("GET", "/clock", self._clock),
            ControlRoute("POST", "/clock", self._move_clock),
            ControlRoute("POST", "/people", self._place),
            ControlRoute("GET", "/people", self._people),
            ControlRoute("GET", "/codes", self._codes),
            ControlRoute("PUT", "/codes", self._set_codes),
            ControlRoute("POST", "/reset", self._reset),
            ControlRoute("GET", "/export", self._export),
            ControlRoute("POST", "/import", self._import),
            ControlRoute("GET", "/records", self._reading(records.list_records)),
            ControlRoute("GET", "/records/{kind}/{id}", self._reading(records.read_record)),
        ]

    def _reading(
        self, read: Callable[[Transaction, Call], Json]
    ) -> Callable[[Call], Awaitable[Json]]:
        async def endpoint(call: Call) -> Json:
            return await self._store.run(lambda tx: read(tx, call))

        return endpoint

    async def _show_state(self, call: Call) -> Json:
        described = await self._store.run(lambda tx: self._state.describe(tx, call))
        return described | {"clock": self._desk.time()}

    async def _messages(self, call: Call) -> list[Json]:
        contact = call.query.get("contact") or None
        return [message.to_json() for message in self._desk.messages(contact)]

    async def _requests(self, _call: Call) -> list[Json]:
        return [request.to_json() for request in self._desk.request_log.requests]

    async def _inject(self, call: Call) -> list[Json]:
        """Inject one fault or a list of them, all or none; answer with these."""
        described: list[Any] = call.body if is_list(call.body) else [call.body]
        try:
            faults = [Fault.from_json(members) for members in described]
        except ValueError as error:
            raise bad_request(str(error)) from None
        return _shown(self._desk.inject(faults))

    async def _faults(self, _call: Call) -> list[Json]:
        """Answer with the faults since the last clearing, and their counters."""
        return _shown(self._desk.faults.injected)

    async def _clear_faults(self, _call: Call) -> list[Json]:
        """Clear all faults, and answer with what had become of them."""
        return _shown(self._desk.clear_faults())

    async def _clock(self, _call: Call) -> Json:
        return self._desk.time()

    async def _move_clock(self, call: Call) -> Json:
        members = members_of(call.body, ("advance", "set"))
        seconds, moment = number_in(members, "advance"), integer_in(members, "set")
        if (seconds is None) == (moment is None):
            raise bad_request(
                "advance (seconds), or set (milliseconds since 1970): one of them is needed"
            )
        try:
            if seconds is not None:
                self._desk.advance_clock(seconds)
            elif moment is not None:
                self._desk.set_clock(moment / 1000)
        except ValueError as error:
            name = "set" if seconds is None else "advance"
            raise bad_request(f"{name}: {error}") from None
        return self._desk.time()

    async def _place(self, call: Call) -> Json:
        wishes, key_pair = await in_new_thread(wishes_in, call.body)
        try:
            person = await self._desk.place(self._store, wishes, key_pair)
        except (TypeError, ValueError) as error:
            raise bad_request(in_camel_case(str(error))) from None
        return described(person)

    async def _people(self, _call: Call) -> list[Json]:
        placed = dict(self._desk.people)
        return await self._store.run(lambda tx: everybody(tx, placed))

    async def _codes(self, _call: Call) -> Json:
        return self._desk.codes.by_contact

    async def _set_codes(self, call: Call) -> Json:
        try:
            self._desk.codes.replace(call.json_object())
        except (TypeError, ValueError) as error:
            raise bad_request(str(error)) from None
        return self._desk.codes.by_contact

    async def _reset(self, _call: Call) -> Json:
        await self._reset_all()
        return self._desk.time()

    async def _export(self, _call: Call) -> Json:
        return await self._export_all()

    async def _import(self, call: Call) -> Json:
        try:
            await self._load(call.json_object())
        except ValueError as error:
            raise bad_request(f"Nothing was changed. {error}") from None
        return self._desk.time()


def _shown(injected: Iterable[InjectedFault]) -> list[Json]:
    return [fault.to_json() for fault in injected]
