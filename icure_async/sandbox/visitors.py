"""Host names that the sandbox answers to, and web pages that may call it.

Its codes and mailboxes need no credentials: a page that somebody visits on the same machine must
not read them, neither as itself nor by a host name of its own that resolves to loopback.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, cast

from aiohttp import hdrs

from icure_async.sandbox.errors import ApiError, forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

__all__ = ["Visitors", "is_loopback", "is_wildcard"]

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/?#@\[\],]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s/?#@]+")
_METHODS = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"
_MISDIRECTED = 421

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(name: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Return whether this address or host name never leaves the machine."""
    address = _address(host)
    if address is not None:
        return address.is_loopback
    name = _normal(host)
    return name == "localhost" or name.endswith(".localhost")


def is_wildcard(host: str) -> bool:
    """Return whether this stands for all addresses of the machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")


class Visitors:
    """The check which requests get an answer.

    Args:
        host: what the sandbox listens on.
        allow_hosts: further names it is called by.
        allow_origins: origins of web pages that may call it.

    Raises:
        TypeError: if one of them is a text instead of several.
        ValueError: if a name or an origin is malformed.
    """

    def __init__(
        self, host: str, allow_hosts: Iterable[str] = (), allow_origins: Iterable[str] = ()
    ) -> None:
        hosts = _several(allow_hosts, "allow_hosts")
        for name in hosts:
            if _name_in(name if _address(name) is None else f"[{name}]") is None or _port_of(name):
                raise ValueError(
                    f'allow_hosts takes names like "sandbox.internal", without port, not {name!r}'
                )
        self._names = {_normal(name) for name in hosts} | {_normal(host)}
        self._addresses = {_address(name) for name in self._names} - {None}
        self._origins = {_origin(text) for text in _several(allow_origins, "allow_origins")}

    def check(self, request: web.BaseRequest) -> None:
        """Refuse a request that was not meant for the sandbox, or comes from a foreign web page.

        Raises:
            ApiError: 400, 403 or 421, which says what to do about it.
        """
        name = self._host_of(request)
        if not self._is_own(name, request):
            raise ApiError(
                _MISDIRECTED,
                f'This sandbox does not answer to the host name "{name}": call it by a name of '
                "loopback or by its address, or start it with this name in allow_hosts "
                "(icure sandbox --allow-host)",
            )
        if hdrs.ORIGIN in request.headers and not self._is_welcome(request):
            raise forbidden(
                "Web pages of other origins may not call this sandbox: start it with their "
                "origin in allow_origins (icure sandbox --allow-origin)"
            )

    def _host_of(self, request: web.BaseRequest) -> str:
        hosts = request.headers.getall(hdrs.HOST, [])
        name = _name_in(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            raise ApiError(400, "The header Host must name the host that is called, once")
        return name

    def _is_own(self, name: str, request: web.BaseRequest) -> bool:
        address = _address(name)
        if is_loopback(name) or name in self._names:
            return True
        return address is not None and (
            address in self._addresses or address == _own_address(request)
        )

    def _is_welcome(self, request: web.BaseRequest) -> bool:
        origin = request.headers[hdrs.ORIGIN].lower()
        return origin == f"http://{request.headers[hdrs.HOST]}".lower() or origin in self._origins

    def headers_for(self, request: web.BaseRequest) -> dict[str, str]:
        """Return the headers that let the asking page see the answer, if it may."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin.lower() not in self._origins:
            return {}
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "X-Request-Id",
        }
        if request.method == hdrs.METH_OPTIONS:
            asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = asked
            headers["Access-Control-Allow-Private-Network"] = "true"
        return headers


def _several(values: Iterable[str], what: str) -> list[str]:
    several = [] if isinstance(values, str) else list(values)
    if isinstance(values, str) or not all(isinstance(value, str) for value in several):
        raise TypeError(f"{what} must be a list of texts")
    return several


def _name_in(host: str) -> str | None:
    parts = _HOST.fullmatch(host)
    return None if parts is None else _normal(parts["name"])


def _port_of(name: str) -> bool:
    return _address(name) is None and ":" in name


def _origin(text: str) -> str:
    origin = text.strip().lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin) or "*" in origin:
        raise ValueError(
            f'allow_origins takes origins like "http://localhost:3000", without path, not {text!r}'
        )
    return origin


def _own_address(request: web.BaseRequest) -> _Address | None:
    """Return the address of this machine that the request came to."""
    transport = request.transport
    if transport is None:
        return None
    name = cast("tuple[str, ...]", transport.get_extra_info("sockname") or ("",))
    return _address(name[0])
