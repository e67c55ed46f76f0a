"""Programs that run in an interpreter of their own, and interrupts in this one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

# Python only reports what is raised in a finaliser, be it one of the standard library's.
swallowed_interrupts_are_no_matter = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
ROOT = Path(__file__).parents[2]
PREAMBLE = """
import asyncio, atexit, gc, os, signal, sys, threading, time, warnings
import anyio
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
# Python 3.12 and later warn of what these tests are about.
warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork", DeprecationWarning)

def say(*words):
    print(*words, flush=True)
"""

SLOW_IMPORT = """
class Finder:
    def __init__(self, name):
        self.name, self.found = name, threading.Event()

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            self.found.set()
            time.sleep(0.3)

def slow_down(name):
    finder = Finder(name)
    sys.meta_path.insert(0, finder)
    return finder.found
"""
"""``slow_down()``: a module takes a while to import, and an event says that it has begun."""


@dataclass
class Ended:
    lines: list[str]
    errors: str
    exit_code: int
    seconds_after_last_line: float


class Program:
    """A running program."""

    def __init__(self, source: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", *options, "-c", PREAMBLE + textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        # No test waits for ever.
        self._killer = threading.Timer(20, self._process.kill)
        self._killer.start()

    def read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def press_ctrl_c(self) -> None:
        self.send(signal.SIGINT)

    def send(self, signal_number: signal.Signals) -> None:
        self._process.send_signal(signal_number)

    def wait(self) -> Ended:
        lines: list[str] = []
        last = time.monotonic()
        while line := self.read_line():
            lines.append(line)
            last = time.monotonic()
        _, errors = self._process.communicate()
        self._killer.cancel()
        return Ended(lines, errors, self._process.returncode, time.monotonic() - last)


def run_program(source: str, *options: str) -> Ended:
    """Run a program to its end."""
    return Program(source, *options).wait()


async def fail_at_the_end() -> AsyncIterator[int]:
    """Yield an item, and fail in the cleanup."""
    try:
        yield 1
    finally:
        raise ValueError("cleanup")


def modules_in(error: BaseException) -> list[str]:
    """Return the modules of the lines that the traceback of an error shows."""
    frames = traceback.walk_tb(error.__traceback__)
    return [str(frame.f_globals["__name__"]) for frame, _ in frames]


class Interrupted(BaseException):
    """Raised by the signal handler in the main thread, as KeyboardInterrupt is by Ctrl-C."""


@contextlib.contextmanager
def handle_after(seconds: float, function: Callable[[], object]) -> Iterator[None]:
    """Call a function in a signal handler, in the main thread."""

    def handle(number: int, frame: FrameType | None) -> None:
        function()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_after(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Raise :class:`Interrupted` in the main thread."""

    def interrupt() -> None:
        raise Interrupted

    return handle_after(seconds, interrupt)
