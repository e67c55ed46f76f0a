"""Examples of docstrings do what they say, in both packages."""

from __future__ import annotations

import re
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


CALLED_BY_USERS = re.compile(r"(Api|Builder|Filter|Subscription|Storage|Sandbox)\.[a-z]\w*$")
OTHERWISE = (
    # Interfaces, whose methods others write.
    r"\.(Blocking)?(Key|Lockable)?Storage\.",
    # A database is needed: pages have examples.
    r"\.Postgres\w+\.",
    # Parts of the SDK call these.
    r"Filter\.(data_owners|depth|entities|everything|leaves|parts|searched_members|to_wire)$",
    r"Filter\.(universe|with_leaves|with_secret_ids)$",
    r"\.(get_item_and_mode|list_stored_keys|refuse_exposed|path_of|lock)$",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_method_that_users_call_has_an_example(package: Package) -> None:
    without = [
        name
        for name, text in docstrings_of(package)
        if CALLED_BY_USERS.search(name)
        and ">>>" not in text
        and not any(re.search(pattern, name) for pattern in OTHERWISE)
    ]
    assert without == []
