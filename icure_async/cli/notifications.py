"""``icure notification``: what other data owners ask of the user, and the answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_rows, when, working
from icure_async.cli.questions import confirm
from icure_async.errors import ValidationError
from icure_async.models.key_question import digest_of
from icure_async.models.notification import Notification

if TYPE_CHECKING:
    from icure_async.cli.connections import Opening
    from icure_async.models.enums import NotificationStatus
    from icure_async.models.key_change import AccessGivenBack, KeyPairUpdate
    from icure_async.models.notification import PotentiallyEncryptedNotification

__all__ = ["notification"]

notification: typer.Typer = typer.Typer(
    no_args_is_help=True, help="What other data owners ask of you: list it, answer it."
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
        print_json([_row(item) for item in found])
        return
    print_rows(
        ("id", "type", "status", "created", "from", "about"),
        [
            (item.id, item.type, item.status, when(item.created), item.responsible, _about(item))
            for item in found
        ],
    )


@notification.command()
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

    A KEY_PAIR_UPDATE asks for access back to what was shared with an old key pair. Make sure that
    it is the person who asks: compare the digest of the new public key by telephone, for example.
    """
    if refuse and done:
        raise typer.BadParameter("--refuse and --done exclude each other")
    ready = opening(profile)
    with working("Reading the notification"):
        asked = asyncio.run(_read(ready, notification_id))
    update = _update_of(asked)
    if refuse or done:
        status: NotificationStatus = "cancelled" if refuse else "completed"
        with working("Answering"):
            stored = asyncio.run(_mark(ready, asked, status))
        _show(stored, None, as_json=as_json)
        return
    if update is None:
        raise ValidationError(
            f"Notification {asked.id} of type {asked.type} asks for nothing that this command can "
            "give, or no key on this device opens it: mark it with --done or --refuse."
        )
    note(f"Data owner {update.data_owner_id} has a new key pair, and asks for access back.")
    note(f"SHA-256 of its public key: {_digest(update)}")
    if not yes:
        confirm("Is it the person, and shall the new key pair read it all again?", option="--yes")
    with working("Giving access back"):
        stored, given = asyncio.run(_give(ready, asked, update))
    _show(stored, given, as_json=as_json)


async def _read(ready: Opening, notification_id: str) -> PotentiallyEncryptedNotification:
    async with ready.api() as api:
        return await api.notification_api.get_notification_and_try_decrypt(notification_id)


async def _mark(
    ready: Opening, asked: PotentiallyEncryptedNotification, status: NotificationStatus
) -> PotentiallyEncryptedNotification:
    async with ready.api() as api:
        return await api.notification_api.update_notification_status(asked, status)


async def _give(
    ready: Opening, asked: PotentiallyEncryptedNotification, update: KeyPairUpdate
) -> tuple[PotentiallyEncryptedNotification, AccessGivenBack]:
    async with ready.api() as api:
        given = await api.data_owner_api.give_access_back_to(
            update.data_owner_id, update.public_key
        )
        stored = await api.notification_api.update_notification_status(asked, "completed")
        return stored, given


def _show(
    stored: PotentiallyEncryptedNotification, given: AccessGivenBack | None, *, as_json: bool
) -> None:
    if as_json:
        print_json(_row(stored) | {"given": None if given is None else attrs.asdict(given)})
        return
    if given is not None:
        note(
            f"Data owner {given.data_owner_id} opens {given.given + given.present} exchange keys "
            f"with its new key pair now, {given.given} of them since this command."
        )
        if given.closed:
            note(
                f"{given.closed} could not be opened on this device: answer on another one, too.",
                style="yellow",
            )
    note(f"Notification {stored.id} is {stored.status}.")


def _row(item: PotentiallyEncryptedNotification) -> dict[str, Any]:
    update = _update_of(item)
    return {
        "id": item.id,
        "type": item.type,
        "status": item.status,
        "created": item.created,
        "from": item.responsible,
        "readable": isinstance(item, Notification),
        "properties": [prop.to_dict() for prop in item.properties or ()],
        "data_owner_id": None if update is None else update.data_owner_id,
        "digest": None if update is None else _digest(update),
    }


def _about(item: PotentiallyEncryptedNotification) -> str | None:
    update = _update_of(item)
    if update is not None:
        return f"key of {update.data_owner_id}"
    return None if isinstance(item, Notification) else "no key on this device opens it"


def _update_of(item: PotentiallyEncryptedNotification) -> KeyPairUpdate | None:
    return item.key_pair_update if isinstance(item, Notification) else None


def _digest(update: KeyPairUpdate) -> str | None:
    try:
        return digest_of(bytes.fromhex(update.public_key))
    except ValueError:
        return None
