"""Pages are read as people read them: block after block, and a tab for each package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sybil import Document

from tests.support.doc_pages import PageParser, PageRunner, blocks_of, blocks_of_run
from tests.support.doc_workers import PageScheduling

TABS = """\
# Page

```python
shared = 1
```

::::{tab-set}
:::{tab-item} icure_async
```python
await asynchronous()
```
:::
:::{tab-item} icure_sync
```python
blocking()
```
:::
::::

```console
$ not run
```

```python
from icure_async import Patient
```

```python
await more()
```
"""


def wrong_with(text: str) -> list[str | None]:
    """Return what is wrong with each block of a page."""
    runner = PageRunner()
    document = Document(text, "page.md")
    for region in PageParser("icure_async", runner)(document):
        document.add(region)
    try:
        return [runner.evaluate(example) for example in document.examples()]
    finally:
        runner.leave()


def test_blocks_know_their_language_line_and_tab() -> None:
    blocks = [(block.language, block.line, block.tab) for block in blocks_of(TABS)]
    assert blocks == [
        ("python", 4, None),
        ("python", 10, "icure_async"),
        ("python", 15, "icure_sync"),
        ("console", 21, None),
        ("python", 25, None),
        ("python", 29, None),
    ]


def test_a_block_holds_the_text_between_its_fences() -> None:
    text = "````python\n```\ninner\n```\n````\n"
    (block,) = blocks_of(text)
    assert block.source == "```\ninner\n```\n"
    assert text[block.start : block.end] == text.rstrip("\n")


def test_a_page_with_tabs_is_run_for_each_package_with_what_is_outside_of_them() -> None:
    runs = {
        package: [block.source for block in blocks_of_run(TABS, package)]
        for package in ("icure_async", "icure_sync")
    }
    assert runs["icure_sync"] == ["shared = 1\n", "blocking()\n"]
    assert runs["icure_async"] == [
        "shared = 1\n",
        "await asynchronous()\n",
        "from icure_async import Patient\n",
        "await more()\n",
    ]


def test_a_page_without_tabs_is_run_once() -> None:
    text = "```python\nfrom icure_sync import Patient\n```\n"
    assert len(blocks_of_run(text, "icure_async")) == 1
    assert blocks_of_run(text, "icure_sync") == []


def test_names_live_on_from_block_to_block_and_blocks_may_await() -> None:
    page = """\
```python
import asyncio
task = asyncio.sleep(0, "slept")
```

```python
print(await task)
```

```output
slept
```
"""
    assert wrong_with(page) == [None, None, None]


def test_servers_of_a_page_answer_while_a_later_block_blocks() -> None:
    page = """\
```python
import asyncio, socket
async def greet(reader, writer):
    writer.write(b"hello")
    writer.close()
server = await asyncio.start_server(greet, "127.0.0.1", 0)
```

```python
with socket.create_connection(server.sockets[0].getsockname(), timeout=5) as client:
    print(client.recv(5).decode())
```

```output
hello
```
"""
    assert wrong_with(page) == [None, None, None]


def test_another_output_than_the_page_says_is_wrong() -> None:
    page = "```python\nprint(4711)\n```\n\n```output\n4712\n```\n"
    ran, compared = wrong_with(page)
    assert ran is None
    assert compared == "The page says:\n4712\n\nPrinted was:\n4711\n"


def test_dots_stand_for_any_output() -> None:
    page = "```python\nprint('patient 4711 was saved')\n```\n\n```output\npatient ... saved\n```\n"
    assert wrong_with(page) == [None, None]


def test_an_error_is_told_with_the_line_of_the_page() -> None:
    (wrong,) = wrong_with("# Page\n\n```python\nfine = 1\nwrong = 1 / 0\n```\n")
    assert wrong is not None
    assert wrong.startswith('  File "page.md", line 5')
    assert "ZeroDivisionError" in wrong


def test_blocks_after_a_failure_are_skipped() -> None:
    with pytest.raises(Exception, match="a block above has failed"):
        wrong_with("```python\n1 / 0\n```\n\n```python\nprint()\n```\n")


def test_shell_blocks_are_run_and_their_failure_is_told() -> None:
    page = "```sh\necho written > file && cat file\n```\n\n```output\nwritten\n```\n"
    assert wrong_with(page) == [None, None]
    assert wrong_with("```sh\necho said >&2; exit 3\n```\n") == ["Exit code 3:\nsaid\n"]


def test_a_page_leaves_neither_files_nor_variables_behind() -> None:
    folder, home = Path.cwd(), os.environ.get("HOME")
    page = """\
```python
import os
from pathlib import Path
os.environ["ICURE_DOC_PAGE"] = "1"
Path("file").write_text("content")
print(Path("~").expanduser().samefile(Path.cwd()))
```

```output
True
```
"""
    assert wrong_with(page) == [None, None]
    assert "ICURE_DOC_PAGE" not in os.environ
    assert Path.cwd() == folder
    assert os.environ.get("HOME") == home
    assert not (folder / "file").exists()


def test_one_worker_runs_all_blocks_of_a_page_in_a_package() -> None:
    page = "docs/how-to/share-data.md::sybil:icure_async,"
    blocks = [f"{page}line:{line},column:1" for line in (3, 188)]
    blocks += [block.replace("async", "sync") for block in blocks]
    blocks.append(blocks[0].replace("share-data", "manage-users"))
    scheduling = object.__new__(PageScheduling)
    first, second, other_package, same_package, other_page = (
        scheduling._split_scope(block) for block in blocks
    )
    assert first == second
    assert other_package == same_package
    assert len({first, other_package, other_page}) == 3
