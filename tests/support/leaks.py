"""Secrets in what is printed or logged of errors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence


def assert_secret_free(error: BaseException, *secrets: str) -> None:
    """No secret in the error, nor anywhere in the chain of exceptions behind it."""
    seen: BaseException | None = error
    while seen is not None:
        text = f"{seen!s} {seen!r} {seen.args!r} {vars(seen)!r}"
        text += repr([getattr(seen, name, None) for name in ("doc", "object")])
        for secret in secrets:
            assert secret not in text
        seen = seen.__cause__ or seen.__context__


def printed(error: BaseException) -> str:
    """Everything that printing an error, or one behind it, may show."""
    parts = traceback.format_exception(error)
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        parts += [str(current), repr(current), repr(current.args)]
        parts += getattr(current, "__notes__", [])
        todo += [current.__cause__, current.__context__]
    return "\n".join(parts)


def logged(records: Sequence[logging.LogRecord]) -> str:
    """Everything that a log handler may show, extra members included."""
    formatter = logging.Formatter()
    return "\n".join(f"{formatter.format(record)} {record.__dict__!r}" for record in records)
