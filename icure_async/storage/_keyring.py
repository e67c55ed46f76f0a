"""The keyring of the operating system, which may ask a person and wait for the answer."""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs

from icure_async.errors import ConfigurationError, StorageError
from icure_async.storage._sealing import decode_base64, encode_base64
from icure_async.threads import Job, outcome_of, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANSWER_SECONDS", "keep", "look_up"]

ANSWER_SECONDS: Final = 10.0
"""The longest that the keyring may take. A person who is asked to unlock it may take longer, and then the
call is to be repeated: nobody may be there, as on a server."""

# Of those that queue for an answer that is overdue, each waits for so long.
_LAST_SECONDS: Final = 1.0

_NO_KEYRING: Final = (
    "The system keyring cannot be used{reason}. On a machine without one, as in a container or "
    "without a desktop session, give a passphrase instead, or let FileKeyStorage keep the keys in "
    "files that only this user can read. Nothing was written."
)
_NO_ANSWER: Final = (
    "The system keyring has not answered within {seconds:g} seconds: perhaps it waits for somebody "
    "to unlock it. Unlock it, and try again. Where nobody can, as in a container or without a "
    "desktop session, give a passphrase instead. Nothing was written."
)

Result = TypeVar("Result")


async def keep(service: str, account: str, key: bytes) -> None:
    """Put a key into the keyring, and see that it is there.

    Raises:
        ConfigurationError: the ``keyring`` extra is not installed.
        StorageError: the keyring cannot be used, or does not answer.
    """
    entry = _Entry(service, account)
    try:
        await _answer_to(start(partial(entry.keep, encode_base64(key))), ANSWER_SECONDS)
    except BaseException:
        # Nobody is going to use it.
        entry.abandoned = True
        raise


async def look_up(service: str, account: str) -> bytes | None:
    """Return the key in the keyring, or None where there is none.

    Raises:
        ConfigurationError: the ``keyring`` extra is not installed.
        StorageError: the keyring cannot be used, or does not answer.
    """
    place = (os.getpid(), service, account)
    # A second question would be a second prompt, and a second thread that waits for it.
    question = _asked.get(place)
    if question is None:
        question = _Question(start(_Entry(service, account).look_up), time.monotonic())
        _asked[place] = question
        question.job.add_done_callback(lambda _: _asked.pop(place, None))
    waited = time.monotonic() - question.since
    text = await _answer_to(question.job, max(ANSWER_SECONDS - waited, _LAST_SECONDS))
    return decode_base64(text)


async def _answer_to(job: Job[Result], seconds: float) -> Result:
    with anyio.move_on_after(seconds):
        return await outcome_of(job)
    raise StorageError(_NO_ANSWER.format(seconds=ANSWER_SECONDS))


@attrs.define
class _Question:
    job: Job[str | None]
    since: float


_asked: dict[tuple[int, str, str], _Question] = {}


class _Entry:
    """An entry of the keyring. Its methods block."""

    def __init__(self, service: str, account: str) -> None:
        self._place = (service, account)
        self.abandoned = False

    def keep(self, text: str) -> None:
        backend = _backend()
        _call(lambda: backend.set_password(*self._place, text))
        # There are backends that forget everything.
        kept = _call(lambda: backend.get_password(*self._place))
        if self.abandoned:
            with contextlib.suppress(Exception):
                backend.delete_password(*self._place)
        if kept != text:
            raise StorageError(_NO_KEYRING.format(reason=": it does not keep what it is given"))

    def look_up(self) -> str | None:
        backend = _backend()
        text: str | None = _call(lambda: backend.get_password(*self._place))
        return text


def _backend() -> Any:
    """Return the system keyring, with ``get_password`` and ``set_password``."""
    try:
        import keyring
    except ImportError:
        keyring = None  # type: ignore[assignment]
    if keyring is None:
        raise ConfigurationError(
            "The system keyring needs its extra: pip install 'icure-async[keyring]'. Or give a "
            "passphrase instead."
        )
    return keyring


def _call(work: Callable[[], Result]) -> Result:
    # Raised outside of the except clause, and without its text: a backend of somebody else's may
    # say anything, and raise anything.
    try:
        return work()
    except Exception as error:
        name = type(error).__name__
    raise StorageError(_NO_KEYRING.format(reason=f" ({name})"))
