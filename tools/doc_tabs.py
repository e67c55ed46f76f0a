"""Tabs of the pages: writes the ``icure_sync`` tab next to each ``icure_async`` tab.

``python tools/doc_tabs.py docs/tutorial.md docs/how-to/*.md`` rewrites pages. A block that is
marked with ``python tabs`` becomes a set of tabs, and the blocking tab of each set is written anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from sync_examples import blocking

MARKED: Final = re.compile(r"^```python tabs\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET: Final = re.compile(
    r"^::::\{tab-set\}\n:sync-group: package\n"
    r":::\{tab-item\} icure_async\n:sync: async\n(.*?)^:::\n"
    r":::\{tab-item\} icure_sync\n:sync: sync\n.*?^:::\n::::$",
    re.MULTILINE | re.DOTALL,
)
BLOCK: Final = re.compile(r"(?<=^```python\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


def with_tabs(text: str) -> str:
    """Return a page with both tabs."""
    text = MARKED.sub(lambda found: _tabs(f"```python\n{_formatted(found[1])}```\n"), text)
    return SET.sub(lambda found: _tabs(found[1]), text)


def _tabs(content: str) -> str:
    twin = BLOCK.sub(lambda found: _formatted(blocking(found[1])), content)
    return (
        "::::{tab-set}\n:sync-group: package\n"
        f":::{{tab-item}} icure_async\n:sync: async\n{content}:::\n"
        f":::{{tab-item}} icure_sync\n:sync: sync\n{twin}:::\n::::"
    )


def _formatted(code: str) -> str:
    command = ["ruff", "format", "--quiet", "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=True).stdout


def main(paths: list[str]) -> None:
    """Rewrite pages."""
    for path in map(Path, paths):
        path.write_text(with_tabs(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
