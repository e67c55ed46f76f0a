"""The modules and classes of ``icure_async``: their text, and the types that they are made of.

Everything is imported; the source is read for the text of annotations, defaults and docstrings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
from functools import cache
from pathlib import Path
from sys import stdlib_module_names
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = "icure_async"
# The names of the async part of the standard library.
_ASYNC_WORDS: Final = ("async", "await", "coroutine", "future", "aclosing")
_ASYNC_METHODS: Final = {"__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__"}
_FUNCTIONS: Final = ("Callable", "FunctionType", "function", "method", "partial")

_FOR_TYPES: Final = ("TYPE_CHECKING", "typing.TYPE_CHECKING")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unknown(str):
    """The reason why the meaning of an expression is not known."""

    __slots__ = ()


@cache
def tree_of(module: str) -> ast.Module:
    """Return the source of a module."""
    return ast.parse(Path(str(importlib.import_module(module).__file__)).read_text("utf-8"))


@cache
def imports_in(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return the imports of a module: name here → module and name there, empty for the module."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[name] = (alias.name if alias.asname else name, "")
    return found


@cache
def names_of(module: str) -> dict[str, object]:
    """Return the names of a module, with those that it imports for type checkers only."""
    names = dict(vars(importlib.import_module(module)))
    for node in tree_of(module).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in _FOR_TYPES:
            exec(compile(ast.Module(node.body, []), module, "exec"), names)  # noqa: S102
    return names


def meaning(expression: ast.expr | str | None, home: str) -> Any:
    """Return the object that an expression in a module stands for, or why it is not known."""
    text = ast.unparse(expression) if isinstance(expression, ast.expr) else str(expression)
    try:
        found = eval(text, names_of(home))  # noqa: S307
    except (NameError, AttributeError, TypeError):
        found = Unknown(f"which is not known, since {home} has no {text}")
    # The types of parameters are a list.
    return tuple(found) if isinstance(found, list) else found


# Classes, and their members as they are written.


def is_public(name: str) -> bool:
    """Return whether users may use a name."""
    return not name.startswith("_")


def is_special(name: str) -> bool:
    """Return whether Python gives a name its meaning."""
    return name.startswith("__") and name.endswith("__")


def is_ours(thing: object) -> typing.TypeGuard[type]:
    """Return whether something is a class of the package."""
    return inspect.isclass(thing) and _is_home(thing.__module__)


def _is_home(module: str) -> bool:
    return f"{module}.".startswith(f"{PACKAGE}.")


@cache
def node_of(cls: type) -> ast.ClassDef:
    """Return the source of a class, an empty one where it is not clear."""
    nodes = [n for n in ast.walk(tree_of(cls.__module__)) if isinstance(n, ast.ClassDef)]
    found = [node for node in nodes if node.name == cls.__name__]
    return found[0] if len(found) == 1 else ast.ClassDef(cls.__name__, [], [], [], [])


def members_of(cls: type) -> dict[str, tuple[str, ast.stmt | None]]:
    """Return the members of a class by name, with their modules and, where it is clear, text."""
    members: dict[str, tuple[str, ast.stmt | None]] = {}
    for parent in filter(is_ours, reversed(cls.__mro__)):
        own: dict[str, ast.stmt | None] = {}
        for node in node_of(parent).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            name = getattr(node, "name", getattr(targets[0], "id", None))
            if name and len(targets) == 1:
                own[name] = None if name in own else node
        for name, value in vars(parent).items():
            # What is wrapped once more is written in a parent. The rest has no text that counts.
            above: Any = getattr(super(parent, parent), name, None)
            is_known = inspect.isfunction(value) and inspect.unwrap(value) is inspect.unwrap(above)
            if is_public(name) and name not in own and not is_known:
                own[name] = None
        members |= {name: (parent.__module__, node) for name, node in own.items()}
    return members


def attributes_set(cls: type) -> Iterator[tuple[str, Function, ast.expr | None]]:
    """Yield the public attributes that a class's own methods set, where, and as what type."""
    for method in node_of(cls).body:
        if isinstance(method, Function):
            nodes = [*ast.walk(method)]
            types = {id(n.target): n.annotation for n in nodes if isinstance(n, ast.AnnAssign)}
            for node in nodes:
                match node:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                        yield from [(name, method, types.get(id(node)))] if is_public(name) else ()
                    case _:
                        pass


