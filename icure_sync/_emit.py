"""Turns one module of ``icure_async`` into the text of its twin."""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections import defaultdict
from dataclasses import dataclass, field
from textwrap import indent
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from icure_sync._shapes import Shapes
from icure_sync._source import Definition, Package, Source
from icure_sync._syntax import (
    Function,
    is_public,
    is_starred,
    last_name,
    names_in,
    or_none,
    own_name,
    returns_self,
    set_attributes,
    signature_of,
    unless_none,
    yields,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from icure_sync._rules import GeneratedModule, Kind, Rules

__all__ = ["ModuleWriter", "Plan", "blocking_name"]

_ITERATORS: Final = frozenset({"AsyncGenerator", "AsyncIterable", "AsyncIterator"})
_SPEAKS_OF_ASYNC: Final = re.compile(r"\b(async|await|asyncio|aclose|icure_async)\b")
# Special methods of twins come from their base class; a protocol and a value have none of them.
_COVERED: Final = frozenset({"__init__", "__repr__", "__slots__"})
_PLAIN_BASES: Final = ("ABC", "Protocol")
_PLAIN_DECORATORS: Final = ("final", "runtime_checkable")
# What the methods of twins call.
_RESERVED: Final = frozenset({"adapt", "callback", "trimmed_traceback"})
_GENERATED: Final = "icure_sync._generated"
_RUNTIME: Final = {
    "Twin": "icure_sync._twins",
    "adapt": "icure_sync._plain",
    "callback": "icure_sync._plain",
    "run": "icure_sync._runtime",
    "trimmed_traceback": "icure_sync._tracebacks",
}


@dataclass
class Plan:
    """What the modules have in common: the rules, which of them were used, and what is wrong."""

    package: Package
    rules: Rules
    problems: list[str] = field(default_factory=list[str])
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    shapes: Shapes = field(init=False)

    def __post_init__(self) -> None:
        generated = {
            Definition(module.source, name)
            for module in self.rules.modules
            for name, kind in module.classes.items()
            if kind != "protocol"
        }
        self.shapes = Shapes(self.package, generated)

    def problem(self, text: str) -> None:
        """Note something that keeps the generator from doing its job."""
        self.problems.append(text)

    def uses(self, table: str, entry: str) -> bool:
        """Return whether a table of the rules has an entry, and note that it was of use."""
        found = entry in getattr(self.rules, table)
        if found:
            self.used.add((table, entry))
        return found

    def module_of(self, definition: Definition | None) -> GeneratedModule | None:
        """Return the generated module that has the twin of a class, if there is one."""
        for module in self.rules.modules:
            if (
                definition
                and module.source == definition.module
                and definition.name in module.classes
            ):
                return module
        return None

    def target_of(self, definition: Definition) -> str | None:
        """Return the name of the generated module that has the twin of a class."""
        module = self.module_of(definition)
        return module.target if module else None

    def reworded(self, text: str, where: str) -> str:
        """Return a docstring that speaks of blocking calls."""
        for phrase, replacement in self.rules.words.items():
            if phrase in text:
                self.used.add(("words", phrase))
                text = text.replace(phrase, replacement)
        left = _SPEAKS_OF_ASYNC.search(text)
        if left:
            self.problem(f"{where}: its docstring says {left[0]!r}; see words")
        return text


class ModuleWriter:
    """Writes one generated module, and knows what it has to import."""

    def __init__(self, plan: Plan, source: Source, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.source: Final = source
        self._module = module
        self._meanings: dict[str, Definition | None] = {}
        self._imports: defaultdict[str, set[str]] = defaultdict(set)
        self._for_annotations: defaultdict[str, set[str]] = defaultdict(set)

    def write(self) -> str:
        """Return the text of the module, not yet formatted."""
        classes: list[str] = []
        exported: list[str] = []
        for name, kind in self._module.classes.items():
            if name not in self.source.classes:
                self.plan.problem(f"rules: there is no class {self.source.module}.{name}")
                continue
            classes.append("\n".join(ClassWriter(self, name, kind).write()))
            if kind == "protocol":
                exported += [blocking_name(name), methods_constant(name)]
            else:
                exported.append(name)
        parts = [
            f'"""{self.plan.reworded(self.source.doc, self.source.module)}"""',
            "from __future__ import annotations",
            "\n".join(self._import_lines()),
            f"__all__ = {sorted(exported, key=_by_kind)}",
            *classes,
        ]
        return "\n\n".join(parts)

    def _import_lines(self) -> Iterator[str]:
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
        return self.needs(_GENERATED, f"{target} as _{target}")

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
                f"{source.module}.{name}: has another meaning in {self.source.module}, whose "
                "classes inherit from that module; rename one of them"
            )
        if definition is None:
            return
        module = self.plan.module_of(definition)
        if module and module.classes[str(definition.name)] != "protocol":
            if module.target != self._module.target:
                add(f"{_GENERATED}.{module.target}", _renamed(str(definition.name), name))
            return
        direct = source.imports.get(name, definition)
        if direct.name is None:
            add(_renamed(direct.module, name), "")
        else:
            add(direct.module, _renamed(direct.name, name))


def _renamed(name: str, local: str) -> str:
    """Return what to import to have a name under the one it has here."""
    return name if name == local else f"{name} as {local}"


def _by_kind(name: str) -> tuple[bool, str]:
    """Sort as ruff sorts ``__all__``: constants first."""
    return (not name.isupper(), name)


def _import_statements(imports: dict[str, set[str]]) -> Iterator[str]:
    for module, names in sorted(imports.items()):
        if "" in names:
            yield f"import {module}"
        if names - {""}:
            yield f"from {module} import {', '.join(sorted(names - {''}))}"


class ClassWriter:
    """Writes one class."""

    def __init__(self, module: ModuleWriter, name: str, kind: Kind) -> None:
        self._module = module
        self._plan = module.plan
        self._module_source: Final = module.source
        # Where the member is written that is being worked on.
        self._source = module.source
        self._name = name
        self._kind: Final = kind
        self._package = module.plan.package
        members = self._package.members(module.source, name)
        self._members = {member: found.statement for member, found in members.items()}
        self._sources = {member: found.source for member, found in members.items()}
        self._doc = ast.get_docstring(module.source.classes[name]) or ""

    def write(self) -> Iterator[str]:
        """Return the lines of the class."""
        self._check_class()
        if self._kind == "value":
            yield from self._write_value()
        elif self._kind == "protocol":
            yield from self._write_protocol()
        else:
            yield from self._write_twin()

    def _text_of(self, expression: ast.expr, *, now: bool = False) -> str:
        return self._module.text_of(expression, self._source, now=now)

    def _problem(self, member: str, what: str) -> None:
        self._plan.problem(f"{self._module_source.module}.{self._name}.{member}: {what}")

    def _check_class(self) -> None:
        """Refuse what changes a class from outside, and is not taken over."""
        for parent in self._package.lineage(self._module_source, self._name):
            for base in parent.node.bases:
                self._check_base(parent.source, base)
            for keyword in parent.node.keywords:
                self._class_problem(f"has {ast.unparse(keyword)}")
            for decorator in parent.node.decorator_list:
                definition = self._package.resolve(parent.source, decorator)
                is_plain = self._package.is_outside(definition, *_PLAIN_DECORATORS)
                # A value has its decorators, too.
                if not is_plain and self._kind != "value":
                    self._class_problem(f"has @{ast.unparse(decorator)}")
        if self._name in self._module_source.unclear:
            self._class_problem("is defined more than once")

    def _check_base(self, source: Source, base: ast.expr) -> None:
        is_plain = ast.unparse(base) == "object" or self._package.is_outside(
            self._package.resolve(source, base), *_PLAIN_BASES
        )
        if not is_plain and self._package.class_of(source, base) is None:
            self._class_problem(f"inherits from {ast.unparse(base)}")

    def _class_problem(self, what: str) -> None:
        where = f"{self._module_source.module}.{self._name}"
        self._plan.problem(f"{where}: {what}, and there is no rule for that")

    def _docstring(self, text: str | None, member: str = "", indentation: int = 4) -> Iterator[str]:
        if text:
            where = f"{self._module_source.module}.{self._name}.{member}".rstrip(".")
            quoted = self._plan.reworded(text, where).replace("\\", "\\\\")
            end = "\n" if "\n" in quoted else ""
            yield indent(f'"""{quoted}{end}"""', " " * indentation)

    # Values: the same members, with twins in the place of async objects.

    def _write_value(self) -> Iterator[str]:
        definition = Definition(self._source.module, self._name)
        original = self._module.async_for_annotations(definition)
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
        self._module.needs("typing", "Self")
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
        self._module.needs("typing", "Protocol")
        methods: list[str] = []
        yield f"class {blocking_name(self._name)}(Protocol):"
        yield from self._docstring(self._doc)
        for name, member in self._members.items():
            self._source = self._sources[name]
            methods.append(name)
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
        self._module.needs("typing", "Final")

    def _check_plain(self, method: Function) -> None:
        if method.returns is None:
            self._problem(method.name, "has no annotation")
        annotations = [argument.annotation for argument in signature_of(method.args)]
        for annotation in (*annotations, method.returns):
            if annotation is not None:
                self._check_not_async(annotation, method.name)

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

    # Twins: they hold the async object, and block on its calls.

    def _write_twin(self) -> Iterator[str]:
        original = self._module.async_class(self._name)
        yield f"class {self._name}({self._module.runtime('Twin')}[{original}]):"
        yield from self._docstring(self._doc)
        members = dict(self._members)
        constructor = members.pop("__init__", None)
        for name, member in members.items():
            self._source = self._sources[name]
            if _is_assigned(member, name) and not self._is_left_out(name):
                yield from self._constant(name, member)
        if self._plan.uses("portable", self._name):
            yield "    _portable = True"
        if self._plan.uses("constructed", self._name):
            self._source = self._sources.get("__init__", self._module_source)
            yield from self._constructor(constructor, original)
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
        return (
            self._is_hidden(name)
            or self._plan.uses("left_out", f"{self._name}.{name}")
            or self._plan.uses("left_out", f"*.{name}")
        )

    def _is_hidden(self, name: str) -> bool:
        is_special = name.startswith("__") and name.endswith("__")
        return not is_public(name) and (not is_special or name in _COVERED)

    def _constructor(self, constructor: ast.stmt | None, original: str) -> Iterator[str]:
        if not isinstance(constructor, ast.FunctionDef):
            self._problem("__init__", "is constructed, but has no constructor")
            return
        yield from self._signature(constructor, "__init__")
        yield f"        super().__init__({original}({self._passed_on(constructor)}))"

    def _attributes(self) -> Iterator[str]:
        """Yield the public attributes that constructors set, inherited ones included."""
        written: set[str] = set()
        for source, method, name, statement in self._attributes_set():
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

    def _attributes_set(self) -> Iterator[tuple[Source, str, str, ast.stmt]]:
        methods = [
            (source, method)
            for source, node in self._package.lineage(self._module_source, self._name)
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
        self._module.needs("functools", "cached_property")
        yield "    @cached_property"
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
                value = self._held(member.returns, name)
                # The twin of one object is one object, too.
                cached = "._wrap(" in value
                decorator = (
                    self._module.needs("functools", "cached_property") if cached else "property"
                )
                yield f"    @{decorator}"
                yield from self._signature(member, name)
                yield f"        return {value}"
            case ast.FunctionDef(decorator_list=[ast.Name(id="classmethod")]):
                yield "    @classmethod"
                yield from self._signature(member, name)
                call = f"Async{self._name}.{name}({self._passed_on(member)})"
                value = self._wrapped(member.returns, call, name, owner="cls")
                yield f"        return {value}"
            case _:
                self._problem(name, "there is no rule for such a member")

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
                yield from self._returned(method, f"self._here.{name}({self._passed_on(method)})")

    def _iterator(self, method: Function) -> Iterator[str]:
        match method.returns:
            case ast.Subscript(value=ast.Name(id=shape), slice=items) if (
                shape in _ITERATORS and self._plan.uses("iterators", f"{self._name}.{method.name}")
            ):
                item = items.elts[0] if isinstance(items, ast.Tuple) else items
                self._check_not_async(item, method.name)
                self._module.for_annotations("collections.abc", "Iterator")
                returns = ast.Subscript(ast.Name("Iterator"), item)
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
        if not self._is(made, *shapes) or not self._plan.uses("entered", f"*.{method.name}"):
            return None
        return held.elts[0] if isinstance(held, ast.Tuple) else held

    def _plain_context_manager(self, held: ast.expr, member: str) -> ast.expr:
        """Return what a method returns instead of an async context manager."""
        self._check_not_async(held, member)
        self._module.for_annotations("contextlib", "AbstractContextManager")
        return ast.Subscript(ast.Name("AbstractContextManager"), held)

    def _context_manager(self, method: Function, held: ast.expr) -> Iterator[str]:
        returns = self._plain_context_manager(held, method.name)
        yield from self._signature(method, method.name, returns=returns)
        call = _joined(f"self._inner.{method.name}", self._passed_on(method))
        yield f"        return self._enter({call})"

    def _blocking(self, body: Iterable[str]) -> Iterator[str]:
        """Yield a body in which an error shows no line of the runtime."""
        yield f"        with {self._module.runtime('trimmed_traceback')}:"
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

    def _wrapped(
        self, annotation: ast.expr | None, value: str, member: str, *, owner: str | None = None
    ) -> str:
        """Return the expression for a value that came from the async side."""
        if annotation is None:
            self._problem(member, "has no annotation")
            return value
        if isinstance(annotation, ast.Name):
            if annotation.id == "Self" and owner is not None:
                return f"{owner}._wrap({value})"
            definition = self._plan.package.find(self._source, annotation.id)
            module = self._plan.module_of(definition)
            if definition and module and module.classes[str(definition.name)] != "protocol":
                return f"{self._module.twin(definition)}._wrap({value})"
        self._check_not_async(annotation, member)
        return value

    # Signatures, and what is passed on to the async side.

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
            self._module.for_annotations(f"{_GENERATED}.{self._plan.target_of(protocol)}", plain)
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
            home = self._module.sibling(str(self._plan.target_of(protocol)))
            methods = f"{home}.{methods_constant(str(protocol.name))}"
            converted = f"{self._module.runtime('adapt')}({name}, {methods})"
            optional = argument.annotation is not None and unless_none(argument.annotation)[1]
        elif callback is not None:
            converted = f"{self._module.runtime('callback')}({name})"
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
        module = self._plan.module_of(definition)
        is_protocol = definition and module and module.classes[str(definition.name)] == "protocol"
        return definition if is_protocol else None

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


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _is_assigned(member: ast.stmt | None, name: str) -> TypeGuard[ast.Assign | ast.AnnAssign]:
    return isinstance(member, ast.Assign | ast.AnnAssign) and name.isidentifier()
