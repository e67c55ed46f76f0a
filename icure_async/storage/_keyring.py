"""The keyring of the operating system, which may ask a person and wait for the answer."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from icure_async.errors import ConfigurationError, StorageError
from icure_async.storage._sealing import decode_base64, encode_base64
from icure_async.threads import Job, outcome_of, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANSWER_SECONDS", "forget", "keep", "look_up"]

ANSWER_SECONDS: Final = 10.0
"""The longest that the keyring may take. A person who is asked to unlock it may take longer, and
then the call is to be repeated: nobody may be there, as on a server."""

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


async def keep(service: str, account: str, secret: bytes) -> None:
    """Put a secret into the keyring, and see that it is there.

    Raises:
        ConfigurationError: the ``keyring`` extra is not installed.
        StorageError: the keyring cannot be used, or does not answer.
    """
    abandoned = threading.Event()
    work = partial(_keep, service, account, encode_base64(secret), abandoned)
    try:
        await _answer_to(start(work), ANSWER_SECONDS)
    except BaseException:
        # Nobody is going to use it.
        abandoned.set()
        raise


async def look_up(service: str, account: str) -> bytes | None:
    """Return the secret in the keyring, or None where there is none. Raises as :func:`keep`."""
    place = (os.getpid(), service, account)
    # A second question would be a second prompt, and a second thread that waits for it.
    question = _asked.get(place)
    if question is None:
        question = start(partial(_look_up, service, account)), time.monotonic()
        _asked[place] = question
        question[0].add_done_callback(lambda _: _asked.pop(place, None))
    job, since = question
    seconds = max(since + ANSWER_SECONDS - time.monotonic(), _LAST_SECONDS)
    text = await _answer_to(job, seconds)
    return decode_base64(text)


async def forget(service: str, account: str) -> None:
    """Remove a secret, which may be absent, from the keyring. Raises as :func:`keep`."""
    await _answer_to(start(partial(_forget, service, account)), ANSWER_SECONDS)


_asked: dict[tuple[int, str, str], tuple[Job[str | None], float]] = {}
"""The questions that were not answered yet, and since when."""


async def _answer_to(job: Job[Result], seconds: float) -> Result:
    with anyio.move_on_after(seconds):
        return await outcome_of(job)
    raise StorageError(_NO_ANSWER.format(seconds=ANSWER_SECONDS))


def _keep(service: str, account: str, text: str, abandoned: threading.Event) -> None:
    backend = _backend()
    _call(lambda: backend.set_password(service, account, text))
    # There are backends that forget everything.
    kept = _call(lambda: backend.get_password(service, account))
    if abandoned.is_set():
        with contextlib.suppress(Exception):
            backend.delete_password(service, account)
    if kept != text:
        raise StorageError(_NO_KEYRING.format(reason=": it does not keep what it is given"))


def _forget(service: str, account: str) -> None:
    backend = _backend()
    # Its error for an absent secret is no other than that for a failure.
    if _call(lambda: backend.get_password(service, account)) is not None:
        _call(lambda: backend.delete_password(service, account))


def _look_up(service: str, account: str) -> str | None:
    backend = _backend()
    text: str | None = _call(lambda: backend.get_password(service, account))
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
