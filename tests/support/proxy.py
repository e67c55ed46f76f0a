"""A small HTTP proxy: CONNECT, and plain requests in absolute form."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Self


class Proxy:
    """Takes everything to one server, whatever host is asked for.

    Args:
        target: port of the server on loopback.
        password: what it asks for, as ``user:password``.
        status: what it answers instead of connecting.
    """

    def __init__(self, target: int, *, password: str = "", status: int = 0) -> None:
        self._target = target
        self._password = password
        self._status = status
        self.heads: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def lines(self) -> list[str]:
        """The first lines of the requests."""
        return [head.partition("\r\n")[0] for head in self.heads]

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._connect(reader, writer)
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        expected = "Basic " + base64.b64encode(self._password.encode()).decode()
        if self._password and f"Proxy-Authorization: {expected}\r\n" not in head:
            writer.write(_refusal(407))
        elif self._status:
            writer.write(_refusal(self._status))
        else:
            await self._pass_on(head, reader, writer)
        await writer.drain()

    async def _pass_on(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            if head.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                method, url, rest = head.split(" ", 2)
                path = "/" + url.split("/", 3)[3]
                server_writer.write(f"{method} {path} {rest}".encode())
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        finally:
            server_writer.close()


def _refusal(status: int) -> bytes:
    return f"HTTP/1.1 {status} Forged\x1b[2J\r\nContent-Length: 0\r\n\r\n".encode()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
