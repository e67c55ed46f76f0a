"""One request and its answer: time limit, retries, and network failures as errors of ours."""

from __future__ import annotations

import functools
import io
import itertools
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import attrs
import yarl

from icure_async.errors import ConfigurationError, NetworkError, ValidationError
from icure_async.foreign_text import printable
from icure_async.hooks import Hook, RequestOutcome, outgoing, started
from icure_async.rest.calls import Calls
from icure_async.rest.decoding import (
    BodyTooLargeError,
    BrokenBodyError,
    UnknownEncodingError,
    read_body,
)
from icure_async.rest.failures import (
    Attempt,
    Failure,
    explain,
    refused_by_proxy,
)
from icure_async.rest.guards import guard
from icure_async.rest.json_body import dump_json
from icure_async.rest.responses import Response, parsed
from icure_async.rest.retries import AS_USUAL, repeated
from icure_async.rest.streams import Streams
from icure_async.rest.websocket import Websocket, shake_hands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.rest.connection import Connection
    from icure_async.rest.proxies import Proxy
    from icure_async.rest.streams import Download, Upload

__all__ = ["DEFAULT_MAX_RESPONSE_SIZE", "DEFAULT_TIMEOUT", "Request", "Transport"]

Outcome = TypeVar("Outcome", bound="Websocket | Response | Failure")

