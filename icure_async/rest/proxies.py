"""Proxies: those of the environment, and one that the application names."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies_environment

import attrs
import yarl

from icure_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EnvironmentProxies", "Proxy", "is_loopback"]

_SCHEMES: Final = frozenset({"http", "https"})


@attrs.frozen(eq=False, repr=False)
class Proxy:
    """A proxy.

    Attributes:
        name: what the user knows it as: "the proxy given to with_proxy()".
        url: never in a repr: it may hold a password.
    """

    name: str
    url: yarl.URL

    @classmethod
    def parse(cls, url: object, *, source: str, name: str) -> Proxy:
        """Read the URL of a proxy.

        Args:
            url: ``http(s)://[user:password@]host[:port]``.
            source: where it comes from, for the first words of an error message.
            name: what the user knows the proxy as.

        Raises:
            ConfigurationError: it is no such URL. The message does not quote it.
        """
        try:
            parsed = yarl.URL(url) if isinstance(url, str) and url.isprintable() else yarl.URL()
        except ValueError:
            parsed = yarl.URL()
        # Outside of the except, so that no error that quotes the URL is the context.
        if parsed.scheme.startswith("socks"):
            raise ConfigurationError(
                f"{source} names a SOCKS proxy, which is not supported: name an HTTP proxy, "
                "http://[user:password@]host:port."
            )
        has_more = bool(parsed.query_string or parsed.fragment or parsed.path not in ("", "/"))
        if parsed.scheme not in _SCHEMES or not parsed.host or has_more:
            raise ConfigurationError(
                f"{source} is no URL of a proxy: the form is http://[user:password@]host:port, "
                "with %-escapes in user name and password."
            )
        return cls(name, parsed.with_path("/"))


class EnvironmentProxies:
    """The values of ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, or in small letters.

    Loopback addresses are never asked for by way of these, as in Go: no proxy reaches them.
    """

    def __init__(self) -> None:
        self._variables: Mapping[str, str] = {
            name: value.strip() for name, value in getproxies_environment().items()
        }
        self._known: dict[tuple[str, str | None, int | None], Proxy | None] = {}

    def of(self, url: yarl.URL) -> Proxy | None:
        """Return the proxy for a URL, None where there is none.

        Raises:
            ConfigurationError: the variable has a malformed value.
        """
        origin = url.scheme, url.host, url.port
        if origin not in self._known:
            self._known[origin] = self._find(url)
        return self._known[origin]

    def _find(self, url: yarl.URL) -> Proxy | None:
        value = self._variables.get(url.scheme)
        host = url.host or ""
        if not value or is_loopback(host) or self._is_excepted(host, url.port):
            return None
        variable = f"{url.scheme.upper()}_PROXY"
        return Proxy.parse(
            value if "://" in value else "http://" + value,
            source=f"The environment variable {variable}",
            name=f"the proxy that {variable} names",
        )

    def _is_excepted(self, host: str, port: int | None) -> bool:
        names = [name.strip().lower() for name in self._variables.get("no", "").split(",")]
        return any(_covers(name, host.lower(), port) for name in names if name)


def _covers(name: str, host: str, port: int | None) -> bool:
    """Return whether an item of ``NO_PROXY`` means a host: its name, domain, address or network."""
    if name == "*":
        return True
    domain = name.removesuffix(f":{port}").lstrip(".").strip("[]")
    if host == domain or host.endswith("." + domain):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(domain, strict=False)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
