"""JSON values that are checked on their way into models, and copied on their way out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from icure_async.json_shapes import is_list, is_object
from icure_async.models.fields import fits_64_bits, is_finite, is_fuzzy_date

__all__ = [
    "SCALARS",
    "STORED_SCALARS",
    "Kept",
    "Mismatch",
    "Read",
    "copy_json",
    "hidden",
    "is_deeper_than",
    "left_out",
    "read_fuzzy_date",
    "read_json",
    "read_list",
    "read_map",
    "read_numbers",
    "read_object",
    "read_texts",
    "write_bytes",
]

Read: TypeAlias = Callable[..., Any]
"""cattrs calls it with a value and its type, and everybody else with the value."""

_TEXT: Final = frozenset({str})
_NUMBERS: Final = frozenset({int, float})
_LEAVES: Final = frozenset({str, int, float, bool, type(None)})


class Mismatch(Exception):  # noqa: N818
    """A member is not what the models allow. It knows where, and never which value."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> Mismatch:
        """Return the mismatch as seen from the model or collection around it."""
        joint = "." if step and self.path and not self.path.startswith("[") else ""
        return Mismatch(self.problem, f"{step}{joint}{self.path}")


class Kept(Exception):  # noqa: N818
    """A member goes back the way it came, as long as its attribute keeps this value."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def hidden(value: object, _: object = None) -> object:
    """Read a member that is kept for writing back, and not shown."""
    del value
    raise Kept(None)


def left_out(value: object, _: object = None) -> None:
    """Read a member that is neither shown nor written back."""
    del value


def read_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, whatever class of mappings it has. Its names may be anything."""
    if is_object(value):
        return value
    if not isinstance(value, Mapping):
        raise Mismatch("is not an object")
    return dict(cast("Mapping[str, Any]", value))


def read_map(value: Any) -> dict[str, Any]:
    """Return a JSON object whose names are texts."""
    # Most are dicts; asking for the class spares calls, here and below.
    members: dict[str, Any] = value if value.__class__ is dict else read_object(value)
    if not _TEXT.issuperset(map(type, members)) and not all(map(_is_text, members)):
        raise Mismatch("has a member whose name is not a text")
    return members


def read_list(value: Any) -> list[Any]:
    """Return a JSON list."""
    if not is_list(value):
        raise Mismatch("is not a list")
    return value


def read_texts(value: Any, _: object = None) -> list[str]:
    """Return a copy of a list of texts."""
    texts: list[Any] = value if value.__class__ is list else read_list(value)
    if not texts:
        return []
    if not _TEXT.issuperset(map(type, texts)) and not all(map(_is_text, texts)):
        raise Mismatch("is not a list of texts")
    return texts.copy()


def read_numbers(value: Any, _: object = None) -> list[float]:
    """Return a copy of a list of numbers."""
    numbers: list[Any] = value if value.__class__ is list else read_list(value)
    # There may be millions, for which the event loop would wait.
    if not _NUMBERS.issuperset(map(type, numbers)):
        raise Mismatch("is not a list of numbers")
    return numbers.copy()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def copy_json(value: Any) -> Any:
    """Return JSON that shares nothing with what was given."""
    # Asking for the class spares calls: most are leaves, or empty, or what JSON is parsed into.
    kind = value.__class__
    if kind in _LEAVES:
        return value
    if not value and (kind is dict or kind is list):
        return cast("Any", kind())
    if isinstance(value, list):
        items = cast("list[object]", value)
        # There may be millions, for which the event loop would wait.
        if _LEAVES.issuperset(map(type, items)):
            return items.copy()
        return [copy_json(item) for item in items]
    if kind is dict or isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        return {key: copy_json(item) for key, item in members.items()}
    return value


def is_deeper_than(value: object, levels: int) -> bool:
    """Return whether JSON has more levels than this."""
    # Without recursion: it may have more of them than a stack takes.
    within: list[object] = [value]
    for _ in range(levels):
        within = [item for outer in within for item in _items_of(outer)]
        if not within:
            return False
    return True


def _items_of(value: object) -> list[object]:
    """Return what lies in a value, without what nothing can lie in."""
    if isinstance(value, Mapping):
        items = list(cast("Mapping[object, object]", value).values())
    elif isinstance(value, list):
        items = cast("list[object]", value)
    else:
        return []
    return [] if _LEAVES.issuperset(map(type, items)) else items


def read_json(value: Any, _: object = None) -> Any:
    """Return a copy of any JSON value."""
    return copy_json(value)


def write_bytes(value: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(value).decode("ascii")


def _read_bytes(value: object, _: object = None) -> bytes:
    try:
        return base64.b64decode(_read_text(value), validate=True)
    except ValueError:
        raise Mismatch("is not base64") from None


def _read_odd_base64(value: object, _: object = None) -> bytes:
    """Read base64 that may be folded, URL-safe or without padding."""
    text = _read_text(value)
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise Kept(None) from None
    if write_bytes(content) != text:
        raise Kept(content)
    return content


def _scalar(kind: type, problem: str) -> Read:
    accepted = (int, float) if kind is float else kind

    def read(value: object, _: object = None) -> Any:
        # A bool counts as an int in Python, and in JSON as nothing else.
        if value.__class__ is not kind and (
            not isinstance(value, accepted) or isinstance(value, bool)
        ):
            raise Mismatch(problem)
        return value

    return read


def _kept_unless(fits: Callable[[Any], bool], kind: type) -> Read:
    read = SCALARS[kind]

    def read_or_keep(value: object, _: object = None) -> Any:
        number = value if value.__class__ is kind else read(value)
        if not fits(number):
            raise Kept(number)
        return number

    return read_or_keep


_read_text: Final = _scalar(str, "is not a text")

SCALARS: Final[Mapping[Any, Read]] = {
    bool: _scalar(bool, "is not a boolean"),
    bytes: _read_bytes,
    float: _scalar(float, "is not a number"),
    int: _scalar(int, "is not an integer"),
    str: _read_text,
}
"""The readers of values, by type."""

STORED_SCALARS: Final[Mapping[Any, Read]] = {
    bytes: _read_odd_base64,
    float: _kept_unless(is_finite, float),
    int: _kept_unless(fits_64_bits, int),
}
"""The readers of members that backends have stored, and that may not be set anew like this."""

read_fuzzy_date: Final = _kept_unless(is_fuzzy_date, int)
