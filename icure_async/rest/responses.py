"""The meaning of an answer: its JSON or text, or the error to raise."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    TooManyRequestsError,
)
from icure_async.foreign_text import printable
from icure_async.rest.json_body import INLINE_BYTES, load_json, load_large_json
from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_SUCH_ROUTE", "Response", "has_no_such_route", "parsed", "reference_to"]

NO_SUCH_ROUTE: Final = frozenset({404, 405, 501})
"""The statuses of a server that has no such route."""

_SERVER_MESSAGE_LENGTH: Final = 500
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")

_UNPARSED: Final = object()
_MALFORMED: Final = object()

_ADVICE: Final[Mapping[int, tuple[type[BackendError], str]]] = {
    400: (BadRequestError, "the server finds the request malformed; check the values"),
    401: (
        AuthenticationError,
        "the user name, password or token is refused; log in again with a new code if need be",
    ),
    403: (
        PermissionDeniedError,
        "this user may not do that; ask a data owner with access to share it",
    ),
    404: (NotFoundError, "it does not exist; check the id"),
    409: (
        ConflictError,
        "somebody else changed it, or its id is in use; read it again and change what you read",
    ),
    429: (TooManyRequestsError, "the server asks to slow down; wait and try again"),
}


@attrs.frozen(eq=False, repr=False)
class Response:
    """One answer, read to its end.

    Attributes:
        action: what was asked, in words for an error message: "read patient 4711".
        status: HTTP status.
        headers: header names in lower case.
        body: never in a repr.
        received_at: epoch seconds by the local clock.
    """

    action: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    # The result of parsed().
    _json: object = attrs.field(default=_UNPARSED, kw_only=True)

    @property
    def retryable(self) -> bool:
        """True if the same request may succeed later."""
        return self.status in _RETRYABLE

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait: ``Retry-After`` as a number or a date."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        date = _http_date(value)
        if date is None:
            return None
        # A date of the server's is to be held against the server's clock.
        return max(0.0, date - self.received_at - self.clock_skew)

    @property
    def clock_skew(self) -> float:
        """Seconds the server's clock is ahead of ours, as far as its ``Date`` header tells."""
        date = self.server_time
        return 0.0 if date is None else date - self.received_at

    @property
    def server_time(self) -> float | None:
        """Epoch seconds by the server's clock; None where it has no ``Date`` header."""
        return _http_date(self.headers.get("date", ""))

    @property
    def looks_like_a_page(self) -> bool:
        """True if the body is a web page instead of JSON."""
        return self.body[:INLINE_BYTES].lstrip()[:1] == b"<"

    def error(self) -> BackendError | None:
        """Return the error this answer stands for, or None for a success (2xx)."""
        if 200 <= self.status < 300:
            return None
        kind, advice = _ADVICE.get(self.status, (BadRequestError, _ADVICE[400][1]))
        if self.status >= 500:
            kind, advice = ServerError, "the server failed; try again later"
        elif self.status < 400:
            kind, advice = (
                InvalidResponseError,
                "the server answers with a redirection; check the URLs given to the builder",
            )
        return self._make(kind, f"{advice} (HTTP {self.status})")

    def raise_for_status(self) -> Response:
        """Return the response itself when it is a success.

        Raises:
            BackendError: one of its subclasses, by status.
        """
        error = self.error()
        if error is not None:
            raise error
        return self

    def json(self) -> Any:
        """Return the parsed body of a success.

        Raises:
            InvalidResponseError: the body is empty, truncated, or no JSON at all.
        """
        if not self.body or self.body.isspace():
            raise self.invalid("the server answers with an empty body")
        if self._json is _UNPARSED:
            try:
                return load_json(self.body)
            except ValueError:
                pass
        elif self._json is not _MALFORMED:
            return self._json
        if self.looks_like_a_page:
            raise self.invalid("the server answers with a web page; check the URL")
        raise self.invalid("the server's JSON is truncated or malformed")

    def json_object(self) -> dict[str, Any]:
        """Return the body of a success as a JSON object.

        Raises:
            InvalidResponseError: it is anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise self.invalid("the server's JSON is not an object")
        return cast("dict[str, Any]", value)

    def json_list(self) -> list[Any]:
        """Return the body of a success as a JSON array.

        Raises:
            InvalidResponseError: it is anything else.
        """
        value = self.json()
        if not isinstance(value, list):
            raise self.invalid("the server's JSON is not an array")
        return cast("list[object]", value)

    def text(self) -> str:
        """Return the body of a success as bare text; a JSON string counts as one.

        Raises:
            InvalidResponseError: it is empty, no text, or a web page.
        """
        try:
            text = self.body[:INLINE_BYTES].decode("utf-8").strip()
            if text.startswith('"'):
                text = load_json(self.body)
        except ValueError:
            text = ""
        if (
            len(self.body) > INLINE_BYTES
            or not text
            or text == "null"
            or text.startswith(("<", "{", "["))
        ):
            raise self.invalid("the server answers with something else than a bare text")
        return text

    def invalid(self, reason: str) -> BackendError:
        """Return the error for an answer that the protocol does not allow."""
        return self._make(InvalidResponseError, f"{reason} (HTTP {self.status})")

    @property
    def request_id(self) -> str | None:
        """The ``X-Request-Id`` header, for iCure's support."""
        header = self.headers.get("x-request-id", "")
        # It goes into messages and logs: only a text that looks like an id.
        return header if _REQUEST_ID.fullmatch(header) else None

    @property
    def reference(self) -> str:
        """The last sentence of an error message about this answer, after a blank; or nothing."""
        return reference_to(self.request_id)

    def _make(self, kind: type[BackendError], advice: str) -> BackendError:
        return kind(
            f"Could not {self.action}: {advice}.{self.reference}",
            status=self.status,
            request_id=self.request_id,
            retryable=self.retryable,
            retry_after=self.retry_after,
            server_message=self.server_message,
        )

    @property
    def server_message(self) -> str | None:
        """The words of the server about a failure, where it has any."""
        if len(self.body) > INLINE_BYTES:
            return None
        try:
            value = load_json(self.body)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        message = cast("dict[str, object]", value).get("message")
        return (
            printable(message[:_SERVER_MESSAGE_LENGTH], _SERVER_MESSAGE_LENGTH)
            if isinstance(message, str)
            else None
        )


def reference_to(request_id: str | None) -> str:
    """Return the last sentence of an error message about a request, after a blank; or nothing."""
    return f" Request id: {request_id}." if request_id else ""


async def parsed(response: Response) -> Response:
    """Return a response whose body is parsed, where that would hold up the event loop."""
    if len(response.body) <= INLINE_BYTES or not 200 <= response.status < 300:
        return response
    return attrs.evolve(response, json=await PARSING.run(_parse, response.body))


def _parse(body: bytes) -> object:
    try:
        return load_large_json(body)
    except ValueError:
        return _MALFORMED


def _http_date(text: str) -> float | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
        # Forms without a time zone are UTC all the same (RFC 9110 §5.6.7).
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def has_no_such_route(error: BackendError) -> bool:
    """Return whether a server may not know the route of a request, which names no document."""
    return error.status in NO_SUCH_ROUTE
