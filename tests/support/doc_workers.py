"""The distribution of pages over the workers of pytest-xdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from xdist.remote import Producer  # type: ignore[import-untyped]


class PageScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all blocks of a page to one worker, in their order: each needs those above it."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition(",")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PageScheduling:
    """Return what hands out the blocks, whatever ``--dist`` says."""
    return PageScheduling(config, log)
