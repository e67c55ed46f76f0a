"""The signatures of twins, and what is passed on to the async side."""

from __future__ import annotations

import ast
import builtins
import copy
import re
from textwrap import indent
from typing import TYPE_CHECKING, Final, NamedTuple

from icure_sync._generator.imports import GENERATED
from icure_sync._generator.syntax import (
    Function,
    is_public,
    is_starred,
    names_in,
    or_none,
    own_name,
    signature_of,
    unless_none,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_sync._generator.imports import Imports
    from icure_sync._generator.source import Definition

__all__ = ["SignatureWriter", "blocking_name", "methods_constant"]

# What the methods of twins call.
_RESERVED: Final = frozenset({"adapt", "callback", "trimmed_traceback"})


class SignatureWriter:
    """Writes the signatures of one class.

    Args:
        imports: those of the generated module.
        name: of the class.
    """

    def __init__(self, imports: Imports, name: str) -> None:
        self._imports: Final = imports
        self._plan: Final = imports.plan
        self._package: Final = imports.plan.package
        self._name: Final = name
        # Where the member is written that is being worked on.
        self._source = imports.source

    def _text_of(self, expression: ast.expr, *, now: bool = False) -> str:
        return self._imports.text_of(expression, self._source, now=now)

    def _problem(self, member: str, what: str) -> None:
        self._plan.problem(f"{self._imports.source.module}.{self._name}.{member}: {what}")

    def _docstring(self, text: str | None, member: str = "", indentation: int = 4) -> Iterator[str]:
        if text:
            where = f"{self._imports.source.module}.{self._name}.{member}".rstrip(".")
            quoted = self._plan.reworded(text, where).replace("\\", "\\\\")
            quoted = quoted.replace('"""', '\\"\\"\\"')
            end = "\n" if "\n" in quoted or quoted.endswith('"') else ""
            yield indent(f'"""{quoted}{end}"""', " " * indentation)

    def _check_not_async(self, annotation: ast.expr, member: str) -> None:
        text = ast.unparse(annotation)
        part = self._plan.shapes.async_part(self._source, annotation)
        if part:
            self._problem(member, f"{text!r} has {part}, and no rule for it")
        for name in names_in(annotation):
            if self._is(name, "Self"):
                self._problem(member, f"{text!r} has {ast.unparse(name)}, which is not the twin")

    def _is(self, expression: ast.expr, *names: str) -> bool:
        """Return whether an expression stands for a type of the standard library, by its name."""
        return self._package.is_outside(self._package.resolve(self._source, expression), *names)

    def _signature(
        self, method: Function, name: str, *, returns: ast.expr | None = None
    ) -> Iterator[str]:
        arguments = _without_private(method.args)
        if own_name(method) not in ("self", "cls"):
            self._problem(method.name, "its first parameter is not called self")
        for argument in signature_of(arguments):
            argument.annotation = self._parameter(method, argument)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self._check_default(default, method.name)
                self._text_of(default, now=True)
        returned = returns or method.returns
        arrow = "" if returned is None else f" -> {self._text_of(returned)}"
        yield f"    def {name}({ast.unparse(arguments)}){arrow}:"
        yield from self._docstring(ast.get_docstring(method), method.name, indentation=8)

    def _check_default(self, default: ast.expr, member: str) -> None:
        for node in ast.walk(default):
            if isinstance(node, ast.Name) and not self._is_known(node.id):
                text, module = ast.unparse(default), self._source.module
                self._problem(member, f"the default {text!r} has a name not found in {module}")

    def _is_known(self, name: str) -> bool:
        return hasattr(builtins, name) or self._package.find(self._source, name) is not None

    def _parameter(self, method: Function, argument: ast.arg) -> ast.expr | None:
        """Return the annotation that a parameter has in the twin."""
        annotation, name = argument.annotation, f"{method.name}.{argument.arg}"
        if argument.arg in _RESERVED:
            self._problem(name, "has the name of what the twin calls; rename it")
        if annotation is None:
            if argument.arg != own_name(method):
                self._problem(name, "has no annotation")
            return None
        protocol = self._protocol_in(method, argument)
        if protocol is not None:
            plain = blocking_name(str(protocol.name))
            self._imports.for_annotations(f"{GENERATED}.{self._plan.target_of(protocol)}", plain)
            self._text_of(annotation)
            wanted, optional = unless_none(annotation)
            return or_none(ast.BinOp(ast.Name(plain), ast.BitOr(), wanted), optional=optional)
        callback = self._callback_in(method, argument)
        if callback is not None:
            annotation = self._plain_callback(callback, name)
        elif self._plan.shapes.callback_part(self._source, annotation):
            self._problem(name, self._callback_problem(name))
        else:
            self._check_not_async(annotation, name)
        self._text_of(annotation)
        return annotation

    def _callback_problem(self, name: str) -> str:
        if self._plan.uses("callbacks", f"{self._name}.{name}"):
            return "is a callback, and only Callable[…, Awaitable[…]] can be converted; write that"
        return "is a callback without a rule; see callbacks"

    def _plain_callback(self, callback: _Callback, member: str) -> ast.expr:
        """Return the annotation of the plain function for that of an async one."""
        given, result = callback.parts
        for part in (given, result):
            if self._plan.shapes.callback_part(self._source, part):
                self._problem(member, "is a callback that takes or returns another one")
            self._check_not_async(part, member)
        plain = ast.Subscript(callback.shape, ast.Tuple([given, result]))
        return or_none(plain, optional=callback.optional)

    def _passed_on(self, method: Function) -> str:
        """Return the arguments of the call of the async method."""
        spec = method.args
        passed = [
            self._converted(method, argument) for argument in (*spec.posonlyargs, *spec.args)[1:]
        ]
        if spec.vararg:
            passed.append(f"*{spec.vararg.arg}")
        passed += [
            f"{given.arg}={self._converted(method, given)}"
            for given in _without_private(spec).kwonlyargs
        ]
        if spec.kwarg:
            passed.append(f"**{spec.kwarg.arg}")
        return ", ".join(passed)

    def _converted(self, method: Function, argument: ast.arg) -> str:
        name = argument.arg
        protocol = self._protocol_in(method, argument)
        callback = self._callback_in(method, argument)
        if protocol is not None:
            home = self._imports.sibling(str(self._plan.target_of(protocol)))
            methods = f"{home}.{methods_constant(str(protocol.name))}"
            converted = f"{self._imports.runtime('adapt')}({name}, {methods})"
            optional = argument.annotation is not None and unless_none(argument.annotation)[1]
        elif callback is not None:
            converted = f"{self._imports.runtime('callback')}({name})"
            optional = callback.optional
        else:
            return name
        return f"None if {name} is None else {converted}" if optional else converted

    def _protocol_in(self, method: Function, argument: ast.arg) -> Definition | None:
        """Return the protocol that a parameter asks for, if its twins take plain ones as well."""
        if argument.annotation is None or is_starred(method, argument):
            return None
        name, _ = unless_none(argument.annotation)
        definition = self._package.resolve(self._source, name)
        return definition if self._plan.kind_of(definition) == "protocol" else None

    def _callback_in(self, method: Function, argument: ast.arg) -> _Callback | None:
        """Return the async function that a parameter asks for, if there is a rule for it."""
        if argument.annotation is None or is_starred(method, argument):
            return None
        annotation, optional = self._written_out(argument.annotation)
        match annotation:
            case ast.Subscript(
                value=shape,
                slice=ast.Tuple(elts=[given, ast.Subscript(value=awaitable, slice=result)]),
            ) if self._is(shape, "Callable") and self._is(awaitable, "Awaitable", "Coroutine"):
                # Of a Coroutine[Any, Any, T] the last one is what it returns.
                result = result.elts[-1] if isinstance(result, ast.Tuple) else result
            case _:
                return None
        where = f"{self._name}.{method.name}.{argument.arg}"
        if not self._plan.uses("callbacks", where):
            return None
        return _Callback(shape, (given, result), optional)

    def _written_out(self, annotation: ast.expr) -> tuple[ast.expr, bool]:
        """Return an annotation without aliases and ``None``, and whether it had a ``None``."""
        annotation, optional = unless_none(annotation)
        value = self._package.alias(self._source, annotation)
        if value is None:
            return annotation, optional
        annotation, with_none = self._written_out(value)
        return annotation, optional or with_none


class _Callback(NamedTuple):
    """The parts of ``Callable[given, Awaitable[result]]``."""

    shape: ast.expr
    parts: tuple[ast.expr, ast.expr]
    optional: bool


def _without_private(spec: ast.arguments) -> ast.arguments:
    """Return a copy of parameters less those that only tests pass."""
    public = copy.deepcopy(spec)
    pairs = [
        (argument, default)
        for argument, default in zip(public.kwonlyargs, public.kw_defaults, strict=True)
        if is_public(argument.arg) or default is None
    ]
    public.kwonlyargs = [argument for argument, _ in pairs]
    public.kw_defaults = [default for _, default in pairs]
    return public


def blocking_name(protocol: str) -> str:
    """Return the name of the plain form of a protocol; the async one keeps its own."""
    return f"Blocking{protocol}"


def methods_constant(protocol: str) -> str:
    """Return the name of the constant that lists the methods of a protocol."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", protocol).upper() + "_METHODS"
