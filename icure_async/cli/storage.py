"""``icure storage``: the tables of a storage in PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icure_async.cli.choices import AsJson  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_members
from icure_async.environment import DATABASE_URL, value_of
from icure_async.errors import ConfigurationError
from icure_async.storage.postgres import PostgresStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["storage"]

storage: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help="Storage in PostgreSQL: make its tables, migrate them, and see that it can be used.",
)

_Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help=(
            f"Connection string, by default that of {DATABASE_URL}. Other users of this machine "
            "see arguments: give a password in the variable, PGPASSWORD or a password file."
        ),
    ),
]
_Schema = Annotated[str, typer.Option("--schema", help="Schema of the tables.")]


@storage.command()
def init(
    database: _Database = None,
    schema: _Schema = "icure",
    grant: Annotated[
        list[str] | None,
        typer.Option(
            "--grant",
            metavar="USER",
            help="User of the database who may use the tables; may be given several times.",
        ),
    ] = None,
) -> None:
    """Make the tables, or migrate them to the version of this SDK; repeating it changes nothing."""

    async def work(opened: PostgresStorage) -> None:
        await opened.init()
        for user in grant or ():
            await opened.grant(user)

    _run(database, schema, work)
    to = f", and {', '.join(grant)} may use it" if grant else ""
    note(f"The schema {schema!r} is up to date{to}.")


@storage.command()
def status(database: _Database = None, schema: _Schema = "icure", as_json: AsJson = False) -> None:
    """Show what is there, and what is wrong; exit code 1 if something is."""
    found: dict[str, Any] = _run(database, schema, PostgresStorage.status)
    problems = found.pop("problems")
    if as_json:
        print_json({**found, "problems": problems})
    else:
        print_members(found)
        for problem in problems:
            note(problem, style="yellow")
    if problems:
        raise typer.Exit(1)


def _run(
    database: str | None,
    schema: str,
    work: Callable[[PostgresStorage], Coroutine[Any, Any, Any]],
) -> Any:
    target = database or value_of(DATABASE_URL)
    if not target:
        raise ConfigurationError(
            f"Which database? Set {DATABASE_URL} to postgresql://user@host/database, or give "
            "--database."
        )

    async def main() -> Any:
        opened = PostgresStorage(target, schema=schema, max_connections=2, timeout=10.0)
        try:
            return await work(opened)
        finally:
            await opened.aclose()

    return asyncio.run(main())
