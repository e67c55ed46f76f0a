"""What can be read off a piece of source without knowing what its names stand for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Function",
    "flat",
    "is_public",
    "is_starred",
    "is_stub",
    "last_name",
    "names_in",
    "or_none",
    "own_name",
    "returns_self",
    "set_attributes",
    "signature_of",
    "unless_none",
    "unquote",
    "yields",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef

_BLOCKS: Final = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.ExceptHandler,
    ast.match_case,
)


def is_public(name: str) -> bool:
    """Return whether users may use a name; special methods are looked at one by one."""
    return not name.startswith("_")


def flat(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Yield statements, and in the place of ``if``, ``try`` and the like what is in them."""
    for node in nodes:
        if isinstance(node, _BLOCKS):
            yield from flat(ast.iter_child_nodes(node))
        elif isinstance(node, ast.stmt):
            yield node


def signature_of(spec: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function."""
    starred = (argument for argument in (spec.vararg, spec.kwarg) if argument is not None)
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]


def set_attributes(method: Function) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the public attributes that a method sets, with the statements that do."""
    own = own_name(method)
    statements = (node for node in ast.walk(method) if isinstance(node, ast.stmt))
    for statement in statements:
        for node in _own_nodes(statement):
            match node:
                case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store()):
                    if is_public(name) and owner == own:
                        yield name, statement
                case _:
                    pass


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement without those of statements in it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from ast.walk(child)


def last_name(expression: ast.expr) -> str:
    """Return the name that is left of a dotted one without its module."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def names_in(expression: ast.AST) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the names in an annotation, dotted ones as a whole."""
    match expression:
        case ast.Name():
            yield expression
        case ast.Attribute(value=ast.Name() | ast.Attribute()):
            yield expression
        case ast.Subscript(value=value) if last_name(value) == "Literal":
            yield from names_in(value)
        case ast.Subscript(value=value, slice=ast.Tuple(elts=[annotation, *_])) if (
            last_name(value) == "Annotated"
        ):
            yield from names_in(annotation)
        case _:
            for child in ast.iter_child_nodes(expression):
                yield from names_in(child)


def own_name(method: Function) -> str | None:
    """Return the parameter that stands for the object or the class itself, if there is one."""
    parameters = [*method.args.posonlyargs, *method.args.args]
    return parameters[0].arg if parameters else None


def is_starred(method: Function, argument: ast.arg) -> bool:
    """Return whether a parameter stands for any number of arguments."""
    starred = (method.args.vararg, method.args.kwarg)
    return argument.arg in [found.arg for found in starred if found is not None]


def unless_none(annotation: ast.expr) -> tuple[ast.expr, bool]:
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


def or_none(annotation: ast.expr, *, optional: bool) -> ast.expr:
    """Return ``X | None`` for ``X``, where that is asked for."""
    return ast.BinOp(annotation, ast.BitOr(), ast.Constant(None)) if optional else annotation


def _nodes_of(method: Function) -> Iterator[ast.AST]:
    """Yield all nodes of a function but those of functions in it."""
    nodes: list[ast.AST] = list(method.body)
    while nodes:
        node = nodes.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda):
            nodes.extend(ast.iter_child_nodes(node))


def is_stub(method: Function) -> bool:
    """Return whether a method has nothing but a docstring and ``...``."""
    return all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        for statement in method.body
    )


def yields(method: ast.AsyncFunctionDef) -> bool:
    """Return whether an async function is a generator."""
    return any(isinstance(node, ast.Yield) for node in _nodes_of(method))


def returns_self(method: Function) -> bool:
    """Return whether a method returns the object it was called on, and nothing else."""
    returned = [node.value for node in _nodes_of(method) if isinstance(node, ast.Return)]
    own = own_name(method)
    return bool(returned) and all(
        isinstance(value, ast.Name) and value.id == own for value in returned
    )


class _Unquoter(ast.NodeTransformer):
    """Puts expressions in the place of quoted ones. What is no expression becomes a name."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match node:
            case ast.Subscript(value=value) if last_name(value) == "Literal":
                pass
            case ast.Subscript(value=value, slice=ast.Tuple(elts=elements)) if (
                last_name(value) == "Annotated"
            ):
                elements[0] = self.visit(elements[0])
            case _:
                self.generic_visit(node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        try:
            expression = ast.parse(node.value.strip(), mode="eval").body
        except SyntaxError:
            return ast.Name(node.value)
        unquoted: ast.expr = self.visit(expression)
        return unquoted


def unquote(tree: ast.Module) -> None:
    """Replace all quoted annotations and aliases of a module."""
    unquoter = _Unquoter()
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as annotation):
                node.annotation = unquoter.visit(annotation)
            case ast.FunctionDef(returns=ast.expr() as annotation):
                node.returns = unquoter.visit(annotation)
            case ast.AsyncFunctionDef(returns=ast.expr() as annotation):
                node.returns = unquoter.visit(annotation)
            case ast.AnnAssign(annotation=annotation, value=value):
                node.annotation = unquoter.visit(annotation)
                if value is not None and last_name(annotation) == "TypeAlias":
                    node.value = unquoter.visit(value)
            case ast.ClassDef(bases=bases):
                node.bases = [unquoter.visit(base) for base in bases]
            case _:
                pass
    for statement in flat(tree.body):
        # Aliases that are not said to be such.
        match statement:
            case ast.Assign(value=ast.Subscript() | ast.BinOp(op=ast.BitOr()) as value):
                statement.value = unquoter.visit(value)
            case ast.Assign(value=ast.Call(func=made, args=args, keywords=keywords)) if last_name(
                made
            ) in ("NewType", "TypeVar"):
                args[1:] = [unquoter.visit(argument) for argument in args[1:]]
                for keyword in keywords:
                    keyword.value = unquoter.visit(keyword.value)
            case _:
                pass
