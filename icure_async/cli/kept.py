"""A login that is kept instead of another one, whose token is revoked."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from icure_async.cli.logins import KeptLogin, keep_token, login_lock, read_login, write_login
from icure_async.cli.output import note
from icure_async.errors import ICureError
from icure_async.rest.urls import normalise_base_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from icure_async.authentication.result import AuthenticationResult
    from icure_async.cli.choices import Choices
    from icure_async.cli.logins import Place

__all__ = ["LoggedIn", "end_login", "keep_result", "replace_login"]

_REVOKING_SECONDS: Final = 10.0
_UNREADABLE: Final = (
    "that login could not be read. Until the token ends, everybody who has it is the user: look "
    "for it with 'icure token list', and end it with 'icure token revoke'."
)


@attrs.frozen(kw_only=True)
class LoggedIn:
    """A login that has just been kept.

    Attributes:
        login: as it is kept.
        expires_at: when its token ends, in epoch milliseconds; None where that is not known.
        warnings: what the person should know.
        fingerprints: of the key pairs in use.
    """

    login: KeptLogin
    expires_at: int | None
    warnings: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


async def replace_login(
    choices: Choices,
    login: KeptLogin,
    place: Place | None,
    give_up: Callable[[], Awaitable[object]],
) -> KeptLogin:
    """Keep a login, and revoke the token of the one that it replaces.

    Args:
        choices: the settings.
        login: to keep.
        place: where its token goes; None takes the keyring where there is one.
        give_up: revokes its token, which nobody would ever use, where it cannot be kept.

    Raises:
        ConfigurationError: its token cannot be kept in the place that is wanted.
        StorageError: the same, or the file cannot be written.
    """
    former: KeptLogin | None = None
    reason: str | None = None
    async with _or_else(give_up, ICureError), login_lock(choices.profile):
        # The keyring may wait for a person, who presses Ctrl-C.
        async with _or_else(give_up, anyio.get_cancelled_exc_class()):
            try:
                former = await read_login(choices.profile)
            except ICureError:
                # Damaged, or open to others: it is replaced all the same.
                reason = _UNREADABLE
            login = await keep_token(choices.profile, login, place)
        # After Ctrl-C the file may be written.
        await write_login(choices.profile, login)
    if former is not None and former.token != login.token:
        reason = await end_login(choices, former)
    if reason:
        note(f"The token of the former login was not revoked: {reason}", style="yellow")
    return login


@asynccontextmanager
async def _or_else(
    give_up: Callable[[], Awaitable[object]], problem: type[BaseException]
) -> AsyncGenerator[None, None]:
    try:
        yield
    except problem:
        with anyio.move_on_after(_REVOKING_SECONDS), contextlib.suppress(ICureError):
            await give_up()
        raise


async def keep_result(
    choices: Choices, result: AuthenticationResult, place: Place | None
) -> LoggedIn:
    """Keep the login that an authentication process has led to, and close its API.

    A token that cannot be kept is revoked: nobody would ever use it, and its code is used up.
    """
    async with result.med_tech_api as api:
        login = KeptLogin(
            url=normalise_base_url(choices.need("url"), "with_icure_base_url"),
            user_name=result.process.login,
            user_id=result.user_id,
            data_owner_id=result.data_owner_id,
            token=result.token,
            flavour=result.process.flavour,
        )
        kept = await replace_login(choices, login, place, api.logout)
        return LoggedIn(
            login=kept,
            expires_at=result.token_expires_at,
            warnings=tuple(result.warnings),
            fingerprints=tuple(pair.fingerprint for pair in result.key_pairs),
        )


async def end_login(choices: Choices, login: KeptLogin) -> str | None:
    """Revoke the token of a login at its backend, and return why that failed, or None."""
    try:
        builder = (
            choices.builder(login.url, login.flavour)
            .with_user_name(login.user_name)
            .with_password(login.token)
            .with_in_memory_keys()
        )
        async with builder.build() as api:
            result = await api.logout()
    except ICureError as error:
        return str(error)
    return None if result.token_revoked else result.reason
