"""Websockets of today's flavour: opened with the session's token, and the first text on them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from icure_async.entities.event_feed import Feeds
from icure_async.entities.event_source import EventBackend, EventSource, Wanted
from icure_async.entities.events import USER_EVENTS, EventKind
from icure_async.errors import AuthenticationError, InvalidResponseError, PermissionDeniedError
from icure_async.models import Patient, PatientsByIdsFilter
from icure_async.models.events import Reconnection
from icure_async.rest.dialects import CARDINAL
from icure_async.rest.session import Session
from icure_async.rest.transport import Transport
from tests.support.leaks import assert_secret_free
from tests.support.loopback import Backend, Clock, login_answer, open_session, token

SUBSCRIBE = "GET /ws/v2/notification/subscribe"
ACCESS, OTHER_ACCESS = token(name="access"), token(name="other")


class Socket:
    """The backend's side of websockets: takes one text on each."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = {f"Bearer {access}" for access in accepted}
        self.texts: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers)
        if request.headers.get("Authorization") not in self.accepted:
            return web.Response(status=401, headers={"X-Request-Id": "r-5"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.texts.append((await socket.receive()).data)
        await socket.receive()
        return socket


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[Backend]:
    async with Backend(clock, "/rest/v2") as running:
        running.on("POST /auth/login", login_answer(ACCESS), login_answer(OTHER_ACCESS))
        running.on("GET /user/matches", 404)
        yield running


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    return open_session(transport, backend.base_url, dialect=CARDINAL)


async def open_and_say(session: Session, text: str) -> None:
    socket = await session.open_websocket("/notification/subscribe", action="subscribe")
    await socket.send(text)
    await socket.aclose()


async def test_a_websocket_is_opened_with_the_token_and_without_a_ticket(
    backend: Backend, session: Session
) -> None:
    socket = Socket(ACCESS)
    backend.on(SUBSCRIBE, socket)

    await open_and_say(session, "hello")

    assert backend.calls == ["POST /auth/login", "GET /user/matches", SUBSCRIBE]
    assert backend.seen[-1].query == ""
    assert socket.texts == ["hello"]


async def test_a_refused_token_leads_to_another_login(backend: Backend, session: Session) -> None:
    socket = Socket(OTHER_ACCESS)
    backend.on(SUBSCRIBE, socket)

    await open_and_say(session, "hello")

    assert backend.calls.count("POST /auth/login") == 2
    assert [seen.authorization for seen in backend.seen if seen.path.startswith("/ws")] == [
        f"Bearer {ACCESS}",
        f"Bearer {OTHER_ACCESS}",
    ]


async def test_a_token_that_stays_refused_is_an_error_without_it(
    backend: Backend, session: Session
) -> None:
    backend.on(SUBSCRIBE, Socket())
    with pytest.raises(AuthenticationError, match="Could not subscribe") as caught:
        await open_and_say(session, "hello")
    assert caught.value.request_id == "r-5"
    assert backend.calls.count(SUBSCRIBE) == 2
    assert_secret_free(caught.value, ACCESS, OTHER_ACCESS)


async def test_other_refusals_lead_to_no_login(backend: Backend, session: Session) -> None:
    backend.on(SUBSCRIBE, 403)
    with pytest.raises(PermissionDeniedError):
        await open_and_say(session, "hello")
    backend.on(SUBSCRIBE, {"no": "websocket"})
    with pytest.raises(InvalidResponseError):
        await open_and_say(session, "hello")
    assert backend.calls.count("POST /auth/login") == 1


# The first text


async def opened(documents: Any) -> list[Patient]:
    raise AssertionError


PATIENT_EVENTS: EventKind[Patient] = EventKind(
    noun="patient", wire_class="org.taktik.icure.entities.Patient", route="patient", open=opened
)


async def first_text(
    session: Session, kind: EventKind[Any], access_headers: Any = None, **wanted: Any
) -> dict[str, Any]:
    async def own_id() -> str:
        return "me"

    source = EventSource(
        EventBackend(
            session=session,
            own_id=own_id,
            feeds=Feeds(),
            clock=lambda: 0.0,
            max_bytes=1000,
            access_headers=access_headers,
        ),
        kind,
    )
    text = await source._subscription(
        Wanted(
            **{
                "event_types": ["CREATE", "UPDATE"],
                "filter": None,
                "reconnection": Reconnection(),
                "buffer_size": 10,
                **wanted,
            }
        )
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


async def test_a_subscription_asks_for_whole_records(session: Session) -> None:
    """Today's model lacks members, which saving the record of an event would then remove."""
    assert await first_text(session, PATIENT_EVENTS) == {
        "eventTypes": ["CREATE", "UPDATE"],
        "entityClass": "org.taktik.icure.entities.Patient",
    }


async def test_the_filter_goes_along(session: Session) -> None:
    said = await first_text(session, PATIENT_EVENTS, filter=PatientsByIdsFilter(ids=["a"]))
    assert said["filter"]["filter"]["ids"] == ["a"]


async def test_an_anonymous_user_sends_access_control_keys_for_the_type(session: Session) -> None:
    keys = [bytes([number]) * 16 for number in range(1, 4)]
    asked: list[str] = []

    async def access_headers(entity_type: str) -> Mapping[str, str]:
        asked.append(entity_type)
        parts = [b"".join(keys[:2]), keys[2]]
        header = ",".join(base64.b64encode(part).decode() for part in parts)
        return {"Icure-Access-Control-Keys": header}

    said = await first_text(session, PATIENT_EVENTS, access_headers)

    assert said["accessControlKeys"] == [key.hex() for key in keys]
    assert asked == ["Patient"]
    assert "accessControlKeys" not in await first_text(session, USER_EVENTS, access_headers)
    assert asked == ["Patient"]


async def test_a_user_who_is_known_sends_none(session: Session) -> None:
    async def access_headers(entity_type: str) -> Mapping[str, str]:
        return {}

    assert "accessControlKeys" not in await first_text(session, PATIENT_EVENTS, access_headers)


async def test_the_flavour_of_2023_says_what_it_said(transport: Transport) -> None:
    session = open_session(transport, "http://127.0.0.1:9/rest/v1")
    assert (await first_text(session, PATIENT_EVENTS)).keys() == {"eventTypes", "entityClass"}
