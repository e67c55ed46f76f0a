"""Registering and logging in by a code that the gateway sends, in two steps.

A person is asked between the two event loops and in none of them: there Ctrl-C would wait for the
answer. The first step is kept on disk, so that the second one may come later, and be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async import environment
from icure_async.authentication.process import AuthenticationState
from icure_async.cli.folders import key_storage, state_of
from icure_async.cli.kept import LoggedIn, keep_result
from icure_async.cli.output import note, working
from icure_async.cli.pending import Pending, forget_pending, keep_pending
from icure_async.cli.questions import ask, confirm, is_answerable
from icure_async.errors import (
    AuthenticationProcessError,
    InvalidCodeError,
    KeyPairNotFoundError,
    StorageError,
    ValidationError,
)

if TYPE_CHECKING:
    from icure_async.authentication.captcha import CaptchaType
    from icure_async.builders import AnonymousMedTechApiBuilder
    from icure_async.cli.choices import Choices
    from icure_async.cli.logins import Place
    from icure_async.models.missing_key import MissingKeyPolicy

__all__ = ["Completion", "finish", "start"]

_OPEN: Final = AuthenticationState.CODE_SENT


@attrs.frozen(kw_only=True)
class Completion:
    """The options of the second step.

    Attributes:
        place: where the token is to be kept; None takes the keyring where there is one.
        days: for which the token works.
        new_key: whether a new key pair may be published where none of the user's is here.
    """

    place: Place | None
    days: int
    new_key: bool


def start(
    choices: Choices,
    user_type: str | None,
    captcha: str | None,
    captcha_type: CaptchaType | None,
    **person: Any,
) -> Pending:
    """Have a code sent, and keep the process.

    Args:
        choices: the settings.
        user_type: "hcp" or "patient" for those who are new; None for a login.
        captcha: its solution; None asks for it, unless this program solves it.
        captcha_type: its kind; None for the usual one.
        person: arguments of ``start_authentication()``.
    """
    builder = choices.anonymous_builder(user_type)
    solution = captcha
    if not captcha and not _is_computed(choices, captcha_type):
        solution = ask("Solution of a captcha", environment.CAPTCHA, hidden=False)

    async def run() -> Pending:
        async with builder.build() as api:
            process = await api.authentication_api.start_authentication(
                solution or None, recaptcha_type=captcha_type, **person
            )
        pending = Pending(process, user_type, choices)
        await keep_pending(pending)
        return pending

    with working("Asking the gateway for a code"):
        pending = asyncio.run(run())
    note(f"A code was sent to {pending.process.login}.")
    return pending


def _is_computed(choices: Choices, captcha_type: CaptchaType | None) -> bool:
    return captcha_type == "kerberus" or (captcha_type is None and choices.flavour == "cardinal")


def finish(pending: Pending, completion: Completion) -> LoggedIn:
    """Ask for the code, complete the process with it, and keep the login.

    A wrong code can be corrected. Where the program or the network fails, the same code finishes
    the job later, with ``icure login --resume``.

    Raises:
        ConfigurationError: there is no terminal, and no code in the environment.
        AuthenticationProcessError: the process is over, or without a terminal the code wrong.
        KeyPairNotFoundError: none of the user's key pairs is here, and a new one is not wanted.
    """
    choices = pending.choices
    keys = key_storage(choices.folder)
    builder = (
        choices.anonymous_builder(pending.user_type)
        .with_key_storage(keys)
        .with_storage(state_of(keys))
    )
    while True:
        code = _code()
        try:
            return _completed(builder, pending, code, completion)
        except (InvalidCodeError, ValidationError) as error:
            if isinstance(error, InvalidCodeError):
                pending = attrs.evolve(pending, process=error.process or pending.process)
                asyncio.run(keep_pending(pending))
            if not _may_try_again(pending):
                raise
            note(str(error), style="red")
        except KeyPairNotFoundError as error:
            if completion.new_key or not is_answerable():
                raise
            note(str(error), style="red")
            confirm("Publish a new key pair all the same?", option="--new-key")
            allowed = attrs.evolve(completion, new_key=True)
            return _completed(builder, pending, code, allowed)
        except AuthenticationProcessError as error:
            if error.process is not None and error.process.state is not _OPEN:
                asyncio.run(forget_pending(choices.profile))
            raise


def _code() -> str:
    if not environment.value_of(environment.CODE) and not is_answerable():
        note(f"Go on with: {environment.CODE}=(the code) icure login --resume")
    return ask("Code from the message", environment.CODE, hidden=False)


def _may_try_again(pending: Pending) -> bool:
    given = environment.value_of(environment.CODE)
    return not given and is_answerable() and pending.process.state is _OPEN


def _completed(
    builder: AnonymousMedTechApiBuilder, pending: Pending, code: str, completion: Completion
) -> LoggedIn:
    choices = pending.choices
    missing_key: MissingKeyPolicy = "allow" if completion.new_key else "refuse"

    async def run() -> LoggedIn:
        async with builder.build() as api:
            result = await api.authentication_api.complete_authentication(
                pending.process,
                code,
                token_validity=timedelta(days=completion.days),
                missing_key=missing_key,
            )
            # Until the login is kept: the gateway takes the code once, and the backend for some
            # minutes.
            used = attrs.evolve(pending.process, bypass_token_check=True)
            with contextlib.suppress(StorageError):
                await keep_pending(attrs.evolve(pending, process=used))
            kept = await keep_result(choices, result, completion.place)
            await forget_pending(choices.profile)
            return kept

    with working("Logging in"):
        done = asyncio.run(run())
    if pending.user_type is not None:
        note("The private key is on this device only: back it up with 'icure keys export FILE'.")
    return done
