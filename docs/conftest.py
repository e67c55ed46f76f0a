"""The code blocks of the pages, run against a sandbox: ``pytest docs``.

A page may use these without defining them: the environment variables that ``icure sandbox``
prints, and ``input()``, which answers with the newest code that this sandbox has sent. Blocks may
await. Of a page with tabs called ``icure_async`` and ``icure_sync`` each package is run from the
top, with what stands outside of the tabs. ``sh`` blocks are run, too, and ``console`` blocks are
not. An ``output`` block holds what the block before it prints, with ``...`` for what differs.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from sybil import Sybil

from tests.support.doc_pages import PageParser, PageRunner
from tests.support.doc_sandbox import PageSandbox
from tests.support.doc_workers import pytest_xdist_make_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.doc_pages import Package

__all__ = ["pytest_xdist_make_scheduler"]  # a hook

SANDBOX = PageSandbox()
RUNNER = PageRunner(SANDBOX.environment, SANDBOX.names)
NOT_RUN = ("spec/*",)


def _sybil(package: Package) -> Sybil:
    return Sybil(
        parsers=[PageParser(package, RUNNER)],
        pattern="*.md",
        excludes=NOT_RUN,
        name=package,
        fixtures=["the_sandbox"],
    )


pytest_collect_file = (_sybil("icure_async") + _sybil("icure_sync")).pytest()


@pytest.fixture(scope="session")
def the_sandbox() -> Iterator[None]:
    """Keep a sandbox running until the last page is read."""
    # Garbage is collected after each page: not in what was there before.
    gc.freeze()
    with SANDBOX:
        yield
        RUNNER.leave()
    gc.unfreeze()
