"""The pages of the service: ``uvicorn --app-dir examples fastapi_service.app:app --workers 2``."""

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, cast

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from fastapi_service.pages import Html, fragment, joined, page
from fastapi_service.safety import HEADERS, CodeLimit, cookie, refusal_of, remove_cookie, set_cookie
from fastapi_service.service import Service, running_service
from icure_async import EncryptedPatient, MedTechApi, Patient
from icure_async.errors import (
    AuthenticationError,
    AuthenticationProcessError,
    ICureError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.services import UserSession, headers_of, http_status_of, problem_of

log = logging.getLogger(__name__)

SIGN_IN, SESSION = "sign_in", "session"
SESSION_LASTS = timedelta(days=7)
# The SDK solves the captcha that gateways of today ask for, so that people have none to solve.
CAPTCHA: Final = "kerberus"
codes_by_phone = CodeLimit(3, seconds=600)
codes_by_visitor = CodeLimit(20, seconds=600)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Service]]:
    """Run the service from the start of a worker until its last request is answered."""
    async with running_service() as service:
        yield {"service": service}


app = FastAPI(lifespan=lifespan, openapi_url=None)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))


# What the pages are given.


def the_service(request: Request) -> Service:
    """Return the service that ``lifespan`` has started."""
    return cast("Service", request.state.service)


Kit = Annotated[Service, Depends(the_service)]


async def the_session(request: Request, service: Kit) -> UserSession:
    """Return the session of the person who asks."""
    session = await service.sessions.get(cookie(request, SESSION))
    if session is None:
        raise AuthenticationError("Nobody is signed in.")
    return session


Session = Annotated[UserSession, Depends(the_session)]


async def the_api(service: Kit, session: Session) -> AsyncGenerator[MedTechApi]:
    """Give a page the API object of the person who asks."""
    async with service.pool.use(session) as api:
        yield api


Api = Annotated[MedTechApi, Depends(the_api)]
Field = Annotated[str, Form(min_length=1, max_length=200)]


# Signing in: one page asks for the phone number, the next one for the code.


@app.get("/")
async def sign_in_page(request: Request, service: Kit) -> Response:
    """Ask for a phone number."""
    if await service.sessions.get(cookie(request, SESSION)):
        return _go_to("/notes")
    return _sign_in_page()


@app.post("/sign-in")
async def ask_for_code(
    request: Request, service: Kit, phone: Field, first_name: Field, last_name: Field
) -> Response:
    """Have a code sent to a phone, and ask for it on the next page."""
    _count_code(request, phone)
    try:
        process = await service.anonymous.authentication_api.start_authentication(
            recaptcha_type=CAPTCHA,
            phone_number=phone,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=service.doctor_id,
        )
    except ValidationError:
        return _sign_in_page("Write the phone number with + and the country code.", 422)
    response = _go_to("/sign-in/code")
    sign_in_id = await service.processes.add(process)
    set_cookie(response, SIGN_IN, sign_in_id, lasts=timedelta(minutes=30))
    return response


@app.get("/sign-in/code")
async def code_page(request: Request, service: Kit) -> Response:
    """Ask for the code."""
    return await _code_page(request, service)


@app.post("/sign-in/code")
async def bring_code(
    request: Request, service: Kit, code: Annotated[str, Form(max_length=20)]
) -> Response:
    """Sign the person in. Who has no account yet has one now, and a key pair."""
    sign_in_id = cookie(request, SIGN_IN)
    try:
        session_id = await service.processes.complete(
            sign_in_id, code, service.anonymous, service.sessions, token_validity=SESSION_LASTS
        )
    except (AuthenticationProcessError, ValidationError) as error:
        return await _code_page(request, service, error)
    response = _go_to("/notes")
    set_cookie(response, SESSION, session_id, lasts=SESSION_LASTS)
    remove_cookie(response, SIGN_IN)
    return response


@app.post("/sign-in/another-code")
async def ask_for_another_code(request: Request, service: Kit) -> Response:
    """Have another code sent to the same phone."""
    sign_in_id = cookie(request, SIGN_IN)
    process = await service.processes.get(sign_in_id)
    if process is None:
        raise UnknownProcessError("Nobody is about to sign in.")
    _count_code(request, process.login)
    await service.processes.resend(sign_in_id, service.anonymous, recaptcha_type=CAPTCHA)
    return _go_to("/sign-in/code")


@app.post("/sign-out")
async def sign_out(request: Request, service: Kit) -> Response:
    """End the session here, and revoke its token at the backend."""
    result = await service.sessions.sign_out(cookie(request, SESSION), service.pool)
    if result is not None and not result.token_revoked:
        log.warning("A token was not revoked: %s", result.reason)
        return page("not_revoked", status=502)
    response = _go_to("/")
    remove_cookie(response, SESSION)
    return response


# Notes.


@app.get("/notes")
async def list_notes(api: Api, session: Session, service: Kit) -> Response:
    """Show all notes, and with whom the next ones are shared."""
    user = await api.user_api.get_logged_user()
    found = [each async for each in api.patient_api.filter_patients()]
    notes = [each for each in found if each.id != session.data_owner_id]
    notes.sort(key=lambda each: each.created or 0, reverse=True)
    shares = service.doctor_id in user.sharing_data_with.get("all", ())
    return page(
        "notes",
        notes=joined(_entry(each) for each in notes) or fragment("no_notes"),
        sharing=fragment("sharing" if shares else "not_sharing"),
    )


