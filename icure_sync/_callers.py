"""A check of blocking calls in a thread whose event loop is running.

Such a call is right in a notebook, whose cells run inside a loop that has nothing else to do. In a
program it stops every other task of the loop; if one of these is the sandbox that is to answer, the
call waits until its time limit.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from icure_async.cautions import BlockingCallWarning, warn_once
from icure_async.errors import ConfigurationError

__all__ = ["check_caller"]

_SANDBOX: Final = "icure_async.sandbox"


def check_caller(inner: object) -> None:
    """Refuse to hold up a sandbox in the caller's loop, and warn once of holding up another loop.

    Args:
        inner: the async object that the call is made on.

    Raises:
        ConfigurationError: the caller's event loop runs a sandbox.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    # A program that runs one has imported it. A sandbox of ours needs no other to answer.
    server = sys.modules.get(f"{_SANDBOX}.server")
    is_sandbox = type(inner).__module__.startswith(_SANDBOX)
    if server is not None and not is_sandbox and server.is_running_in(loop):
        raise ConfigurationError(
            "This call would wait for ever: the event loop it holds up runs a sandbox, which can't "
            "answer during the call. Use icure_async and await here, or the Sandbox of icure_sync, "
            "which has its own thread, or make the call in a worker thread (asyncio.to_thread)."
        )
    if not _is_notebook():
        warn_once(
            "A blocking call of icure_sync inside a coroutine holds up the other tasks of its "
            "event loop. Use icure_async and await there, or make the call in a worker thread "
            "(asyncio.to_thread). This is said once.",
            BlockingCallWarning,
        )


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
