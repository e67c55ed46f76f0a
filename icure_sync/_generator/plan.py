"""What the generated modules have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from icure_sync._generator.shapes import Shapes
from icure_sync._generator.source import Definition, Package

if TYPE_CHECKING:
    from icure_sync._generator.rules import GeneratedModule, Kind, Rules

__all__ = ["Plan"]

# The distribution is called icure-async, for both packages.
_SPEAKS_OF_ASYNC: Final = re.compile(
    r"\b(?<!icure-)(async\w*|await\w*|coroutines?|event loops?|aclose|icure_async)\b", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"\bicure_sync\.(\w+)")


@dataclass
class Plan:
    """What the modules have in common: the rules, which of them were used, and what is wrong."""

    package: Package
    rules: Rules
    problems: list[str] = field(default_factory=list[str])
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    shapes: Shapes = field(init=False)

    def __post_init__(self) -> None:
        generated = {
            Definition(module.source, name)
            for module in self.rules.modules
            for name, kind in module.classes.items()
            if kind != "protocol"
        }
        self.shapes = Shapes(self.package, generated)
        top = self.package.source(self.package.name)
        self._public = frozenset(top.exported if top else ())

    def problem(self, text: str) -> None:
        """Note something that keeps the generator from doing its job."""
        self.problems.append(text)

    def uses(self, table: str, entry: str) -> bool:
        """Return whether a table of the rules has an entry, and note that it was of use."""
        found = entry in getattr(self.rules, table)
        if found:
            self.used.add((table, entry))
        return found

    def module_of(self, definition: Definition | None) -> GeneratedModule | None:
        """Return the generated module that has the twin of a class, if there is one."""
        for module in self.rules.modules:
            if (
                definition
                and module.source == definition.module
                and definition.name in module.classes
            ):
                return module
        return None

    def kind_of(self, definition: Definition | None) -> Kind | None:
        """Return what is generated of a class, if anything is."""
        module = self.module_of(definition)
        return module.classes[str(definition.name)] if module and definition else None

    def target_of(self, definition: Definition) -> str | None:
        """Return the name of the generated module that has the twin of a class."""
        module = self.module_of(definition)
        return module.target if module else None

    def reworded(self, text: str, where: str) -> str:
        """Return a docstring that speaks of blocking calls."""
        for phrase, replacement in self.rules.words.items():
            if phrase in text:
                self.used.add(("words", phrase))
                text = text.replace(phrase, replacement)
        left = _SPEAKS_OF_ASYNC.search(text)
        if left:
            self.problem(f"{where}: its docstring says {left[0]!r}; see words")
        for name in _REFERENCE.findall(text):
            if f"icure_sync.{name}" not in self.rules.facades and name not in self._public:
                self.problem(f"{where}: its docstring names icure_sync.{name}; there is no such")
        return text
