"""Signals, in a program whose main thread waits for another one."""

from __future__ import annotations

import _thread
import signal
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RaisedAgain", "block_signals", "with_signals"]

T = TypeVar("T")

_HANDLED: Final = frozenset(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)


def block_signals() -> None:
    """Leave the signals that programs handle to the main thread, which runs the handlers.

    One that another thread is woken up by does not wake up the main thread: its handler would run
    when the call has ended.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)


def with_signals(function: Callable[[], T]) -> T:
    """Call a function of the user's in a worker thread: what it starts inherits no blocked signals.

    Worker threads themselves inherit them from the loop thread.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    return function()


class RaisedAgain:
    """Raises an interrupt of a ``__del__`` again, when it is dropped at the end of that.

    Python only reports an error that a ``__del__`` raises, and goes on.
    """

    def __init__(self, interrupt: BaseException) -> None:
        before = signal.getsignal(signal.SIGINT)

        def raise_again(*_: object) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
            raise interrupt

        signal.signal(signal.SIGINT, raise_again)

    # No line of Python may stand between here and there: the signal would interrupt that.
    __del__ = _thread.interrupt_main
