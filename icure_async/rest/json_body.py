"""JSON on the wire: orjson, and the standard library for the lone surrogates orjson refuses."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["INLINE_BYTES", "dump_json", "load_json", "load_large_json"]

INLINE_BYTES: Final = 128 * 1024
"""Parsing this much takes about as long as handing it to a thread."""


def dump_json(value: object) -> bytes:
    """Return compact JSON as bytes; NaN and infinities become null, as in JavaScript.

    Raises:
        TypeError: the value is not made of JSON types, or is beyond all measure.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError):
        raise TypeError("The value is nested too deeply, or has too many digits.") from None
    return text.encode("utf-8", errors="backslashreplace")


def load_json(body: bytes) -> Any:
    """Return the parsed JSON.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def load_large_json(body: bytes) -> Any:
    """Return the parsed JSON like :func:`load_json`, letting other threads run in between.

    orjson would hold the interpreter's lock from the first byte to the last.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(
            body,
            object_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse,
        )
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


# Python functions, not the types themselves: other threads get their turn when one is called.
def _object(members: dict[str, Any]) -> dict[str, Any]:
    return members


def _integer(digits: str) -> int | float:
    number = int(digits)
    # As orjson does.
    return number if -(1 << 63) <= number < 1 << 64 else float(digits)


def _number(text: str) -> float:
    return float(text)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        members = cast("Mapping[object, object]", value)
        return {key: _finite(member) for key, member in members.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast("Sequence[object]", value)]
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")
