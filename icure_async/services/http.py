"""HTTP answers for errors of the SDK: a status, and a body as in RFC 9457, without content."""

from __future__ import annotations

import math
import re
from http import HTTPStatus
from typing import Any, Final

from icure_async import errors
from icure_async.errors import BackendError, BatchError

__all__ = ["PROBLEM_JSON", "headers_of", "http_status_of", "problem_of"]

PROBLEM_JSON: Final = "application/problem+json"
"""The content type of :func:`problem_of`."""

_SIGN_IN_AGAIN: Final = "Sign in again."
_TRY_LATER: Final = "Try again later."
_FAULT_OF_OURS: Final = "The service can't do this now. Those who run it find more in its log."
_NEW_CODE: Final = "Ask for another code."

_ANSWERS: Final[dict[type[Exception], tuple[int, str]]] = {
    errors.ICureError: (500, _FAULT_OF_OURS),
    errors.ConfigurationError: (500, _FAULT_OF_OURS),
    errors.WrongArgumentsError: (500, _FAULT_OF_OURS),
    errors.UnknownNameError: (500, _FAULT_OF_OURS),
    errors.ValidationError: (422, "A value is malformed."),
    errors.StorageError: (503, _TRY_LATER),
    errors.PoolBusyError: (503, _TRY_LATER),
    errors.PoolClosedError: (503, _TRY_LATER),
    errors.BackupError: (422, "The backup can't be used."),
    errors.CryptoError: (409, "The keys that are here do not allow this."),
    errors.KeyPairNotFoundError: (409, "The keys of this user are on another device."),
    errors.DecryptionError: (403, "The keys that are here do not open this record."),
    errors.NetworkError: (502, _TRY_LATER),
    errors.RequestTimeoutError: (504, _TRY_LATER),
    errors.BackendError: (502, _TRY_LATER),
    errors.BadRequestError: (422, "A value is not accepted."),
    errors.UserExistsError: (409, "Another user has this login, email address or phone number."),
    errors.WeakPasswordError: (422, "The password is too short."),
    errors.PermissionDeniedError: (403, "You may not do this."),
    errors.NotFoundError: (404, "There is no such thing."),
    errors.ConflictError: (409, "Somebody else has changed this: read it again."),
    errors.TooManyRequestsError: (429, _TRY_LATER),
    errors.ServerError: (502, _TRY_LATER),
    errors.InvalidResponseError: (502, _FAULT_OF_OURS),
    errors.ResponseTooLargeError: (502, "Ask for less at a time."),
    errors.AuthenticationError: (401, _SIGN_IN_AGAIN),
    errors.TokenExpiredError: (401, _SIGN_IN_AGAIN),
    errors.SecondFactorRequiredError: (401, "Sign in with a second factor."),
    errors.SecondFactorRefusedError: (401, "The code of the second factor is wrong."),
    errors.ElevationRequiredError: (403, "This needs a stronger sign-in."),
    errors.AuthenticationProcessError: (400, "Start to sign in again."),
    errors.InvalidCodeError: (422, "The code is wrong."),
    errors.CodeExpiredError: (410, _NEW_CODE),
    errors.UnknownProcessError: (410, "Start to sign in again."),
    errors.CaptchaRefusedError: (422, "Solve the captcha again."),
    errors.TooManyAttemptsError: (429, _NEW_CODE),
    errors.ProcessStateError: (409, "Start to sign in again."),
}
_UNFORESEEN: Final = (500, _FAULT_OF_OURS)
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def http_status_of(error: BaseException) -> int:
    """Return the HTTP status with which a service answers where an error has ended a request.

    It is about the client of the service: a backend that fails is a 502 there, and a token that has
    expired a 401. Of a :class:`~icure_async.errors.BatchError` it is the status that all its
    errors have, or 500 where they differ. Errors that are not of the SDK are a 500.

    Args:
        error: that a call of the SDK has raised.

    Example:
        >>> http_status_of(NotFoundError("There is no patient 4711."))
        404
    """
    return _answer_to(error)[0]


def problem_of(error: BaseException) -> dict[str, Any]:
    """Return the members of an answer of type ``application/problem+json`` (RFC 9457).

    Nothing of the error's message, and nothing of a record, is in it: write the message to the log.
    ``type`` names the class of the error, in a form that stays the same; ``retryAfter``, in
    seconds, is there where the backend has said how long to wait.

    Args:
        error: that a call of the SDK has raised.

    Example:
        >>> problem_of(NotFoundError("There is no patient 4711."))["detail"]
        'There is no such thing.'
    """
    status, detail = _answer_to(error)
    problem: dict[str, Any] = {
        "type": f"urn:icure:error:{_name_of(error)}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    seconds = _retry_after(error)
    if seconds is not None:
        problem["retryAfter"] = seconds
    return problem


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that go with :func:`problem_of`: the content type, and ``Retry-After``.

    Args:
        error: that a call of the SDK has raised.

    Example:
        >>> headers_of(TooManyRequestsError("Slow down.", retry_after=3))["Retry-After"]
        '3'
    """
    seconds = _retry_after(error)
    headers = {"Content-Type": PROBLEM_JSON, "Cache-Control": "no-store"}
    return headers if seconds is None else {**headers, "Retry-After": str(seconds)}


def _answer_to(error: BaseException) -> tuple[int, str]:
    if isinstance(error, BatchError):
        answers = {_answer_to(one) for one in error.errors}
        return answers.pop() if len(answers) == 1 else (500, "Some of the records were not saved.")
    # The nearest one: an application may derive classes of its own.
    return next((_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS), _UNFORESEEN)


def _name_of(error: BaseException) -> str:
    known = (cls for cls in type(error).__mro__ if cls in _ANSWERS or cls is BatchError)
    name = next((cls.__name__ for cls in known), "InternalError")
    return _HUMP.sub("-", name.removesuffix("Error")).lower()


def _retry_after(error: BaseException) -> int | None:
    if not isinstance(error, BackendError) or error.retry_after is None:
        return None
    # Whole seconds, as the header wants them.
    return math.ceil(error.retry_after) if math.isfinite(error.retry_after) else None
