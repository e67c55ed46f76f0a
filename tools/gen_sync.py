"""The generator of ``icure_sync/_generated``: blocking twins of the classes of ``icure_async``.

``python tools/gen_sync.py`` writes the modules; with ``--check`` it writes nothing, and names what is
not as the source and the rules (``tools/sync_rules.py``) ask for. It imports ``icure_async`` to see
what names, types and classes are, and reads the source for the text of annotations, defaults and
docstrings alone. ``icure_sync`` is never imported: what is generated there may be out of date.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import types
import typing
from abc import ABC, ABCMeta
from collections import abc, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import Any, Final, Generic, NamedTuple, NoReturn, Protocol

from sync_rules import RULES, GeneratedModule, Rules

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "icure_async"
GENERATED: Final = "icure_sync._generated"
TARGET: Final = Path("icure_sync", "_generated")
HEAD: Final = """\
# Written by "python tools/gen_sync.py" from {source}.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""
INIT: Final = '"""The blocking twins of the classes of ``icure_async``."""\n'
ADVICE: Final = (
    "The rules are in tools/sync_rules.py, and what each of its tables is for. What has no rule can "
    "be made private, written in another way, or left out there with a reason."
)
# Tables in which every entry has to match something.
TABLES: Final = [
    "constructed",
    "portable",
    "renamed",
    "closing",
    "awaitables",
    "entered",
    "iterators",
    "decorators",
    "callbacks",
    "left_out",
    "internal",
    "shared_modules",
    "shared_names",
    "words",
]
RUNTIME: Final = {
    "Twin": "icure_sync._twins",
    "adapt": "icure_sync._plain",
    "callback": "icure_sync._plain",
    "trimmed_traceback": "icure_sync._tracebacks",
}
ITERATORS: Final = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
# The distribution is called icure-async, for both packages.
SPEAKS_OF_ASYNC: Final = re.compile(
    r"\b(?<!icure-)(async\w*|await\w*|coroutines?|event loops?|aclose|icure_async)\b", re.IGNORECASE
)
# Of the standard library, this much is async, and the rest is not.
ASYNC_NAMES: Final = re.compile("async|await|coroutine|future|aclosing", re.IGNORECASE)
ASYNC_METHODS: Final = {"__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__"}
# Special methods of twins come from their base class.
COVERED: Final = {"__copy__", "__getstate__", "__init__", "__reduce_ex__", "__repr__", "__slots__"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


# What modules and classes have, and what the names in them stand for.


@cache
def tree_of(module: str) -> ast.Module:
    """Return the source of a module."""
    spec = importlib.util.find_spec(module)
    return ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))


@cache
def imports_in(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return what a module imports: name here → module and name there, empty for the module."""
    return {
        alias.asname or alias.name.partition(".")[0]: (node.module, alias.name)
        if isinstance(node, ast.ImportFrom)
        else (alias.name if alias.asname else alias.name.partition(".")[0], "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level)
        for alias in node.names
    }


class Names(dict[str, object]):
    """What the names of a module stand for, those that it imports for annotations included."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(importlib.import_module(module)))
        self._imports = imports_in(tree_of(module))

    def __missing__(self, name: str) -> object:
        home, there = self._imports[name]
        try:
            self[name] = (
                getattr(importlib.import_module(home), there) if there else sys.modules[home]
            )
        except (AttributeError, KeyError):
            self[name] = importlib.import_module(f"{home}.{there}".rstrip("."))
        return self[name]


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


def is_ours(thing: object) -> typing.TypeGuard[type]:
    """Return whether something is a class of the package."""
    return inspect.isclass(thing) and f"{thing.__module__}.".startswith(f"{PACKAGE}.")


def parents_of(cls: type) -> list[type]:
    """Return a class and those of the package that it inherits from, the first of them last."""
    return [parent for parent in reversed(cls.__mro__) if is_ours(parent)]


@cache
def node_of(cls: type) -> ast.ClassDef:
    """Return the source of a class, an empty one where it is not clear."""
    nodes = [n for n in ast.walk(tree_of(cls.__module__)) if isinstance(n, ast.ClassDef)]
    found = [node for node in nodes if node.name == cls.__name__]
    return found[0] if len(found) == 1 else ast.ClassDef(cls.__name__, [], [], [], [])


class Member(NamedTuple):
    """What a class has under one name: its text, None if there is none that counts alone."""

    owner: type
    node: ast.stmt | None

    @property
    def home(self) -> str:
        """The module it is written in."""
        return self.owner.__module__


def members_of(cls: type) -> dict[str, Member]:
    """Return what a class has, by name, in the order in which it is written."""
    members: dict[str, Member] = {}
    for parent in parents_of(cls):
        own: dict[str, ast.stmt | None] = {}
        for node in node_of(parent).body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    own[node.name] = None if node.name in own else node
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)])
                ):
                    own[name] = node
                case _:
                    pass
        for name, value in vars(parent).items():
            # What is wrapped once more is written in a parent. The rest has no text that counts.
            above = name in members and vars(members[name].owner)[name]
            if is_public(name) and name not in own and unwrapped(value) is not unwrapped(above):
                own[name] = None
        members |= {name: Member(parent, node) for name, node in own.items()}
    return members


