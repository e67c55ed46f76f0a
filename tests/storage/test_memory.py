from __future__ import annotations

import pytest

from icure_async.errors import ValidationError
from icure_async.storage import MemoryStorage


async def test_items() -> None:
    storage = MemoryStorage()
    assert await storage.get_item("a") is None
    await storage.set_item("b.1", "one")
    await storage.set_item("a", "two")
    await storage.set_item("a", "three")
    assert await storage.get_item("a") == "three"
    assert await storage.list_items() == ["a", "b.1"]
    assert await storage.list_items("b.") == ["b.1"]
    await storage.remove_item("a")
    await storage.remove_item("a")
    assert await storage.list_items() == ["b.1"]


async def test_repr_shows_a_count_at_most() -> None:
    storage = MemoryStorage()
    await storage.set_item("name", "secret value")
    assert repr(storage) == "<MemoryStorage with 1 item>"


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
async def test_refuses_what_files_refuse(name: str) -> None:
    storage = MemoryStorage()
    with pytest.raises(ValidationError):
        await storage.get_item(name)
    with pytest.raises(ValidationError):
        await storage.set_item(name, "value")
    with pytest.raises(ValidationError):
        await storage.remove_item(name)
    with pytest.raises(ValidationError):
        await storage.set_item("a", "\udfff")
