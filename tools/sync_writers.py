"""Writers of blocking twins: modules, classes, signatures, and bodies of one line."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import re
import typing
from abc import ABC, ABCMeta
from collections import abc, defaultdict
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from textwrap import indent
from typing import TYPE_CHECKING, Final, Generic, Protocol

from sync_source import (
    PACKAGE,
    Function,
    Member,
    attributes_set,
    evaluated,
    imports_in,
    is_constant,
    is_ours,
    is_public,
    is_special,
    last_name,
    meaning,
    members_of,
    names_in,
    names_of,
    node_of,
    parameters_of,
    parents_of,
    returns_self,
    tree_of,
    unless_none,
    why_async,
    why_callback,
    written_parts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sync_rules import GeneratedModule, Rules

GENERATED: Final = "icure_sync._generated"
RUNTIME: Final = {
    "Twin": "icure_sync._twins",
    "adapt": "icure_sync._plain",
    "callback": "icure_sync._plain",
}
ITERATORS: Final = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
# The distribution is called icure-async, for both packages.
SPEAKS_OF_ASYNC: Final = re.compile(
    r"\b(?<!icure-)(async\w*|await\w*|coroutines?|event loops?|aclose|icure_async)\b", re.IGNORECASE
)
# Special methods of twins come from their base class.
COVERED: Final = {"__copy__", "__getstate__", "__init__", "__reduce_ex__", "__repr__", "__slots__"}


# What all modules have in common.


@dataclass
class Plan:
    """The rules, which of them were used, and what is wrong."""

    rules: Rules
    problems: list[str] = field(default_factory=list[str])
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def __post_init__(self) -> None:
        self.classes: dict[type, tuple[GeneratedModule, str]] = {}
        for module in self.rules.modules:
            for name, kind in module.classes.items():
                cls = self.class_named(module.source, name)
                if cls is not None:
                    self.classes[cls] = (module, kind)
        self.public: Sequence[str] = getattr(importlib.import_module(PACKAGE), "__all__", ())

    def class_named(self, module: str, name: str) -> type | None:
        """Return a class of a module, if it has it."""
        try:
            found: object = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name and module.startswith(error.name):
                return None
            raise
        return found if inspect.isclass(found) and found.__module__ == module else None

    def kind_of(self, thing: object) -> str | None:
        """Return what is generated of a class, if anything is."""
        return self.classes[thing][1] if inspect.isclass(thing) and thing in self.classes else None

    def target_of(self, cls: type) -> str:
        """Return the name of the generated module that has the twin of a class."""
        return self.classes[cls][0].target

    def problem(self, text: str) -> None:
        """Note something that keeps the generator from doing its job."""
        if text not in self.problems:
            self.problems.append(text)

    def uses(self, table: str, entry: str) -> bool:
        """Return whether a table of the rules has an entry, and note that it was of use."""
        found = entry in getattr(self.rules, table)
        if found:
            self.used.add((table, entry))
        return found

    def why_async(self, thing: object) -> str | None:
        """Return why something can't be the same object in the other package."""
        twins = frozenset(c for c, (_, kind) in self.classes.items() if kind != "protocol")
        return why_async(thing, twins)

    def reworded(self, text: str, where: str) -> str:
        """Return a docstring that speaks of blocking calls."""
        for phrase, replacement in self.rules.words.items():
            if phrase in text:
                self.used.add(("words", phrase))
                text = text.replace(phrase, replacement)
        left = SPEAKS_OF_ASYNC.search(text)
        if left:
            self.problem(f"{where}: its docstring says {left[0]!r}; see words")
        for name in re.findall(r"\bicure_sync\.(\w+)", text):
            if f"icure_sync.{name}" not in self.rules.facades and name not in self.public:
                self.problem(f"{where}: its docstring names icure_sync.{name}; there is no such")
        return text


# Writing.


