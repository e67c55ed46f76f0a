"""Signals, in a program whose main thread waits for another one."""

from __future__ import annotations

import _thread
import signal
import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["block_signals", "raised_again", "with_signals"]

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


def raised_again(interrupt: BaseException) -> object | None:
    """Have an interrupt of a ``__del__`` be raised again in the code that goes on after it.

    Python only reports what a ``__del__`` raises, and goes on as if nothing was. So it has to come
    anew when the ``__del__`` has returned, which is when what this returns is dropped.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(signal.SIGINT)

    def raise_again(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
        raise interrupt

    signal.signal(signal.SIGINT, raise_again)
    return _CtrlC()


class _CtrlC:
    """Presses Ctrl-C when it is garbage.

    There must be no line of Python between here and there: that would be what is interrupted.
    """

    __slots__ = ()

    __del__ = _thread.interrupt_main
