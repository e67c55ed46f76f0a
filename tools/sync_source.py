"""What the modules and classes of ``icure_async`` have, and which of it is async or calls back.

Everything is imported; the source is there for the text of annotations, defaults and docstrings.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import typing
from functools import cache, partial
from pathlib import Path
from sys import stdlib_module_names
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

PACKAGE: Final = "icure_async"
# Of the standard library, this much is async, and the rest is not.
_ASYNC_WORDS: Final = ("async", "await", "coroutine", "future", "aclosing")
_ASYNC_METHODS: Final = {"__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__"}
_FUNCTIONS: Final = ("Callable", "FunctionType", "function", "method", "partial")

Function = ast.FunctionDef | ast.AsyncFunctionDef


# Modules, and what names in them stand for.


@cache
def tree_of(module: str) -> ast.Module:
    """Return the source of a module."""
    spec = importlib.util.find_spec(module)
    return ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))


@cache
def imports_in(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return what a module imports: name here → module and name there, empty for the module."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(level=0, module=str(module)):
                found |= {alias.asname or alias.name: (module, alias.name) for alias in node.names}
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    found[name] = (alias.name if alias.asname else name, "")
            case _:
                pass
    return found


class Names(dict[str, object]):
    """What the names of a module stand for, those that it imports for annotations included."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(importlib.import_module(module)))
        self._imports = imports_in(tree_of(module))

    def __missing__(self, name: str) -> object:
        home, there = self._imports[name]
        found = importlib.import_module(home)
        if not there:
            return found
        has_it = hasattr(found, there)
        return getattr(found, there) if has_it else importlib.import_module(f"{home}.{there}")


names_of = cache(Names)


def evaluated(expression: ast.expr, home: str) -> Any:
    """Return what an expression in a module stands for.

    Raises:
        NameError, AttributeError: that is not known.
    """
    return eval(ast.unparse(expression), {}, names_of(home))  # noqa: S307


def meaning(expression: ast.expr | None, home: str) -> Any:
    """Return what an expression stands for, or None where it is not known."""
    try:
        return expression and evaluated(expression, home)
    except (NameError, AttributeError, TypeError):
        return None


# Classes, and what is written in them.


class Member(NamedTuple):
    """What a class has under one name: its text, None if there is none that counts alone."""

    home: str
    node: ast.stmt | None


def is_public(name: str) -> bool:
    """Return whether users may use a name; special methods are looked at one by one."""
    return not name.startswith("_")


def is_special(name: str) -> bool:
    """Return whether Python gives a name its meaning."""
    return name.startswith("__") and name.endswith("__")


def is_ours(thing: object) -> typing.TypeGuard[type]:
    """Return whether something is a class of the package."""
    return inspect.isclass(thing) and f"{thing.__module__}.".startswith(f"{PACKAGE}.")


@cache
def node_of(cls: type) -> ast.ClassDef:
    """Return the source of a class, an empty one where it is not clear."""
    nodes = [n for n in ast.walk(tree_of(cls.__module__)) if isinstance(n, ast.ClassDef)]
    found = [node for node in nodes if node.name == cls.__name__]
    return found[0] if len(found) == 1 else ast.ClassDef(cls.__name__, [], [], [], [])


def parents_of(cls: type) -> list[type]:
    """Return a class and those of the package that it inherits from, the first of them last."""
    return [parent for parent in reversed(cls.__mro__) if is_ours(parent)]


def members_of(cls: type) -> dict[str, Member]:
    """Return what a class has, by name, in the order in which it is written."""
    members: dict[str, Member] = {}
    for parent in parents_of(cls):
        own: dict[str, ast.stmt | None] = {}
        for node in node_of(parent).body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    own[name] = None if name in own else node
                case (
                    ast.ClassDef(name=name)
                    | ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)])
                ):
                    own[name] = node
                case _:
                    pass
        for name, value in vars(parent).items():
            # What is wrapped once more is written in a parent. The rest has no text that counts.
            above = [vars(p)[name] for p in parent.__mro__[1:] if name in vars(p)]
            is_known = above and _unwrapped(above[0]) is _unwrapped(value)
            if is_public(name) and name not in own and not is_known:
                own[name] = None
        members |= {name: Member(parent.__module__, node) for name, node in own.items()}
    return members


