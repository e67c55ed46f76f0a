"""Single requests without credentials, which say what answers at an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from icure_async.rest.connection import Connection
from icure_async.rest.transport import Request, Transport
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from types import TracebackType

    from icure_async.rest.responses import Response

__all__ = ["Probes", "is_sandbox"]

_SECONDS: Final = 10.0
_SANDBOX: Final = "sandbox"


class Probes:
    """Sends requests over a connection of their own. Enter it with ``async with``."""

    async def __aenter__(self) -> Self:
        self._connection = Connection().acquire()
        self._transport = Transport(self._connection, timeout=_SECONDS)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.release()

    async def version(self, base_url: str) -> Response:
        """Ask a backend for its version, which it tells everybody (server-behaviour.md §15)."""
        return await self._get("ask the backend for its version", base_url + path("icure", "v"))

    async def last_message(self, gateway: str, kind: str, contact: str) -> Response:
        """Ask the gateway of a sandbox for the last message to somebody."""
        return await self._get("read the last message", gateway + path(f"last{kind}", contact))

    async def start_nothing(self, gateway: str, process_id: str, request_id: str) -> Response:
        """Start a process for nobody and without a captcha, which no gateway does."""
        return await self._transport.send(
            Request(
                action="reach the message gateway",
                method="POST",
                url=f"{gateway}{path('process', process_id, request_id)}?codeLength=6",
                body={},
                once=True,
            )
        )

    async def _get(self, action: str, url: str) -> Response:
        return await self._transport.send(Request(action=action, method="GET", url=url))


async def is_sandbox(probes: Probes, base_url: str) -> bool:
    """Return whether the sandbox of this SDK answers at a URL."""
    version = await probes.version(base_url)
    return version.status == 200 and version.body.strip() == _SANDBOX.encode()
