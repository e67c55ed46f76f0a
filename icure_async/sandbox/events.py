"""Events over websockets: subscriptions, and what is sent to whom (§12)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from icure_async.sandbox.access import caller_of, can_manage_user, can_read, user_is_active
from icure_async.sandbox.auth import caller_by_token
from icure_async.sandbox.calls import MODEL_HEADER, Call, Settings
from icure_async.sandbox.entities import show
from icure_async.sandbox.errors import ApiError, bad_request, unauthorized
from icure_async.sandbox.filters import finds
from icure_async.sandbox.links import link_entity
from icure_async.sandbox.secure_delegations import delegation_key
from icure_async.sandbox.service_routes import show_service
from icure_async.sandbox.services import SERVICE, index_version
from icure_async.sandbox.shapes import is_list, is_object, is_string_list, list_in
from icure_async.sandbox.store import alone
from icure_async.sandbox.users import show_user
from icure_async.sandbox.v2.documents import show as show_v2
from icure_async.sandbox.v2.exchange_data_maps import key_bytes
from icure_async.sandbox.v2.services import show_service as show_service_v2
from icure_async.sandbox.v2.users import show_user as show_user_v2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icure_async.sandbox.auth import Tickets
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.store import Change, Json, Store, Transaction
    from icure_async.sandbox.tokens import TokenSigner

__all__ = ["EVENTS_PATH", "EVENTS_V2_PATH", "Events"]

EVENTS_PATH: Final = "/ws/v1/notification/{subscribe:subscribe(;[^/]*)?}"
"""The path of the websocket, with the token as a matrix parameter."""

EVENTS_V2_PATH: Final = "/ws/v2/notification/subscribe"
"""The path of the websocket of v2, which takes a JWT."""

_KINDS_OF_V1: Final[dict[str, str]] = {
    "org.taktik.icure.entities.HealthElement": "helement",
    "org.taktik.icure.entities.MaintenanceTask": "maintenancetask",
    "org.taktik.icure.entities.Patient": "patient",
    "org.taktik.icure.entities.User": "user",
    "org.taktik.icure.entities.embed.Service": SERVICE,
}
_KINDS: Final[dict[str, str]] = {
    **_KINDS_OF_V1,
    "org.taktik.icure.entities.Contact": "contact",
}
_BY_TAGS: Final = "HealthElementByHcPartyTagCodeFilter"
_INNER: Final = ("superSet", "subSet")
_TODAY: Final = 2
_PARAMETER: Final = ";tokenid="
_TYPES: Final = frozenset({"CREATE", "UPDATE", "DELETE"})
_LARGEST_SUBSCRIPTION: Final = 1 << 20
_FIRST_MESSAGE_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 1.0
_MOST_WAITING: Final = 1000
_LONGEST_REASON: Final = 120
_PING: Final = "ping"


@attrs.frozen(repr=False)
class _Reader:
    """The user of a websocket, and the form in which it reads entities.

    Attributes:
        group: its group, as it is called in rows.
        user_id: its id.
        version: the API whose form it reads.
        standard: True if it reads today's model only.
        delegation_keys: those that belong to the access control keys it has shown.
    """

    group: str
    user_id: str
    version: Literal[1, 2]
    standard: bool = False
    delegation_keys: frozenset[str] = frozenset()


@attrs.define(eq=False, repr=False)
class _Subscriber:
    """One open websocket."""

    socket: web.WebSocketResponse
    reader: _Reader
    kind: str
    event_types: frozenset[str]
    filter: Json | None
    waiting: asyncio.Queue[str] = attrs.field(
        factory=lambda: asyncio.Queue[str](maxsize=_MOST_WAITING)
    )
    end: asyncio.Future[tuple[int, str]] = attrs.field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )

    def close(self, code: int, reason: str) -> None:
        """Have the websocket closed."""
        if not self.end.done():
            self.end.set_result((code, reason))

    def send(self, text: str) -> None:
        """Have a message sent; who is too slow for that is disconnected."""
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.close(WSCloseCode.TRY_AGAIN_LATER, "Too many events are waiting")


class Events:
    """All subscriptions.

    Args:
        clock: the sandbox's time.
        settings: the options of the sandbox.
        tickets: the tokens for one use.
        ping_interval: seconds from one ``ping`` to the next; None for none.
    """

    def __init__(
        self, clock: Clock, settings: Settings, tickets: Tickets, *, ping_interval: float | None
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._tickets = tickets
        self._ping_interval = ping_interval
        # Replaced and never changed: the store's thread reads it, too.
        self._subscribers: tuple[_Subscriber, ...] = ()

    # In the store's thread.

    def is_watching(self) -> bool:
        """Return whether there are subscriptions."""
        return bool(self._subscribers)

    def look(self, tx: Transaction, changes: Iterable[Change], /) -> Callable[[], None] | None:
        """Find out who is to be told of changes; nobody is told before they are committed."""
        messages = [
            (subscriber, text)
            for change in changes
            for subscriber in self._subscribers
            if (text := self._told(tx, subscriber, change)) is not None
        ]

        def tell() -> None:
            for subscriber, text in messages:
                subscriber.send(text)

        return tell if messages else None

    def _told(self, tx: Transaction, subscriber: _Subscriber, change: Change) -> str | None:
        """Return what a subscriber is told of a change, or None if it does not concern it."""
        event: Literal["CREATE", "UPDATE"] = "CREATE" if change.is_new else "UPDATE"
        if (subscriber.reader.group, subscriber.kind) != (change.group, change.kind):
            return None
        if event not in subscriber.event_types:
            return None
        call = self._call(tx, subscriber.reader)
        if call is None:
            return None
        may_see = (
            can_manage_user(call, change.entity)
            if change.kind == "user"
            else can_read(call, change.kind, change.entity)
        )
        try:
            if not may_see or not _is_found(call, change.kind, change.entity, subscriber.filter):
                return None
        except ApiError:
            # The user is no data owner any more, for whom the filter was right.
            return None
        return _text(call, change, subscriber.reader.version)

    def _call(self, tx: Transaction, reader: _Reader) -> Call | None:
        """Return a call of this reader, or None if it may not log in any more."""
        tx = tx.in_row_group(reader.group)
        user = tx.get("user", reader.user_id)
        if user is None or not user_is_active(user):
            return None
        return Call(
            method="GET",
            params={},
            query={},
            headers={MODEL_HEADER: "true"} if reader.standard else {},
            clock=self._clock,
            settings=self._settings,
            signer=None,
            known_caller=caller_of(tx, user),
            delegation_keys=reader.delegation_keys,
        )

    # In the event loop.

    async def handle(self, request: web.Request, store: Store) -> web.StreamResponse:
        """Serve one websocket of v1 until it is closed.

        Raises:
            ApiError: 401 if its token is not good.
        """
        _, _, token = request.match_info["subscribe"].partition(_PARAMETER)
        group_id, user_id = self._tickets.take(
            token, request.method, request.path, self._clock.now_ms()
        )

        def identify(tx: Transaction) -> _Reader:
            return _Reader((tx.in_group(group_id) or tx).group, user_id, version=1)

        return await self._serve_known(request, store, identify)

    async def handle_v2(
        self, request: web.Request, store: Store, signer: TokenSigner | None
    ) -> web.StreamResponse:
        """Serve one websocket of v2 until it is closed.

        Raises:
            ApiError: 401 if its JWT is not good.
        """
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ").strip() or request.query.get("jwt", "")

        def identify(tx: Transaction) -> _Reader:
            caller, _ = caller_by_token(tx, signer, token, "access")
            group = tx.in_group(caller.group_id) or tx
            return _Reader(group.group, caller.user_id, version=2)

        return await self._serve_known(request, store, identify)

    async def _serve_known(
        self,
        request: web.Request,
        store: Store,
        identify: Callable[[Transaction], _Reader],
    ) -> web.StreamResponse:
        def admit(tx: Transaction) -> _Reader:
            reader = identify(tx)
            if self._call(tx, reader) is None:
                raise unauthorized("The user of this token can no longer log in")
            return reader

        reader = await store.run(admit)
        socket = web.WebSocketResponse(
            timeout=_CLOSING_SECONDS, compress=False, max_msg_size=_LARGEST_SUBSCRIPTION
        )
        await socket.prepare(request)
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_SECONDS):
                first = await socket.receive()
            subscriber = await self._subscriber(socket, reader, first.data, store)
        except (ApiError, TimeoutError) as error:
            reason = error.message if isinstance(error, ApiError) else "There is no subscription"
            await _close(socket, request.transport, WSCloseCode.POLICY_VIOLATION, reason)
        else:
            self._subscribers = (*self._subscribers, subscriber)
            try:
                await self._serve(subscriber, request.transport)
            finally:
                self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)
        return socket

    async def _subscriber(
        self, socket: web.WebSocketResponse, reader: _Reader, message: Any, store: Store
    ) -> _Subscriber:
        try:
            body = orjson.loads(message) if isinstance(message, str) else None
        except orjson.JSONDecodeError:
            body = None
        if not is_object(body):
            raise bad_request("A subscription must be a JSON object")
        event_types = body.get("eventTypes")
        if not is_string_list(event_types) or not event_types or not _TYPES.issuperset(event_types):
            raise bad_request("eventTypes must name event types")
        if reader.version == _TODAY:
            reader = _reader_of_today(reader, body)
        kinds = _KINDS if reader.version == _TODAY else _KINDS_OF_V1
        kind = kinds.get(str(body.get("entityClass")))
        if kind is None:
            raise bad_request("There are no events of this entityClass")
        chain = body.get("filter")
        wanted = chain.get("filter") if is_object(chain) else chain
        if wanted is not None:
            await store.run(lambda tx: self._check_filter(tx, reader, kind, wanted))
        return _Subscriber(socket, reader, kind, frozenset(event_types), wanted)

    def _check_filter(self, tx: Transaction, reader: _Reader, kind: str, wanted: Any) -> None:
        call = self._call(tx, reader)
        if call is not None:
            _is_found(call, kind, {"id": "none", "contactId": "none"}, wanted)

    async def _serve(self, subscriber: _Subscriber, transport: asyncio.Transport | None) -> None:
        """Send what waits, until either side closes the websocket."""
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(_listen(subscriber.socket)),
            asyncio.create_task(self._send_all(subscriber)),
        ]
        try:
            await asyncio.wait([*tasks, subscriber.end], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        code, reason = subscriber.end.result() if subscriber.end.done() else (WSCloseCode.OK, "")
        await _close(subscriber.socket, transport, code, reason)

    async def _send_all(self, subscriber: _Subscriber) -> None:
        """Send events as they come, and pings at their times."""
        now = asyncio.get_running_loop().time
        interval = self._ping_interval
        next_ping = None if interval is None else now() + interval
        with contextlib.suppress(ConnectionError):
            while True:
                text = _PING
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_ping):
                        text = await subscriber.waiting.get()
                if text == _PING and interval is not None:
                    next_ping = now() + interval
                await subscriber.socket.send_str(text)

    def disconnect_all(self, code: int, reason: str) -> int:
        """Close all websockets, and return how many."""
        subscribers = self._subscribers
        for subscriber in subscribers:
            subscriber.close(code, reason)
        return len(subscribers)


def _is_found(call: Call, kind: str, entity: Json, wanted: Any) -> bool:
    if wanted is None:
        return True
    # A deletion concerns those who looked for the entity.
    kept = {name: value for name, value in entity.items() if name != "deletionDate"}
    with alone(link_entity, kind, kept) as tx:
        if kind == SERVICE:
            index_version(tx, kept)
        return finds(tx, call, kind, _as_for_events(wanted), kept["id"])


def _as_for_events(wanted: Any) -> Any:
    """Return a filter without what the backend does not look at when it tells of a condition.

    Without ``codeType`` nothing but the owner counts: neither tags nor the status (§15.1).
    """
    if not is_object(wanted):
        return wanted
    if wanted.get("$type") == _BY_TAGS and wanted.get("codeType") is None:
        ignored = ("tagType", "tagCode", "status")
        return {name: value for name, value in wanted.items() if name not in ignored}
    changed: Json = {name: _as_for_events(wanted[name]) for name in _INNER if name in wanted}
    if is_list(members := wanted.get("filters")):
        changed["filters"] = [_as_for_events(member) for member in members]
    return {**wanted, **changed}


def _reader_of_today(reader: _Reader, body: Json) -> _Reader:
    """Return a reader in the form that its subscription asks for (§14.9)."""
    keys = list_in(body, "accessControlKeys")
    if not is_string_list(keys):
        raise bad_request("accessControlKeys must be a list of strings")
    return attrs.evolve(
        reader,
        standard=body.get("useCardinalModelSerialization") is True,
        delegation_keys=frozenset(delegation_key(key_bytes(key)) for key in keys),
    )


def _text(call: Call, change: Change, version: Literal[1, 2]) -> str:
    is_today = version == _TODAY
    kind, entity = change.kind, change.entity
    if kind == "user":
        shown = show_user_v2(call, entity) if is_today else show_user(entity)
    elif kind == SERVICE:
        shown = show_service_v2(call, entity) if is_today else show_service(call, entity)
    else:
        shown = show_v2(call, kind, entity) if is_today else show(kind, entity)
    return orjson.dumps(shown).decode()


async def _listen(socket: web.WebSocketResponse) -> None:
    """Read what the client has to say, which is "pong", until it goes."""
    while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        pass


async def _close(
    socket: web.WebSocketResponse, transport: asyncio.Transport | None, code: int, reason: str
) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await socket.close(code=code, message=reason[:_LONGEST_REASON].encode())
            return
    # The client does not even read the goodbye.
    if transport is not None:
        transport.abort()
