"""Examples of docstrings do what they say, in both packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache

import pytest

from tests.support.doc_pages import PACKAGES, Package
from tests.support.doc_strings import ExampleWorld, docstrings_of


@pytest.fixture(scope="module")
def world_of() -> Iterator[Callable[[Package], ExampleWorld]]:
    with ExitStack() as stack:
        yield cache(lambda package: stack.enter_context(closing(ExampleWorld(package))))


EXAMPLES = {
    (package, name): text
    for package in PACKAGES
    for name, text in docstrings_of(package)
    if ">>>" in text
}


@pytest.mark.parametrize(("package", "name"), EXAMPLES)
def test_an_example_does_what_it_says(
    world_of: Callable[[Package], ExampleWorld], package: Package, name: str
) -> None:
    wrong = world_of(package).wrong_with(EXAMPLES[package, name])
    assert wrong is None, wrong
