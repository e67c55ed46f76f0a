"""The English of docstrings, comments, messages and pages: sentences that say who does what."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    "*.py",
    *(f"{folder}/**/*.py" for folder in ("icure_async", "icure_sync", "tools", "benchmarks")),
    "tests/**/*.py",
    "*.md",
    "docs/**/*.md",
)

ANYWHERE = frozenset({"docstring", "comment", "message", "page"})
TEXTS = ANYWHERE - {"page"}
CLAUSE = "name the subject: a sentence does not begin with a clause"


@attrs.frozen
class Rule:
    """A pattern that is banned in some kinds of texts, and an example of it."""

    pattern: str
    kinds: frozenset[str]
    advice: str
    example: str


RULES = (
    Rule(
        r"^(Wh(at|atever|ether|ere|o|om|ose|oever|ich|y|en)|How)\b",
        frozenset({"docstring"}),
        "begin with a noun phrase, or with a verb where it is the docstring of a function",
        "Whether the key is known.",
    ),
    Rule(
        r"^(What|Whatever|Who|Whom)\b",
        frozenset({"comment", "message"}),
        CLAUSE,
        "What is known stays.",
    ),
    Rule(r"[.:;!?] (What|Whatever|Who|Whom)\b", TEXTS, CLAUSE, "A key. What is known stays."),
    Rule(r"(?i)\bwhoever\b", ANYWHERE, "name the person", "It is whoever reads the note."),
    Rule(r"\bDo (as|what)\b", ANYWHERE, "say what is done", "Do as :func:`run` does."),
    Rule(r"(?i)\bmeanwhile\b", ANYWHERE, "say during which time", "It has expired meanwhile."),
    Rule(r"(?i)\bbeside\b", ANYWHERE, "'next to', or 'in addition to'", "A note beside the name."),
    Rule(r"(?i)\bat hand\b", ANYWHERE, "say where it is", "The keys at hand."),
    Rule(r"(?i)\bgood for\b", ANYWHERE, "say what it does", "A code is good for one login."),
    Rule(r"\b[Ii]t is none\b", ANYWHERE, "say what it is not", "None if it is none at all."),
    Rule(
        r"(?i)\bin the place of\b",
        ANYWHERE,
        "'instead of', or say what replaces what",
        "Another key in the place of the first.",
    ),
)


@attrs.frozen
class Text:
    """A text of a file, without its line breaks."""

    kind: str
    line: int
    words: str


def texts_of(file: Path, content: str) -> Iterator[Text]:
    if file.suffix == ".py":
        yield from _comments_of(content)
        yield from _strings_of(ast.parse(content))
    else:
        for number, line in enumerate(content.splitlines(), 1):
            yield Text("page", number, line)


def _strings_of(tree: ast.Module) -> Iterator[Text]:
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = "docstring" if node in docstrings else "message"
            yield Text(kind, node.lineno, " ".join(node.value.split()))


def _comments_of(source: str) -> Iterator[Text]:
    """Yield the comments; those on adjacent lines are one."""
    lines: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != last + 1:
            yield _comment(lines, last)
            lines = []
        last = token.start[0]
        lines.append(token.string.removeprefix("#"))
    if lines:
        yield _comment(lines, last)


def _comment(lines: list[str], last: int) -> Text:
    return Text("comment", last - len(lines) + 1, " ".join(" ".join(lines).split()))


def mistakes_in(file: Path, content: str) -> Iterator[str]:
    for text in texts_of(file, content):
        for rule in RULES:
            if text.kind in rule.kinds and (found := re.search(rule.pattern, text.words)):
                around = text.words[max(found.start() - 40, 0) : found.end() + 40]
                yield f"{file}:{text.line}: {text.kind}: {rule.advice}: …{around}…"


def test_nothing_in_the_repository_breaks_a_rule() -> None:
    files = {file for place in PLACES for file in ROOT.glob(place)} - {Path(__file__)}
    assert len(files) > 300
    assert [
        mistake
        for file in sorted(files)
        for mistake in mistakes_in(file.relative_to(ROOT), file.read_text("utf-8"))
    ] == []


def _planted(kind: str, words: str) -> tuple[Path, str]:
    if kind == "page":
        return Path("README.md"), f"# Title\n\n{words}\n"
    source = {
        "docstring": f'SIZE = 1\n"""{words}"""\n',
        "comment": f"SIZE = 1\n# {words}\n",
        "message": f'SIZE = 1\nprint(f"{words} {{SIZE}}")\n',
    }
    return Path("module.py"), source[kind]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_a_broken_rule_is_named_with_its_place(rule: Rule) -> None:
    for kind in sorted(ANYWHERE):
        named = mistakes_in(*_planted(kind, rule.example))
        mistakes = [mistake for mistake in named if rule.advice in mistake]
        assert len(mistakes) == (kind in rule.kinds)
        if mistakes:
            line = 3 if kind == "page" else 2
            assert f":{line}: {kind}: {rule.advice}" in mistakes[0]


def test_a_phrase_is_found_across_lines() -> None:
    folded = '"""The keys at\nhand."""\n# The keys at\n# hand.\n'
    assert len(list(mistakes_in(Path("module.py"), folded))) == 2
