"""The modules and classes of ``icure_async``: their text, and the types that they are made of.

Everything is imported; the source is read for the text of annotations, defaults and docstrings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
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
# The attributes of types, type variables and new types that say more about them.
_PARTS: Final = ("__mro__", "__orig_bases__", "__constraints__", "__bound__", "__supertype__")

Function = ast.FunctionDef | ast.AsyncFunctionDef
# The methods that set an attribute, and its annotation.
Attribute = tuple[list[Function], ast.expr | None]
Member = ast.stmt | Attribute | None


class Refusal(Exception):  # noqa: N818
    """The reason why something has no twin."""


def refuse(condition: object, reason: str) -> None:
    """Raise a refusal if a condition is true."""
    if condition:
        raise Refusal(reason)


@cache
def tree_of(module: str) -> ast.Module:
    """Return the source of a module."""
    return ast.parse(Path(str(importlib.import_module(module).__file__)).read_text("utf-8"))


@cache
def imports_in(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return the imports of a module: name here → module and name there, empty for the module."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            home = node.module if isinstance(node, ast.ImportFrom) else None
            name = alias.asname or alias.name.partition(".")[0]
            found[name] = (home, alias.name) if home else (alias.name, "")
    return found


@cache
def names_of(module: str) -> dict[str, object]:
    """Return the names of a module, with those that it imports for type checkers only."""
    names = dict(vars(importlib.import_module(module)))
    for node in tree_of(module).body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            exec(compile(ast.Module(node.body, []), module, "exec"), names)  # noqa: S102
    return names


def meaning(expression: ast.expr | str | None, home: str) -> Any:
    """Return the object that an expression in a module stands for, or why it is not known."""
    text = ast.unparse(expression) if isinstance(expression, ast.expr) else str(expression)
    try:
        found = eval(text, names_of(home))  # noqa: S307
    except (NameError, AttributeError, TypeError):
        return Refusal(f"which is not known, since {home} has no {text}")
    # The types of parameters are a list.
    return tuple(typing.cast("list[object]", found)) if isinstance(found, list) else found


# Classes, and their members as they are written.


def is_public(name: str) -> bool:
    """Return whether users may use a name."""
    return not name.startswith("_")


def is_ours(thing: object) -> typing.TypeGuard[type]:
    """Return whether something is a class of the package."""
    return inspect.isclass(thing) and thing.__module__.partition(".")[0] == PACKAGE


@cache
def _classes_in(module: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ClassDef)]


@cache
def node_of(cls: type) -> ast.ClassDef:
    """Return the source of a class, an empty one where it is not clear."""
    found = [node for node in _classes_in(cls.__module__) if node.name == cls.__name__]
    return found[0] if len(found) == 1 else ast.ClassDef(cls.__name__, [], [], [], [])


def parameters_of(cls: type) -> tuple[Any, ...]:
    """Return the type variables of a generic class."""
    return getattr(cls, "__parameters__", ())


@cache
def members_of(cls: type) -> dict[str, tuple[str, Member]]:
    """Return the members of a class by name, with their modules and, where it is clear, text."""
    members: dict[str, tuple[str, Member]] = {}
    for parent in filter(is_ours, reversed(cls.__mro__)):
        own: dict[str, Member] = {}
        for node in node_of(parent).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            name = getattr(node, "name", getattr(targets[0], "id", None))
            if name and len(targets) == 1:
                own[name] = None if name in own else node
        own = {**attributes_set(parent), **own}
        for name, value in vars(parent).items():
            # A function that is wrapped once more is written in a parent. The rest has no text.
            above: Any = getattr(typing.cast("Any", super(parent, parent)), name, None)
            is_known = inspect.isfunction(value) and inspect.unwrap(value) is inspect.unwrap(above)
            if is_public(name) and name not in own and not is_known:
                own[name] = None
        members |= {name: (parent.__module__, node) for name, node in own.items()}
    return members


@cache
def attributes_set(cls: type) -> dict[str, Attribute]:
    """Return the public attributes that the methods of a class set."""
    found: dict[str, Attribute] = {}
    for method in (node for node in node_of(cls).body if isinstance(node, Function)):
        nodes = [*ast.walk(method)]
        types = {ast.unparse(n.target): n.annotation for n in nodes if isinstance(n, ast.AnnAssign)}
        for node in (n for n in nodes if isinstance(n, ast.Attribute)):
            is_set = isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
            if is_set and is_public(node.attr):
                new: Attribute = ([], types.get(ast.unparse(node)))
                found.setdefault(node.attr, new)[0].append(method)
    return found


# Types: the reasons why one is not the same for blocking callers.


@cache
def reached(thing: object, *, methods: bool = True) -> list[object]:
    """Return all that a type is made of, with the methods and attributes of classes or not."""
    found = [thing]
    hashed = {thing}
    for part in found:
        inside = (*_parts_in(part), *(_members_in(part) if methods and is_ours(part) else ()))
        for new in inside:
            if not _is_hashable(new):
                found += [] if new in found else [new]
            elif new not in hashed:
                hashed.add(new)
                found.append(new)
    return found


@cache
def why_async(thing: object) -> str | None:
    """Return why a type, a function or a class is async, or None if it is not."""
    return next(filter(None, map(_why_async_itself, reached(thing))), None)


@cache
def calls_back(thing: object) -> bool:
    """Return whether a type is to be called, or holds such a thing; async objects are no matter."""
    return any(
        not why_async(part) and (_is_protocol_of_methods(part) or "__call__" in vars(part))
        if is_ours(part)
        else getattr(part, "__name__", "") in _FUNCTIONS
        for part in reached(thing, methods=False)
    )


def _is_protocol_of_methods(cls: type) -> bool:
    """Return whether a class is a protocol that is more than attributes."""
    members = [member for name, member in vars(cls).items() if is_public(name)]
    return getattr(cls, "_is_protocol", False) and any(map(inspect.isfunction, members))


def _is_hashable(thing: object) -> bool:
    """Return whether sets and caches take something; tuples with lists inside are not so."""
    try:
        hash(thing)
    except TypeError:
        return False
    return True


def _parts_in(thing: object) -> tuple[object, ...]:
    """Return what a type or function is directly made of."""
    return _hashed_parts_of(thing) if _is_hashable(thing) else tuple(_parts_of(thing))


@cache
def _hashed_parts_of(thing: object) -> tuple[object, ...]:
    return tuple(_parts_of(thing))


def _parts_of(thing: Any) -> Iterator[object]:
    """Yield the arguments, bounds, bases and annotations of a type or function."""
    origin, arguments = typing.get_origin(thing), typing.get_args(thing)
    if origin is not typing.Literal:
        yield from (origin, *(arguments[:1] if origin is typing.Annotated else arguments))
    yield from (getattr(thing, name, None) for name in _PARTS)
    if is_ours(thing):
        yield type(thing)
    if is_ours(thing) or (inspect.isfunction(thing) and thing.__module__.startswith(PACKAGE)):
        for name, hint in getattr(thing, "__annotations__", {}).items():
            text = getattr(hint, "__forward_arg__", hint)
            if is_public(name):
                yield meaning(text, thing.__module__) if isinstance(text, str) else hint
    if isinstance(thing, list | tuple):
        yield from typing.cast("list[object]", thing)


@cache
def _members_in(cls: type) -> tuple[object, ...]:
    """Return the functions in a class, and the types of its attributes."""
    return tuple(_each_member_of(cls))


def _each_member_of(cls: type) -> Iterator[object]:
    for name, value in vars(cls).items():
        member = value
        for holder in ("fget", "func", "__func__"):
            member = getattr(member, holder, member)
        if is_public(name) or name.startswith("__"):
            yield type(member)
            yield from (member, inspect.unwrap(member)) if callable(member) else ()
    for methods, annotation in attributes_set(cls).values():
        yield meaning(annotation, cls.__module__)
        # The names in a method tell the types of the attributes that it does not annotate.
        nodes = [node for method in methods if not annotation for node in ast.walk(method)]
        texts = {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
        dotted = [text for text in texts if text.replace(".", "").isidentifier()]
        found = [meaning(text, cls.__module__) for text in dotted]
        yield from (thing for thing in found if not isinstance(thing, str | Refusal))


def _why_async_itself(thing: object) -> str | None:
    """Return why something counts as async, whatever it is made of."""
    if isinstance(thing, Refusal):
        return str(thing)
    if isinstance(thing, str | typing.ForwardRef):
        return "which is quoted; write the type itself"
    is_async = inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing)
    if is_ours(thing):
        is_async = bool(vars(thing).keys() & _ASYNC_METHODS)
    elif inspect.isclass(thing):
        library, name = thing.__module__.partition(".")[0], f"{thing.__module__}.{thing.__name__}"
        is_async = any(word in name.lower() for word in _ASYNC_WORDS)
        if not is_async and library not in (*stdlib_module_names, "attr", "attrs"):
            return f"which may be async, since nothing is known of {library}"
    return "which is async" if is_async else None