def unwrapped(member: Any) -> object:
    """Return the function that is written, without what decorators put around it."""
    return inspect.unwrap(member) if callable(member) else member


def is_public(name: str) -> bool:
    """Return whether users may use a name; special methods are looked at one by one."""
    return not name.startswith("_")


def is_special(name: str) -> bool:
    """Return whether Python gives a name its meaning."""
    return name.startswith("__") and name.endswith("__")


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


def or_none(annotation: ast.expr, *, optional: bool) -> ast.expr:
    """Return ``X | None`` for ``X``, where that is asked for."""
    return ast.BinOp(annotation, ast.BitOr(), ast.Constant(None)) if optional else annotation


def all_of(spec: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function."""
    starred = [argument for argument in (spec.vararg, spec.kwarg) if argument is not None]
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]


def without_private(spec: ast.arguments) -> ast.arguments:
    """Return a copy of parameters less those that only tests pass."""
    public = copy.deepcopy(spec)
    pairs = zip(public.kwonlyargs, public.kw_defaults, strict=True)
    kept = [(a, default) for a, default in pairs if is_public(a.arg) or default is None]
    public.kwonlyargs, public.kw_defaults = [a for a, _ in kept], [default for _, default in kept]
    return public


def attributes_set(method: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the public attributes that a method sets, with the statements that do."""
    for statement in ast.walk(method):
        if not isinstance(statement, ast.stmt) or isinstance(statement, Function | ast.ClassDef):
            continue
        for child in ast.iter_child_nodes(statement):
            for node in () if isinstance(child, ast.stmt) else ast.walk(child):
                match node:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                        if is_public(name):
                            yield name, statement
                    case _:
                        pass


# What is async, or calls back.


class Unknown(str):
    """Why it is not known what something stands for."""

    __slots__ = ()


def layers_of(member: object) -> Iterator[Callable[..., object]]:
    """Yield the functions that a member of a class consists of, the outermost one first."""
    member = getattr(member, "fget", getattr(member, "func", getattr(member, "__func__", member)))
    while inspect.isfunction(member):
        yield member
        member = getattr(member, "__wrapped__", None)


def written_parts(annotation: ast.AST, home: str) -> Iterator[object]:
    """Yield what the names in an annotation stand for, or why that is not known."""
    for name in names_in(annotation):
        try:
            yield evaluated(name, home)
        except (NameError, AttributeError):
            yield Unknown(f"which is not known, since {home} has no {ast.unparse(name)}")


def annotated(thing: object, home: str) -> Iterator[object]:
    """Yield what the annotations of a function or class of the package stand for."""
    hints: Mapping[str, object] = getattr(thing, "__annotations__", {})
    for name, hint in hints.items():
        hint = getattr(hint, "__forward_arg__", hint)
        if is_public(name) and isinstance(hint, str):
            yield from written_parts(ast.parse(hint, mode="eval").body, home)
        elif is_public(name):
            yield hint


def type_parts(thing: object) -> Iterator[object]:
    """Yield what a type is made of: arguments, bounds, and the class itself."""
    arguments = typing.get_args(thing)
    if typing.get_origin(thing) is typing.Annotated:
        arguments = arguments[:1]
    if typing.get_origin(thing) is not typing.Literal:
        yield from (p for a in arguments for p in (a if isinstance(a, list) else [a]))
    if typing.get_origin(thing) is not None:
        yield typing.get_origin(thing)
    yield from getattr(thing, "__constraints__", ())
    for bound in ("__bound__", "__supertype__"):
        if getattr(thing, bound, None) is not None and not inspect.isclass(thing):
            yield getattr(thing, bound)


def async_parts(thing: object) -> Iterator[object]:
    """Yield what may make something async, to be looked at in turn."""
    yield from type_parts(thing)
    if inspect.isfunction(thing):
        yield from annotated(thing, thing.__module__)
    elif is_ours(thing):
        yield from (*thing.__mro__[1:], type(thing))
        yield from getattr(thing, "__orig_bases__", ())
        yield from annotated(thing, thing.__module__)
        for name, member in vars(thing).items():
            layers = [one for one in layers_of(member) if one.__module__ == thing.__module__]
            if is_public(name) or is_special(name):
                yield from layers
                yield member if inspect.isclass(member) else type(member)
        for name, statement in attributes_set(node_of(thing)):
            match statement:
                case ast.AnnAssign(annotation=annotation):
                    yield from written_parts(annotation, thing.__module__)
                case _:
                    nodes = (n for n in ast.walk(statement) if isinstance(n, ast.expr))
                    names = (n for n in nodes if isinstance(n, ast.Name | ast.Attribute))
                    yield from (meaning(n, thing.__module__) for n in names)


def why_async_itself(thing: object, generated: Iterable[type]) -> str | None:
    """Return why something counts as async, whatever it is made of."""
    if isinstance(thing, str | typing.ForwardRef):
        return thing if isinstance(thing, Unknown) else "which is quoted; write the type itself"
    if inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing):
        return "which is async"
    if not inspect.isclass(thing):
        return None
    if is_ours(thing):
        exposed = {n for n in vars(thing) if is_public(n) or is_special(n)}
        functions = [one for name in exposed for one in layers_of(vars(thing)[name])]
        if exposed & ASYNC_METHODS or any(why_async_itself(one, ()) for one in functions):
            return "which is async"
        return "which has a twin" if thing in generated else None
    library = thing.__module__.partition(".")[0]
    if ASYNC_NAMES.search(f"{thing.__module__}.{thing.__qualname__}"):
        return "which is async"
    if library in sys.stdlib_module_names or library in ("attr", "attrs"):
        return None
    return f"which may be async, since nothing is known of {library}"


