"""The part of ``icure doctor`` that is about the user: the login, its token, and the keys."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from icure_async.cli.connections import builder_for, credentials_of
from icure_async.cli.findings import bad, doubtful, good
from icure_async.cli.folders import key_storage
from icure_async.cli.output import when
from icure_async.errors import ICureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.builders import MedTechApiBuilder
    from icure_async.cli.choices import Choices
    from icure_async.cli.findings import Finding
    from icure_async.models.key_report import KeyReport

__all__ = ["check_account"]

_SOON_MS: Final = 3 * 24 * 60 * 60 * 1000
_LOG_IN: Final = "log in with 'icure login'"
_GET_THE_KEY: Final = (
    "'icure keys import' with a backup, 'icure keys recover' with shares of notaries, or "
    "'icure keys doctor' for all ways"
)


def check_account(choices: Choices) -> list[Finding]:
    """Return the findings about the login and the keys."""
    try:
        credentials = credentials_of(choices)
    except ICureError as error:
        return [bad("Login", str(error), _LOG_IN)]
    if credentials is None:
        return [doubtful("Login", "nobody is logged in with this profile", _LOG_IN)]
    try:
        keys = key_storage(choices.folder)
        builder = builder_for(choices, credentials, keys)
    except ICureError as error:
        return [bad("Keys", str(error), _GET_THE_KEY)]
    return asyncio.run(_examined(builder))


async def _examined(builder: MedTechApiBuilder) -> list[Finding]:
    found: list[Finding] = []
    async with builder.build() as api:
        try:
            user = await api.user_api.get_logged_user()
        except ICureError as error:
            return [bad("Login", str(error), _LOG_IN)]
        found.append(good("Login", f"the backend takes the login of user {user.id}"))
        found.append(_token(api.token_expires_at))
        try:
            report = await api.data_owner_api.examine_keys()
        except ICureError as error:
            return [*found, bad("Keys", str(error), _GET_THE_KEY)]
    return [*found, *_keys(report)]


def _token(expires_at: int | None) -> Finding:
    if expires_at is None:
        return good("Token", "it is a password, or ends at no time that the backend tells")
    if expires_at - time.time() * 1000 < _SOON_MS:
        return doubtful("Token", f"it ends soon, on {when(expires_at)}", _LOG_IN)
    return good("Token", f"it ends on {when(expires_at)}")


def _keys(report: KeyReport) -> Iterator[Finding]:
    here = [key.fingerprint for key in report.keys if key.status == "on_device"]
    owner = f"data owner {report.data_owner_id}"
    if not report.keys:
        found = f"{owner} has no key pair yet"
        yield doubtful("Keys", found, "the first command that reads or writes records makes one")
    elif here:
        yield good("Keys", f"{', '.join(here)} of {owner} on this device")
    for problem in report.problems:
        yield bad("Keys", problem, _GET_THE_KEY)
    if report.unknown:
        found = f"this device does not know these published keys: {', '.join(report.unknown)}"
        step = "see that they are of your other devices, with 'icure keys doctor'"
        yield doubtful("Keys", found, step)
