# ruff: noqa: INP001, T201
"""A web service on aiohttp that speaks JSON: sign-in by SMS, notes, sharing, signing out.

One worker, and all that it keeps in files. ``python examples/aiohttp_service.py`` runs it on a
sandbox, unless the environment names a backend.
"""

import json
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from icure_async import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    EncryptedPatient,
    MedTechApiBuilder,
    Patient,
)
from icure_async.errors import AuthenticationError, ICureError, ValidationError
from icure_async.services import (
    ApiPool,
    ProcessStore,
    SessionStore,
    UserSession,
    headers_of,
    http_status_of,
    problem_of,
)
from icure_async.storage import (
    EncryptedKeyStorage,
    EncryptedStorage,
    FileStorage,
    derive_user_key,
)
from icure_sync.sandbox import Sandbox

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

ANONYMOUS = web.AppKey("anonymous", AnonymousMedTechApi)
POOL = web.AppKey("pool", ApiPool)
PROCESSES = web.AppKey("processes", ProcessStore)
SESSIONS = web.AppKey("sessions", SessionStore)
DOCTOR_ID = web.AppKey("doctor_id", str)
ALLOW_HTTP = web.AppKey("allow_http", bool)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@routes.post("/sign-in")
async def ask_for_code(request: web.Request) -> web.Response:
    """Have a code sent: ``{"phone": …, "first_name": …, "last_name": …}``."""
    phone, first_name, last_name = await texts(request, "phone", "first_name", "last_name")
    process = await request.app[ANONYMOUS].authentication_api.start_authentication(
        recaptcha_type="kerberus",
        phone_number=phone,
        first_name=first_name,
        last_name=last_name,
        healthcare_professional_id=request.app[DOCTOR_ID],
    )
    response = web.json_response({"phone": process.phone_number})
    set_cookie(request, response, "sign_in", await request.app[PROCESSES].add(process))
    return response


@routes.post("/sign-in/code")
async def bring_code(request: web.Request) -> web.Response:
    """Sign the person in: ``{"code": …}``."""
    (code,) = await texts(request, "code")
    session_id = await request.app[PROCESSES].complete(
        request.cookies.get("sign_in"), code, request.app[ANONYMOUS], request.app[SESSIONS]
    )
    response = web.Response(status=204)
    set_cookie(request, response, "session", session_id)
    response.del_cookie("sign_in")
    return response


@routes.post("/sign-out")
async def sign_out(request: web.Request) -> web.Response:
    """End the session here, and revoke its token at the backend; repeat it where that fails."""
    result = await request.app[SESSIONS].sign_out(request.cookies.get("session"), request.app[POOL])
    if result is not None and not result.token_revoked:
        log.warning("A token was not revoked: %s", result.reason)
        return web.json_response({"token_revoked": False}, status=502)
    response = web.Response(status=204)
    response.del_cookie("session")
    return response


@routes.get("/notes")
async def list_notes(request: web.Request) -> web.Response:
    """Return all notes, the newest first."""
    session = await session_of(request)
    async with request.app[POOL].use(session) as api:
        found = [each async for each in api.patient_api.filter_patients()]
    notes = [each for each in found if each.id != session.data_owner_id]
    notes.sort(key=lambda each: each.created or 0, reverse=True)
    return web.json_response([as_json(note) for note in notes])


@routes.post("/notes")
async def write_note(request: web.Request) -> web.Response:
    """Write a note: ``{"text": …}``."""
    (text,) = await texts(request, "text")
    async with request.app[POOL].use(await session_of(request)) as api:
        # Of a patient, the note is encrypted and names are not: nothing personal goes there.
        note = await api.patient_api.create_or_modify_patient(Patient(last_name="Note", note=text))
    return web.json_response(as_json(note), status=201)


@routes.get("/notes/{id}")
async def read_note(request: web.Request) -> web.Response:
    """Return a note."""
    async with request.app[POOL].use(await session_of(request)) as api:
        note = await api.patient_api.get_patient(request.match_info["id"])
    return web.json_response(as_json(note))


@routes.post("/notes/{id}/share")
async def share_note(request: web.Request) -> web.Response:
    """Let the doctor read a note."""
    async with request.app[POOL].use(await session_of(request)) as api:
        note = await api.patient_api.get_patient(request.match_info["id"])
        await api.patient_api.give_access_to(note, request.app[DOCTOR_ID])
    return web.Response(status=204)


@routes.post("/sharing/start")
async def start_sharing(request: web.Request) -> web.Response:
    """Share with the doctor what the person writes from now on."""
    async with request.app[POOL].use(await session_of(request)) as api:
        await api.user_api.share_all_future_data_with([request.app[DOCTOR_ID]])
    return web.Response(status=204)


