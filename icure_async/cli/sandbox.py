"""``icure sandbox``: a local iCure backend and message gateway."""

from __future__ import annotations

import asyncio
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from icure_async.rest.proxies import is_loopback

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox

__all__ = ["sandbox"]


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 16044,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    database: Annotated[
        Path | None,
        typer.Option(
            help="SQLite file to keep everything in, for development only; memory by default."
        ),
    ] = None,
    seed: Annotated[
        Path | None, typer.Option(help="JSON file with entities and tokens to start with.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Origin of web pages that may call it; more than once for several."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Further host name it is called by; more than once for several."
        ),
    ] = None,
    lenient: Annotated[
        bool,
        typer.Option(
            help="Let new patients register without a healthcare professional.",
        ),
    ] = False,
) -> None:
    """Run a local iCure backend and message gateway until Ctrl-C or SIGTERM.

    A shell can source its output; messages for people go to stderr.
    """
    # Imported here, like the server that it is: other commands do without it.
    from icure_async.sandbox import Sandbox
    from icure_async.sandbox.errors import DatabaseUnusableError

    server = Sandbox(
        host=host,
        port=port,
        database=database,
        seed=seed,
        allow_origins=allow_origin or (),
        allow_hosts=allow_host or (),
        lenient=lenient,
    )
    notes = Console(stderr=True)
    if not is_loopback(host):
        notes.print(
            f"Warning: everybody who reaches {host} can read every code and use this sandbox. Keep "
            "it out of networks that you share, and real data out of it.",
            style="yellow",
            highlight=False,
        )
    if database is not None:
        notes.print(
            f"The database {database} is for development and tests. This is no production backend: "
            "it holds keys and tokens in clear. Keep real data out of it.",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    try:
        asyncio.run(_serve(Console(), notes, server))
    except KeyboardInterrupt:
        pass
    except DatabaseUnusableError:
        raise
    except OSError as error:
        raise OSError(f"Could not run the sandbox on {host}, port {port}: {error}") from None


async def _serve(console: Console, notes: Console, server: Sandbox) -> None:
    async with server:
        master = server.master_hcp
        environment = server.environment | {
            "ICURE_SANDBOX_PROFESSIONAL_ID": master.data_owner_id,
            "ICURE_SANDBOX_LOGIN": master.login,
            "ICURE_SANDBOX_PASSWORD": master.password,
        }
        for name, value in environment.items():
            line = f"export {name}={shlex.quote(value)}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        notes.print(
            f"\nHealthcare professional {master.data_owner_id} logs in with ICURE_SANDBOX_LOGIN "
            "and ICURE_SANDBOX_PASSWORD.\n"
            f"Codes arrive at {server.msg_gw_url}/{server.spec_id}/lastSMS/(phone) and "
            "…/lastEmail/(email). Ctrl-C stops.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        await _stopped()


async def _stopped() -> None:
    """Wait for Ctrl-C, or for the signal that ``kill`` and ``docker stop`` send."""
    import anyio

    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                return
    except NotImplementedError:  # On Windows, where Ctrl-C is a KeyboardInterrupt.
        await asyncio.Event().wait()
