"""Refusals of the message gateway, as errors that hold the process after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.authentication.process import (
    AuthenticationEvent,
    AuthenticationProcess,
    AuthenticationState,
    advance,
)
from icure_async.errors import (
    AuthenticationProcessError,
    BackendError,
    BadRequestError,
    CaptchaRefusedError,
    CodeExpiredError,
    InvalidCodeError,
    TooManyAttemptsError,
    UnknownProcessError,
)
from icure_async.rest.responses import has_no_such_route

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENT_BY_STATE", "challenge_failure", "code_refusal", "failure", "start_failure"]

_State = AuthenticationState
_Event = AuthenticationEvent

_TOO_MANY: Final = 429
_NOT_FOUND: Final = 404
_REFUSALS: Final = range(400, 500)
_REFUSED_CONTENT: Final = frozenset({400, 422})

# Not said of the last one that may be tried: where the gateway says so, it is too many attempts.
_WRONG_CODE: Final = (
    "The validation code is wrong. Try again with the same process and the right code. After a few "
    "wrong ones a process is closed: then resend() gets another code."
)

_FAILURES: Final[Mapping[AuthenticationEvent, tuple[type[AuthenticationProcessError], str]]] = {
    _Event.CODE_REFUSED: (
        InvalidCodeError,
        _WRONG_CODE,
    ),
    _Event.CODE_EXPIRED: (
        CodeExpiredError,
        "The validation code is too old, or was used already. Ask for another with resend().",
    ),
    _Event.PROCESS_UNKNOWN: (
        UnknownProcessError,
        "The message gateway does not know this authentication process. Start a new one.",
    ),
    _Event.TOO_MANY_ATTEMPTS: (
        TooManyAttemptsError,
        "Too many wrong codes were tried: the process is closed. Get another code with resend().",
    ),
}

# Any other refusal is a wrong code (wire-protocol.md §4 only says that 2xx is right).
_EVENT_BY_STATUS: Final[Mapping[int, AuthenticationEvent]] = {
    _NOT_FOUND: _Event.PROCESS_UNKNOWN,
    410: _Event.CODE_EXPIRED,
    _TOO_MANY: _Event.TOO_MANY_ATTEMPTS,
}

_CAPTCHA_REFUSED: Final = (
    "The message gateway refused the captcha. Let the person solve a new one, and start again."
)
_NO_CHALLENGE: Final = (
    "Older gateways have no captcha for the SDK to solve: then pass the solution of one as "
    "recaptcha. Nothing was sent to the person."
)
_PROFESSIONAL_NEEDED: Final = (
    "The message gateway refuses to start this process. Patients who are new need "
    "healthcare_professional_id: the id of a healthcare professional who is known there. Check the "
    "email address or phone number, too."
)

EVENT_BY_STATE: Final[Mapping[AuthenticationState, AuthenticationEvent]] = {
    _State.EXPIRED: _Event.CODE_EXPIRED,
    _State.LOCKED: _Event.TOO_MANY_ATTEMPTS,
    _State.UNKNOWN: _Event.PROCESS_UNKNOWN,
}
"""The events that closed a process for good."""


def failure(
    process: AuthenticationProcess, event: AuthenticationEvent
) -> AuthenticationProcessError:
    """Return the error for an event that ends an attempt."""
    kind, message = _FAILURES[event]
    after = advance(process, event) if process.state not in EVENT_BY_STATE else process
    return kind(message, process=after)


def code_refusal(
    process: AuthenticationProcess, error: BackendError
) -> AuthenticationProcessError | None:
    """Return the error for a code that the gateway refuses; None where it says nothing about it."""
    status = error.status or 0
    throttled = status == _TOO_MANY and error.retry_after is not None
    if status not in _REFUSALS or throttled:
        return None
    return failure(process, _EVENT_BY_STATUS.get(status, _Event.CODE_REFUSED))


def challenge_failure(process: AuthenticationProcess, error: BackendError) -> BackendError:
    """Return the error where the gateway has no challenge for the SDK to solve."""
    if not has_no_such_route(error):
        return error
    unknown = advance(process, _Event.PROCESS_UNKNOWN)
    advice = f"{_process_unknown(process, error)} {_NO_CHALLENGE}"
    return UnknownProcessError(advice, process=unknown, **_about(error))


def start_failure(process: AuthenticationProcess, error: BackendError) -> BackendError:
    """Return the error for a process that the gateway does not start."""
    status, about = error.status, _about(error)
    captcha_named = "captcha" in (error.server_message or "").lower()
    if status in (401, 403) or (status == 400 and captcha_named):
        # A backend, configured as the gateway by mistake, asks everybody for credentials.
        doubt = "" if captcha_named else " If that goes on, check with_msg_gw_url()."
        refused = advance(process, _Event.CAPTCHA_REFUSED)
        return CaptchaRefusedError(_CAPTCHA_REFUSED + doubt, process=refused, **about)
    if has_no_such_route(error):
        unknown = advance(process, _Event.PROCESS_UNKNOWN)
        return UnknownProcessError(_process_unknown(process, error), process=unknown, **about)
    names_professional = "hcpId" in (error.server_message or "")
    if status in _REFUSED_CONTENT and (
        names_professional or not process.healthcare_professional_id
    ):
        return BadRequestError(_PROFESSIONAL_NEEDED, **about)
    return error


def _about(error: BackendError) -> dict[str, Any]:
    return {
        "status": error.status,
        "request_id": error.request_id,
        "server_message": error.server_message,
    }


def _process_unknown(process: AuthenticationProcess, error: BackendError) -> str:
    url = "check that with_msg_gw_url() is the message gateway's URL, not the backend's or a page's"
    ids = f"with_msg_gw_spec_id() and with_auth_process_by_{process.channel}_id()"
    if error.status != _NOT_FOUND or error.server_message is None:
        return f"No message gateway answers at this address: {url}. If it is, check {ids}."
    return (
        f"The message gateway does not know this application or process: check {ids}. If they are "
        f"right, {url}."
    )
