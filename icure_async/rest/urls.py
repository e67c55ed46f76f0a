"""Base URLs and path segments."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import yarl

from icure_async.errors import ConfigurationError, ValidationError

__all__ = [
    "DEFAULT_GATEWAY_URL",
    "normalise_base_url",
    "normalise_gateway_url",
    "path",
    "root_of",
]

DEFAULT_GATEWAY_URL: Final = "https://msg-gw.icure.cloud"
"""The message gateway of iCure."""

_REST: Final = "/rest/v1"
_ANY_REST: Final = re.compile(r"/rest/v([0-9]+)\Z")
_SPOKEN: Final = frozenset({"1", "2"})
# Underscores are against RFC 952, and usual in the networks of containers.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_FORM: Final = "pass http(s)://host[:port][/path], without user name, query or fragment"


def normalise_base_url(url: object, method: str) -> str:
    """Return the base URL, ending with ``/rest/v1`` (wire-protocol.md §1.1).

    A URL that ends with ``/rest/v2`` stands for the same backend: the flavour decides about the
    version.

    Raises:
        ConfigurationError: it is no such URL; the message names the builder ``method``.
    """
    base = _normalised(url, method)
    ending = _ANY_REST.search(base)
    if ending is not None and ending[1] not in _SPOKEN:
        raise ConfigurationError(
            f"The URL given to {method}() ends with {ending[0]}: this SDK speaks versions 1 and 2 "
            f"of the protocol only. Pass the URL without {ending[0]}."
        )
    return root_of(base) + _REST


def root_of(base_url: str) -> str:
    """Return the URL of a backend without the version of the protocol."""
    ending = _ANY_REST.search(base_url)
    return base_url if ending is None else base_url[: ending.start()]


def normalise_gateway_url(url: object, method: str) -> str:
    """Return the URL of the message gateway without trailing slashes.

    Raises:
        ConfigurationError: it is no http(s) URL; the message names the builder ``method``.
    """
    return _normalised(url, method)


def path(*segments: str) -> str:
    """Return an absolute path; each segment is escaped like JavaScript's encodeURIComponent.

    Raises:
        ValidationError: a segment would make it the path of something else, or can't be escaped.
    """
    return "".join("/" + _escape(segment) for segment in segments)


def _escape(segment: str) -> str:
    escaped = ""
    # encodeURIComponent refuses lone surrogates as well.
    if not any("\ud800" <= character <= "\udfff" for character in segment):
        escaped = quote(segment, safe="!'()*~-._")
    if escaped in ("", ".", ".."):
        raise ValidationError("An id is empty or malformed. Nothing was sent; check the ids.")
    return escaped


def _normalised(url: object, method: str) -> str:
    if isinstance(url, str) and url != url.strip():
        raise ConfigurationError(
            f"The URL given to {method}() begins or ends with a blank or a line break: remove it."
        )
    parsed = _parse(url) if isinstance(url, str) else None
    if parsed is None:
        raise ConfigurationError(f"The URL given to {method}() is malformed: {_FORM}.")
    return str(parsed).rstrip("/")


def _parse(url: str) -> yarl.URL | None:
    """Return a URL of a server, or None."""
    # A query or fragment may be empty, which yarl does not tell from none.
    if not url.isprintable() or any(mark in url for mark in " ?#"):
        return None
    try:
        parsed = yarl.URL(url)
        host = parsed.raw_host or ""
        # The URL that yarl makes of it has to be well-formed, too.
        has_host = ":" in host or _NAME.fullmatch(host) is not None
    except ValueError:
        return None
    authority = url.partition("//")[2].partition("/")[0]
    if parsed.scheme not in ("http", "https") or not has_host or "@" in authority:
        return None
    return parsed if parsed.explicit_port != 0 else None
