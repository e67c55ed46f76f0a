"""Websockets: the handshake, and messages in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
import anyio
import attrs
import yarl

from icure_async.errors import BadRequestError, ResponseTooLargeError
from icure_async.foreign_text import printable
from icure_async.rest.failures import Attempt, explain
from icure_async.rest.guards import guard, refuse_redirection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.errors import ICureError
    from icure_async.rest.connection import Connection
    from icure_async.rest.proxies import Proxy

__all__ = ["Message", "Websocket", "shake_hands"]

_GOING_AWAY: Final = 1001
_CLOSING_MESSAGE: Final = b"Client closed connection"
_CLOSING_SECONDS: Final = 2.0
_TOO_BIG: Final = 1009
# pyright does not see the members of this class.
_TIMES: Final = aiohttp.ClientWSTimeout(
    ws_close=_CLOSING_SECONDS  # pyright: ignore[reportCallIssue]
)
# Unsupported data, inconsistent data, a policy (RFC 6455 §7.4.1): it is not going to like the same
# message any better the next time.
_REFUSALS: Final = frozenset({1003, 1007, 1008})


@attrs.frozen(eq=False, repr=False)
class Message:
    """One message from the server.

    Attributes:
        kind: ``"sign"`` for a mere sign of life, of the protocol's own.
        data: never in a repr.
    """

    kind: Literal["text", "binary", "sign"]
    data: bytes = b""


async def shake_hands(
    connection: Connection,
    url: str,
    proxy: Proxy | None,
    timeout: aiohttp.ClientTimeout,
    max_size: int,
    headers: Mapping[str, str],
) -> aiohttp.ClientWebSocketResponse[Any] | aiohttp.WSServerHandshakeError:
    """Return an open websocket, or the refusal of the server.

    Args:
        connection: with the client session whose connector and settings are used.
        url: an http or https one, complete and escaped.
        proxy: by which to go; None leaves it to the client session.
        timeout: for the handshake.
        max_size: bytes of a message.
        headers: of the handshake.
    """
    given = connection.client_session
    # One of our own, for the time of the handshake: only a session can refuse redirections.
    session = aiohttp.ClientSession(
        connector=given.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=given.headers,
        trust_env=given.trust_env,
        trace_configs=given.trace_configs,
        proxy=getattr(given, "_default_proxy", None),
        proxy_auth=getattr(given, "_default_proxy_auth", None),
        middlewares=(refuse_redirection, guard, *getattr(given, "_middlewares", ())),
        timeout=timeout,
    )
    async with session:
        try:
            return await session.ws_connect(
                yarl.URL(url, encoded=True),
                headers=headers,
                timeout=_TIMES,
                # With it, nobody would see the signs of life.
                autoping=False,
                proxy=proxy.url if proxy else None,
                ssl=connection.ssl,
                max_msg_size=max_size,
                # Text that is not UTF-8 is the receiver's to judge.
                decode_text=False,
            )
        except aiohttp.WSServerHandshakeError as refusal:
            return refusal


class Websocket:
    """An open websocket.

    Args:
        response: aiohttp's.
        attempt: the facts for an error message.
        let_go: called once, when it is closed.
    """

    def __init__(
        self,
        response: aiohttp.ClientWebSocketResponse[Any],
        attempt: Attempt,
        let_go: Callable[[], None],
    ) -> None:
        self._response = response
        self._attempt = attempt
        self._let_go: Callable[[], None] | None = let_go

    async def send(self, text: str) -> None:
        """Send a text.

        Raises:
            NetworkError: the connection is broken.
        """
        await self._sent(self._response.send_frame(text.encode(), aiohttp.WSMsgType.TEXT))

    async def ask_for_a_sign(self) -> None:
        """Send a ping of the protocol's own, which every server answers (RFC 6455 §5.5.2).

        Raises:
            NetworkError: the connection is broken.
        """
        await self._sent(self._response.ping())

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            NetworkError: the connection is broken, or was closed by the server.
            BadRequestError: the server closed it for what it was sent.
            ResponseTooLargeError: the message is larger than allowed.
        """
        message = await self._response.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            data: Any = message.data
            return Message("text", data)
        if message.type is aiohttp.WSMsgType.BINARY:
            return Message("binary")
        if message.type is aiohttp.WSMsgType.PING:
            await self._sent(self._response.pong(message.data))
            return Message("sign")
        if message.type is aiohttp.WSMsgType.PONG:
            return Message("sign")
        raise self._end(message)

    async def aclose(self) -> None:
        """Close it, whatever happens. Calling it again does nothing."""
        if self._let_go is None:
            return
        try:
            with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
                await self._response.close(code=_GOING_AWAY, message=_CLOSING_MESSAGE)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Drop the connection without a goodbye, unless it is closed already."""
        let_go, self._let_go = self._let_go, None
        if let_go is None:
            return
        # Where the connection broke, aiohttp itself closes no more than the websocket.
        handshake: aiohttp.ClientResponse | None = getattr(self._response, "_response", None)
        if handshake is not None:
            handshake.close()
        let_go()

    async def _sent(self, sending: Any) -> None:
        try:
            await sending
        except (aiohttp.ClientError, OSError, RuntimeError) as failure:
            error = explain(failure, self._attempt).error
        else:
            return
        raise error

    def _end(self, message: Any) -> ICureError:
        """Return the error for a message that is aiohttp's, and says that there is no further."""
        failure: object = message.data
        if isinstance(failure, aiohttp.WebSocketError) and failure.code == _TOO_BIG:
            return ResponseTooLargeError(
                f"Could not {self._attempt.action}: a message is larger than "
                f"{self._attempt.limit:,} bytes. Allow more with with_max_response_size()."
            )
        code = self._response.close_code
        if message.type is aiohttp.WSMsgType.CLOSE and code in _REFUSALS:
            return BadRequestError(
                f"Could not {self._attempt.action}: the server closed the connection for what it "
                f"was sent (code {code}). Check the event types and the filter.",
                server_message=printable(message.extra) if message.extra else None,
            )
        how = "was closed by the server" if message.type is aiohttp.WSMsgType.CLOSE else "broke"
        return self._attempt.error(
            f"the connection {how} (code {code}). Try again.", maybe_processed=True
        )
