"""The first login of a patient whom a professional has invited."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from icure_async.cli.folders import key_storage, state_of
from icure_async.cli.kept import keep_result
from icure_async.cli.output import note, working

if TYPE_CHECKING:
    from icure_async.cli.by_code import Completion
    from icure_async.cli.choices import Choices
    from icure_async.cli.kept import LoggedIn

__all__ = ["log_in"]


def log_in(choices: Choices, login: str, token: str, completion: Completion) -> LoggedIn:
    """Log in with what an invitation says, ask for access to the own data, and keep the login.

    Raises:
        AuthenticationError: the login or the token is refused.
        KeyPairNotFoundError: the user has a key pair, which is not on this device.
    """
    keys = key_storage(choices.folder)
    builder = choices.anonymous_builder(None).with_key_storage(keys).with_storage(state_of(keys))

    async def run() -> LoggedIn:
        async with builder.build() as api:
            result = await api.authentication_api.authenticate_and_ask_access_to_its_existing_data(
                login,
                token,
                token_validity=timedelta(days=completion.days),
                missing_key="allow" if completion.new_key else "refuse",
            )
            kept = await keep_result(choices, result, completion.place)
        for request in result.access_requests:
            if request.delivered:
                note(f"{request.recipient_id} is asked for access to your data.")
            else:
                note(f"{request.recipient_id} was not asked: {request.problem}", style="yellow")
        return kept

    with working("Logging in"):
        return asyncio.run(run())
