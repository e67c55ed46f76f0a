"""The second factor of a login: the code that the application asks a person for."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.mistakes import awaited

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["SecondFactor"]

_CODE: Final = re.compile(r"[0-9]{4,12}")
_BETWEEN_DIGITS: Final = re.compile(r"[\s-]")

# The second factors whose function the running code belongs to.
_asking: Final[ContextVar[tuple[object, ...]]] = ContextVar("icure_second_factors", default=())


class SecondFactor:
    """Asks the application for the code of one login.

    Args:
        get_code: the application's function.
    """

    def __init__(self, get_code: Callable[[], Awaitable[str]]) -> None:
        self._get_code = get_code

    def check_not_asking(self) -> None:
        """Refuse a call that the application's function makes: it would wait for itself.

        Raises:
            ConfigurationError: the running code belongs to that function.
        """
        if self in _asking.get():
            raise ConfigurationError(
                "The function given to with_second_factor() calls the API object that waits for "
                "the code. Return the code without it: nothing was sent."
            )

    async def secret_with_code(self, password: str) -> str:
        """Return the password with a code, as backends want it (server-behaviour.md §3.3).

        Raises:
            ConfigurationError: the application's function is not async.
            ValidationError: it does not return a code.
        """
        token = _asking.set((*_asking.get(), self))
        try:
            answer = await awaited(
                self._get_code(), "with_second_factor()", "Nothing was sent with a code."
            )
        finally:
            _asking.reset(token)
        code = _BETWEEN_DIGITS.sub("", answer) if isinstance(answer, str) else ""
        if not _CODE.fullmatch(code):
            raise ValidationError(
                "The function given to with_second_factor() must return the code as a text of 4 to "
                "12 digits. Nothing was sent with it; call again."
            )
        return f"{password}|{code}"