class ModuleWriter:
    """Writes one module, and collects what it has to import."""

    def __init__(self, plan: Plan, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.module: Final = module
        self.source: Final = module.source
        self._now: defaultdict[str, set[str]] = defaultdict(set)
        self._later: defaultdict[str, set[str]] = defaultdict(set)
        self._meanings: dict[str, object] = {name: None for name in RUNTIME}  # noqa: C420

    def write(self) -> str:
        """Return the text of the module, not yet formatted."""
        classes: list[str] = []
        exported: list[str] = []
        for name, kind in self.module.classes.items():
            cls = self.plan.class_named(self.source, name)
            if cls is None:
                self.plan.problem(f"rules: there is no class {self.source}.{name}")
                continue
            writer = {"twin": TwinWriter, "value": ValueWriter, "protocol": ProtocolWriter}[kind]
            classes.append("\n".join(writer(self, cls).write()))
            is_plain = kind == "protocol"
            exported += [blocking_name(cls), constant_name(cls)] if is_plain else [name]
        doc = self.plan.reworded(ast.get_docstring(tree_of(self.source)) or "", self.source)
        return "\n\n".join(
            [
                f'"""{doc}"""',
                "from __future__ import annotations",
                "\n".join(self._imports()),
                # As ruff sorts it: constants first.
                f"__all__ = {sorted(exported, key=lambda name: (not name.isupper(), name))}",
                *classes,
            ]
        )

    def _imports(self) -> Iterator[str]:
        if self._later:
            self.needs("typing", "TYPE_CHECKING")
        yield from import_statements(self._now)
        if self._later:
            yield "if TYPE_CHECKING:"
            yield from (f"    {line}" for line in import_statements(self._later))

    def needs(self, home: str, name: str, *, now: bool = True) -> str:
        """Import a name, for annotations alone unless it is needed now, and return it."""
        (self._now if now or home == "typing" else self._later)[home].add(name)
        return name.rpartition(" ")[2]

    def runtime(self, name: str) -> str:
        """Import a name of the runtime, and return it."""
        return self.needs(RUNTIME[name], name)

    def sibling(self, cls: type) -> str:
        """Import the generated module that has the twin of a class, and return its name here.

        The modules refer to each other: classes can't be imported from them at the start.
        """
        target = self.plan.target_of(cls)
        return self.needs(GENERATED, f"{target} as _{target}")

    def twin(self, cls: type) -> str:
        """Return the expression for the twin of a class, wherever it is."""
        is_here = self.plan.target_of(cls) == self.module.target
        return cls.__name__ if is_here else f"{self.sibling(cls)}.{cls.__name__}"

    def text_of(self, expression: ast.expr, home: str, *, now: bool = False) -> str:
        """Import all names of an annotation or, now, of a default, and return its text."""
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                self._import(node.id, home, now=now)
        return ast.unparse(expression)

    def _import(self, name: str, home: str, *, now: bool) -> None:
        thing = meaning(ast.Name(name), home)
        here = meaning(ast.Name(name), self.source) if name in self.module.classes else thing
        if self._meanings.setdefault(name, here) is not thing:
            self.plan.problem(
                f"{home}.{name}: has another meaning in the module that is generated from "
                f"{self.source}; rename one of them"
            )
        if self.plan.kind_of(thing) in ("twin", "value"):
            target = self.plan.target_of(thing)
            if target != self.module.target:
                self.needs(f"{GENERATED}.{target}", renamed(thing.__name__, name), now=now)
        elif name in (imports := imports_in(tree_of(home))):
            module, original = imports[name]
            self.needs(
                *((module, renamed(original, name)) if original else (renamed(module, name), "")),
                now=now,
            )
        elif name in names_of(home):
            self.needs(home, name, now=now)


def renamed(name: str, local: str) -> str:
    """Return what to import to have a name under the one it has here."""
    return name if name == local else f"{name} as {local}"


def import_statements(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield statements; an empty name stands for the module itself."""
    for module, names in sorted(imports.items()):
        if "" in names:
            yield f"import {module}"
        if names - {""}:
            yield f"from {module} import {', '.join(sorted(names - {''}))}"


def blocking_name(protocol: type) -> str:
    """Return the name of the plain form of a protocol; the async one keeps its own."""
    return f"Blocking{protocol.__name__}"


def constant_name(protocol: type) -> str:
    """Return the name of the constant that lists the methods of a protocol."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", protocol.__name__).upper() + "_METHODS"


def joined(*parts: str) -> str:
    """Return arguments as they are written in a call."""
    return ", ".join(part for part in parts if part)


class ClassWriter:
    """Writes one class: what values, protocols and twins have in common."""

    def __init__(self, module: ModuleWriter, cls: type) -> None:
        self.module: Final = module
        self.plan: Final = module.plan
        self.cls: Final = cls
        self.name: Final = cls.__name__
        self.members: Final = members_of(cls)
        self.doc: Final = ast.get_docstring(node_of(cls)) or ""
        # The module in which the member is written that is being worked on.
        self.home = module.source
        self.check_class()

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        raise NotImplementedError

    def check_class(self) -> None:
        """Refuse what changes a class from outside, and is not taken over."""
        plain = (object, ABC, Protocol, Generic)
        for base in self.cls.__mro__:
            is_plain = base in plain and (base is not Generic or Protocol in self.cls.__mro__)
            if not is_ours(base) and not is_plain:
                self.problem("", f"inherits from {base.__name__}, and there is no rule for that")
        if type(self.cls) not in (type, ABCMeta, type(Protocol)):
            made_by = type(self.cls).__name__
            self.problem("", f"has the metaclass {made_by}, and there is no rule for that")
        for parent in parents_of(self.cls):
            for decorator in node_of(parent).decorator_list:
                thing, text = meaning(decorator, parent.__module__), ast.unparse(decorator)
                is_plain = thing in (typing.final, typing.runtime_checkable)
                # A value has its decorators, too.
                is_plain = is_plain or isinstance(self, ValueWriter)
                if not (is_plain or self.plan.uses("decorators", text)):
                    self.problem("", f"has @{text}, and there is no rule for that")

    def problem(self, member: str, what: str) -> None:
        """Note what is wrong with a member."""
        where = f"{self.module.source}.{self.name}.{member}".rstrip(".")
        self.plan.problem(f"{where}: {what}")

    def docstring(self, text: str | None, member: str = "") -> Iterator[str]:
        """Yield a docstring as it is in the twin."""
        if text:
            where = f"{self.module.source}.{self.name}.{member}".rstrip(".")
            quoted = self.plan.reworded(text, where).replace("\\", "\\\\")
            quoted = quoted.replace('"""', '\\"\\"\\"')
            end = "\n" if "\n" in quoted or quoted.endswith('"') else ""
            yield indent(f'"""{quoted}{end}"""', " " * (8 if member else 4))

    def text_of(self, expression: ast.expr, *, now: bool = False) -> str:
        """Return the text of an expression of the member at work, and import its names."""
        return self.module.text_of(expression, self.home, now=now)

    # Types.

    def reason_in(self, annotation: ast.expr, why: Callable[[object], str | None]) -> str | None:
        """Return the first name in an annotation that there is a reason to refuse, and why."""
        for name in names_in(annotation):
            for thing in written_parts(name, self.home):
                if (reason := why(thing)) is not None:
                    return f"{ast.unparse(name)}, {reason}"
        return None

    def check_plain(self, annotation: ast.expr | None, member: str) -> None:
        """Refuse a type that is async or has a twin."""
        if annotation is None:
            self.problem(member, "has no annotation")
            return
        reason = self.reason_in(annotation, self.plan.why_async)
        if reason:
            self.problem(member, f"{ast.unparse(annotation)!r} has {reason}, and no rule for it")
        for name in names_in(annotation):
            if meaning(name, self.home) is typing.Self:
                text = ast.unparse(annotation)
                self.problem(member, f"{text!r} has {ast.unparse(name)}, which is not the twin")

    def wrapped(self, annotation: ast.expr | None, value: str, member: str) -> str:
        """Return the expression for a value that came from the async side."""
        thing = meaning(annotation, self.home)
        if self.plan.kind_of(thing) in ("twin", "value"):
            return f"{self.module.twin(thing)}._wrap({value})"
        self.check_plain(annotation, member)
        return value

    def entered(self, method: Function) -> ast.expr | None:
        """Return what is entered where a method returns an async context manager with a rule."""
        match method:
            case ast.FunctionDef(decorator_list=[], returns=ast.Subscript(value=shape, slice=held)):
                shapes: tuple[object, ...] = (AbstractAsyncContextManager,)
            case ast.AsyncFunctionDef(
                decorator_list=[decorator], returns=ast.Subscript(value=shape, slice=held)
            ) if last_name(decorator) == "asynccontextmanager":
                shapes = ITERATORS
            case _:
                return None
        thing = meaning(shape, self.home)
        if (typing.get_origin(thing) or thing) not in shapes:
            return None
        if not self.plan.uses("entered", f"{self.name}.{method.name}"):
            return None
        held = held.elts[0] if isinstance(held, ast.Tuple) else held
        self.check_plain(held, method.name)
        self.module.needs("contextlib", "AbstractContextManager", now=False)
        return ast.Subscript(ast.Name("AbstractContextManager"), held)

    # Signatures.

    def signature(
        self, method: Function, name: str, *, returns: ast.expr | None = None
    ) -> Iterator[str]:
        """Yield the line of a method, and its docstring."""
        arguments = without_private(method.args)
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        if positional[:1] not in (["self"], ["cls"]):
            self.problem(method.name, "its first parameter is not called self")
        for argument in parameters_of(arguments):
            argument.annotation = self._taken(method, argument)[0]
        for default in filter(None, (*arguments.defaults, *arguments.kw_defaults)):
            self.default(default, method.name)
        returned = returns or method.returns
        arrow = "" if returned is None else f" -> {self.text_of(returned)}"
        yield f"    def {name}({ast.unparse(arguments)}){arrow}:"
        yield from self.docstring(ast.get_docstring(method), method.name)

    def default(self, value: ast.expr, member: str) -> str:
        """Return the text of a default, and import its names."""
        try:
            evaluated(value, self.home)
        except NameError:
            text = ast.unparse(value)
            self.problem(member, f"the default {text!r} has a name not found in {self.home}")
        return self.text_of(value, now=True)

    def _taken(self, method: Function, argument: ast.arg) -> tuple[ast.expr | None, str]:
        """Return the annotation that a parameter has in the twin, and what is passed on for it."""
        name, where, spec = argument.arg, f"{method.name}.{argument.arg}", method.args
        wanted, optional = unless_none(argument.annotation)
        if name in RUNTIME:
            self.problem(where, "has the name of what the twin calls; rename it")
        if wanted is None or argument.annotation is None:
            if name not in ("self", "cls"):
                self.problem(where, "has no annotation")
            return None, name
        is_starred = name in [found.arg for found in (spec.vararg, spec.kwarg) if found]
        protocol = meaning(wanted, self.home)
        if self.plan.kind_of(protocol) == "protocol" and not is_starred:
            plain = blocking_name(protocol)
            self.module.needs(f"{GENERATED}.{self.plan.target_of(protocol)}", plain, now=False)
            self.text_of(wanted)
            wanted = ast.BinOp(ast.Name(plain), ast.BitOr(), wanted)
            methods = f"{self.module.sibling(protocol)}.{constant_name(protocol)}"
            made = f"{self.module.runtime('adapt')}({name}, {methods})"
        elif (callback := None if is_starred else self._callback_in(wanted, where)) is not None:
            wanted, made = callback, f"{self.module.runtime('callback')}({name})"
        else:
            self._check_parameter(argument.annotation, where)
            return argument.annotation, name
        if optional:
            wanted = ast.BinOp(wanted, ast.BitOr(), ast.Constant(None))
            made = f"None if {name} is None else {made}"
        return wanted, made

    def _check_parameter(self, annotation: ast.expr, where: str) -> None:
        self.text_of(annotation)
        if not self.reason_in(annotation, why_callback):
            self.check_plain(annotation, where)
        elif self.plan.uses("callbacks", f"{self.name}.{where}"):
            what = "only Callable[…, Awaitable[…]] can be converted; write that"
            self.problem(where, f"is a callback, and {what}")
        else:
            self.problem(where, "is a callback without a rule; see callbacks")

    def _callback_in(self, annotation: ast.expr, where: str) -> ast.expr | None:
        """Return the type of the plain function for that of an async one with a rule."""
        match annotation:
            case ast.Subscript(
                value=shape,
                slice=ast.Tuple(elts=[given, ast.Subscript(value=awaited, slice=result)]),
            ) if last_name(awaited) in ("Awaitable", "Coroutine") and self.plan.uses(
                "callbacks", f"{self.name}.{where}"
            ):
                # Of a Coroutine[Any, Any, T] the last one is what it returns.
                result = result.elts[-1] if isinstance(result, ast.Tuple) else result
            case _:
                return None
        for part in (given, result):
            if self.reason_in(part, why_callback):
                self.problem(where, "is a callback that takes or returns another one")
            self.check_plain(part, where)
        plain = ast.Subscript(shape, ast.Tuple([given, result]))
        self.text_of(plain)
        return plain

    def passed_on(self, method: Function) -> str:
        """Return the arguments of the call of the async method."""
        spec = without_private(method.args)
        taken = {a.arg: self._taken(method, a)[1] for a in parameters_of(spec)}
        return joined(
            *(taken[argument.arg] for argument in (*spec.posonlyargs, *spec.args)[1:]),
            f"*{spec.vararg.arg}" if spec.vararg else "",
            *(f"{argument.arg}={taken[argument.arg]}" for argument in spec.kwonlyargs),
            f"**{spec.kwarg.arg}" if spec.kwarg else "",
        )


def without_private(spec: ast.arguments) -> ast.arguments:
    """Return a copy of parameters less those that only tests pass."""
    public = copy.deepcopy(spec)
    pairs = zip(public.kwonlyargs, public.kw_defaults, strict=True)
    kept = [(a, default) for a, default in pairs if is_public(a.arg) or default is None]
    public.kwonlyargs, public.kw_defaults = [a for a, _ in kept], [default for _, default in kept]
    return public


class ValueWriter(ClassWriter):
    """Writes a value: the same members, with twins in the place of async objects."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}", now=False)
        for decorator in node_of(self.cls).decorator_list:
            yield f"@{self.text_of(decorator, now=True)}"
        yield f"class {self.name}:"
        yield from self.docstring(self.doc)
        arguments: list[str] = []
        for name, member in self.members.items():
            self.home, node = member.home, member.node
            if not isinstance(node, ast.AnnAssign) or not is_public(name):
                if not is_special(name) or node is not None:
                    self.problem(name, "there is no rule for such a member of a value")
                continue
            self._check_field(name, node)
            default = f" = {self.default(node.value, name)}" if node.value else ""
            yield f"    {name}: {self.text_of(node.annotation)}{default}"
            arguments.append(f"{name}={self.wrapped(node.annotation, f'inner.{name}', name)}")
        self.module.needs("typing", "Self")
        yield "    @classmethod"
        yield f"    def _wrap(cls, inner: {original}) -> Self:"
        yield f"        return cls({', '.join(arguments)})"

    def _check_field(self, name: str, member: ast.AnnAssign) -> None:
        """Refuse what the constructor does not take under the name of the attribute."""
        keywords = member.value.keywords if isinstance(member.value, ast.Call) else []
        odd = {keyword.arg for keyword in keywords} & {"init", "alias"}
        kinds = {last_name(part) for part in names_in(member.annotation)} & {"ClassVar", "InitVar"}
        for what in sorted({*map(str, odd), *kinds}):
            self.problem(name, f"has {what}, and there is no rule for it in a value")


class ProtocolWriter(ClassWriter):
    """Writes the plain form of a protocol."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class, and the constant after it."""
        self.module.needs("typing", "Protocol")
        self.module.needs("typing", "Final")
        yield f"class {blocking_name(self.cls)}(Protocol):"
        yield from self.docstring(self.doc)
        for name, member in self.members.items():
            self.home = member.home
            yield from self._method(name, member.node)
        yield f"{constant_name(self.cls)}: Final = ({', '.join(map(repr, self.members))},)"

    def _method(self, name: str, method: ast.stmt | None) -> Iterator[str]:
        if self.plan.rules.renamed.get(name):
            self.problem(name, "would be renamed, which there is no rule for in a protocol")
        match method:
            case ast.FunctionDef() if is_public(name) and (returns := self.entered(method)):
                yield from self.signature(method, name, returns=returns)
            case ast.AsyncFunctionDef(decorator_list=[]) if is_public(name):
                self.check_plain(method.returns, name)
                for argument in parameters_of(method.args)[1:]:
                    self.check_plain(argument.annotation, name)
                yield from self.signature(method, name)
            case _:
                self.problem(name, "there is no rule for such a member of a protocol")
                return
        stubs = (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in method.body)
        if not all(stubs):
            self.problem(name, "has a body, which there is no rule for in a protocol")
        yield "        ..."


class TwinWriter(ClassWriter):
    """Writes a twin: it holds the async object, and blocks on its calls."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}")
        base = self._base()
        if base is None:
            held_by = f"{self.module.runtime('Twin')}[{original}]"
        else:
            held_by, target = base.__name__, self.plan.target_of(base)
            if target != self.module.module.target:
                self.module.needs(f"{GENERATED}.{target}", held_by)
        yield f"class {self.name}({held_by}):"
        yield from self.docstring(self.doc)
        if base is not None:
            yield f"    _inner: {original}"
        elif not self.doc and not self.members:
            yield "    pass"
        inherited = {} if base is None else members_of(base)
        own = {n: m for n, m in self.members.items() if inherited.get(n) != m and n != "__init__"}
        own = {name: member for name, member in own.items() if not self._is_left_out(name)}
        for name, member in own.items():
            self.home = member.home
            if isinstance(member.node, ast.Assign | ast.AnnAssign):
                yield from self._constant(name, member.node)
        if self.plan.uses("portable", self.name):
            yield "    _portable = True"
        if self.plan.uses("constructed", self.name):
            yield from self._constructor(
                original, "super().__init__" if base is None else "self._hold"
            )
        yield from self._attributes(base)
        for name, member in own.items():
            self.home = member.home
            if self.plan.rules.renamed.get(name) in own:
                self.problem(name, "is renamed to what another member is called; see renamed")
            if not isinstance(member.node, ast.Assign | ast.AnnAssign):
                yield from self._member(name, member)

    def _base(self) -> type | None:
        """Return the class that this one inherits from, and that has a twin, if there is one."""
        bases = [base for base in self.cls.__bases__ if self.plan.kind_of(base) == "twin"]
        if len(bases) > 1:
            what = "inherits from several classes that have twins"
            self.problem("", f"{what}, and there is no rule for that")
        return bases[0] if bases else None

    def _is_left_out(self, name: str) -> bool:
        is_hidden = not is_public(name) and (not is_special(name) or name in COVERED)
        return is_hidden or self.plan.uses("left_out", f"{self.name}.{name}")

    def _constant(self, name: str, member: ast.Assign | ast.AnnAssign) -> Iterator[str]:
        declared = name
        if isinstance(member, ast.AnnAssign):
            self.check_plain(member.annotation, name)
            declared = f"{name}: {self.text_of(member.annotation, now=True)}"
        if not is_public(name):
            self.problem(name, "is special, and there is no rule for it")
        elif member.value is None:
            self.problem(name, "is a public attribute that has no value in the class")
        elif not is_constant(getattr(self.cls, name)):
            self.problem(name, "is a public attribute whose value is no constant")
        else:
            yield f"    {declared} = {self.default(member.value, name)}"

    def _constructor(self, original: str, held_by: str) -> Iterator[str]:
        home, method = self.members.get("__init__", Member(self.home, None))
        if not isinstance(method, ast.FunctionDef):
            self.problem("__init__", "is constructed, but has no constructor")
            return
        self.home = home
        yield from self.signature(method, "__init__")
        yield f"        {held_by}({original}({self.passed_on(method)}))"

    def _attributes(self, base: type | None) -> Iterator[str]:
        """Yield the public attributes that constructors set."""
        written: set[str] = set()
        parents = [p for p in reversed(parents_of(self.cls)) if not base or p not in base.__mro__]
        methods = [(p, n) for p in parents for n in node_of(p).body if isinstance(n, Function)]
        # What is set later, too, would be out of date in the twin.
        for parent, method in sorted(methods, key=lambda found: found[1].name == "__init__"):
            for name, statement in attributes_set(method):
                if name in written or self._is_left_out(name):
                    continue
                written.add(name)
                self.home = parent.__module__
                if method.name != "__init__":
                    what = f"is a public attribute that {method.name} sets; make it private"
                    self.problem(name, what)
                elif isinstance(statement, ast.AnnAssign):
                    yield from self._attribute(name, statement.annotation)
                else:
                    self.problem(name, "is a public attribute without an annotation")

    def _attribute(self, name: str, annotation: ast.expr) -> Iterator[str]:
        described = re.search(rf"^ +{name}: (.+(?:\n {{8,}}.+)*)$", self.doc, re.MULTILINE)
        if described is None:
            self.problem(name, "is not described among the Attributes of its class")
            return
        text = " ".join(described[1].split())
        yield "    @property"
        yield f"    def {name}(self) -> {self.text_of(annotation)}:"
        yield from self.docstring(text[0].upper() + text[1:], name)
        yield f"        return {self._held(annotation, name)}"

    # Methods.

    def _member(self, name: str, member: Member) -> Iterator[str]:
        node = member.node
        if not is_public(name) and name not in self.plan.rules.renamed:
            self.problem(name, "is special, and there is no rule for it")
            return
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if returns := self.entered(node):
                yield from self.signature(node, name, returns=returns)
                yield f"        return self._enter({self._call(node)})"
            case ast.AsyncFunctionDef(decorator_list=[]):
                if inspect.isasyncgenfunction(inspect.unwrap(getattr(self.cls, name))):
                    yield from self._iterator(node)
                else:
                    yield from self._blocking_method(node)
            case ast.FunctionDef(decorator_list=[]):
                yield from self._plain_method(node)
            case ast.FunctionDef(decorator_list=[ast.Name(id="property")]):
                yield "    @property"
                yield from self.signature(node, name)
                yield f"        return {self._held(node.returns, name)}"
            case ast.FunctionDef(decorator_list=[ast.Name(id="classmethod")]):
                yield "    @classmethod"
                yield from self.signature(node, name)
                yield f"        return {self._made_by(node)}"
            case _:
                self.problem(name, "there is no rule for such a member")

    def _made_by(self, method: Function) -> str:
        """Return the call of a class method."""
        passed, original = self.passed_on(method), f"Async{self.name}"
        if meaning(method.returns, self.home) is not typing.Self:
            return self.wrapped(method.returns, f"{original}.{method.name}({passed})", method.name)
        if self.name in self.plan.rules.constructed:
            return f"cls._made_by({joined(repr(method.name), passed)})"
        return f"cls._wrap({original}.{method.name}({passed}))"

    def _call(self, method: Function) -> str:
        return joined(f"self._inner.{method.name}", self.passed_on(method))

    def _blocking_method(self, method: Function) -> Iterator[str]:
        self.plan.uses("renamed", method.name)
        how = "_close" if self.plan.uses("closing", method.name) else "_run"
        yield from self.signature(method, self.plan.rules.renamed.get(method.name, method.name))
        yield from self._returned(method, f"self.{how}({self._call(method)})")

    def _plain_method(self, method: Function) -> Iterator[str]:
        match method.returns:
            case ast.Subscript(value=shape, slice=built) if self.plan.uses(
                "awaitables", last_name(shape)
            ):
                yield from self.signature(method, method.name, returns=built)
                value = self.wrapped(built, f"self._run({self._call(method)})", method.name)
                yield f"        return {value}"
            case ast.Subscript(value=shape) if meaning(shape, self.home) in ITERATORS:
                yield from self._iterator(method)
            case _:
                yield from self.signature(method, method.name)
                yield from self._returned(method, f"self._call({self._call(method)})")

    def _iterator(self, method: Function) -> Iterator[str]:
        match method.returns:
            case ast.Subscript(value=shape, slice=items) if meaning(
                shape, self.home
            ) in ITERATORS and self.plan.uses("iterators", f"{self.name}.{method.name}"):
                item = items.elts[0] if isinstance(items, ast.Tuple) else items
                self.check_plain(item, method.name)
                self.module.needs("icure_sync._iterators", "ClosableIterator", now=False)
                returns = ast.Subscript(ast.Name("ClosableIterator"), item)
                yield from self.signature(method, method.name, returns=returns)
                yield f"        return self._iterate({self._call(method)})"
            case _:
                self.problem(method.name, "is an async iterator without a rule; see iterators")

    def _held(self, annotation: ast.expr | None, name: str) -> str:
        """Return the expression for an attribute of the async object."""
        value = self.wrapped(annotation, f"self._inner.{name}", name)
        # What it holds was made with it, perhaps by the parent process.
        return f"{value[:-1]}, pid=self._pid)" if "._wrap(" in value else value

    def _returned(self, method: Function, call: str) -> Iterator[str]:
        match method.returns:
            case ast.Constant(value=None):
                yield f"        {call}"
            case ast.Name(id="Self"):
                if isinstance(method, ast.AsyncFunctionDef) and method.name != "__aenter__":
                    what = "is async and returns Self; name the class that it returns"
                    self.problem(method.name, what)
                elif not returns_self(method):
                    what = "returns Self, but not self; name the class that it returns"
                    self.problem(method.name, what)
                yield f"        {call}"
                yield "        return self"
            case _:
                yield f"        return {self.wrapped(method.returns, call, method.name)}"
