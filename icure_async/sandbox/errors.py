"""Refusals of an endpoint: one exception that becomes a status and ``{"message": …}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ApiError",
    "ClosingError",
    "DatabaseUnusableError",
    "NotYetError",
    "bad_request",
    "conflict",
    "disk_full",
    "forbidden",
    "not_found",
    "too_large",
    "unauthorized",
    "unprocessable",
]


class ApiError(Exception):
    """A refusal that the caller sees.

    Raised inside a transaction it also undoes what that transaction wrote.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: Mapping[str, str] = headers or {}


class ClosingError(RuntimeError):
    """The sandbox was closed before this began."""

    def __init__(self) -> None:
        super().__init__("The sandbox is closed")


class DatabaseUnusableError(OSError):
    """The file can't be the database of this sandbox; the message names it and says why."""


class NotYetError(Exception):
    """The endpoint waits for something that is not stored yet.

    Attributes:
        seconds: how long it waits at most.
        otherwise: the refusal after that time.
    """

    def __init__(self, seconds: float, otherwise: ApiError) -> None:
        super().__init__("It is not stored yet")
        self.seconds = seconds
        self.otherwise = otherwise


def bad_request(message: str) -> ApiError:
    """Refuse because the request makes no sense as it is."""
    return ApiError(400, message)


def unauthorized(message: str = "Authentication is required") -> ApiError:
    """Refuse because the caller did not prove who it is; never used for a lack of rights."""
    return ApiError(401, message)


def forbidden(message: str = "You are not allowed to do this") -> ApiError:
    """Refuse because the caller is known and may not do this."""
    return ApiError(403, message)


def not_found(message: str) -> ApiError:
    """Refuse because there is nothing under that id."""
    return ApiError(404, message)


def conflict(message: str) -> ApiError:
    """Somebody else wrote first, or the id is in use."""
    return ApiError(409, message)


def unprocessable(message: str) -> ApiError:
    """Refuse what is well-formed and asks for something that can't be."""
    return ApiError(422, message)


def too_large(limit: int) -> ApiError:
    """Refuse because there is more than this number of bytes to read."""
    return ApiError(413, f"The body is larger than {limit // 2**20} MiB")


def disk_full() -> ApiError:
    """Refuse because the file of the database can't be written to."""
    return ApiError(
        507,
        "The database of the sandbox can't be written. Nothing was saved: make room on the disk",
    )
