"""Turns one class of ``icure_async`` into the text of its twin."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, TypeGuard

from icure_sync._generator.signatures import SignatureWriter, blocking_name, methods_constant
from icure_sync._generator.source import Class, Definition
from icure_sync._generator.syntax import (
    Function,
    is_public,
    is_stub,
    last_name,
    names_in,
    returns_self,
    set_attributes,
    signature_of,
    yields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icure_sync._generator.imports import Imports
    from icure_sync._generator.rules import Kind
    from icure_sync._generator.source import Source

__all__ = ["ClassWriter"]

_ITERATORS: Final = frozenset({"AsyncGenerator", "AsyncIterable", "AsyncIterator"})
# Special methods of twins come from their base class; a protocol and a value have none of them.
_COVERED: Final = frozenset(
    {"__copy__", "__getstate__", "__init__", "__reduce_ex__", "__repr__", "__slots__"}
)
_PLAIN_BASES: Final = ("ABC", "Protocol")
_PLAIN_DECORATORS: Final = ("final", "runtime_checkable")


class ClassWriter(SignatureWriter):
    """Writes one class.

    Args:
        imports: those of the generated module.
        name: of the class.
        kind: what is made of it.
    """

    def __init__(self, imports: Imports, name: str, kind: Kind) -> None:
        super().__init__(imports, name)
        self._kind: Final = kind
        members = self._package.members(imports.source, name)
        self._members = {member: found.statement for member, found in members.items()}
        self._sources = {member: found.source for member, found in members.items()}
        self._doc = ast.get_docstring(imports.source.classes[name]) or ""
        self._base = self._base_twin() if kind == "twin" else None

    def write(self) -> Iterator[str]:
        """Return the lines of the class."""
        self._check_class()
        if self._kind == "value":
            yield from self._write_value()
        elif self._kind == "protocol":
            yield from self._write_protocol()
        else:
            yield from self._write_twin()
        if not self._doc and not self._members:
            yield "    pass"

    def _base_twin(self) -> Class | None:
        """Return the class that this one inherits from, and that has a twin, if there is one."""
        bases = self._imports.source.classes[self._name].bases
        parents = (self._package.class_of(self._imports.source, base) for base in bases)
        found = [p for p in parents if p and self._plan.kind_of(p.definition) == "twin"]
        if len(found) > 1:
            self._class_problem("inherits from several classes that have twins")
        return found[0] if found else None

    def _inherited(self) -> set[str]:
        """Return the members that the twin has from the twin it inherits from."""
        if self._base is None:
            return set()
        theirs = self._package.members(self._base.source, self._base.node.name)
        return {
            name
            for name, member in self._members.items()
            if name in theirs and theirs[name].statement is member
        }

    def _check_class(self) -> None:
        """Refuse what changes a class from outside, and is not taken over."""
        for parent in self._package.lineage(self._imports.source, self._name):
            for base in parent.node.bases:
                self._check_base(parent.source, base)
            for keyword in parent.node.keywords:
                self._class_problem(f"has {ast.unparse(keyword)}")
            for decorator in parent.node.decorator_list:
                definition = self._package.resolve(parent.source, decorator)
                is_plain = self._package.is_outside(definition, *_PLAIN_DECORATORS)
                # A value has its decorators, too.
                if is_plain or self._kind == "value":
                    continue
                if not self._plan.uses("decorators", ast.unparse(decorator)):
                    self._class_problem(f"has @{ast.unparse(decorator)}")
        if self._name in self._imports.source.unclear:
            self._class_problem("is defined more than once")

    def _check_base(self, source: Source, base: ast.expr) -> None:
        is_plain = ast.unparse(base) == "object" or self._package.is_outside(
            self._package.resolve(source, base), *_PLAIN_BASES
        )
        if not is_plain and self._package.class_of(source, base) is None:
            self._class_problem(f"inherits from {ast.unparse(base)}")

    def _class_problem(self, what: str) -> None:
        where = f"{self._imports.source.module}.{self._name}"
        self._plan.problem(f"{where}: {what}, and there is no rule for that")

    # Values: the same members, with twins in the place of async objects.

    def _write_value(self) -> Iterator[str]:
        definition = Definition(self._source.module, self._name)
        original = self._imports.async_for_annotations(definition)
        node = self._source.classes[self._name]
        for decorator in node.decorator_list:
            yield f"@{self._text_of(decorator, now=True)}"
        yield f"class {self._name}:"
        yield from self._docstring(self._doc)
        arguments: list[str] = []
        for name, member in self._members.items():
            self._source = self._sources[name]
            if not isinstance(member, ast.AnnAssign) or not is_public(name):
                self._problem(name, "there is no rule for such a member of a value")
                continue
            annotation = self._text_of(member.annotation)
            self._check_field(name, member)
            if member.value:
                self._check_default(member.value, name)
            default = member.value and f" = {self._text_of(member.value, now=True)}"
            yield f"    {name}: {annotation}{default or ''}"
            arguments.append(f"{name}={self._wrapped(member.annotation, f'inner.{name}', name)}")
        self._imports.needs("typing", "Self")
        yield "    @classmethod"
        yield f"    def _wrap(cls, inner: {original}) -> Self:"
        yield f"        return cls({', '.join(arguments)})"

    def _check_field(self, name: str, member: ast.AnnAssign) -> None:
        """Refuse what the constructor does not take under the name of the attribute."""
        keywords = member.value.keywords if isinstance(member.value, ast.Call) else []
        odd = {keyword.arg for keyword in keywords} & {"init", "alias"}
        kinds = {last_name(part) for part in names_in(member.annotation)} & {"ClassVar", "InitVar"}
        for what in sorted({*map(str, odd), *kinds}):
            self._problem(name, f"has {what}, and there is no rule for it in a value")

    # Protocols: plain methods.

    def _write_protocol(self) -> Iterator[str]:
        self._imports.needs("typing", "Protocol")
        methods: list[str] = []
        yield f"class {blocking_name(self._name)}(Protocol):"
        yield from self._docstring(self._doc)
        for name, member in self._members.items():
            self._source = self._sources[name]
            methods.append(name)
            if name in self._plan.rules.renamed:
                self._problem(name, "would be renamed, which there is no rule for in a protocol")
            if isinstance(member, Function) and not is_stub(member):
                self._problem(name, "has a body, which there is no rule for in a protocol")
            match member:
                case ast.FunctionDef() if is_public(name) and (held := self._entered(member)):
                    returns = self._plain_context_manager(held, name)
                    yield from self._signature(member, name, returns=returns)
                case ast.AsyncFunctionDef(decorator_list=[]) if is_public(name):
                    self._check_plain(member)
                    yield from self._signature(member, name)
                case _:
                    self._problem(name, "there is no rule for such a member of a protocol")
                    continue
            yield "        ..."
        yield f"{methods_constant(self._name)}: Final = ({', '.join(map(repr, methods))},)"
        self._imports.needs("typing", "Final")

    def _check_plain(self, method: Function) -> None:
        if method.returns is None:
            self._problem(method.name, "has no annotation")
        annotations = [argument.annotation for argument in signature_of(method.args)]
        for annotation in (*annotations, method.returns):
            if annotation is not None:
                self._check_not_async(annotation, method.name)

    # Twins: they hold the async object, and block on its calls.

    def _write_twin(self) -> Iterator[str]:
        original = self._imports.async_class(self._name)
        if self._base is None:
            base = f"{self._imports.runtime('Twin')}[{original}]"
        else:
            base = self._imports.base(self._base.definition)
        yield f"class {self._name}({base}):"
        yield from self._docstring(self._doc)
        if self._base is not None:
            yield f"    _inner: {original}"
        inherited = self._inherited()
        members = {n: member for n, member in self._members.items() if n not in inherited}
        members.pop("__init__", None)
        for name, member in members.items():
            self._source = self._sources[name]
            if _is_assigned(member, name) and not self._is_left_out(name):
                yield from self._constant(name, member)
        if self._plan.uses("portable", self._name):
            yield "    _portable = True"
        if self._plan.uses("constructed", self._name):
            self._source = self._sources.get("__init__", self._imports.source)
            yield from self._constructor(self._members.get("__init__"), original)
        yield from self._attributes()
        for name, member in members.items():
            self._source = self._sources[name]
            if self._plan.rules.renamed.get(name) in members:
                self._problem(name, "is renamed to what another member is called; see renamed")
            if not self._is_left_out(name):
                yield from self._member(name, member)

    def _constant(self, name: str, member: ast.Assign | ast.AnnAssign) -> Iterator[str]:
        declared = name
        if isinstance(member, ast.AnnAssign):
            self._check_not_async(member.annotation, name)
            declared = f"{name}: {self._text_of(member.annotation, now=True)}"
        if not is_public(name):
            self._problem(name, "is special, and there is no rule for it")
            return
        if member.value is None:
            self._problem(name, "is a public attribute that has no value in the class")
            return
        names = {last_name(part) for part in names_in(member.value)}
        if names & {*self._members} or not self._package.is_constant(self._source, member.value):
            self._problem(name, "is a public attribute whose value is no constant")
            return
        yield f"    {declared} = {self._text_of(member.value, now=True)}"

    def _is_left_out(self, name: str) -> bool:
        return self._is_hidden(name) or self._plan.uses("left_out", f"{self._name}.{name}")

    def _is_hidden(self, name: str) -> bool:
        is_special = name.startswith("__") and name.endswith("__")
        return not is_public(name) and (not is_special or name in _COVERED)

    def _constructor(self, constructor: ast.stmt | None, original: str) -> Iterator[str]:
        if not isinstance(constructor, ast.FunctionDef):
            self._problem("__init__", "is constructed, but has no constructor")
            return
        yield from self._signature(constructor, "__init__")
        made = f"{original}({self._passed_on(constructor)})"
        # A twin that it inherits from would make an object of another class.
        held_by = "super().__init__" if self._base is None else "self._hold"
        yield f"        {held_by}({made})"

    def _attributes(self) -> Iterator[str]:
        """Yield the public attributes that constructors set, inherited ones included."""
        of_base = self._attributes_set(self._base) if self._base else ()
        written = {name for _, _, name, _ in of_base}
        own = Class(self._imports.source, self._imports.source.classes[self._name])
        for source, method, name, statement in self._attributes_set(own):
            if name in written or self._is_left_out(name):
                continue
            written.add(name)
            if method != "__init__":
                self._problem(name, f"is a public attribute that {method} sets; make it private")
            elif isinstance(statement, ast.AnnAssign):
                self._source = source
                yield from self._attribute(name, statement)
            else:
                self._problem(name, "is a public attribute without an annotation")

    def _attributes_set(self, cls: Class) -> Iterator[tuple[Source, str, str, ast.stmt]]:
        methods = [
            (source, method)
            for source, node in self._package.lineage(cls.source, cls.node.name)
            for method in node.body
            if isinstance(method, Function)
        ]
        # What is set later, too, would be out of date in the twin.
        for source, method in sorted(methods, key=lambda found: found[1].name == "__init__"):
            for name, statement in set_attributes(method):
                yield source, method.name, name, statement

    def _attribute(self, name: str, attribute: ast.AnnAssign) -> Iterator[str]:
        described = re.search(rf"^ +{name}: (.+(?:\n {{8,}}.+)*)$", self._doc, re.MULTILINE)
        if described is None:
            self._problem(name, "is not described among the Attributes of its class")
            return
        yield "    @property"
        yield f"    def {name}(self) -> {self._text_of(attribute.annotation)}:"
        text = " ".join(described[1].split())
        yield from self._docstring(text[0].upper() + text[1:], name, indentation=8)
        value = self._held(attribute.annotation, name)
        yield f"        return {value}"

    def _member(self, name: str, member: ast.stmt | None) -> Iterator[str]:
        match member:
            case _ if _is_assigned(member, name):
                return
            case ast.AsyncFunctionDef(decorator_list=[]):
                yield from self._blocking_method(member)
            case ast.FunctionDef(decorator_list=[]):
                yield from self._plain_method(member)
            case ast.AsyncFunctionDef() if held := self._entered(member):
                yield from self._context_manager(member, held)
            case ast.FunctionDef(decorator_list=[ast.Name(id="property")]):
                yield "    @property"
                yield from self._signature(member, name)
                yield f"        return {self._held(member.returns, name)}"
            case ast.FunctionDef(decorator_list=[ast.Name(id="classmethod")]):
                yield "    @classmethod"
                yield from self._signature(member, name)
                yield f"        return {self._made_by(name, member)}"
            case _:
                self._problem(name, "there is no rule for such a member")

    def _made_by(self, name: str, method: ast.FunctionDef) -> str:
        """Return the call of a class method."""
        passed = self._passed_on(method)
        if isinstance(method.returns, ast.Name) and method.returns.id == "Self":
            if self._name in self._plan.rules.constructed:
                return f"cls._made_by({_joined(repr(name), passed)})"
            return f"cls._wrap(Async{self._name}.{name}({passed}))"
        return self._wrapped(method.returns, f"Async{self._name}.{name}({passed})", name)

    def _blocking_method(self, method: ast.AsyncFunctionDef) -> Iterator[str]:
        name = method.name
        if yields(method):
            yield from self._iterator(method)
            return
        twin_name = self._plan.rules.renamed.get(name, name)
        if self._plan.uses("renamed", name) or is_public(name):
            yield from self._signature(method, twin_name)
            how = "_close" if self._plan.uses("closing", name) else "_run"
            call = f"self.{how}({_joined(f'self._inner.{name}', self._passed_on(method))})"
            yield from self._blocking(self._returned(method, call))
        else:
            self._problem(name, "is async and special, and there is no rule for it; see renamed")

    def _plain_method(self, method: ast.FunctionDef) -> Iterator[str]:
        name = method.name
        match method.returns:
            case ast.Subscript(value=ast.Name(id=shape), slice=built) if (
                shape in self._plan.rules.awaitables
            ):
                self._plan.uses("awaitables", shape)
                yield from self._signature(method, name, returns=built)
                call = _joined(f"self._inner.{name}", self._passed_on(method))
                returned = f"        return {self._wrapped(built, f'self._run({call})', name)}"
                yield from self._blocking([returned])
            case ast.Subscript(value=ast.Name(id=shape)) if shape in _ITERATORS:
                yield from self._iterator(method)
            case _ if held := self._entered(method):
                yield from self._context_manager(method, held)
            case _ if not is_public(name):
                self._problem(name, "is special, and there is no rule for it")
            case _:
                yield from self._signature(method, name)
                call = _joined(f"self._inner.{name}", self._passed_on(method))
                yield from self._returned(method, f"self._call({call})")

    def _iterator(self, method: Function) -> Iterator[str]:
        if not is_public(method.name):
            self._problem(method.name, "is special; let a method return the async iterator")
            return
        match method.returns:
            case ast.Subscript(value=ast.Name(id=shape), slice=items) if (
                shape in _ITERATORS and self._plan.uses("iterators", f"{self._name}.{method.name}")
            ):
                item = items.elts[0] if isinstance(items, ast.Tuple) else items
                self._check_not_async(item, method.name)
                self._imports.for_annotations("icure_sync._iterators", "ClosableIterator")
                returns = ast.Subscript(ast.Name("ClosableIterator"), item)
                yield from self._signature(method, method.name, returns=returns)
                call = _joined(f"self._inner.{method.name}", self._passed_on(method))
                yield f"        return self._iterate({call})"
            case _:
                self._problem(method.name, "is an async iterator without a rule; see iterators")

    def _entered(self, method: Function) -> ast.expr | None:
        """Return what is entered where a method returns an async context manager with a rule."""
        shapes: tuple[str, ...]
        match method:
            case ast.FunctionDef(decorator_list=[], returns=ast.Subscript(value=made, slice=held)):
                shapes = ("AbstractAsyncContextManager", "AsyncContextManager")
            case ast.AsyncFunctionDef(
                decorator_list=[decorator], returns=ast.Subscript(value=made, slice=held)
            ) if self._is(decorator, "asynccontextmanager"):
                shapes = tuple(_ITERATORS)
            case _:
                return None
        if not self._is(made, *shapes) or not self._plan.uses(
            "entered", f"{self._name}.{method.name}"
        ):
            return None
        return held.elts[0] if isinstance(held, ast.Tuple) else held

    def _plain_context_manager(self, held: ast.expr, member: str) -> ast.expr:
        """Return what a method returns instead of an async context manager."""
        self._check_not_async(held, member)
        self._imports.for_annotations("contextlib", "AbstractContextManager")
        return ast.Subscript(ast.Name("AbstractContextManager"), held)

    def _context_manager(self, method: Function, held: ast.expr) -> Iterator[str]:
        returns = self._plain_context_manager(held, method.name)
        yield from self._signature(method, method.name, returns=returns)
        call = _joined(f"self._inner.{method.name}", self._passed_on(method))
        yield f"        return self._enter({call})"

    def _blocking(self, body: Iterable[str]) -> Iterator[str]:
        """Yield a body in which an error shows no line of the runtime."""
        yield f"        with {self._imports.runtime('trimmed_traceback')}:"
        for line in body:
            yield f"    {line}"

    def _held(self, annotation: ast.expr | None, name: str) -> str:
        """Return the expression for an attribute of the async object."""
        value = self._wrapped(annotation, f"self._inner.{name}", name)
        # What it holds was made with it, perhaps by the parent process.
        return f"{value[:-1]}, pid=self._pid)" if "._wrap(" in value else value

    def _returned(self, method: Function, call: str) -> Iterator[str]:
        match method.returns:
            case ast.Constant(value=None):
                yield f"        {call}"
            case ast.Name(id="Self"):
                self._check_returns_self(method)
                yield f"        {call}"
                yield "        return self"
            case _:
                yield f"        return {self._wrapped(method.returns, call, method.name)}"

    def _check_returns_self(self, method: Function) -> None:
        if isinstance(method, ast.AsyncFunctionDef) and method.name != "__aenter__":
            self._problem(method.name, "is async and returns Self; name the class that it returns")
        elif not returns_self(method):
            self._problem(method.name, "returns Self, but not self; name the class that it returns")

    def _wrapped(self, annotation: ast.expr | None, value: str, member: str) -> str:
        """Return the expression for a value that came from the async side."""
        if annotation is None:
            self._problem(member, "has no annotation")
            return value
        if isinstance(annotation, ast.Name):
            definition = self._plan.package.find(self._source, annotation.id)
            if definition and self._plan.kind_of(definition) in ("twin", "value"):
                return f"{self._imports.twin(definition)}._wrap({value})"
        self._check_not_async(annotation, member)
        return value


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _is_assigned(member: ast.stmt | None, name: str) -> TypeGuard[ast.Assign | ast.AnnAssign]:
    return isinstance(member, ast.Assign | ast.AnnAssign) and name.isidentifier()
