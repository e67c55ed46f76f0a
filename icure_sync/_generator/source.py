"""Reads a package with ``ast``: its modules, and what their names stand for."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from icure_sync._generator.syntax import Function, flat, unquote

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Class", "Definition", "Member", "Package", "Source"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Definition:
    """Where a name is defined: a module, and its name there; None stands for the module itself."""

    module: str
    name: str | None


class Class(NamedTuple):
    """A class, and the module it is in."""

    source: Source
    node: ast.ClassDef

    @property
    def definition(self) -> Definition:
        """Where it is defined."""
        return Definition(self.source.module, self.node.name)


class Member(NamedTuple):
    """What a class has under one name, and the module of the class that has it.

    There is more than one statement where there are overloads, or a property that can be set.
    """

    source: Source
    statements: tuple[ast.stmt, ...]

    @property
    def statement(self) -> ast.stmt | None:
        """The only statement; None where there are more."""
        return self.statements[0] if len(self.statements) == 1 else None


class Source:
    """One module as it is written, with all annotations unquoted."""

    def __init__(self, module: str, path: Path) -> None:
        self.module: Final = module
        self.path: Final = path
        tree = ast.parse(path.read_text("utf-8"), str(path))
        unquote(tree)
        self.doc: Final = ast.get_docstring(tree) or ""
        self.imports: Final[dict[str, Definition]] = {}
        self.classes: Final[dict[str, ast.ClassDef]] = {}
        self.functions: Final[dict[str, Function]] = {}
        self.values: Final[dict[str, ast.expr]] = {}
        self.annotations: Final[dict[str, ast.expr]] = {}
        self.unclear: Final[set[str]] = set()
        """Names that stand for one thing or another."""
        for statement in flat(tree.body):
            self._read(statement)
        mentioned = [node for node in ast.walk(tree) if _is_all(node)]
        self._is_all_changed = len(mentioned) > 1

    @property
    def exported(self) -> list[str]:
        """The names in ``__all__``.

        Raises:
            ValueError: they are not all there.
        """
        with suppress(ValueError):
            names: list[str] = ast.literal_eval(self.values.get("__all__", ast.List([])))
            if not self._is_all_changed:
                return names
        raise ValueError(f"{self.module}: __all__ is not written as one list of names")

    def _read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.ImportFrom(names=names):
                module = self._imported_from(statement)
                for name in names:
                    definition = Definition(module, name.name)
                    self._bind(name.asname or name.name, self.imports, definition)
            case ast.Import(names=names):
                for name in names:
                    local = name.asname or name.name.partition(".")[0]
                    definition = Definition(name.name if name.asname else local, None)
                    self._bind(local, self.imports, definition)
            case ast.ClassDef(name=name):
                self._bind(name, self.classes, statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._bind(name, self.functions, statement)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._bind(name, self.values, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._bind(name, self.values, value)
                self.annotations[name] = statement.annotation
            case _:
                pass

    def _imported_from(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = self.module.split(".")
        above = statement.level - (self.path.stem == "__init__")
        package = parts[: len(parts) - above]
        return ".".join([*package, statement.module] if statement.module else package)

    def _bind(self, name: str, table: dict[str, _T], meaning: _T) -> None:
        tables = (self.imports, self.classes, self.functions, self.values)
        if any(name in other and other.get(name) != meaning for other in tables):
            self.unclear.add(name)
        table[name] = meaning


class Package:
    """The modules below one folder, read when they are asked for."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self.name: Final = name
        self._sources: dict[str, Source | None] = {}

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
        own = (source.unclear, source.classes, source.functions, source.values)
        if any(name in table for table in own):
            return Definition(source.module, name)
        definition = source.imports.get(name)
        if definition is None or definition.name is None:
            return definition
        return self._find_in(definition.module, definition.name)

    def _find_in(self, module: str, name: str) -> Definition | None:
        if self.source(f"{module}.{name}") is not None:
            return Definition(f"{module}.{name}", None)
        further = self.source(module)
        return Definition(module, name) if further is None else self.find(further, name)

    def resolve(self, source: Source, expression: ast.expr) -> Definition | None:
        """Return what a name, or a name in a module, stands for; None where it is not known."""
        match expression:
            case ast.Name(id=name):
                return self.find(source, name)
            case ast.Attribute(value=value, attr=name):
                owner = self.resolve(source, value)
            case _:
                return None
        if owner is None or owner.name is None:
            return owner and self._find_in(owner.module, name)
        # Of another package it may be a module; of this one it is what a class has.
        outside = self.source(owner.module) is None
        return Definition(f"{owner.module}.{owner.name}", name) if outside else None

    def is_outside(self, definition: Definition | None, *names: str) -> bool:
        """Return whether something is defined outside the package, under one of these names."""
        return (
            definition is not None
            and definition.name in names
            and self.source(definition.module) is None
        )

    def alias(self, source: Source, expression: ast.expr) -> ast.expr | None:
        """Return what an alias of the package stands for, if that can be written here as well."""
        home, name = self._home(self.resolve(source, expression))
        if home is None or name not in home.values:
            return None
        value = home.values[name]
        return None if self.misread(value, home, source) else value

    def misread(self, node: ast.AST, home: Source, source: Source) -> str | None:
        """Return the name in a part of one module that another module has not, or not the same."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and self.find(home, part.id) != self.find(
                source, part.id
            ):
                return part.id
        return None

    def is_constant(self, source: Source, expression: ast.expr) -> bool:
        """Return whether an expression has the same value wherever it is evaluated."""
        match expression:
            case ast.Constant():
                return True
            case ast.Tuple(elts=elements):
                return all(self.is_constant(source, element) for element in elements)
            case ast.UnaryOp(operand=operand):
                return self.is_constant(source, operand)
            case ast.BinOp(left=left, right=right):
                return self.is_constant(source, left) and self.is_constant(source, right)
            case _:
                home, name = self._home(self.resolve(source, expression))
                if home is None or name not in home.values:
                    return False
                return self.is_constant(home, home.values[name])

    def class_of(self, source: Source, base: ast.expr) -> Class | None:
        """Return the class of the package that a base stands for."""
        expression = base.value if isinstance(base, ast.Subscript) else base
        home, name = self._home(self.resolve(source, expression))
        return Class(home, home.classes[name]) if home and name in home.classes else None

    def _home(self, definition: Definition | None) -> tuple[Source | None, str]:
        """Return the module of the package that defines something, if it is clear what it is."""
        home = self.source(definition.module) if definition else None
        name = str(definition.name) if definition else ""
        return (None if home is None or name in home.unclear else home), name

    def lineage(self, source: Source, name: str) -> list[Class]:
        """Return a class and those it inherits from within its package, in the order of lookup."""
        node = source.classes[name]
        found = [Class(source, node)]
        for base in node.bases:
            parent = self.class_of(source, base)
            if parent is not None:
                found += self.lineage(parent.source, parent.node.name)
        # What several classes inherit from comes after all of them.
        return [parent for at, parent in enumerate(found) if parent not in found[at + 1 :]]

    def members(self, source: Source, name: str) -> dict[str, Member]:
        """Return what a class of a module defines and inherits within its package, by name.

        Statements that are no definitions are there by their first line, in quotation marks.
        """
        members: dict[str, Member] = {}
        for parent in reversed(self.lineage(source, name)):
            own: dict[str, tuple[ast.stmt, ...]] = {}
            for statement in parent.node.body:
                member = _defined(statement)
                if member is not None:
                    own[member] = (*own.get(member, ()), statement)
            members |= {key: Member(parent.source, value) for key, value in own.items()}
        return members


def _defined(statement: ast.stmt) -> str | None:
    """Return the name under which a class has what a statement in it defines, if it does."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return None
        case _:
            return repr(ast.unparse(statement).partition("\n")[0])


def _is_all(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "__all__"