def why_callback_itself(thing: object) -> str | None:
    """Return why something counts as a function that is to be called."""
    if thing in (abc.Callable, types.FunctionType, types.MethodType, partial, typing.Callable):
        return "which is a function"
    if is_ours(thing) and (getattr(thing, "_is_protocol", False) or "__call__" in vars(thing)):
        return "which can be called"
    return None


def callback_parts(thing: object) -> Iterator[object]:
    """Yield what may make something a callback: the members of values, not those of objects."""
    yield from type_parts(thing)
    if (
        is_ours(thing)
        and search(thing, async_parts, partial(why_async_itself, generated=())) is None
    ):
        yield from (*thing.__mro__[1:], *annotated(thing, thing.__module__))


def search(
    start: object,
    parts: Callable[[object], Iterable[object]],
    reason: Callable[[object], str | None],
) -> str | None:
    """Return the first reason there is in something, and in all that it is made of."""
    seen, left = [start], [start]
    while left:
        thing = left.pop()
        if (found := reason(thing)) is not None:
            return found
        new = [part for part in parts(thing) if not any(part is one for one in seen)]
        seen += new
        left += reversed(new)
    return None


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
        generated = [cls for cls, (_, kind) in self.classes.items() if kind != "protocol"]
        return search(thing, async_parts, partial(why_async_itself, generated=generated))

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
        self._meanings: dict[str, object] = dict.fromkeys(RUNTIME)

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


