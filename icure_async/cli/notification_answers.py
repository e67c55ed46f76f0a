"""``icure notification answer``: access that another data owner asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.notification_rows import digest_in, row_of, update_of
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, working
from icure_async.cli.patient_shares import access_rows
from icure_async.cli.questions import confirm
from icure_async.errors import ValidationError
from icure_async.models.notification import Notification

if TYPE_CHECKING:
    from icure_async.cli.connections import Opening
    from icure_async.models.access_request import AccessAnswer
    from icure_async.models.enums import NotificationStatus
    from icure_async.models.key_change import AccessGivenBack, KeyPairUpdate
    from icure_async.models.notification import PotentiallyEncryptedNotification

__all__ = ["answer"]


def answer(
    notification_id: Annotated[str, typer.Argument(help="From 'icure notification list'.")],
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Give nothing; the notification is cancelled.")
    ] = False,
    done: Annotated[
        bool, typer.Option("--done", help="Give nothing; the notification is completed.")
    ] = False,
    yes: Yes = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Give what a notification asks for, after a confirmation, and mark it as completed.

    A KEY_PAIR_UPDATE asks for access back to what was shared with an old key pair, and a
    NEW_USER_OWN_DATA_ACCESS for an invited patient's access to the own data. Make sure that it is
    the person who asks: compare the digest of a new public key by telephone, for example. Repeating
    the command finishes the job.
    """
    if refuse and done:
        raise typer.BadParameter("--refuse and --done exclude each other")
    ready = opening(profile)
    with working("Reading the notification"):
        asked = asyncio.run(_read(ready, notification_id))
    update = update_of(asked)
    if refuse or done:
        with working("Answering"):
            stored = asyncio.run(_mark(ready, asked, "cancelled" if refuse else "completed"))
        _show(stored, None, as_json=as_json)
    elif update is not None:
        _give_back(ready, asked, update, yes=yes, as_json=as_json)
    elif isinstance(asked, Notification) and asked.type == "NEW_USER_OWN_DATA_ACCESS":
        _give(ready, asked, yes=yes, as_json=as_json)
    else:
        raise ValidationError(
            f"Notification {asked.id} of type {asked.type} asks for nothing that this command can "
            "give, or no key on this device opens it: mark it with --done or --refuse."
        )


def _give_back(
    ready: Opening,
    asked: PotentiallyEncryptedNotification,
    update: KeyPairUpdate,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    note(f"Data owner {update.data_owner_id} has a new key pair, and asks for access back.")
    note(f"SHA-256 of its public key: {digest_in(update)}")
    if not yes:
        confirm("Is it the person, and shall the new key pair read it all again?", option="--yes")

    async def run() -> tuple[PotentiallyEncryptedNotification, AccessGivenBack]:
        async with ready.api() as api:
            given = await api.data_owner_api.give_access_back_to(
                update.data_owner_id, update.public_key
            )
            stored = await api.notification_api.update_notification_status(asked, "completed")
            return stored, given

    with working("Giving access back"):
        stored, given = asyncio.run(run())
    if not as_json:
        note(
            f"Data owner {given.data_owner_id} opens {given.given + given.present} exchange keys "
            f"with its new key pair now, {given.given} of them since this command."
        )
    if given.closed:
        note(
            f"{given.closed} could not be opened on this device: answer on another one, too.",
            style="yellow",
        )
    _show(stored, attrs.asdict(given), as_json=as_json)


def _give(ready: Opening, asked: Notification, *, yes: bool, as_json: bool) -> None:
    note(f"Patient {asked.responsible} asks for access to the own record, and to all data in it.")
    if not yes:
        confirm("Is it the person, and shall this patient read it all?", option="--yes")

    async def run() -> AccessAnswer:
        async with ready.api() as api:
            return await api.data_owner_api.answer_access_request(asked)

    with working("Giving access"):
        given = asyncio.run(run())
    rows = access_rows(given.access)
    for row in rows:
        if not as_json or row["error"]:
            note(f"{row['data']}: {row['outcome']}. {row['error'] or ''}".rstrip())
    _show(given.notification, rows, as_json=as_json)
    if not given.access.success:
        raise typer.Exit(1)


async def _read(ready: Opening, notification_id: str) -> PotentiallyEncryptedNotification:
    async with ready.api() as api:
        return await api.notification_api.get_notification_and_try_decrypt(notification_id)


async def _mark(
    ready: Opening, asked: PotentiallyEncryptedNotification, status: NotificationStatus
) -> PotentiallyEncryptedNotification:
    async with ready.api() as api:
        return await api.notification_api.update_notification_status(asked, status)


def _show(stored: PotentiallyEncryptedNotification, given: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(row_of(stored) | {"given": given})
    else:
        note(f"Notification {stored.id} is {stored.status}.")
