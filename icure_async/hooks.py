"""Hooks around the requests of an API object, for traces and metrics."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Hook", "OutgoingRequest", "RequestOutcome", "outgoing", "started", "template_of"]

_log: Final = logging.getLogger(__name__)

_WORDS: Final = frozenset(
    """
    rest v1 v2 ws msggtw icure v
    auth login refresh invalidate switch token GET notification subscribe
    user current matches 2fa password byEmail byPhoneNumber
    patient maintenancetask hcparty device dataowner stub helement contact form invoice message
    document attachment accesslog calendaritem classification healthelement topic article receipt
    group
    batch full byIds create delete withrev undelete filter match modify bulkSharedMetadataUpdate
    aesExchangeKeys byHcPartySecretForeignKeys delegations
    byDataOwnerPatientOpeningDate byDataOwnerPatientInvoiceDate
    exchangedata byDelegatorDelegate byParticipant counterparts exchangedatamap
    recoverydata forRecipient ofType
    challenge process validate email sms to
    """.split()  # noqa: SIM905
)
"""The segments of paths that stay in a template; every other one might be an id, login or code."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class OutgoingRequest:
    """An attempt to make a request, without anything about a person.

    Attributes:
        method: HTTP method (``http.request.method``).
        server_address: host (``server.address``).
        server_port: port (``server.port``).
        url_scheme: ``"https"`` or ``"http"`` (``url.scheme``).
        url_template: the path with ``{id}`` for everything that may be an id, a login, an address
            or a code (``url.template``). There is no query.
        resend_count: how often the same request was sent before (``http.request.resend_count``).
    """

    method: str
    server_address: str
    server_port: int | None
    url_scheme: str
    url_template: str
    resend_count: int = 0


@attrs.frozen(kw_only=True)
class RequestOutcome:
    """The end of an attempt.

    Attributes:
        status_code: HTTP status (``http.response.status_code``); None where there was no answer.
        error_type: the status as a text where it is 400 or more, else the name of an error's class
            (``error.type``); None for a success.
        seconds: from the attempt to the end of its answer, with the wait for a free connection.
    """

    status_code: int | None
    error_type: str | None
    seconds: float


class Hook:
    """Told of each attempt to make a request. Derive from it, and pass it to ``with_hooks()``.

    Its methods run in the event loop of the SDK, and so must return at once. An error of theirs is
    logged, and breaks no request.
    """

    def start(self, request: OutgoingRequest) -> object:
        """Take note of an attempt that begins.

        Args:
            request: the attempt.

        Returns:
            Anything; it is passed to :meth:`end`.
        """
        del request
        return None

    def end(self, request: OutgoingRequest, outcome: RequestOutcome, state: object) -> None:
        """Take note of the end of an attempt.

        Args:
            request: the attempt.
            outcome: its end.
            state: of this attempt, from :meth:`start`; None where that has failed.
        """


def template_of(url: str) -> str:
    """Return the path of a URL, in which only words of the protocol are left."""
    segments = urlsplit(url).path.split("/")[1:]
    return "".join("/" + _shown(segment.partition(";")[0]) for segment in segments)


def outgoing(method: str, url: str, resend_count: int) -> OutgoingRequest:
    """Return the description of an attempt."""
    parts = urlsplit(url)
    return OutgoingRequest(
        method=method,
        server_address=parts.hostname or "",
        server_port=parts.port or _DEFAULT_PORTS.get(parts.scheme),
        url_scheme=parts.scheme,
        url_template=template_of(url),
        resend_count=resend_count,
    )


def started(hooks: Sequence[Hook], request: OutgoingRequest) -> Callable[[RequestOutcome], None]:
    """Tell hooks of an attempt, and return a function that tells them of its end."""
    states = [_guarded(functools.partial(hook.start, request)) for hook in hooks]

    def end(outcome: RequestOutcome) -> None:
        # The first one to begin is the last one to end, as with blocks.
        for hook, state in reversed([*zip(hooks, states, strict=True)]):
            _guarded(functools.partial(hook.end, request, outcome, state))

    return end


def _shown(segment: str) -> str:
    return segment if segment in _WORDS else "{id}"


def _guarded(call: Callable[[], object]) -> object:
    try:
        return call()
    except (Exception, asyncio.CancelledError):
        # Nobody cancels a plain function: that would be an error of its own, too.
        _log.exception("A hook given to with_hooks() has failed. The request goes on.")
        return None
