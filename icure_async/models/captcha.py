"""The progress of a captcha that the SDK solves itself."""

from __future__ import annotations

import attrs

__all__ = ["CaptchaProgress"]


@attrs.frozen
class CaptchaProgress:
    """The state of a captcha by proof of work.

    Attributes:
        solved: how many of its puzzles are solved.
        total: how many there are. Each takes about the same time.
    """

    solved: int
    total: int
