"""Examples of ``icure_async``, reworded for ``icure_sync``: code that awaits nothing."""

from __future__ import annotations

import doctest
import io
import keyword
import re
import tokenize
from typing import Final

__all__ = ["blocking", "blocking_examples"]

RENAMED: Final = {
    "icure_async": "icure_sync",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "AsyncIterator": "Iterator",
}
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
# Code that runs a program, which is not needed where nothing is async.
IMPORT: Final = re.compile(r"^import asyncio\n\n?", re.MULTILINE)
RUN: Final = re.compile(r"\basyncio\.run\((.*)\)$", re.MULTILINE)
SLEEP: Final = re.compile(r"\bawait asyncio\.sleep\(")


def blocking(code: str) -> str:
    """Return the code that does the same with ``icure_sync``.

    Raises:
        ValueError: the code needs asyncio for more than a pause, and to be run.
    """
    code = SLEEP.sub("time.sleep(", code)
    code = RUN.sub(r"\1", code)
    if "time.sleep(" in code:
        code = code.replace("import asyncio\n", "import time\n")
    code = IMPORT.sub("", code)
    if re.search(r"\basyncio\.", code):
        raise ValueError("nothing of asyncio but run() and sleep() has a blocking form")
    tokens = [*tokenize.generate_tokens(io.StringIO(code).readline)]
    lines = code.splitlines(keepends=True)
    for start, end, text in sorted(_changes(tokens), reverse=True):
        row = start[0] - 1
        lines[row] = lines[row][: start[1]] + text + lines[row][end[1] :]
    return "".join(lines)


_Change = tuple[tuple[int, int], tuple[int, int], str]


def _changes(tokens: list[tokenize.TokenInfo]) -> list[_Change]:
    found: list[_Change] = []
    for index, token in enumerate(tokens):
        if token.type in (tokenize.NAME, tokenize.ASYNC, tokenize.AWAIT):
            if token.string in ("async", "await"):
                found.append((token.start, tokens[index + 1].start, ""))
            if token.string == "await":
                found += _parentheses(tokens, index)
            elif token.string in RENAMED:
                found.append((token.start, token.end, RENAMED[token.string]))
    return found


def _parentheses(tokens: list[tokenize.TokenInfo], index: int) -> list[_Change]:
    """Return the removal of parentheses that hold nothing but ``await`` and a call."""
    if index < 1 or tokens[index - 1].string != "(" or _is_call(tokens, index - 1):
        return []
    depth = 0
    for token in tokens[index + 1 :]:
        depth += (token.string in OPENING) - (token.string in CLOSING)
        if depth < 0:
            opening = tokens[index - 1]
            return [(opening.start, opening.end, ""), (token.start, token.end, "")]
        if depth == 0 and not _is_part_of_call(token):
            return []
    return []


def _is_call(tokens: list[tokenize.TokenInfo], index: int) -> bool:
    """Return whether an opening parenthesis follows the name of what is called."""
    before = tokens[index - 1] if index else None
    if before is None:
        return False
    is_name = before.type == tokenize.NAME and not keyword.iskeyword(before.string)
    return is_name or before.string in CLOSING


def _is_part_of_call(token: tokenize.TokenInfo) -> bool:
    is_name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
    return is_name or token.type == tokenize.NL or token.string in CLOSING | {"."}


def blocking_examples(docstring: str) -> str:
    """Return a docstring with its ``>>>`` examples reworded."""
    for example in doctest.DocTestParser().get_examples(docstring):
        indent = " " * example.indent
        before, after = (
            "\n".join(
                f"{indent}{'...' if number else '>>>'} {line}".rstrip()
                for number, line in enumerate(code.splitlines())
            )
            for code in (example.source, blocking(example.source))
        )
        docstring = docstring.replace(before, after)
    return docstring