_log: Final = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for one request with its answer. The reference waits 600."""

DEFAULT_MAX_RESPONSE_SIZE: Final = 64 << 20
"""Bytes of an answer, decompressed."""

_TOO_MANY_REQUESTS: Final = 429
_PROXY_REFUSES: Final = 407
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_SUCCESS: Final = 200
_FIRST_REDIRECTION: Final = 300
_FIRST_ERROR: Final = 400
# Connecting may take so much of the time; a request that ends before was certainly not sent.
_CONNECTING: Final = 0.9
# A server that asks for more than this gets an error that says how long to wait.
_LONGEST_WAIT: Final = 30.0
_LARGE_BODY_BYTES: Final = 1 << 20
_FAILURES: Final = (
    *(aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError),
    *(BodyTooLargeError, BrokenBodyError, UnknownEncodingError),
)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Request:
    """One request.

    Attributes:
        action: what is asked, in words for an error message: "read patient 4711". Ids in it may
            come from a server, so it is made printable.
        method: HTTP method.
        url: complete and escaped. Never in a repr: the gateway's URLs hold validation codes.
        headers: never in a repr.
        body: a JSON value, or None for a request without body. Never in a repr.
        repeatable: whether sending it twice does no more than sending it once.
        once: not repeatable, and not even sent again after 429: the server may have counted it.
        passing_failures: further statuses after which it is sent again, where it is repeatable.
        upload: a body that is sent piece by piece, in place of ``body``.
        download: takes the body of a success piece by piece; that of the answer is then empty.
    """

    action: str = attrs.field(converter=printable)
    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: object = None
    repeatable: bool = False
    once: bool = False
    passing_failures: frozenset[int] = frozenset()
    upload: Upload | None = None
    download: Download | None = None

    @property
    def is_stream(self) -> bool:
        """True if it takes as long as its bodies take."""
        return self.upload is not None or self.download is not None

    @property
    def can_be_sent(self) -> bool:
        """True unless its body can be read once only, and has been."""
        return self.upload is None or not self.upload.is_spent


class Transport:
    """Sends the requests of one API object over a shared connection.

    Requests that are safe to repeat are tried up to three times: repeatable requests that got no
    answer or a passing failure (429, 502, 503, 504, and those that the request names), any request
    that was never sent or was turned away with 429. ``Retry-After`` is honoured up to 30 s. A
    time-out is not repeated: it has used up the caller's patience already. A body that can be read
    once only is sent once.

    Args:
        connection: shared with other API objects.
        timeout: seconds for one request with its answer, once there is a free connection for it. A
            request with streams may take longer, and the server may be silent for so long.
        max_response_size: bytes of an answer, decompressed; not of one that is a stream.
        clock: epoch seconds.
        calls: of the API object, which may be closed; by default a request is a call of its own.
        hooks: told of each attempt.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_response_size: int = DEFAULT_MAX_RESPONSE_SIZE,
        clock: Callable[[], float] = time.time,
        calls: Calls | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._connection = connection
        self._hooks = hooks
        self._seconds = timeout
        self._timeout = aiohttp.ClientTimeout(
            total=timeout, connect=timeout * _CONNECTING, ceil_threshold=math.inf
        )
        self._timeout_of_streams = attrs.evolve(self._timeout, total=None)
        self._max_response_size = max_response_size
        self.clock = clock
        self._calls = calls or Calls("This API object", connection)

    def check(self, action: str) -> None:
        """Refuse what could not be sent from here.

        Raises:
            ConfigurationError: the API object is closed, or was made in another event loop.
        """
        with self._calls.call(printable(action)):
            pass

    async def send(self, request: Request) -> Response:
        """Return the answer, whatever its status.

        Raises:
            NetworkError: no answer, after retries where they are safe.
            RequestTimeoutError: no complete answer within the time limit.
            ResponseTooLargeError: the answer is larger than allowed.
            ValidationError: the body can't be expressed in JSON. Nothing was sent.
            ConfigurationError: the API object is closed, or what the builder was given can't be
                used. Nothing was sent.
        """
        data = _encode_body(request)
        attempt = self._observed(request, functools.partial(self._send_once, request, data))
        outcome = await self._calls.request(
            request.action,
            lambda: repeated(
                attempt,
                lambda outcome: _wait_after(request, outcome),
                before_wait=lambda seconds: _log.debug(
                    "%s: trying again in %.1f s", request.action, seconds
                ),
            ),
        )
        # Raised out here, where the client's own error, which may quote the URL, is no context.
        if isinstance(outcome, Failure):
            raise outcome.error
        return await parsed(outcome)

    async def open_websocket(self, request: Request) -> Websocket:
        """Make one attempt to open a websocket.

        Raises:
            NetworkError: no answer.
            BackendError: one of its subclasses, by the status of a refusal.
            ConfigurationError: the API object is closed, or no connection would be left for
                requests. Nothing was sent.
        """
        attempt = self._observed(request, functools.partial(self._shake_hands, request))
        outcome = await self._calls.request(request.action, attempt)
        if isinstance(outcome, Failure):
            raise outcome.error
        if isinstance(outcome, Websocket):
            return outcome
        error = outcome.error() if outcome.status >= _FIRST_REDIRECTION else None
        raise error or outcome.invalid(
            "the server does not speak the protocol of websockets; check the URL, and whether a "
            "proxy on the way lets websockets through"
        )

    def _observed(
        self, request: Request, attempt: Callable[[], Awaitable[Outcome]]
    ) -> Callable[[], Awaitable[Outcome]]:
        """Return a function that makes an attempt and tells the hooks of it, if there are any."""
        if not self._hooks:
            return attempt
        attempts = itertools.count()

        async def observed() -> Outcome:
            begun = time.perf_counter()
            end = started(self._hooks, outgoing(request.method, request.url, next(attempts)))
            status: int | None = None
            error_type: str | None = None
            try:
                outcome = await attempt()
                status, error_type = _seen_in(outcome)
            except BaseException as error:
                error_type = type(error).__name__
                raise
            else:
                return outcome
            finally:
                seconds = time.perf_counter() - begun
                end(RequestOutcome(status_code=status, error_type=error_type, seconds=seconds))

        return observed

    async def _shake_hands(self, request: Request) -> Websocket | Response | Failure:
        connection = self._connection
        proxy = connection.proxy_for(yarl.URL(request.url, encoded=True))
        attempt = self._attempt(request, proxy)
        await connection.slots.keep()
        opened: Websocket | None = None
        try:
            self._require_open_session(request)
            answer = await shake_hands(
                connection,
                request.url,
                proxy,
                self._timeout,
                self._max_response_size,
                request.headers,
            )
            if isinstance(answer, aiohttp.ClientWebSocketResponse):
                opened = Websocket(answer, attempt, connection.slots.give_back)
                return opened
        except _FAILURES as failure:
            return explain(failure, attempt)
        finally:
            if opened is None:
                connection.slots.give_back()
        if answer.status == _PROXY_REFUSES:
            return refused_by_proxy(answer.status, attempt)
        headers = {name.lower(): value for name, value in (answer.headers or {}).items()}
        return Response(request.action, answer.status, headers, b"", self.clock())

    async def _send_once(self, request: Request, data: bytes | None) -> Response | Failure:
        connection = self._connection
        url = yarl.URL(request.url, encoded=True)
        proxy = connection.proxy_for(url)
        # Time runs only from here: to wait for a free connection is not silence of the server.
        async with connection.slots:
            self._require_open_session(request)
            streams = Streams(self._seconds, request.upload, request.download)
            response: Response | Failure
            try:
                if not request.is_stream:
                    response = await self._exchange(request, url, _payload(data), proxy)
                else:
                    async with streams:
                        response = await self._exchange(
                            request, url, streams.body() or _payload(data), proxy, streams
                        )
            except _FAILURES as failure:
                response = explain(failure, self._attempt(request, proxy))
        if streams.failure is not None:
            raise streams.failure
        if not isinstance(response, Response):
            return response
        _log.debug("%s: HTTP %d", request.action, response.status)
        if response.status == _PROXY_REFUSES:
            return refused_by_proxy(response.status, self._attempt(request, proxy))
        return response

    def _require_open_session(self, request: Request) -> None:
        connection = self._connection
        if connection.client_session.closed:
            raise ConfigurationError(
                f"Could not {request.action}: {connection.name} is closed. Keep it open "
                "while it is in use."
            )

    async def _exchange(
        self,
        request: Request,
        url: yarl.URL,
        data: Any,
        proxy: Proxy | None,
        streams: Streams | None = None,
    ) -> Response:
        client_session = self._connection.client_session
        # Those of a session that the caller brought go on working inside ours. They may look at
        # the body, so aiohttp decompresses it for them, although it can't tell whether it is cut.
        theirs: Sequence[aiohttp.ClientMiddlewareType] = getattr(client_session, "_middlewares", ())
        async with client_session.request(
            request.method,
            url,
            data=data,
            headers=_headers(request),
            timeout=self._timeout if streams is None else self._timeout_of_streams,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=bool(theirs),
            middlewares=(guard, *theirs),
            proxy=proxy.url if proxy else None,
            ssl=self._connection.ssl,
        ) as answer:
            encoding = "" if theirs else _encoding(answer)
            body = b""
            if streams is not None and request.download is not None and _is_success(answer):
                await streams.receive(answer, encoding)
            else:
                body = await read_body(answer, limit=self._max_response_size, encoding=encoding)
            return Response(
                action=request.action,
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=body,
                received_at=self.clock(),
            )

    def _attempt(self, request: Request, proxy: Proxy | None) -> Attempt:
        return Attempt(
            action=request.action,
            repeatable=request.repeatable,
            timeout=self._seconds,
            limit=self._max_response_size,
            proxy=proxy,
            session_name=self._connection.name if self._connection.client_session.closed else None,
        )


