"""Canned answers instead of a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses


class CannedResponse(aiohttp.ClientResponse):
    """Supplies what aiohttp 3.14 asks for and aioresponses 0.7.9 does not know of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture
def responses(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Canned answers; an unexpected request is a connection error."""
    with aioresponses() as canned:
        add = canned.add

        def add_with_our_class(*args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("response_class", CannedResponse)
            add(*args, **kwargs)

        monkeypatch.setattr(canned, "add", add_with_our_class)
        yield canned
