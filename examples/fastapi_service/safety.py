"""Safety: headers, cookies, requests that come from elsewhere, and a limit to codes."""

import os
import time
from collections import deque
from datetime import timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response

from icure_async.errors import TooManyRequestsError

# For a trial on your own machine, and for nothing else.
HTTPS_ONLY = os.environ.get("ALLOW_HTTP") != "1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: browsers would send forms without their origin.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
if HTTPS_ONLY:
    HEADERS["Strict-Transport-Security"] = "max-age=31536000"
LARGEST_FORM = 100_000
SAFE_METHODS = {"GET", "HEAD"}


def refusal_of(request: Request) -> int | None:
    """Return the status with which to refuse a request that no page of this service has sent.

    Whatever changes something is sent by a form of one of our own pages. Browsers say where a form
    comes from, and no page of another origin can forge that; SameSite of the cookies comes on top.
    """
    if request.method in SAFE_METHODS:
        return None
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return 411
    if int(length) > LARGEST_FORM:
        return 413
    return None if _is_from_own_page(request) else 403


def _is_from_own_page(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers leave it out where there is no https.
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


def set_cookie(response: Response, name: str, value: str, *, lasts: timedelta) -> None:
    """Give the browser a cookie that no script reads and no other site makes it send."""
    response.set_cookie(
        _full_name(name),
        value,
        max_age=int(lasts.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=HTTPS_ONLY,
    )


def cookie(request: Request, name: str) -> str | None:
    """Return the value of one of our cookies."""
    return request.cookies.get(_full_name(name))


def remove_cookie(response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(_full_name(name), httponly=True, samesite="lax", secure=HTTPS_ONLY)


def _full_name(name: str) -> str:
    # With this prefix, browsers take it from this very host over https, and from nobody else.
    return f"__Host-{name}" if HTTPS_ONLY else name


class CodeLimit:
    """A limit to the codes that are sent to one phone, or for one visitor.

    Each code costs money, and the person who gets it did perhaps not ask for it. This limit is for
    each worker by itself; put another one in front of a service with many.

    Args:
        times: how many codes.
        seconds: in how much time.
    """

    def __init__(self, times: int, seconds: float) -> None:
        self._times = times
        self._seconds = seconds
        self._sent: dict[str, deque[float]] = {}

    def count(self, whose: str) -> None:
        """Count a code that is about to be sent.

        Raises:
            TooManyRequestsError: there were too many.
        """
        now = time.monotonic()
        self._forget_before(now - self._seconds)
        sent = self._sent.setdefault(whose, deque())
        if len(sent) >= self._times:
            raise TooManyRequestsError(
                "Too many codes were asked for.", retry_after=sent[0] + self._seconds - now
            )
        sent.append(now)

    def _forget_before(self, moment: float) -> None:
        for whose, sent in list(self._sent.items()):
            while sent and sent[0] < moment:
                sent.popleft()
            if not sent:
                del self._sent[whose]
