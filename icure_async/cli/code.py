"""``icure code``: the last message that a sandbox has sent to somebody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from icure_async.cli.choices import AsJson, ProfileName, chosen
from icure_async.cli.output import print_json, say
from icure_async.cli.pending import read_pending
from icure_async.cli.probes import Probes, is_sandbox
from icure_async.errors import ConfigurationError, NotFoundError
from icure_async.foreign_text import printable
from icure_async.models.contacts import normalise_email, normalise_phone_number
from icure_async.rest.urls import normalise_base_url, normalise_gateway_url, path

if TYPE_CHECKING:
    from icure_async.cli.choices import Choices

__all__ = ["code"]

_LONGEST: Final = 10_000


def code(
    contact: Annotated[
        str | None,
        typer.Argument(
            help="Email address or phone number; by default the one that waits for its code."
        ),
    ] = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Show the last code or message that a sandbox has sent to an email address or phone number.

    Only a sandbox tells it: with any other backend the person reads it from the message.
    """
    choices = chosen(profile)
    message = asyncio.run(_last_message(choices, contact))
    if as_json:
        print_json(message)
        return
    for name in ("message", "subject", "html"):
        text = message.get(name)
        if text and not (name == "html" and _repeats(message)):
            for line in str(text).splitlines():
                say(printable(line, _LONGEST))


async def _last_message(choices: Choices, contact: str | None) -> dict[str, Any]:
    if contact is None:
        pending = await read_pending(choices)
        if pending is None:
            raise typer.BadParameter("nobody waits for a code: name an address or a number")
        contact, choices = pending.process.login, pending.choices
    base_url = normalise_base_url(choices.need("url"), "with_icure_base_url")
    gateway = normalise_gateway_url(choices.need("gateway_url"), "with_msg_gw_url")
    kind, address = _kind_of(contact)
    async with Probes() as probes:
        if not await is_sandbox(probes, base_url):
            raise ConfigurationError(
                f"{base_url} is not a sandbox, and only a sandbox tells codes: read it from the "
                "message, or name the profile of a sandbox."
            )
        gateway += path(choices.need("spec_id"))
        answer = await probes.last_message(gateway, kind, address)
        try:
            message = answer.raise_for_status().json_object()
        except NotFoundError:
            message = None
    if message is None:
        raise ConfigurationError(
            f"Nothing was sent to {address}: check it, and {choices.get('spec_id')!r} as spec id."
        )
    return {"contact": address, **message}


def _kind_of(contact: str) -> tuple[str, str]:
    if "@" in contact:
        return "Email", str(normalise_email(contact))
    return "SMS", str(normalise_phone_number(contact))


def _repeats(message: dict[str, Any]) -> bool:
    """Return whether the text of an email says no more than its subject."""
    return message.get("html") == f"<p>{message.get('subject')}</p>"