def attributes_set(method: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the public attributes that a method sets, with the statements that do."""
    for statement in ast.walk(method):
        if not isinstance(statement, ast.stmt) or isinstance(statement, Function | ast.ClassDef):
            continue
        parts = (c for c in ast.iter_child_nodes(statement) if not isinstance(c, ast.stmt))
        for node in (node for part in parts for node in ast.walk(part)):
            match node:
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    if is_public(name):
                        yield name, statement
                case _:
                    pass


def parameters_of(spec: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function."""
    starred = [argument for argument in (spec.vararg, spec.kwarg) if argument is not None]
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]


def returns_self(method: Function) -> bool:
    """Return whether a method returns the object it was called on, and nothing else."""
    returned = [n.value for n in ast.walk(method) if isinstance(n, ast.Return)]
    return bool(returned) and all(isinstance(v, ast.Name) and v.id == "self" for v in returned)


def is_constant(value: object) -> bool:
    """Return whether a value is the same wherever it is written."""
    if isinstance(value, tuple):
        return all(map(is_constant, typing.cast("tuple[object, ...]", value)))
    return value is None or type(value) in (bool, bytes, float, int, str)


# Annotations.


def last_name(expression: ast.expr) -> str:
    """Return the name that is left of a dotted one without its module."""
    return ast.unparse(expression).rpartition(".")[2]


def names_in(expression: ast.AST) -> Iterator[ast.expr]:
    """Yield the names in an annotation, dotted ones as a whole, and what is quoted."""
    match expression:
        case ast.Name() | ast.Attribute() | ast.Constant(value=str()):
            yield expression
        case ast.Subscript(value=value) if last_name(value) == "Literal":
            return
        case ast.Subscript(value=value, slice=ast.Tuple(elts=[annotation, *_])) if (
            last_name(value) == "Annotated"
        ):
            yield from names_in(annotation)
        case _:
            for child in ast.iter_child_nodes(expression):
                yield from names_in(child)


def unless_none(annotation: ast.expr | None) -> tuple[ast.expr | None, bool]:
    """Return ``X`` for ``X | None``, and whether it was that; everything else as it is."""
    match annotation:
        case ast.BinOp(left=part, op=ast.BitOr(), right=ast.Constant(value=None)):
            return part, True
        case ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=part):
            return part, True
        case ast.Subscript(value=value, slice=part) if last_name(value) == "Optional":
            return part, True
        case _:
            return annotation, False


# What is async, or calls back.


@cache
def why_async(thing: object, generated: frozenset[type] = frozenset()) -> str | None:
    """Return why something can't be the same object for blocking callers, or None if it can.

    Args:
        thing: a type, a function or a class.
        generated: the classes whose objects have to be replaced by twins, async or not.
    """
    return _search(thing, _async_parts, partial(_why_async_itself, generated=generated))


@cache
def why_callback(thing: object) -> str | None:
    """Return why something has to be called, or has what has to be; async objects are no matter."""
    if is_ours(thing) and why_async(thing):
        return None
    return _search(thing, _callback_parts, _why_callback_itself)


def written_parts(annotation: ast.AST, home: str) -> Iterator[object]:
    """Yield what the names in an annotation stand for, or why that is not known."""
    for name in names_in(annotation):
        try:
            yield evaluated(name, home)
        except (NameError, AttributeError):
            yield _Unknown(f"which is not known, since {home} has no {ast.unparse(name)}")


class _Unknown(str):
    """Why it is not known what something stands for."""

    __slots__ = ()


def _search(
    start: object,
    parts: Callable[[object], Iterable[object]],
    reason: Callable[[object], str | None],
) -> str | None:
    """Return the first reason there is in something, and in all that it is made of."""
    seen, left = {id(start): start}, [start]
    while left:
        thing = left.pop()
        if (found := reason(thing)) is not None:
            return found
        new = [part for part in parts(thing) if id(part) not in seen]
        # They are kept, lest others get their ids.
        seen |= {id(part): part for part in new}
        left += reversed(new)
    return None


