"""Pages of ``docs``, read as programs: their code blocks, run one after the other."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import gc
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
import unittest
import warnings
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final, Literal

import attrs
from sybil import Document, Example, Region

__all__ = [
    "PACKAGES",
    "Block",
    "Package",
    "PageParser",
    "PageRunner",
    "blocks_of",
    "blocks_of_run",
    "close_all",
    "finish",
    "loop_thread",
    "restore",
]

Package = Literal["icure_async", "icure_sync"]

PACKAGES: Final[tuple[Package, ...]] = ("icure_async", "icure_sync")
TIMEOUT: Final = 100.0
# "sh" is run, and "console" is only read.
LANGUAGES: Final = ("python", "sh", "output")
LAYOUT: Final = re.compile(
    r"^(?P<indent> *)(?:(?P<colons>:{3,})(?P<directive>\{[^}]+\}.*)?"
    r"|(?P<ticks>`{3,}|~{3,})(?P<info>.*))$"
)
TAB: Final = re.compile(r"\{tab-item\} *(?P<title>.*?) *$")
SPEAKS_OF: Final = re.compile(r"^ *(?:from|import) (icure_async|icure_sync)\b", re.MULTILINE)
OUTPUT: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@attrs.frozen
class Block:
    """A code block of a page: its text, and the tab that it stands in."""

    language: str
    source: str
    line: int
    start: int
    end: int
    tab: str | None


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the code blocks of a page in their order, with the innermost tab of each."""
    tabs: list[tuple[int, str | None]] = []
    fence: re.Match[str] | None = None
    begun = offset = 0
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        found = LAYOUT.match(line.rstrip("\n"))
        if fence is not None:
            if found and _closes(found, fence):
                source = inspect.cleandoc("\n" + "".join(lines)) if fence["indent"] else None
                yield Block(
                    language=fence["info"].strip(),
                    source="".join(lines) if source is None else source + "\n",
                    line=number - len(lines),
                    start=begun,
                    end=offset + len(line.rstrip("\n")),
                    tab=next((title for _, title in reversed(tabs) if title), None),
                )
                fence = None
            else:
                lines.append(line)
        elif found and found["ticks"]:
            fence, begun, lines = found, offset, []
        elif found and found["directive"]:
            title = TAB.match(found["directive"])
            tabs.append((len(found["colons"]), title["title"].strip("`") if title else None))
        elif found and tabs and len(found["colons"]) == tabs[-1][0]:
            tabs.pop()
        offset += len(line)


def _closes(found: re.Match[str], fence: re.Match[str]) -> bool:
    return not found["info"] and (found["ticks"] or "").startswith(fence["ticks"])


def blocks_of_run(text: str, package: Package) -> list[Block]:
    """Return the blocks that are run for a package.

    A page with tabs of both packages is run twice, from the top, without the tabs of the other
    one. A page without such tabs is run once.
    """
    blocks = [block for block in blocks_of(text) if block.language in LANGUAGES]
    if not any(block.tab == "icure_sync" for block in blocks):
        return blocks if package == "icure_async" else []
    other = PACKAGES[1 - PACKAGES.index(package)]
    return [
        block
        for block in blocks
        if block.tab == package
        or (block.tab != other and not _is_for_the_other(block, package, other))
    ]


def _is_for_the_other(block: Block, package: Package, other: Package) -> bool:
    if block.language != "python":
        return False
    named = set(SPEAKS_OF.findall(block.source))
    return named == {other} or (package == "icure_sync" and _is_async(block.source))


def _is_async(source: str) -> bool:
    return bool(_compiled(source, "<block>").co_flags & inspect.CO_COROUTINE)


def _compiled(source: str, name: str, line: int = 1) -> CodeType:
    # Line numbers of tracebacks are those of the page.
    padded = "\n" * (line - 1) + source
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(padded, name, "exec", flags, dont_inherit=True)
    return code


class PageParser:
    """A parser for Sybil, of all blocks that are run for a package."""

    def __init__(self, package: Package, runner: PageRunner) -> None:
        self._package: Final[Package] = package
        self._runner: Final = runner

    def __call__(self, document: Document) -> Iterator[Region]:
        """Yield the regions of a page."""
        for block in blocks_of_run(document.text, self._package):
            yield Region(block.start, block.end, block, self._runner.evaluate)


