"""Logging in with a password or a token. A password is not kept: a token is made in its place."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from icure_async import environment
from icure_async.cli.kept import LoggedIn, replace_login
from icure_async.cli.logins import KeptLogin
from icure_async.cli.output import working
from icure_async.cli.questions import ask
from icure_async.errors import (
    ICureError,
    SecondFactorRequiredError,
    ValidationError,
)
from icure_async.rest.urls import normalise_base_url
from icure_async.rest.user_tokens import token_key_of

if TYPE_CHECKING:
    from icure_async.builders import MedTechApiBuilder
    from icure_async.cli.choices import Choices
    from icure_async.cli.logins import Place
    from icure_async.medtech import MedTechApi

__all__ = ["log_in"]

_TOKEN_NAME: Final = "icure-cli"  # noqa: S105 - the name, not the token


def log_in(
    choices: Choices, user_name: str, password: str, *, place: Place | None, days: int
) -> LoggedIn:
    """Log in, and keep a token: the given one, or for a password one that is made.

    Where the user needs a second factor, its code is asked for, or taken from the environment.

    Raises:
        AuthenticationError: user name, password, token or code are refused.
        PermissionDeniedError: the user may not make tokens.
    """
    url = normalise_base_url(choices.need("url"), "with_icure_base_url")
    builder = choices.builder(url).with_user_name(user_name).with_password(password)
    login = _Login(choices, builder.with_in_memory_keys(), user_name, password, url, place, days)
    try:
        return _run(login)
    except SecondFactorRequiredError:
        code = ask("Code of the second factor", environment.CODE, hidden=False)

    async def get_code() -> str:
        return code

    builder.with_second_factor(get_code)
    return _run(login)


@attrs.frozen(repr=False)
class _Login:
    """A login with a password or a token."""

    choices: Choices
    builder: MedTechApiBuilder
    user_name: str
    secret: str
    url: str
    place: Place | None
    days: int


def _run(login: _Login) -> LoggedIn:
    with working("Logging in"):
        return asyncio.run(_logged_in(login))


async def _logged_in(login: _Login) -> LoggedIn:
    async with login.builder.build() as api:
        user = await api.user_api.get_logged_user()
        try:
            owner_id = api.data_owner_api.get_data_owner_id_of(user)
        except ValidationError:
            # An administrator may be nobody's data owner.
            owner_id = None
        is_token = any(item.is_current for item in await api.user_api.list_tokens())
        token = login.secret
        if not is_token:
            validity = timedelta(days=login.days)
            token = await api.user_api.create_token(validity=validity, name=_TOKEN_NAME)
        kept = KeptLogin(
            url=login.url,
            user_name=login.user_name,
            user_id=user.id,
            data_owner_id=owner_id,
            token=token,
            flavour=login.choices.flavour or "medtech",
        )

        async def give_up() -> None:
            # A token that was given is somebody's.
            if not is_token:
                await api.user_api.revoke_token(token_key_of(token, _TOKEN_NAME))

        kept = await replace_login(login.choices, kept, login.place, give_up)
        return LoggedIn(login=kept, expires_at=await _end_of(api, token))


async def _end_of(api: MedTechApi, token: str) -> int | None:
    """Return when a token ends, or None where the backend does not tell: it is kept already."""
    derived = token_key_of(token)
    try:
        tokens = await api.user_api.list_tokens()
    except ICureError:
        return None
    return next((item.expires_at for item in tokens if item.key.endswith(derived)), None)
