"""Decides what is async, or calls back: types, classes and functions, by whatever name."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from typing import TYPE_CHECKING, Final

from icure_sync._generator.source import Definition
from icure_sync._generator.syntax import (
    Function,
    flat,
    is_public,
    names_in,
    set_attributes,
    signature_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from icure_sync._generator.source import Package, Source

__all__ = ["Shapes"]

_IS_ASYNC: Final = "which is async"
# Of the standard library, this much is async, and the rest is not.
_SPEAKS_OF_ASYNC: Final = re.compile("async|await|coroutine|future|aclosing", re.IGNORECASE)
_ASYNC_METHODS: Final = frozenset(
    {"__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__"}
)
_PLAIN_LIBRARIES: Final = frozenset({"attrs"})
"""Packages outside the standard library that have nothing async."""
_CALLABLES: Final = frozenset({"Callable", "FunctionType", "LambdaType", "MethodType", "partial"})


class Shapes:
    """What the annotations of a package stand for.

    Args:
        package: where it is all defined.
        generated: the classes whose objects have to be replaced by twins, async or not.
    """

    def __init__(self, package: Package, generated: Collection[Definition]) -> None:
        self._package = package
        self._generated = generated
        self._known: dict[Definition, str | None] = {}

    def async_part(self, source: Source, annotation: ast.AST) -> str | None:
        """Return the name in an annotation that stands for something async, if there is one.

        What is not known counts as async. The reason is in the text, too.
        """
        return self._first(source, annotation, self.why_async)

    def callback_part(self, source: Source, annotation: ast.AST) -> str | None:
        """Return the name in an annotation that stands for something to call, if there is one.

        Something async that is no function is left to :meth:`async_part`.
        """
        return self._first(
            source, annotation, lambda definition: _search(definition, self._callback_parts)
        )

    def why_async(self, definition: Definition) -> str | None:
        """Return why something counts as async, or None where it is not."""
        if definition not in self._known:
            self._known[definition] = _search(definition, self._async_parts)
        return self._known[definition]

    def _first(
        self, source: Source, annotation: ast.AST, why: Callable[[Definition], str | None]
    ) -> str | None:
        for name in names_in(annotation):
            for part in self._parts(source, name):
                reason = part if isinstance(part, str) else why(part)
                if reason is not None:
                    return f"{ast.unparse(name)}, {reason}"
        return None

    def _parts(self, source: Source, expression: ast.AST | None) -> Iterator[Definition | str]:
        """Yield what the names in an expression stand for, or why that is not known."""
        for name in names_in(expression) if expression is not None else ():
            definition = self._package.resolve(source, name)
            if definition is not None:
                yield definition
            elif not isinstance(name, ast.Name) or not hasattr(builtins, name.id):
                yield f"which is not known, since {source.module} has no {ast.unparse(name)}"

    # What is async.

    def _async_parts(self, definition: Definition) -> Iterator[Definition | str]:
        """Yield what makes something async: reasons, and what to look at as well."""
        source, name = self._package.source(definition.module), definition.name
        if source is None:
            yield from _outside(definition)
        elif name is None:
            return
        elif name in source.unclear:
            yield f"which is unclear, since {source.module} defines it more than once"
        elif name in source.classes:
            yield from self._class_parts(source, source.classes[name])
            if definition in self._generated:
                yield "which has a twin"
        elif name in source.functions:
            yield from self._function_parts(source, source.functions[name])
        else:
            yield from self._parts(source, source.values[name])
            yield from self._parts(source, source.annotations.get(name))

    def _class_parts(self, source: Source, node: ast.ClassDef) -> Iterator[Definition | str]:
        keywords = (keyword.value for keyword in node.keywords)
        for expression in (*node.bases, *keywords, *node.decorator_list):
            yield from self._parts(source, expression)
        body = list(flat(node.body))
        functions = {member.name: member for member in body if isinstance(member, Function)}
        for member in body:
            yield from self._member_parts(source, member, functions)
            if isinstance(member, Function):
                yield from self._attribute_parts(source, member)

    def _member_parts(
        self, source: Source, member: ast.stmt, functions: dict[str, Function]
    ) -> Iterator[Definition | str]:
        match member:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _is_exposed(name):
                if name in _ASYNC_METHODS:
                    yield _IS_ASYNC
                yield from self._function_parts(source, member)
            case ast.ClassDef(name=name) if is_public(name):
                yield from self._class_parts(source, member)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _is_exposed(
                name
            ):
                yield from self._parts(source, annotation)
            case ast.Assign(targets=targets, value=value) if any(map(_is_exposed, _names(targets))):
                for name in _names([value]):
                    if name in functions:
                        yield from self._function_parts(source, functions[name])
                yield from _found(self._parts(source, value))
            case _:
                pass

    def _attribute_parts(self, source: Source, method: Function) -> Iterator[Definition | str]:
        for _, statement in set_attributes(method):
            match statement:
                case ast.AnnAssign(annotation=annotation):
                    yield from self._parts(source, annotation)
                case _:
                    # Some of the names are the method's own.
                    yield from _found(self._parts(source, statement))

    def _function_parts(self, source: Source, function: Function) -> Iterator[Definition | str]:
        if isinstance(function, ast.AsyncFunctionDef):
            yield _IS_ASYNC
            return
        for annotation in (*(a.annotation for a in signature_of(function.args)), function.returns):
            yield from self._parts(source, annotation)
        for decorator in function.decorator_list:
            # Some of the names are those of other members.
            yield from _found(self._parts(source, decorator))

    # What calls back.

    def _callback_parts(self, definition: Definition) -> Iterator[Definition | str]:
        source, name = self._package.source(definition.module), definition.name
        if source is None:
            if name in _CALLABLES:
                yield "which is a function"
        elif name is None or name in source.unclear:
            return
        elif name in source.classes:
            if self.why_async(definition) is None:
                yield from self._fields(source, source.classes[name])
        elif name in source.values:
            yield from _found(self._parts(source, source.values[name]))

    def _fields(self, source: Source, node: ast.ClassDef) -> Iterator[Definition | str]:
        for base in node.bases:
            for part in _found(self._parts(source, base)):
                is_protocol = self._package.is_outside(part, "Protocol")
                yield "which is a protocol" if is_protocol else part
        for member in flat(node.body):
            match member:
                case ast.FunctionDef(name="__call__"):
                    yield "which can be called"
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if is_public(
                    name
                ):
                    yield from _found(self._parts(source, annotation))
                case _:
                    pass


def _search(
    start: Definition, parts: Callable[[Definition], Iterator[Definition | str]]
) -> str | None:
    """Return the first reason there is in a definition, and all that it leads to."""
    seen, left = {start}, [start]
    while left:
        for part in parts(left.pop()):
            if isinstance(part, str):
                return part
            if part not in seen:
                seen.add(part)
                left.append(part)
    return None


def _outside(definition: Definition) -> Iterator[str]:
    library = definition.module.partition(".")[0]
    if _SPEAKS_OF_ASYNC.search(f"{definition.module}.{definition.name}"):
        yield _IS_ASYNC
    elif library not in sys.stdlib_module_names and library not in _PLAIN_LIBRARIES:
        yield f"which may be async, since nothing is known of {library}"


def _found(parts: Iterable[Definition | str]) -> Iterator[Definition]:
    return (part for part in parts if isinstance(part, Definition))


def _is_exposed(name: str) -> bool:
    return is_public(name) or (name.startswith("__") and name.endswith("__"))


def _names(expressions: Iterable[ast.AST]) -> Iterator[str]:
    for expression in expressions:
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                yield node.id
