"""Reads a package with ``ast``: its modules, what their names stand for, and what is async."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Definition", "Function", "Package", "Source", "is_public"]

Function = ast.FunctionDef | ast.AsyncFunctionDef

_ASYNC_TYPES: Final = frozenset(
    {
        "AbstractAsyncContextManager",
        "AsyncContextManager",
        "AsyncGenerator",
        "AsyncIterable",
        "AsyncIterator",
        "Awaitable",
        "Coroutine",
        "Future",
        "Task",
    }
)
_ASYNC_METHODS: Final = frozenset({"__aenter__", "__aiter__", "__anext__", "__await__"})


def is_public(name: str) -> bool:
    """Return whether users may use a name; special methods are looked at one by one."""
    return not name.startswith("_")


@dataclass(frozen=True)
class Definition:
    """Where a name is defined: a module, and its name there; None stands for the module itself."""

    module: str
    name: str | None


class Source:
    """One module as it is written."""

    def __init__(self, module: str, path: Path) -> None:
        self.module: Final = module
        self.path: Final = path
        tree = ast.parse(path.read_text("utf-8"), str(path))
        self.doc: Final = ast.get_docstring(tree) or ""
        self.imports: Final[dict[str, Definition]] = {}
        self.classes: Final[dict[str, ast.ClassDef]] = {}
        self.values: Final[dict[str, ast.expr]] = {}
        for statement in _top_level(tree):
            self._read(statement)

    @property
    def exported(self) -> list[str]:
        """The names in ``__all__``."""
        names: list[str] = ast.literal_eval(self.values.get("__all__", ast.List([])))
        return names

    def _read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.ImportFrom(module=str(module), names=names):
                for name in names:
                    self.imports[name.asname or name.name] = Definition(module, name.name)
            case ast.Import(names=names):
                for name in names:
                    local = name.asname or name.name.partition(".")[0]
                    self.imports[local] = Definition(name.name if name.asname else local, None)
            case ast.ClassDef(name=name):
                self.classes[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.values[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.values[name] = value
            case _:
                pass


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    for statement in tree.body:
        if isinstance(statement, ast.If):
            # if TYPE_CHECKING:
            yield from statement.body
        else:
            yield statement


class Package:
    """The modules below one folder, read when they are asked for."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self.name: Final = name
        self._sources: dict[str, Source | None] = {}
        self._known: dict[Definition, bool] = {}

    def source(self, module: str) -> Source | None:
        """Return a module of the package, or None if there is none of this name."""
        if module not in self._sources:
            self._sources[module] = self._load(module)
        return self._sources[module]

    def _load(self, module: str) -> Source | None:
        if module.partition(".")[0] != self.name:
            return None
        path = self._root.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return Source(module, file)
        return None

    def find(self, source: Source, name: str) -> Definition | None:
        """Return where a name of a module is defined, through all re-exports; None for builtins."""
        if name in source.classes or name in source.values:
            return Definition(source.module, name)
        definition = source.imports.get(name)
        if definition is None or definition.name is None:
            return definition
        if self.source(f"{definition.module}.{definition.name}") is not None:
            return Definition(f"{definition.module}.{definition.name}", None)
        further = self.source(definition.module)
        return definition if further is None else self.find(further, definition.name)

    def members(self, source: Source, name: str) -> dict[str, ast.stmt]:
        """Return what a class of a module defines and inherits within its package, by name."""
        members: dict[str, ast.stmt] = {}
        node = source.classes[name]
        for base in node.bases:
            definition = self.find(source, ast.unparse(base).partition("[")[0])
            parent = self.source(definition.module) if definition else None
            if parent is not None and definition is not None and definition.name in parent.classes:
                members |= self.members(parent, str(definition.name))
        for statement in node.body:
            match statement:
                case ast.FunctionDef(name=member) | ast.AsyncFunctionDef(name=member):
                    members[member] = statement
                case ast.ClassDef(name=member):
                    members[member] = statement
                case ast.AnnAssign(target=ast.Name(id=member)):
                    members[member] = statement
                case ast.Assign(targets=[ast.Name(id=member)]):
                    members[member] = statement
                case _:
                    pass
        return members

    def async_part(
        self, source: Source, annotation: ast.AST, seen: frozenset[Definition] = frozenset()
    ) -> str | None:
        """Return the name in an annotation that stands for something async, if there is one."""
        for node in ast.walk(annotation):
            if isinstance(node, ast.Attribute) and node.attr in _ASYNC_TYPES:
                return node.attr
            if not isinstance(node, ast.Name):
                continue
            definition = self.find(source, node.id)
            if node.id in _ASYNC_TYPES or (definition and definition.name in _ASYNC_TYPES):
                return node.id
            if definition and definition not in seen and self._is_async(definition, seen):
                return node.id
        return None

    def _is_async(self, definition: Definition, seen: frozenset[Definition]) -> bool:
        if seen:
            # Not to be kept: what was seen before counts as nothing here.
            return self._look_into(definition, seen)
        if definition not in self._known:
            self._known[definition] = self._look_into(definition, seen)
        return self._known[definition]

    def _look_into(self, definition: Definition, seen: frozenset[Definition]) -> bool:
        source = self.source(definition.module)
        name = definition.name
        if source is None or name is None:
            return False
        seen |= {definition}
        if name in source.classes:
            return self._is_async_class(source, name, seen)
        value = source.values.get(name)
        return value is not None and self.async_part(source, value, seen) is not None

    def _is_async_class(self, source: Source, name: str, seen: frozenset[Definition]) -> bool:
        for member, statement in self.members(source, name).items():
            if member in _ASYNC_METHODS:
                return True
            if not is_public(member):
                continue
            match statement:
                case ast.AsyncFunctionDef():
                    return True
                case ast.FunctionDef(returns=ast.expr() as annotation):
                    pass
                case ast.AnnAssign(annotation=annotation):
                    pass
                case _:
                    continue
            if self.async_part(source, annotation, seen):
                return True
        return False