def _unwrapped(member: object) -> object:
    return inspect.unwrap(member) if callable(member) else member


def _layers_of(member: object) -> Iterator[Callable[..., object]]:
    """Yield the functions that a member of a class consists of, the outermost one first."""
    for holder in ("fget", "func", "__func__"):
        member = getattr(member, holder, member)
    while inspect.isfunction(member):
        yield member
        member = getattr(member, "__wrapped__", None)


def _annotated(thing: object, home: str) -> Iterator[object]:
    """Yield what the annotations of a function or class of the package stand for."""
    hints: Mapping[str, object] = getattr(thing, "__annotations__", {})
    for hint in (getattr(hints[n], "__forward_arg__", hints[n]) for n in hints if is_public(n)):
        if isinstance(hint, str):
            yield from written_parts(ast.parse(hint, mode="eval").body, home)
        else:
            yield hint


def _type_parts(thing: Any) -> Iterator[object]:
    """Yield what a type is made of: the class itself, arguments and bounds."""
    origin, arguments = typing.get_origin(thing), typing.get_args(thing)
    if origin is not None and origin is not typing.Literal:
        for argument in arguments[:1] if origin is typing.Annotated else arguments:
            yield from argument if isinstance(argument, list) else [argument]
        yield origin
    if isinstance(thing, typing.TypeVar):
        yield from (*thing.__constraints__, thing.__bound__)
    if isinstance(thing, typing.NewType):
        yield thing.__supertype__


def _async_parts(thing: object) -> Iterator[object]:
    """Yield what may make something async, to be looked at in turn."""
    yield from _type_parts(thing)
    if inspect.isfunction(thing):
        yield from _annotated(thing, thing.__module__)
    elif is_ours(thing):
        yield from (*thing.__mro__[1:], type(thing), *getattr(thing, "__orig_bases__", ()))
        yield from _annotated(thing, thing.__module__)
        for name, member in vars(thing).items():
            if is_public(name) or is_special(name):
                layers = _layers_of(member)
                yield from (layer for layer in layers if layer.__module__ == thing.__module__)
                yield member if inspect.isclass(member) else type(member)
        for _, statement in attributes_set(node_of(thing)):
            if isinstance(statement, ast.AnnAssign):
                yield from written_parts(statement.annotation, thing.__module__)
            else:
                # Some of the names are the method's own.
                nodes = [n for n in ast.walk(statement) if isinstance(n, ast.Name | ast.Attribute)]
                yield from (meaning(node, thing.__module__) for node in nodes)


def _why_async_itself(thing: object, generated: Collection[type]) -> str | None:
    """Return why something counts as async, whatever it is made of."""
    if isinstance(thing, str | typing.ForwardRef):
        return thing if isinstance(thing, _Unknown) else "which is quoted; write the type itself"
    if inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing):
        return "which is async"
    if is_ours(thing):
        exposed = {n: member for n, member in vars(thing).items() if is_public(n) or is_special(n)}
        functions = [layer for member in exposed.values() for layer in _layers_of(member)]
        if exposed.keys() & _ASYNC_METHODS or any(_why_async_itself(f, ()) for f in functions):
            return "which is async"
        return "which has a twin" if thing in generated else None
    if inspect.isclass(thing):
        library, name = thing.__module__.partition(".")[0], f"{thing.__module__}.{thing.__name__}"
        if any(word in name.lower() for word in _ASYNC_WORDS):
            return "which is async"
        if library not in (*stdlib_module_names, "attr", "attrs"):
            return f"which may be async, since nothing is known of {library}"
    return None


def _callback_parts(thing: object) -> Iterator[object]:
    """Yield what may make something a callback: the members of values, not those of objects."""
    yield from _type_parts(thing)
    if is_ours(thing) and why_async(thing) is None:
        yield from (*thing.__mro__[1:], *_annotated(thing, thing.__module__))


def _why_callback_itself(thing: object) -> str | None:
    if not is_ours(thing) and getattr(thing, "__name__", "") in _FUNCTIONS:
        return "which is a function"
    if is_ours(thing) and (getattr(thing, "_is_protocol", False) or "__call__" in vars(thing)):
        return "which can be called"
    return None
