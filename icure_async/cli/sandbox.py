"""``icure sandbox``: a local iCure backend and message gateway."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from icure_async.cli.sandbox_ready import description_of, exports_of, ready_file
from icure_async.rest.proxies import is_loopback

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

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
    fixed_code: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHONE=CODE",
            help="Fixed code of a phone number or email address; more than once for several.",
        ),
    ] = None,
    random_seed: Annotated[
        int | None,
        typer.Option(
            help="Make codes, ids and tokens the same in each run. Then anybody can guess them."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON instead of exports.")
    ] = False,
    ready_path: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            help="File to write that JSON to when the sandbox is ready; removed at the end.",
        ),
    ] = None,
) -> None:
    """Run a local iCure backend and message gateway until Ctrl-C or SIGTERM.

    A shell can source its output; messages for people go to stderr. The page that it names shows
    codes as they are sent.
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
        codes=_codes(fixed_code or ()),
        random_seed=random_seed,
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
        asyncio.run(_serve(Console(), notes, server, ready_path, as_json=as_json))
    except KeyboardInterrupt:
        pass
    except DatabaseUnusableError:
        raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"{error.strerror}, as in 'icure sandbox --port 0'") from None
        raise OSError(f"Could not run the sandbox on {host}, port {port}: {error}") from None


def _codes(given: Iterable[str]) -> dict[str, str]:
    """Return fixed codes by contact. No error shows one."""
    codes: dict[str, str] = {}
    for text in given:
        contact, equals, code = text.rpartition("=")
        if not equals:
            raise ValueError('--code takes PHONE=CODE, like "+32470000001=123456"')
        codes[contact] = code
    return codes


async def _serve(
    console: Console, notes: Console, server: Sandbox, ready: Path | None, *, as_json: bool
) -> None:
    # Before anybody knows that it runs, and may end it.
    with _told_to_end() as told:
        async with server:
            await _announced(console, notes, server, ready, told, as_json=as_json)


async def _announced(
    console: Console,
    notes: Console,
    server: Sandbox,
    ready: Path | None,
    told: asyncio.Event,
    *,
    as_json: bool,
) -> None:
    """Say where the sandbox is, and wait for its end."""
    with ready_file(ready, server):
        for line in _lines(server, as_json=as_json):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        notes.print(
            f"\nHealthcare professional {server.master_hcp.data_owner_id} logs in with "
            "ICURE_SANDBOX_LOGIN and ICURE_SANDBOX_PASSWORD.\n"
            f"Codes arrive on the page {server.page_url}\n"
            f"and at {server.msg_gw_url}/{server.spec_id}/lastSMS/(phone) and "
            "…/lastEmail/(email). Ctrl-C stops.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        await told.wait()


def _lines(server: Sandbox, *, as_json: bool) -> list[str]:
    if as_json:
        return [json.dumps(description_of(server))]
    return [f"export {name}={shlex.quote(value)}" for name, value in exports_of(server).items()]


@contextlib.contextmanager
def _told_to_end() -> Generator[asyncio.Event]:
    """Yield what is set by Ctrl-C, and by the signal that ``kill`` and ``docker stop`` send."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    # Not on Windows, where Ctrl-C is a KeyboardInterrupt.
    with contextlib.suppress(NotImplementedError):
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, told.set)
            handled.append(each)
    try:
        yield told
    finally:
        for each in handled:
            loop.remove_signal_handler(each)
