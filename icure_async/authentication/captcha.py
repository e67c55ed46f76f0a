"""Captchas: their solutions as the message gateway wants them, or the wish to have one solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import attrs

from icure_async.authentication.proof_of_work import solved
from icure_async.errors import ValidationError
from icure_async.mistakes import checked_progress
from icure_async.models.captcha import CaptchaProgress

if TYPE_CHECKING:
    from icure_async.authentication.proof_of_work import Progress
    from icure_async.rest.message_gateway import MessageGateway

__all__ = ["Captcha", "CaptchaMember", "CaptchaType", "chosen_captcha"]

CaptchaType = Literal["recaptcha", "friendly-captcha", "kerberus"]
"""reCAPTCHA v3, Friendly Captcha, or the one of iCure that the SDK solves itself."""

CaptchaMember: TypeAlias = Mapping[str, object]
"""The member of the start request that carries the solution."""

_TYPES: Final = get_args(CaptchaType)
_MEMBERS: Final[dict[str, str]] = {
    "recaptcha": "g-recaptcha-response",
    "friendly-captcha": "friendly-captcha-response",
    "kerberus": "kerberus-response",
}


@attrs.frozen(repr=False)
class Captcha:
    """The captcha of one start.

    Attributes:
        type: its kind.
        solution: of a person; None where the SDK solves it.
        progress: called while it does.
    """

    type: CaptchaType
    solution: str | None
    progress: Progress | None

    async def member(self, gateway: MessageGateway) -> CaptchaMember:
        """Return the member with the solution; where need be, ask for a challenge and solve it.

        Raises:
            BackendError: the gateway has no challenge, or one that can't be solved.
            NetworkError: no answer.
        """
        solution: object = self.solution
        if solution is None:
            challenge = await gateway.challenge()
            solution = await solved(challenge, gateway.spec_id, self.progress)
        return {_MEMBERS[self.type]: solution}


def chosen_captcha(
    solution: str | None,
    captcha_type: CaptchaType | None,
    progress: Progress | None,
    *,
    solves_itself: bool,
) -> Captcha:
    """Return the captcha that a caller means.

    Args:
        solution: of a person.
        captcha_type: its kind; None for the usual one.
        progress: called while the SDK solves the captcha.
        solves_itself: whether it does so unless told otherwise.

    Raises:
        ValidationError: the solution is empty or missing, or the type unknown.
        ConfigurationError: the callback can't be called.
    """
    if captcha_type is not None and captcha_type not in _TYPES:
        raise ValidationError(f"recaptcha_type must be one of {', '.join(_TYPES)}.")
    progress = checked_progress(progress, CaptchaProgress)
    if solution is None and (captcha_type == "kerberus" or (solves_itself and not captcha_type)):
        return Captcha("kerberus", None, progress)
    if captcha_type == "kerberus":
        raise ValidationError(
            "The SDK solves a captcha of the type 'kerberus' itself: leave out recaptcha, or name "
            "the type of the captcha that was solved. Nothing was sent."
        )
    if solution is None:
        raise ValidationError(
            "recaptcha is missing: pass the solution of a captcha, or recaptcha_type='kerberus' "
            "to have the SDK solve one, where the message gateway offers that. Nothing was sent."
        )
    if not isinstance(solution, str) or not solution.strip():
        raise ValidationError("recaptcha must be the solution of a captcha, and is empty.")
    return Captcha(captcha_type or "recaptcha", solution, progress)
