"""Item names, and how they become file names."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from icure_async.errors import ValidationError

__all__ = ["check_item_name", "encode_value", "file_name_of", "item_name_of"]

_MAX_FILE_NAME: Final = 255


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return None


def check_item_name(name: str) -> None:
    """Refuse names that no storage can hold: empty, with NUL, or not valid Unicode text.

    Raises:
        ValidationError: the name is one of these.
    """
    if not name:
        raise ValidationError("The name of an item must not be empty.")
    if "\0" in name:
        raise ValidationError("The name of an item must not contain a NUL character.")
    if _utf8(name) is None:
        raise ValidationError("The name of an item must not contain lone surrogates.")


def encode_value(name: str, value: str) -> bytes:
    """Return the UTF-8 bytes of a value.

    Raises:
        ValidationError: the value holds lone surrogates, which UTF-8 cannot express.
    """
    data = _utf8(value)
    # Raised here and not where the codec fails: its exception carries the whole value.
    if data is None:
        raise ValidationError(f"The value of the item {name!r} must not contain lone surrogates.")
    return data


def file_name_of(name: str) -> str:
    """Return the file name of an item: ``encodeURIComponent``, with ``! ' ( ) *`` escaped too.

    The rule is that of the reference's directory store (cryptography.md §2). A leading dot, which
    that rule leaves alone, becomes ``%2E`` here: ``.`` and ``..`` are folders, and hidden files are
    not items.

    Raises:
        ValidationError: the name is empty, holds NUL or lone surrogates, or is longer than a file
            name can be (255 bytes once encoded).
    """
    check_item_name(name)
    file_name = quote(name, safe="")
    if file_name.startswith("."):
        file_name = f"%2E{file_name[1:]}"
    if len(file_name) > _MAX_FILE_NAME:
        raise ValidationError(
            f"The name of the item is too long: {len(file_name)} bytes as a file name, where at"
            f" most {_MAX_FILE_NAME} are possible. Choose a shorter one."
        )
    return file_name


def item_name_of(file_name: str) -> str | None:
    """Return the item whose file has this name, or None for a file that is not an item."""
    try:
        name = unquote(file_name, errors="strict")
        return name if file_name_of(name) == file_name else None
    except (UnicodeError, ValidationError):
        return None