@app.post("/notes")
async def write_note(
    api: Api, text: Annotated[str, Form(min_length=1, max_length=20_000)]
) -> Response:
    """Write a note, encrypted for the person and for those with whom new notes are shared."""
    # Of a patient, the note is encrypted and names are not: nothing personal goes there.
    note = Patient(last_name="Note", note=text.replace("\r\n", "\n"))
    note = await api.patient_api.create_or_modify_patient(note)
    return _go_to(f"/notes/{note.id}")


@app.get("/notes/{note_id}")
async def read_note(api: Api, service: Kit, note_id: str) -> Response:
    """Show a note."""
    note = await api.patient_api.get_patient(note_id)
    readers = note.system_meta_data.delegations if note.system_meta_data else {}
    return page(
        "note",
        text=note.note or "",
        written=_moment(note),
        sharing=fragment("seen" if service.doctor_id in readers else "not_seen", id=note_id),
    )


@app.post("/notes/{note_id}/share")
async def share_note(api: Api, service: Kit, note_id: str) -> Response:
    """Let the doctor read a note."""
    note = await api.patient_api.get_patient(note_id)
    await api.patient_api.give_access_to(note, service.doctor_id)
    return _go_to(f"/notes/{note_id}")


@app.post("/sharing/start")
async def start_sharing(api: Api, service: Kit) -> Response:
    """Share with the doctor what the person writes from now on."""
    await api.user_api.share_all_future_data_with([service.doctor_id])
    return _go_to("/notes")


@app.post("/sharing/stop")
async def stop_sharing(api: Api, service: Kit) -> Response:
    """Share nothing new; what the doctor was given can't be taken back."""
    await api.user_api.stop_sharing_data_with([service.doctor_id])
    return _go_to("/notes")


@app.get("/health")
async def health(service: Kit) -> dict[str, Any]:
    """Tell the load balancer how this worker is; nothing here says who is signed in."""
    numbers = service.pool.statistics
    return {"worker": os.getpid(), "in_use": numbers.in_use, "built": numbers.built}


# Whatever goes wrong.


@app.middleware("http")
async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what comes from elsewhere, answer for errors, and add the headers for safety."""
    status = refusal_of(request)
    try:
        response = await call_next(request) if status is None else _refused(status)
    except Exception as error:
        response = _answer_to(error)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(HTTPException)
async def _no_such_page(_: Request, error: HTTPException) -> Response:
    return _refused(error.status_code)


@app.exception_handler(RequestValidationError)
async def _malformed_form(_: Request, __: Exception) -> Response:
    # Its own answer would repeat what the person has typed.
    return _refused(422)


def _answer_to(error: Exception) -> Response:
    status, problem = http_status_of(error), problem_of(error)
    # Messages of the SDK hold no content, and tracebacks of others no values.
    if isinstance(error, ICureError):
        log.warning("%s: %s", type(error).__name__, error)
    else:
        log.error("An error that nobody has foreseen", exc_info=error)
    if isinstance(error, AuthenticationProcessError):
        return _sign_in_page(problem["detail"], status)
    if status == 401:
        response: Response = _sign_in_page(problem["detail"], status)
        remove_cookie(response, SESSION)
        return response
    response = page("problem", status=status, title=problem["title"], detail=problem["detail"])
    if seconds := headers_of(error).get("Retry-After"):
        response.headers["Retry-After"] = seconds
    return response


def _refused(status: int) -> HTMLResponse:
    problem = {
        404: ("Not found", "There is no such page."),
        422: ("Something is missing", "Go back, and fill in all fields."),
    }
    title, detail = problem.get(status, ("Refused", "The service does not take this."))
    return page("problem", status=status, title=title, detail=detail)


def _count_code(request: Request, phone: str) -> None:
    codes_by_visitor.count(request.client.host if request.client else "")
    codes_by_phone.count("".join(filter(str.isdecimal, phone)))


# Parts of pages.


def _go_to(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)


def _sign_in_page(problem: str = "", status: int = 200) -> HTMLResponse:
    return page("sign_in", status=status, problem=problem)


async def _code_page(
    request: Request, service: Service, error: Exception | None = None
) -> HTMLResponse:
    process = await service.processes.get(cookie(request, SIGN_IN))
    if process is None:
        return _sign_in_page("Start to sign in again.", 410)
    problem, status = (
        ("", 200) if error is None else (problem_of(error)["detail"], http_status_of(error))
    )
    return page("code", status=status, phone=process.phone_number or "", problem=problem)


def _entry(note: Patient | EncryptedPatient) -> Html:
    if isinstance(note, EncryptedPatient):
        return fragment("closed_entry", written=_moment(note))
    first_line = (note.note or "").partition("\n")[0]
    return fragment("entry", id=note.id, text=first_line[:80], written=_moment(note))


def _moment(note: Patient | EncryptedPatient) -> str:
    seconds = (note.created or 0) / 1000
    return f"{datetime.fromtimestamp(seconds, UTC):%d %B %Y, %H:%M}"
