"""``icure notification``: what other data owners ask of the user, and the answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.notification_answers import answer
from icure_async.cli.notification_rows import about, row_of
from icure_async.cli.output import print_json, print_rows, when, working

if TYPE_CHECKING:
    from icure_async.models.notification import PotentiallyEncryptedNotification

__all__ = ["notification"]

notification: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Requests of other data owners: list them, answer them."
)


@notification.command("list")
def list_notifications(
    everything: Annotated[
        bool, typer.Option("--all", help="Answered ones and those older than 30 days, too.")
    ] = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """List the pending notifications of the last 30 days, the newest first."""
    ready = opening(profile)

    async def run() -> list[PotentiallyEncryptedNotification]:
        async with ready.api() as api:
            if not everything:
                return await api.notification_api.get_pending_notifications_after()
            found = [item async for item in api.notification_api.filter_notifications()]
            return sorted(found, key=lambda item: -(item.created or 0))

    with working("Reading notifications"):
        found = asyncio.run(run())
    if as_json:
        print_json([row_of(item) for item in found])
        return
    print_rows(
        ("id", "type", "status", "created", "from", "about"),
        [
            (item.id, item.type, item.status, when(item.created), item.responsible, about(item))
            for item in found
        ],
    )


notification.command()(answer)