# Types: the reasons why one is not the same for blocking callers.


@cache
def reached(thing: object, *, methods: bool = True) -> list[object]:
    """Return all that a type is made of, with the methods and attributes of classes or not."""
    # By id, since not all of it can be hashed.
    found: dict[int, object] = {}
    left = [thing]
    while left:
        part = left.pop()
        if id(part) not in found:
            found[id(part)] = part
            left += _parts_of(part)
            left += _members_in(part) if methods and is_ours(part) else ()
    return [*found.values()]


def why_async(thing: object) -> str | None:
    """Return why a type, a function or a class is async, or None if it is not."""
    return next(filter(None, map(_why_async_itself, reached(thing))), None)


def calls_back(thing: object) -> bool:
    """Return whether a type is to be called, or holds such a thing; async objects are no matter."""
    parts = reached(thing, methods=False)
    ours = [part for part in parts if is_ours(part) and not why_async(part)]
    return any(
        getattr(part, "_is_protocol", False) or "__call__" in vars(part) for part in ours
    ) or any(getattr(part, "__name__", "") in _FUNCTIONS for part in parts if not is_ours(part))


def _parts_of(thing: Any) -> Iterator[object]:
    """Yield the arguments, bounds, bases and annotations of a type or function."""
    origin, arguments = typing.get_origin(thing), typing.get_args(thing)
    if origin is not typing.Literal:
        yield from (origin, *(arguments[:1] if origin is typing.Annotated else arguments))
    if isinstance(thing, list | tuple):
        yield from thing
    if isinstance(thing, typing.TypeVar):
        yield from (*thing.__constraints__, thing.__bound__)
    if isinstance(thing, typing.NewType):
        yield thing.__supertype__
    if is_ours(thing):
        yield from (*thing.__mro__[1:], type(thing), *getattr(thing, "__orig_bases__", ()))
    if is_ours(thing) or (inspect.isfunction(thing) and _is_home(thing.__module__)):
        for name, hint in getattr(thing, "__annotations__", {}).items():
            text = getattr(hint, "__forward_arg__", hint)
            if is_public(name):
                yield meaning(text, thing.__module__) if isinstance(text, str) else hint


def _members_in(cls: type) -> Iterator[object]:
    """Yield the functions in a class, and the types of its attributes."""
    for name, value in vars(cls).items():
        member = value
        for holder in ("fget", "func", "__func__"):
            member = getattr(member, holder, member)
        if is_public(name) or is_special(name):
            yield type(member)
            yield from (member, inspect.unwrap(member)) if callable(member) else ()
    for _, method, annotation in attributes_set(cls):
        if annotation:
            yield meaning(annotation, cls.__module__)
        else:
            # The names in a method tell the types of the attributes that it does not annotate.
            texts = {ast.unparse(node) for node in ast.walk(method) if isinstance(node, ast.expr)}
            dotted = filter(re.compile(r"[\w.]+").fullmatch, texts)
            found = [meaning(text, cls.__module__) for text in dotted]
            yield from (thing for thing in found if not isinstance(thing, str))


def _why_async_itself(thing: object) -> str | None:
    """Return why something counts as async, whatever it is made of."""
    if isinstance(thing, str | typing.ForwardRef):
        return thing if isinstance(thing, Unknown) else "which is quoted; write the type itself"
    if inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing):
        return "which is async"
    if is_ours(thing):
        return "which is async" if vars(thing).keys() & _ASYNC_METHODS else None
    if inspect.isclass(thing):
        library, name = thing.__module__.partition(".")[0], f"{thing.__module__}.{thing.__name__}"
        if any(word in name.lower() for word in _ASYNC_WORDS):
            return "which is async"
        if library not in (*stdlib_module_names, "attr", "attrs"):
            return f"which may be async, since nothing is known of {library}"
    return None
