"""Text that somebody else wrote, made fit for a log line or a message."""

from __future__ import annotations

from typing import Final

__all__ = ["printable"]

_LONGEST: Final = 200


def printable(text: object) -> str:
    r"""Return a text in one line of visible ASCII, shortened where it is very long.

    Ids come from the backend: a line feed in one would forge a line of a log, and an escape
    sequence would work on the terminal that shows it. They become ``\n`` and ``\x1b``.
    """
    spelled = str(text)
    shortened = spelled if len(spelled) <= _LONGEST else spelled[:_LONGEST] + "..."
    return "".join(
        character if " " <= character <= "~" else character.encode("unicode_escape").decode("ascii")
        for character in shortened
    )
