"""The API reference has every public name."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from icure_async.errors import ICureError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
# Modules in themselves, and classes that the page about errors lists as a whole.
ELSEWHERE = {"errors", "storage"}
PLACES = ("", ".sandbox", ".services", ".storage")


def documented() -> set[str]:
    text = "".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    return set(re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, re.MULTILINE))


@pytest.mark.parametrize("place", PLACES)
def test_every_public_name_is_documented_where_it_is_imported_from(place: str) -> None:
    module = importlib.import_module(f"icure_async{place}")
    missing = [
        name
        for name in module.__all__
        if name not in ELSEWHERE
        and f"icure_async{place}.{name}" not in documented()
        and not {f"icure_async.{name}", f"icure_async.storage.{name}"} & documented()
        and not _is_error(getattr(module, name))
    ]
    assert missing == []


@pytest.mark.parametrize("place", PLACES)
def test_every_class_of_its_own_that_icure_sync_has_is_documented(place: str) -> None:
    blocking, original = (
        importlib.import_module(f"{package}{place}") for package in ("icure_sync", "icure_async")
    )
    own = [
        name
        for name in blocking.__all__
        if getattr(blocking, name) is not getattr(original, name, None)
        and inspect.isclass(getattr(blocking, name))
    ]
    known = documented()
    assert [
        name
        for name in own
        if not {f"icure_sync{place}.{name}", f"icure_sync.{name}", f"icure_sync.storage.{name}"}
        & known
    ] == []


def test_every_name_that_is_documented_exists() -> None:
    for name in documented() - {"icure_async.errors"}:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member), name


def _is_error(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, ICureError)
