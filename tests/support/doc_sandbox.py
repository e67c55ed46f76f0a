"""The sandbox that the pages of ``docs`` find running, and the code that a person would type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from icure_sync.sandbox import Sandbox

__all__ = ["PageSandbox"]

CONTACT: Final = re.compile(r"\+\d{8,15}|[\w.+-]+@[\w.-]+")


class PageSandbox:
    """A sandbox in the state in which ``icure sandbox`` starts."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self._sandbox = Sandbox()
        self._sandbox.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox = None

    @property
    def _running(self) -> Sandbox:
        assert self._sandbox is not None, "the sandbox of the pages is not running"
        return self._sandbox

    def environment(self) -> Mapping[str, str]:
        """Reset it, and return the environment variables that ``icure sandbox`` prints."""
        self._running.reset()
        master = self._running.master_hcp
        return self._running.environment | {
            "ICURE_SANDBOX_PROFESSIONAL_ID": master.data_owner_id,
            "ICURE_SANDBOX_LOGIN": master.login,
            "ICURE_SANDBOX_PASSWORD": master.password,
        }

    def names(self) -> Mapping[str, Callable[..., object]]:
        """Return ``input()``, which a person would answer."""
        return {"input": self._answer}

    def _answer(self, prompt: object = "") -> str:
        """Answer a question that names a contact with the newest code sent there."""
        contact = CONTACT.search(str(prompt))
        assert contact is not None, f"the question {prompt!r} names no contact"
        # A page may ask in a coroutine, where a blocking call gives a warning.
        with ThreadPoolExecutor(1) as thread:
            wait = self._running.wait_for_code
            code = thread.submit(wait, contact.group(), timeout=5).result()
        print(f"{prompt}{code}")
        return code
