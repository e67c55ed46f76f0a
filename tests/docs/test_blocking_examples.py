"""Examples of ``icure_sync`` say the same as those of ``icure_async``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sync_examples import blocking, blocking_examples
from tests.support.doc_pages import blocks_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES_OF_OURS = {"manage-attachments", "manage-codings"}
# Their blocking tabs are written by tools/doc_tabs.py.
PAGES = [DOCS / "tutorial.md", DOCS / "deprecations.md", *sorted(DOCS.glob("how-to/*.md"))]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await api.call()\n", "api.call()\n"),
        ("print((await api.call(1)).note)\n", "print(api.call(1).note)\n"),
        ("print(await api.call())\n", "print(api.call())\n"),
        ("both = (await first() or await second())\n", "both = (first() or second())\n"),
        ("(await api.call()) == 1\n", "api.call() == 1\n"),
        ("async with a as b:\n    pass\n", "with a as b:\n    pass\n"),
        ("[x async for x in y]\n", "[x for x in y]\n"),
        ("async def show(item):\n    await f(item)\n", "def show(item):\n    f(item)\n"),
        (
            "from icure_async.storage import FileStorage\n",
            "from icure_sync.storage import FileStorage\n",
        ),
        ("await api.aclose()\n", "api.close()\n"),
        ("import asyncio\n\nasyncio.run(main())\n", "main()\n"),
        ("import asyncio\n\nawait asyncio.sleep(1)\n", "import time\n\ntime.sleep(1)\n"),
        ("text = 'await nothing'\n", "text = 'await nothing'\n"),
        ("(\n    await api.call()\n)\n", "(\n    api.call()\n)\n"),
    ],
)
def test_code_awaits_nothing_and_is_otherwise_the_same(code: str, expected: str) -> None:
    assert blocking(code) == expected


def test_code_that_needs_asyncio_has_no_blocking_form() -> None:
    with pytest.raises(ValueError, match="has a blocking form"):
        blocking("import asyncio\n\nawait asyncio.gather(a(), b())\n")


def test_only_the_examples_of_a_docstring_are_reworded() -> None:
    docstring = """Await the async thing.

    Example:
        >>> async with a as b:
        ...     await b.c()
        'await'
    """
    assert blocking_examples(docstring) == docstring.replace("async with", "with").replace(
        "await b", "b"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tabs_of_a_page_say_the_same(page: Path) -> None:
    tabs = [block for block in blocks_of(page.read_text("utf-8")) if block.tab]
    ours = [block.source for block in tabs if block.tab == "icure_async"]
    theirs = [block.source for block in tabs if block.tab == "icure_sync"]
    assert ours
    assert [ast.dump(ast.parse(blocking(source))) for source in ours] == [
        ast.dump(ast.parse(source)) for source in theirs
    ]


def test_all_pages_of_the_reference_have_one_here() -> None:
    surface = (DOCS / "spec" / "surface.md").read_text("utf-8")
    told = re.findall(r"^\d+\. how-to-", surface, re.MULTILINE)
    pages = {page.stem for page in DOCS.glob("how-to/*.md")}
    assert len(told) == len(pages - PAGES_OF_OURS) == 18
    assert pages >= PAGES_OF_OURS