class PageRunner:
    """Runs the blocks of one page at a time, as a person would who types them.

    Each run of a page has a namespace, an event loop, a folder to work and live in, and the
    environment that ``environment()`` returns. The loop runs in a thread of its own until the page
    is left, so that servers that a page has started answer between its blocks.
    """

    def __init__(
        self,
        environment: Callable[[], Mapping[str, str]] = dict,
        names: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._environment: Final = environment
        self._names: Final = names
        self._document: Document | None = None
        self._stack = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._printed = ""
        self._has_failed = False
        self._namespace: dict[str, Any] = {}

    def evaluate(self, example: Example) -> str | None:
        """Run a block, or compare an output; return what is wrong."""
        if example.document is not self._document:
            self.leave()
            self._enter(example.document)
        if self._has_failed:
            raise unittest.SkipTest("a block above has failed")
        wrong = self._wrong_with(example.parsed, example.path)
        self._has_failed = wrong is not None
        return wrong

    def _wrong_with(self, block: Block, path: str) -> str | None:
        if block.language == "output":
            return self._compare(block)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                if block.language == "sh":
                    return self._run_shell(block)
                self._run(_compiled(block.source, path, block.line))
        except Exception as error:
            return _told(error, path)
        finally:
            self._printed = printed.getvalue()
            sys.stdout.write(self._printed)
        return None

    def leave(self) -> None:
        """End the page: close what it has opened, and remove its folder."""
        self._document = None
        if self._loop is not None:
            close_all(self._namespace.values(), self._loop)
        self._loop = None
        self._namespace = {}
        self._stack.close()
        # A page need not close everything, which the end of a program does.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def _enter(self, document: Document) -> None:
        self._document, self._printed, self._has_failed = document, "", False
        folder = tempfile.mkdtemp(prefix="icure-docs-")
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self._stack.enter_context(contextlib.chdir(folder))
        before = dict(os.environ)
        self._stack.callback(restore, before)
        os.environ.update({"HOME": folder, "XDG_CONFIG_HOME": f"{folder}/.config"})
        os.environ["XDG_DATA_HOME"] = f"{folder}/.local/share"
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before['PATH']}"
        os.environ.update(self._environment())
        self._namespace = {"__name__": "__main__", **self._names()}
        self._loop = self._stack.enter_context(loop_thread())

    def _run(self, code: CodeType) -> None:
        # A block that awaits nothing may block, and so must not run on the loop.
        result = eval(code, self._namespace)
        if inspect.iscoroutine(result):
            assert self._loop is not None
            finish(result, self._loop)

    def _await(
        self, coroutine: Coroutine[Any, Any, object], loop: asyncio.AbstractEventLoop
    ) -> None:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            future.result(TIMEOUT)
        except TimeoutError:
            future.cancel()
            raise

    def _run_shell(self, block: Block) -> str | None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.source],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        sys.stdout.write(done.stdout)
        return f"Exit code {done.returncode}:\n{done.stderr}" if done.returncode else None

    def _compare(self, block: Block) -> str | None:
        if doctest.OutputChecker().check_output(block.source, self._printed, OUTPUT):
            return None
        return f"The page says:\n{block.source}\nPrinted was:\n{self._printed}"


def close_all(things: Collection[object], loop: asyncio.AbstractEventLoop) -> None:
    """Close what is there of the SDK, the last first."""
    for thing in reversed([*things]):
        cls = type(thing)
        if not cls.__module__.startswith(PACKAGES):
            continue
        if cls.__name__ == "AuthenticationResult":
            close_all([getattr(thing, "med_tech_api", None)], loop)
        elif hasattr(cls, "aclose"):
            finish(cls.aclose(thing), loop)
        elif hasattr(cls, "close"):
            cls.close(thing)


def _told(error: Exception, path: str) -> str:
    """Return the traceback of an error, from the page on."""
    frames = traceback.extract_tb(error.__traceback__)
    begins = next((i for i, frame in enumerate(frames) if frame.filename == path), 0)
    lines = traceback.format_list(frames[begins:]) + traceback.format_exception_only(error)
    return "".join(lines)


def restore(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@contextlib.contextmanager
def loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop that runs in a thread, and cancel its tasks at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="page", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()


def finish(coroutine: Coroutine[Any, Any, object], loop: asyncio.AbstractEventLoop) -> None:
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        future.result(TIMEOUT)
    except TimeoutError:
        future.cancel()
        raise


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
