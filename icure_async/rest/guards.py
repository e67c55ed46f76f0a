"""Middlewares that keep aiohttp from what it does unasked."""

from __future__ import annotations

from http.cookies import SimpleCookie

import aiohttp

from icure_async.rest.failures import BrokenConnectionError, name_of

__all__ = ["guard", "refuse_redirection"]


async def guard(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT or a code twice, and from keeping cookies."""
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
        # aiohttp repeats every GET, PUT and DELETE that ends with one of these two.
        name = name_of(failure)
    else:
        response.cookies = SimpleCookie()
        return response
    raise BrokenConnectionError(name)


async def refuse_redirection(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep a websocket from being opened anywhere else: aiohttp has no option for that."""
    response = await handler(request)
    if not 300 <= response.status < 400:
        return response
    response.close()
    raise aiohttp.WSServerHandshakeError(
        response.request_info, (), status=response.status, headers=response.headers
    )
