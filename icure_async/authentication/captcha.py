"""Captcha solutions, as the message gateway wants them."""

from __future__ import annotations

from typing import Final, Literal

from icure_async.errors import ValidationError

__all__ = ["CaptchaType", "captcha_member"]

CaptchaType = Literal["recaptcha", "friendly-captcha"]
"""reCAPTCHA v3, or Friendly Captcha."""

_MEMBERS: Final[dict[str, str]] = {
    "recaptcha": "g-recaptcha-response",
    "friendly-captcha": "friendly-captcha-response",
}


def captcha_member(solution: str, captcha_type: CaptchaType) -> dict[str, str]:
    """Return the member of the start request that carries a captcha's solution.

    Raises:
        ValidationError: the solution is empty, or the type unknown.
    """
    if not isinstance(captcha_type, str) or captcha_type not in _MEMBERS:
        raise ValidationError(f"recaptcha_type must be one of {', '.join(_MEMBERS)}.")
    if not isinstance(solution, str) or not solution.strip():
        raise ValidationError("recaptcha must be the solution of a captcha, and is empty.")
    return {_MEMBERS[captcha_type]: solution}