class Callback(NamedTuple):
    """The parts of ``Callable[given, Awaitable[result]]``."""

    shape: ast.expr
    given: ast.expr
    result: ast.expr
    optional: bool


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
                if not self.takes_over(decorator, parent.__module__):
                    text = ast.unparse(decorator)
                    self.problem("", f"has @{text}, and there is no rule for that")

    def takes_over(self, decorator: ast.expr, home: str) -> bool:
        """Return whether a class may have a decorator."""
        return meaning(decorator, home) in (
            typing.final,
            typing.runtime_checkable,
        ) or self.plan.uses("decorators", ast.unparse(decorator))

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
        positional = [*arguments.posonlyargs, *arguments.args]
        if not positional or positional[0].arg not in ("self", "cls"):
            self.problem(method.name, "its first parameter is not called self")
        for argument in all_of(arguments):
            argument.annotation = self._parameter(method, argument)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
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

    def _parameter(self, method: Function, argument: ast.arg) -> ast.expr | None:
        """Return the annotation that a parameter has in the twin."""
        annotation, name = argument.annotation, f"{method.name}.{argument.arg}"
        if argument.arg in RUNTIME:
            self.problem(name, "has the name of what the twin calls; rename it")
        if annotation is None:
            if argument.arg not in ("self", "cls"):
                self.problem(name, "has no annotation")
            return None
        protocol, callback = self.protocol_in(method, argument), self.callback_in(method, argument)
        if protocol is not None:
            wanted, optional = unless_none(annotation)
            assert wanted is not None  # noqa: S101
            self.text_of(annotation)
            plain = blocking_name(protocol)
            target = f"{GENERATED}.{self.plan.target_of(protocol)}"
            self.module.needs(target, plain, now=False)
            return or_none(ast.BinOp(ast.Name(plain), ast.BitOr(), wanted), optional=optional)
        if callback is not None:
            for part in (callback.given, callback.result):
                if self.calls_back(part):
                    self.problem(name, "is a callback that takes or returns another one")
                self.check_plain(part, name)
            shape = ast.Tuple([callback.given, callback.result])
            annotation = or_none(ast.Subscript(callback.shape, shape), optional=callback.optional)
        elif self.calls_back(annotation):
            self.problem(name, self._callback_problem(name))
        else:
            self.check_plain(annotation, name)
        self.text_of(annotation)
        return annotation

    def calls_back(self, annotation: ast.expr) -> bool:
        """Return whether there is something to call in an annotation that is not async itself."""
        why = partial(search, parts=callback_parts, reason=why_callback_itself)
        found = (thing for n in names_in(annotation) for thing in written_parts(n, self.home))
        is_async = partial(why_async_itself, generated=())
        return any(
            why(thing) and not (is_ours(thing) and search(thing, async_parts, is_async))
            for thing in found
        )

    def _callback_problem(self, name: str) -> str:
        if self.plan.uses("callbacks", f"{self.name}.{name}"):
            return "is a callback, and only Callable[…, Awaitable[…]] can be converted; write that"
        return "is a callback without a rule; see callbacks"

    def protocol_in(self, method: Function, argument: ast.arg) -> type | None:
        """Return the protocol that a parameter asks for, if its twins take plain ones as well."""
        if argument.arg in [starred.arg for starred in starred_of(method)]:
            return None
        thing = meaning(unless_none(argument.annotation)[0], self.home)
        return thing if self.plan.kind_of(thing) == "protocol" else None

    def callback_in(self, method: Function, argument: ast.arg) -> Callback | None:
        """Return the async function that a parameter asks for, if there is a rule for it."""
        annotation, optional = unless_none(argument.annotation)
        match annotation:
            case ast.Subscript(
                value=shape,
                slice=ast.Tuple(elts=[given, ast.Subscript(value=awaited, slice=result)]),
            ) if last_name(shape) == "Callable" and last_name(awaited) in (
                "Awaitable",
                "Coroutine",
            ):
                # Of a Coroutine[Any, Any, T] the last one is what it returns.
                result = result.elts[-1] if isinstance(result, ast.Tuple) else result
            case _:
                return None
        if argument.arg in [starred.arg for starred in starred_of(method)]:
            return None
        if not self.plan.uses("callbacks", f"{self.name}.{method.name}.{argument.arg}"):
            return None
        return Callback(shape, given, result, optional)

    def passed_on(self, method: Function) -> str:
        """Return the arguments of the call of the async method."""
        spec = without_private(method.args)
        converted = partial(self._converted, method)
        return joined(
            *(converted(argument) for argument in (*spec.posonlyargs, *spec.args)[1:]),
            f"*{spec.vararg.arg}" if spec.vararg else "",
            *(f"{argument.arg}={converted(argument)}" for argument in spec.kwonlyargs),
            f"**{spec.kwarg.arg}" if spec.kwarg else "",
        )

    def _converted(self, method: Function, argument: ast.arg) -> str:
        name, optional = argument.arg, unless_none(argument.annotation)[1]
        protocol = self.protocol_in(method, argument)
        if protocol is not None:
            methods = f"{self.module.sibling(protocol)}.{constant_name(protocol)}"
            converted = f"{self.module.runtime('adapt')}({name}, {methods})"
        elif self.callback_in(method, argument) is not None:
            converted = f"{self.module.runtime('callback')}({name})"
        else:
            return name
        return f"None if {name} is None else {converted}" if optional else converted