def _seen_in(outcome: Websocket | Response | Failure) -> tuple[int | None, str | None]:
    """Return the status of an answer and the type of an error, as metrics name them."""
    if isinstance(outcome, Failure):
        return None, type(outcome.error).__name__
    if isinstance(outcome, Websocket):
        return _SWITCHING_PROTOCOLS, None
    is_error = outcome.status >= _FIRST_ERROR
    return outcome.status, str(outcome.status) if is_error else None


def _is_success(answer: aiohttp.ClientResponse) -> bool:
    return _FIRST_SUCCESS <= answer.status < _FIRST_REDIRECTION


def _encoding(answer: aiohttp.ClientResponse) -> str:
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _payload(data: bytes | None) -> bytes | io.BytesIO | None:
    """Return a body for aiohttp, which would write a large one in one go, and warn about it."""
    return io.BytesIO(data) if data and len(data) > _LARGE_BODY_BYTES else data


def _encode_body(request: Request) -> bytes | None:
    if request.body is None:
        return None
    try:
        return dump_json(request.body)
    except TypeError:
        pass
    raise ValidationError(
        f"Could not {request.action}: a value in it can't be expressed in JSON. Nothing was sent."
    )


def _wait_after(request: Request, outcome: Response | Failure) -> float | None:
    """Return how many seconds to wait before another attempt; None if there is none to be made."""
    if not request.can_be_sent:
        return None
    if isinstance(outcome, Failure):
        error = outcome.error
        if outcome.is_final or not isinstance(error, NetworkError):
            return None
        return AS_USUAL if request.repeatable or not error.maybe_processed else None
    is_passing = outcome.retryable or outcome.status in request.passing_failures
    if not is_passing or request.once:
        return None
    if not request.repeatable and outcome.status != _TOO_MANY_REQUESTS:
        return None
    asked = outcome.retry_after
    if asked is None:
        return AS_USUAL
    return asked if asked <= _LONGEST_WAIT else None


def _headers(request: Request) -> dict[str, str]:
    headers = {"X-Requested-With": "XMLHttpRequest", **request.headers}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.upload is not None:
        headers["Content-Type"] = "application/octet-stream"
        if request.upload.size is not None:
            # Else a body that is cut could not be told from a whole one on every way.
            headers["Content-Length"] = str(request.upload.size)
    if request.download is not None:
        # Encrypted bytes can't be compressed.
        headers["Accept-Encoding"] = "identity"
    return headers
