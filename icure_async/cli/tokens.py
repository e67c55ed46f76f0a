"""``icure token``: the long-lived tokens of the user who is logged in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.output import note, print_json, print_rows, when, working
from icure_async.errors import ConfigurationError

if TYPE_CHECKING:
    from icure_async.models.user_token import UserToken

__all__ = ["token"]

token: typer.Typer = typer.Typer(
    no_args_is_help=True, help="The tokens of your user: list them, revoke them."
)


@token.command("list")
def list_tokens(profile: ProfileName = None, as_json: AsJson = False) -> None:
    """List the tokens of your user, the oldest first. Their secrets are shown nowhere."""
    ready = opening(profile)

    async def run() -> list[UserToken]:
        async with ready.api(with_keys=False) as api:
            return await api.user_api.list_tokens()

    with working("Asking the backend"):
        tokens = asyncio.run(run())
    if as_json:
        print_json([attrs.asdict(item) for item in tokens])
        return
    print_rows(
        ("key", "name", "created", "ends", "this login"),
        [
            (item.key, item.name, when(item.creation_time), _end(item), item.is_current)
            for item in tokens
        ],
    )


@token.command()
def revoke(
    keys: Annotated[list[str], typer.Argument(help="Keys of tokens, from 'icure token list'.")],
    profile: ProfileName = None,
) -> None:
    """Revoke tokens: nobody logs in with them from now on.

    The exit code is 1 if one of them does not exist.
    """
    ready = opening(profile)

    was_there: dict[str, bool] = {}

    async def run() -> None:
        async with ready.api(with_keys=False) as api:
            if any(
                item.is_current for item in await api.user_api.list_tokens() if item.key in keys
            ):
                raise ConfigurationError(
                    "One of these is the token of this login: end it with 'icure logout'. Nothing "
                    "was revoked."
                )
            for key in dict.fromkeys(keys):
                was_there[key] = await api.user_api.revoke_token(key)

    try:
        with working("Revoking"):
            asyncio.run(run())
    finally:
        # Those before a failure are revoked all the same.
        for key, found in was_there.items():
            note(f"Revoked {key}." if found else f"There is no token {key}.")
    if not all(was_there.values()):
        raise typer.Exit(1)


def _end(item: UserToken) -> str | None:
    return "never" if item.validity == -1 else when(item.expires_at)
