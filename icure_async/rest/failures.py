"""Failures of requests, as errors of ours that say what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import attrs

from icure_async.errors import (
    ConfigurationError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    RequestTimeoutError,
    ResponseTooLargeError,
)
from icure_async.rest.decoding import BodyTooLargeError, BrokenBodyError, UnknownEncodingError

if TYPE_CHECKING:
    from icure_async.rest.proxies import Proxy

__all__ = ["Attempt", "BrokenConnectionError", "Failure", "explain", "name_of", "refused_by_proxy"]

_PROXY_WANTS_PASSWORD: Final = 407


class BrokenConnectionError(aiohttp.ClientError):
    """The connection broke; its text says how."""


@attrs.frozen(eq=False, repr=False)
class Failure:
    """An attempt without an answer.

    Attributes:
        error: says so.
        is_final: whether another attempt can't help, whatever is asked.
    """

    error: ICureError
    is_final: bool = False


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Attempt:
    """The facts about an attempt that an error message needs.

    Attributes:
        action: what is asked, in words: "read patient 4711".
        repeatable: whether sending it twice does no more than sending it once.
        timeout: seconds for it.
        limit: how many bytes the answer may have.
        proxy: by which it goes, as far as we know.
        session_name: what the user knows a closed client session as; None for an open one.
    """

    action: str
    repeatable: bool
    timeout: float
    limit: int
    proxy: Proxy | None
    session_name: str | None

    def error(self, text: str, *, maybe_processed: bool) -> NetworkError:
        """Return a NetworkError."""
        return NetworkError(f"Could not {self.action}: {text}", maybe_processed=maybe_processed)


def explain(failure: Exception, attempt: Attempt) -> Failure:
    """Return the error for what aiohttp raised, or what we did about a body."""
    for explanation in (_of_time, _of_proxy, _of_connecting, _of_body):
        explained = explanation(failure, attempt)
        if explained is not None:
            return explained
    if isinstance(failure, ValueError):
        return Failure(
            ConfigurationError(
                f"Could not {attempt.action}: this makes no valid HTTP request. Check the URLs, "
                "user name and ids, and the session given to with_client_session()."
            ),
            is_final=True,
        )
    if attempt.session_name is not None:
        return Failure(
            attempt.error(
                f"{attempt.session_name} was closed during the call. Keep it open while it is in "
                "use. The server may have done it all the same: check before trying again.",
                maybe_processed=True,
            ),
            is_final=True,
        )
    return _broken(name_of(failure), attempt)


def refused_by_proxy(status: int, attempt: Attempt) -> Failure:
    """Return the error for a proxy that does not connect us to the server."""
    name = attempt.proxy.name if attempt.proxy else "a proxy"
    if status == _PROXY_WANTS_PASSWORD:
        text = (
            f"{name} asks for a user name and a password, or refuses those it got (HTTP {status}). "
            "Put them into its URL, http://user:password@host:port, with %-escapes."
        )
    else:
        text = (
            f"{name} makes no connection to the server (HTTP {status}). Check the URL, and ask "
            "those who run the proxy whether it lets this host through."
        )
    return Failure(attempt.error(text, maybe_processed=False), is_final=status < 500)


def name_of(failure: Exception) -> str:
    """Return the known facts about a broken connection."""
    return str(failure) if isinstance(failure, BrokenConnectionError) else type(failure).__name__


def _broken(how: str, attempt: Attempt) -> Failure:
    advice = (
        "Try again."
        if attempt.repeatable
        else "The server may have done it all the same: check before trying again."
    )
    text = f"the connection broke ({how}). {advice}"
    return Failure(attempt.error(text, maybe_processed=True))


def _of_time(failure: Exception, attempt: Attempt) -> Failure | None:
    if not isinstance(failure, TimeoutError):
        return None
    # A time-out has used up the caller's patience, so it is final.
    was_sent = not isinstance(failure, aiohttp.ConnectionTimeoutError)
    what = f"no answer within {attempt.timeout:g} s" if was_sent else "no connection in time"
    error = RequestTimeoutError(
        f"Could not {attempt.action}: {what}. Check the connection and try again, or allow more "
        "time with with_timeout().",
        maybe_processed=was_sent,
    )
    return Failure(error, is_final=True)


def _of_proxy(failure: Exception, attempt: Attempt) -> Failure | None:
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(failure.status, attempt)
    proxy = attempt.proxy
    is_proxy = isinstance(failure, aiohttp.ClientProxyConnectionError) or (
        isinstance(failure, aiohttp.ClientConnectorDNSError)
        and proxy is not None
        and failure.host == proxy.url.raw_host
    )
    if not is_proxy or not isinstance(failure, aiohttp.ClientConnectorError):
        return None
    name = proxy.name if proxy else "the proxy"
    text = (
        f"no connection to {name}, at {failure.host}:{failure.port}. Check its URL and the "
        "network, and try again."
    )
    return Failure(attempt.error(text, maybe_processed=False))


def _of_connecting(failure: Exception, attempt: Attempt) -> Failure | None:
    if isinstance(failure, aiohttp.ClientSSLError):
        text = (
            f"no secure connection to {failure.host}:{failure.port}, or its certificate is not "
            "trusted. Check the URL, the system's clock and its certificates; a private authority "
            "goes into with_ssl_context(), or the file that SSL_CERT_FILE names."
        )
    elif isinstance(failure, aiohttp.ClientConnectorError):
        text = (
            f"no connection to {failure.host}:{failure.port}. Check the URL and the network, and "
            "try again."
        )
    else:
        return None
    return Failure(attempt.error(text, maybe_processed=False))


def _of_body(failure: Exception, attempt: Attempt) -> Failure | None:
    error: ICureError
    if isinstance(failure, BrokenBodyError):
        return _broken("the body is cut or damaged", attempt)
    if isinstance(failure, BodyTooLargeError):
        error = ResponseTooLargeError(
            f"Could not {attempt.action}: the answer is larger than {attempt.limit:,} bytes. Ask "
            "for less at a time, or allow more with with_max_response_size()."
        )
    elif isinstance(failure, UnknownEncodingError):
        error = InvalidResponseError(
            f"Could not {attempt.action}: the answer is compressed in a way that this program does "
            "not understand. Check the URL and what is between this program and the server."
        )
    else:
        return None
    return Failure(error, is_final=True)