def starred_of(method: Function) -> list[ast.arg]:
    """Return the parameters that stand for any number of arguments."""
    return [found for found in (method.args.vararg, method.args.kwarg) if found is not None]


class ValueWriter(ClassWriter):
    """Writes a value: the same members, with twins in the place of async objects."""

    def takes_over(self, decorator: ast.expr, home: str) -> bool:
        """Return True: a value has its decorators, too."""
        return True

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
                for argument in all_of(method.args)[1:]:
                    self.check_plain(argument.annotation, name)
                yield from self.signature(method, name)
            case _:
                self.problem(name, "there is no rule for such a member of a protocol")
                return
        if not all(isinstance(getattr(line, "value", None), ast.Constant) for line in method.body):
            self.problem(name, "has a body, which there is no rule for in a protocol")
        yield "        ..."


class TwinWriter(ClassWriter):
    """Writes a twin: it holds the async object, and blocks on its calls."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}")
        base = self._base()
        held_by = (
            f"{self.module.runtime('Twin')}[{original}]" if base is None else self._named(base)
        )
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
            self.problem(
                "", "inherits from several classes that have twins, and there is no rule for that"
            )
        return bases[0] if bases else None

    def _named(self, base: type) -> str:
        target = self.plan.target_of(base)
        if target == self.module.module.target:
            return base.__name__
        return self.module.needs(f"{GENERATED}.{target}", base.__name__)

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
        owner, method = self.members.get("__init__", Member(self.cls, None))
        if not isinstance(method, ast.FunctionDef):
            self.problem("__init__", "is constructed, but has no constructor")
            return
        self.home = owner.__module__
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
                if inspect.isasyncgenfunction(inspect.unwrap(vars(member.owner)[name])):
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
        body = self._returned(method, f"self.{how}({self._call(method)})")
        yield from self._trimmed(body)

    def _plain_method(self, method: Function) -> Iterator[str]:
        match method.returns:
            case ast.Subscript(value=shape, slice=built) if self.plan.uses(
                "awaitables", last_name(shape)
            ):
                yield from self.signature(method, method.name, returns=built)
                value = self.wrapped(built, f"self._run({self._call(method)})", method.name)
                yield from self._trimmed([f"        return {value}"])
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

    def _trimmed(self, body: Iterable[str]) -> Iterator[str]:
        """Yield a body in which an error shows no line of the runtime."""
        yield f"        with {self.module.runtime('trimmed_traceback')}:"
        yield from (f"    {line}" for line in body)

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


def is_constant(value: object) -> bool:
    """Return whether a value is the same wherever it is written."""
    if isinstance(value, tuple):
        return all(is_constant(part) for part in value)
    return value is None or type(value) in (bool, bytes, float, int, str)


def returns_self(method: Function) -> bool:
    """Return whether a method returns the object it was called on, and nothing else."""
    returned = [n.value for n in ast.walk(method) if isinstance(n, ast.Return)]
    return bool(returned) and all(isinstance(v, ast.Name) and v.id == "self" for v in returned)


# Facades: the modules of public names that are written by hand.


def check_facades(plan: Plan) -> None:
    """Hold the facades of ``icure_sync`` against the public names of ``icure_async``."""
    for facade, original in plan.rules.facades.items():
        path = Path(str(ROOT), *facade.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not path.is_file() or not importlib.util.find_spec(original):
            plan.problem(f"rules: there is no module {original if path.is_file() else facade}")
            continue
        check_facade(plan, facade, original, ast.parse(path.read_text("utf-8")))
    check_modules(plan)


def exported_by(tree: ast.Module) -> list[str]:
    """Return the names in the ``__all__`` of a module that can't be imported."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                return [str(n.value) for n in names if isinstance(n, ast.Constant)]
            case _:
                pass
    return []


