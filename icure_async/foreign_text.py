"""Foreign text, made safe for a message or a log line."""

from __future__ import annotations

from typing import Final

__all__ = ["printable"]

_LENGTH: Final = 200


def printable(text: object, length: int = _LENGTH) -> str:
    r"""Return a text on one line, in which nothing can steer a terminal or forge a log line.

    Line breaks, escape sequences, marks that turn the direction of writing and lone surrogates
    become visible: ``\n``, ``\x1b``, ``\u202e``. A text that is too long is cut.

    Args:
        text: a text, or a value to be shown as one.
        length: how many of its characters to keep.
    """
    given = str(text)
    kept = given[:length] + ("…" if len(given) > length else "")
    return kept if kept.isprintable() else "".join(map(_visible, kept))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