@routes.post("/sharing/stop")
async def stop_sharing(request: web.Request) -> web.Response:
    """Share nothing new; what the doctor was given can't be taken back."""
    async with request.app[POOL].use(await session_of(request)) as api:
        await api.user_api.stop_sharing_data_with([request.app[DOCTOR_ID]])
    return web.Response(status=204)


@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """Tell how the service is; nothing here says who is signed in."""
    return web.json_response({"in_use": request.app[POOL].statistics.in_use})


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another origin has sent, and answer for errors."""
    if request.method not in {"GET", "HEAD"} and not is_from_own_page(request):
        return web.Response(status=403, text="This comes from elsewhere.")
    try:
        return await handler(request)
    except ICureError as error:
        log.warning("%s: %s", type(error).__name__, error)
        body = json.dumps(problem_of(error)).encode()
        return web.Response(body=body, status=http_status_of(error), headers=headers_of(error))


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Let nobody keep an answer, or take it for something else."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def is_from_own_page(request: web.Request) -> bool:
    """Return whether a page of this origin has sent a request, as browsers say."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("Origin", ""))
    return bool(origin.netloc) and origin.netloc == request.host


def set_cookie(request: web.Request, response: web.Response, name: str, value: str) -> None:
    """Give the browser a cookie that no script reads and no other site makes it send."""
    secure = not request.app[ALLOW_HTTP]
    response.set_cookie(name, value, httponly=True, samesite="Lax", secure=secure)


async def session_of(request: web.Request) -> UserSession:
    """Return the session of the person who asks."""
    session = await request.app[SESSIONS].get(request.cookies.get("session"))
    if session is None:
        raise AuthenticationError("Nobody is signed in.")
    return session


async def texts(request: web.Request, *names: str) -> list[str]:
    """Return members of the JSON object that was sent, all of them texts that are not empty."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    values = [body.get(name) for name in names] if isinstance(body, dict) else [None]
    if not all(isinstance(value, str) and value for value in values):
        raise ValidationError(f"The request needs a JSON object with the texts {names}.")
    return [str(value) for value in values]


def as_json(note: Patient | EncryptedPatient) -> dict[str, Any]:
    """Return a note as the service answers it; a text of None is one that no key here opens."""
    text = None if isinstance(note, EncryptedPatient) else note.note
    return {"id": note.id, "text": text, "created": note.created}


async def connections(app: web.Application) -> AsyncGenerator[None]:
    """Open what the handlers need in the event loop, and close it after the last request."""
    folder, secret = Path(os.environ["SERVICE_FOLDER"]), os.environ["SERVICE_SECRET"]
    # A thief needs the secret as well as the folder. The FastAPI example has a key for each person.
    key = derive_user_key(secret, "the service itself")
    state = EncryptedStorage(FileStorage(folder / "state"), key=key)
    keys = EncryptedKeyStorage.over(FileStorage(folder / "keys"), key=key)
    anonymous = AnonymousMedTechApiBuilder.from_env(user_type="patient")
    builder = MedTechApiBuilder.from_env().with_storage(state).with_key_storage(keys)
    async with AsyncExitStack() as stack:
        app[ANONYMOUS] = await stack.enter_async_context(
            anonymous.with_storage(state).with_key_storage(keys).build()
        )
        app[POOL] = await stack.enter_async_context(ApiPool(builder))
        app[PROCESSES], app[SESSIONS] = ProcessStore(state), SessionStore(state)
        app[DOCTOR_ID] = os.environ["DOCTOR_ID"]
        app[ALLOW_HTTP] = os.environ.get("ALLOW_HTTP") == "1"
        yield


def application() -> web.Application:
    """Return the application, for a server that runs it."""
    app = web.Application(middlewares=[guard], client_max_size=100_000)
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(connections)
    return app


def main() -> None:
    """Run the service; on a sandbox of its own, unless the environment names a backend."""
    with ExitStack() as stack:
        if "ICURE_URL" not in os.environ:
            sandbox = stack.enter_context(Sandbox())
            os.environ |= sandbox.environment
            os.environ["DOCTOR_ID"] = sandbox.master_hcp.data_owner_id
            os.environ["SERVICE_FOLDER"] = stack.enter_context(TemporaryDirectory())
            os.environ["SERVICE_SECRET"] = secrets.token_urlsafe(32)
            os.environ["ALLOW_HTTP"] = "1"
            print(f"Codes arrive at {sandbox.page_url}")
        port = int(os.environ.get("PORT", "8080"))
        web.run_app(application(), host="127.0.0.1", port=port)


if __name__ == "__main__":
    main()