def check_facade(plan: Plan, facade: str, original: str, tree: ast.Module) -> None:
    """Compare the names of one facade, and what it imports them from."""
    public: list[str] = getattr(importlib.import_module(original), "__all__", [])
    names, imports = exported_by(tree), imports_in(tree)
    plain: set[str] = set()
    for name in public:
        origin = origin_of(plan, original, name)
        if origin is not None and (name not in names or name not in imports):
            plan.problem(f"{facade}: lacks {name}")
        elif origin is not None and ".".join(imports[name]) != origin:
            plan.problem(f"{facade}: {name} should be imported as {origin}")
        thing = meaning(ast.Name(name), original)
        if plan.kind_of(thing) == "protocol":
            plain.add(blocking_name(thing))
    for name in sorted(plain - {*names}):
        plan.problem(f"{facade}: lacks {name}")
    for name in sorted({*names} - {*public} - plain):
        plan.problem(f"{facade}: {name} is not public in {original}")


def origin_of(plan: Plan, original: str, name: str) -> str | None:
    """Return what a public name of ``icure_async`` is imported as in ``icure_sync``.

    None stands for a name that is left out, or that there is no rule for: then it is a problem.
    """
    if plan.uses("left_out", name):
        return None
    where = f"{original}.{name}"
    thing = names_of(original).get(name, NoReturn)
    if thing is NoReturn:
        plan.problem(f"{where}: is public, and defined nowhere")
        return None
    if inspect.ismodule(thing):
        facades = {source: facade for facade, source in plan.rules.facades.items()}
        if thing.__name__ not in facades:
            plan.problem(f"{where}: a public module without a rule; see facades")
        return facades.get(thing.__name__)
    home = imports_in(tree_of(original)).get(name, (original, name))[0]
    if plan.kind_of(thing) in ("twin", "value"):
        return f"{GENERATED}.{plan.target_of(typing.cast('type', thing))}.{name}"
    if plan.kind_of(thing) == "protocol" or plan.uses("shared_names", name):
        return f"{home}.{name}"
    defined = str(getattr(thing, "__module__", home))
    defined = defined if defined.startswith(PACKAGE) else home
    for module in plan.rules.shared_modules:
        if f"{defined}.".startswith(f"{module}."):
            plan.uses("shared_modules", module)
            subject = thing if callable(thing) else type(thing)
            if plan.why_async(subject):
                plan.problem(f"{where}: is shared with {module}, but is async")
            return f"{home}.{name}"
    plan.problem(f"{where}: a public name that is neither generated, shared nor left out")
    return None


