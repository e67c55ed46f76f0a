"""One request and its answer: time limit, retries, and network failures as errors of ours."""

from __future__ import annotations

import functools
import io
import logging
import time
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs
import yarl

from icure_async.errors import (
    BackendError,
    ConfigurationError,
    ICureError,
    NetworkError,
    RequestTimeoutError,
    ValidationError,
)
from icure_async.rest.json_body import dump_json
from icure_async.rest.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import stamina

    from icure_async.rest.connection import Connection

__all__ = ["DEFAULT_TIMEOUT", "Request", "Transport", "retrying"]

_log: Final = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for one request with its answer. The reference waits 600."""

_TOO_MANY_REQUESTS: Final = 429
# A server that asks for more than this gets an error that says how long to wait.
_LONGEST_WAIT: Final = 30.0
_LARGE_BODY_BYTES: Final = 1 << 20


@attrs.frozen(kw_only=True)
class Request:
    """One request.

    Attributes:
        action: what is asked, in words for an error message: "read patient 4711".
        method: HTTP method.
        url: complete and escaped. Never in a repr: the gateway's URLs hold validation codes.
        headers: never in a repr.
        body: a JSON value, or None for a request without body. Never in a repr.
        repeatable: whether sending it twice does no more than sending it once.
        once: not repeatable, and not even sent again after 429: the server may have counted it.
    """

    action: str
    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: object = attrs.field(default=None, repr=False)
    repeatable: bool = False
    once: bool = False


class Transport:
    """Sends requests over a shared connection.

    What is safe to repeat is tried up to three times: repeatable requests that got no answer or a
    passing failure (429, 502, 503, 504), any request that was never sent or was turned away with
    429. ``Retry-After`` is honoured up to 30 s. A time-out is not repeated: it has used up the
    caller's patience already.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self.clock = clock

    async def send(self, request: Request) -> Response:
        """Return the answer, whatever its status.

        Raises:
            NetworkError: no answer, after retries where they are safe.
            RequestTimeoutError: no complete answer within the time limit.
            ValidationError: the body can't be expressed in JSON. Nothing was sent.
            ConfigurationError: what the builder was given can't be used. Nothing was sent.
        """
        data = _encode_body(request)

        async def attempt() -> Response:
            response = await self._send_once(request, data)
            if response.retryable:
                raise _PassingFailureError(response)
            return response

        try:
            return await retrying()(lambda error: _delay(request, error), attempt)
        except _PassingFailureError as failure:
            return failure.response

    async def _send_once(self, request: Request, data: bytes | None) -> Response:
        client_session = self._connection.client_session
        if client_session.closed:
            raise ConfigurationError(
                f"Could not {request.action}: {self._connection.name} is closed. Keep it open "
                "while it is in use."
            )
        # Those of a session that the caller brought go on working inside ours.
        theirs: Sequence[aiohttp.ClientMiddlewareType] = getattr(client_session, "_middlewares", ())
        error: ICureError
        try:
            async with client_session.request(
                request.method,
                yarl.URL(request.url, encoded=True),
                data=_payload(data),
                headers=_headers(request),
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                middlewares=(_guard, *theirs),
            ) as answer:
                response = Response(
                    action=request.action,
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=await answer.read(),
                    received_at=self.clock(),
                )
                _log.debug("%s: HTTP %d", request.action, response.status)
                return response
        except TimeoutError:
            error = RequestTimeoutError(
                f"Could not {request.action}: no answer within {self._timeout.total:g} s. Check "
                "the connection and try again, or allow more time with with_timeout()."
            )
        except aiohttp.ClientSSLError as failure:
            error = NetworkError(
                f"Could not {request.action}: no secure connection to "
                f"{failure.host}:{failure.port}, or its certificate is not trusted. Check the URL, "
                "the system's clock and its certificates.",
                maybe_processed=False,
            )
        except aiohttp.ClientConnectorError as failure:
            error = NetworkError(
                f"Could not {request.action}: no connection to {failure.host}:{failure.port}. "
                "Check the URL and the network, and try again.",
                maybe_processed=False,
            )
        except ValueError:
            error = ConfigurationError(
                f"Could not {request.action}: this makes no valid HTTP request. Check the URLs, "
                "user name and ids, and the session given to with_client_session()."
            )
        except (aiohttp.ClientError, OSError) as failure:
            advice = (
                "Try again."
                if request.repeatable
                else "The server may have done it all the same: check before trying again."
            )
            error = NetworkError(
                f"Could not {request.action}: the connection broke ({_name(failure)}). {advice}"
            )
        # Raised out here, where the client's own error, which may quote the URL, is no context.
        raise error


@functools.cache
def retrying() -> stamina.AsyncRetryingCaller:
    """Return what calls again after a failure. The first call imports it, which takes 25 ms."""
    import stamina

    return stamina.AsyncRetryingCaller(attempts=3, timeout=None, wait_initial=0.1, wait_max=2.0)


class _PassingFailureError(BackendError):
    """Carries a response through the retries."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"Could not {response.action}: HTTP {response.status}")
        self.response = response


class _BrokenConnectionError(aiohttp.ClientError):
    """The connection broke; its text says how."""


async def _guard(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from what it does unasked: sending a PUT or a code twice, keeping cookies."""
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
        # aiohttp repeats every GET, PUT and DELETE that ends with one of these two.
        name = _name(failure)
    else:
        response.cookies = SimpleCookie()
        return response
    raise _BrokenConnectionError(name)


def _name(failure: Exception) -> str:
    return str(failure) if isinstance(failure, _BrokenConnectionError) else type(failure).__name__


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


def _delay(request: Request, error: Exception) -> bool | float:
    if isinstance(error, _PassingFailureError):
        response = error.response
        if request.once or (not request.repeatable and response.status != _TOO_MANY_REQUESTS):
            return False
        delay = response.retry_after
        if delay is None:
            return True
        return delay if delay <= _LONGEST_WAIT else False
    if isinstance(error, RequestTimeoutError) or not isinstance(error, NetworkError):
        return False
    return request.repeatable or not error.maybe_processed


def _headers(request: Request) -> dict[str, str]:
    headers = {"X-Requested-With": "XMLHttpRequest", **request.headers}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    return headers
