"""Base URLs and path segments."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from icure_async.errors import ConfigurationError, ValidationError

__all__ = ["normalise_base_url", "normalise_gateway_url", "path"]

_HOST: Final = r"https?://[a-zA-Z0-9.-]+(?::(?P<port>[0-9]{1,5}))?"
_BASE: Final = re.compile(rf"(?P<host>{_HOST})(?P<path>/rest/v[12])?")
_GATEWAY: Final = re.compile(rf"{_HOST}(?:/[a-zA-Z0-9._~/-]*)?")
_HIGHEST_PORT: Final = 65535


def normalise_base_url(url: object, method: str) -> str:
    """Return the base URL with ``/rest/v1`` (wire-protocol.md §1.1), one trailing slash removed.

    Raises:
        ConfigurationError: it is no such URL; the message names the builder ``method``.
    """
    match = _BASE.fullmatch(url.removesuffix("/")) if isinstance(url, str) else None
    if match is None or not _has_possible_port(match):
        raise ConfigurationError(
            f"The URL given to {method}() is malformed: pass http(s)://host[:port], "
            "optionally followed by /rest/v1, without user name or query."
        )
    return match["host"] + (match["path"] or "/rest/v1")


def normalise_gateway_url(url: object, method: str) -> str:
    """Return the URL of the message gateway without trailing slashes.

    Raises:
        ConfigurationError: it is no http(s) URL; the message names the builder ``method``.
    """
    match = _GATEWAY.fullmatch(url) if isinstance(url, str) else None
    if match is None or not _has_possible_port(match):
        raise ConfigurationError(
            f"The URL given to {method}() is malformed: pass http(s)://host[:port][/path], "
            "without user name or query."
        )
    return match[0].rstrip("/")


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


def _has_possible_port(match: re.Match[str]) -> bool:
    return int(match["port"] or "80") <= _HIGHEST_PORT