def check_modules(plan: Plan) -> None:
    """Name the modules of ``icure_async`` that neither a facade nor a rule knows."""
    rules = plan.rules
    known = {*rules.facades.values(), *rules.shared_modules, *(m.source for m in rules.modules)}
    for found in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        is_known = any(f"{name}.".startswith(f"{found.name}.") for name in known)
        if not (is_known or "._" in found.name or plan.uses("internal", found.name)):
            plan.problem(f"{found.name}: a module without a rule; see facades and internal")


# Files.


def generate(rules: Rules = RULES) -> tuple[dict[Path, str], list[str]]:
    """Return the generated files before formatting, and what the rules don't cover or match.

    The paths are relative to the root. Where there are problems, the files may be of no use.
    """
    plan = Plan(rules)
    files = {TARGET / "__init__.py": HEAD.format(source=PACKAGE) + INIT}
    for module in rules.modules:
        try:
            origin = importlib.import_module(module.source).__file__
        except ModuleNotFoundError:
            plan.problem(f"rules: there is no module {module.source}")
            continue
        path = TARGET / f"{module.target}.py"
        if path in files:
            plan.problem(f"rules: two modules have the target {module.target}")
        head = HEAD.format(source=Path(str(origin)).relative_to(ROOT).as_posix())
        files[path] = head + ModuleWriter(plan, module).write()
    check_facades(plan)
    for table in TABLES:
        for entry in getattr(rules, table):
            if (table, entry) not in plan.used:
                plan.problem(f"rules: {table} has {entry!r}, which matches nothing")
    return files, plan.problems


def formatted(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files as ruff formats them with the settings of the project."""
    if importlib.util.find_spec("ruff") is None:
        raise SystemExit("The generator needs ruff to format what it writes: pip install ruff")
    with TemporaryDirectory() as directory:
        copies = {path: Path(directory, path.name) for path in files}
        for path, file in copies.items():
            file.write_text(files[path], "utf-8")
        for command in ("check --quiet --fix-only --select=I", "format --quiet"):
            options = [*command.split(), f"--config={ROOT / 'pyproject.toml'}", "--no-cache"]
            ruff = [sys.executable, "-m", "ruff", *options, directory]
            subprocess.run(ruff, cwd=ROOT, check=True)  # noqa: S603
        return {path: file.read_text("utf-8") for path, file in copies.items()}


def orphans(files: Iterable[Path]) -> list[Path]:
    """Return the files among the generated ones that no rule makes."""
    found = (path for path in (ROOT / TARGET).rglob("*") if "__pycache__" not in path.parts)
    return sorted(path for path in found if path.is_file() and path.relative_to(ROOT) not in files)


def write() -> list[str]:
    """Write the generated files, remove what is beside them, and return what is wrong."""
    files, problems = generate()
    for orphan in orphans(files):
        orphan.unlink()
    (ROOT / TARGET).mkdir(exist_ok=True)
    for path, text in formatted(files).items():
        (ROOT / path).write_text(text, "utf-8")
    return problems


def check() -> list[str]:
    """Return what is wrong with the generated files and the rules; nothing is written."""
    files, problems = generate()
    problems += [f"{path.relative_to(ROOT)}: an orphan" for path in orphans(files)]
    for path, text in formatted(files).items():
        if not (ROOT / path).is_file():
            problems.append(f"{path}: is missing")
        elif (ROOT / path).read_text("utf-8") != text:
            problems.append(f"{path}: is not what the generator writes")
    return problems


def main() -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and tell differences")
    problems = check() if parser.parse_args().check else write()
    for problem in (*problems, *([ADVICE] if problems else [])):
        print(problem, file=sys.stderr)
    return 1 if problems else 0


# The package beside this file, whatever is installed.
sys.path.insert(0, str(ROOT))

if __name__ == "__main__":
    sys.exit(main())
