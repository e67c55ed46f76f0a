"""What a generated module has to import, found while it is written."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from icure_sync._generator.plan import Plan
    from icure_sync._generator.rules import GeneratedModule
    from icure_sync._generator.source import Definition, Source

__all__ = ["GENERATED", "Imports"]

GENERATED: Final = "icure_sync._generated"
_RUNTIME: Final = {
    "Twin": "icure_sync._twins",
    "adapt": "icure_sync._plain",
    "callback": "icure_sync._plain",
    "trimmed_traceback": "icure_sync._tracebacks",
}


class Imports:
    """The imports of one generated module; who uses a name asks for it here.

    Args:
        plan: what all modules have in common.
        source: the module it is made from.
        module: its rules.
    """

    def __init__(self, plan: Plan, source: Source, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.source: Final = source
        self._module = module
        self._meanings: dict[str, Definition | None] = dict.fromkeys(_RUNTIME)
        self._imports: defaultdict[str, set[str]] = defaultdict(set)
        self._for_annotations: defaultdict[str, set[str]] = defaultdict(set)

    def lines(self) -> Iterator[str]:
        """Yield the import statements."""
        if self._for_annotations:
            self.needs("typing", "TYPE_CHECKING")
        yield from _import_statements(self._imports)
        if self._for_annotations:
            yield "if TYPE_CHECKING:"
            yield from (f"    {line}" for line in _import_statements(self._for_annotations))

    def needs(self, module: str, name: str) -> str:
        """Import a name that the code needs when it runs, and return it."""
        self._imports[module].add(name)
        return name.rpartition(" ")[2]

    def runtime(self, name: str) -> str:
        """Import a name of the runtime, and return it."""
        return self.needs(_RUNTIME[name], name)

    def sibling(self, target: str) -> str:
        """Import another generated module, and return its name here.

        The modules refer to each other: classes can't be imported from them at the start.
        """
        return self.needs(GENERATED, f"{target} as _{target}")

    def async_class(self, name: str) -> str:
        """Import a class of the source under another name than its twin's, and return that."""
        return self.needs(self.source.module, f"{name} as Async{name}")

    def async_for_annotations(self, definition: Definition) -> str:
        """Do the same with any class that has a twin, where only annotations need it."""
        alias = f"Async{definition.name}"
        self.for_annotations(definition.module, f"{definition.name} as {alias}")
        return alias

    def twin(self, definition: Definition) -> str:
        """Return the expression for a generated class, wherever it is."""
        target = str(self.plan.target_of(definition))
        if target == self._module.target:
            return str(definition.name)
        return f"{self.sibling(target)}.{definition.name}"

    def base(self, definition: Definition) -> str:
        """Import a generated class that another one inherits from, and return its name."""
        target, name = str(self.plan.target_of(definition)), str(definition.name)
        return name if target == self._module.target else self.needs(f"{GENERATED}.{target}", name)

    def for_annotations(self, module: str, name: str) -> None:
        """Import a name that only annotations need; an empty one stands for the module."""
        imports = self._imports if module == "typing" else self._for_annotations
        imports[module].add(name)

    def text_of(self, expression: ast.expr, source: Source, *, now: bool = False) -> str:
        """Import all names of an annotation or, now, of a default, and return its text.

        Args:
            expression: what is written.
            source: the module it is written in.
            now: whether it is evaluated when the generated module is imported.
        """
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                add = self.needs if now else self.for_annotations
                self._import_name(node.id, source, add)
        return ast.unparse(expression)

    def _import_name(self, name: str, source: Source, add: Callable[[str, str], object]) -> None:
        definition = self.plan.package.find(source, name)
        here = self.plan.package.find(self.source, name) if name in self._module.classes else None
        if self._meanings.setdefault(name, here or definition) != definition:
            self.plan.problem(
                f"{source.module}.{name}: has another meaning in the module that is generated "
                f"from {self.source.module}; rename one of them"
            )
        if definition is None:
            return
        if self.plan.kind_of(definition) in ("twin", "value"):
            target = self.plan.target_of(definition)
            if target != self._module.target:
                add(f"{GENERATED}.{target}", _renamed(str(definition.name), name))
            return
        direct = source.imports.get(name, definition)
        if direct.name is None:
            add(_renamed(direct.module, name), "")
        else:
            add(direct.module, _renamed(direct.name, name))


def _renamed(name: str, local: str) -> str:
    """Return what to import to have a name under the one it has here."""
    return name if name == local else f"{name} as {local}"


def _import_statements(imports: dict[str, set[str]]) -> Iterator[str]:
    for module, names in sorted(imports.items()):
        if "" in names:
            yield f"import {module}"
        if names - {""}:
            yield f"from {module} import {', '.join(sorted(names - {''}))}"
