"""Writers of blocking twins: modules, classes, signatures, and bodies of one line."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import importlib.util
import inspect
import re
import typing
from abc import ABC, ABCMeta
from collections import abc, defaultdict
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Final

import sync_source as source
from sync_source import Function, is_ours, is_public, meaning, members_of, node_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync_rules import GeneratedModule, Rules

GENERATED: Final = "icure_sync._generated"
# Ruff removes those that a module does not need.
IMPORTS: Final = """\
from __future__ import annotations
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self
from icure_sync._iterators import ClosableIterator
from icure_sync._plain import adapt, callback
from icure_sync._twins import Twin
"""
CONVERTIBLE: Final = (
    "is a callback, and only Callable[…, Awaitable[…]] can be converted; write that"
)
RUNTIME: Final = ("Twin", "adapt", "callback")
PLAIN_DECORATORS: Final = (typing.final, typing.runtime_checkable)
ITERATORS: Final = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
# The distribution is called icure-async, for both packages.
SPEAKS_OF_ASYNC: Final = re.compile(
    r"\b(?<!icure-)(async\w*|await\w*|coroutines?|event loops?|aclose|icure_async)\b", re.IGNORECASE
)
# Special methods of twins come from their base class.
COVERED: Final = {"__copy__", "__getstate__", "__init__", "__reduce_ex__", "__repr__", "__slots__"}


class Plan:
    """The rules, which of them were used, the classes that they name, and problems."""

    def __init__(self, rules: Rules) -> None:
        self.rules: Final = rules
        self.problems: Final[list[str]] = []
        self.used: Final[set[tuple[str, str]]] = set()
        self.classes: Final[dict[type, tuple[GeneratedModule, str]]] = {}
        for module in rules.modules:
            if not importlib.util.find_spec(module.source):
                self.problem(f"rules: there is no module {module.source}")
                continue
            for name, kind in module.classes.items():
                cls = getattr(importlib.import_module(module.source), name, None)
                if is_ours(cls) and cls.__module__ == module.source:
                    self.classes[cls] = (module, kind)
                else:
                    self.problem(f"rules: there is no class {module.source}.{name}")

    def kind_of(self, thing: object) -> str | None:
        """Return what is generated of a class, if anything is."""
        return self.classes[thing][1] if is_ours(thing) and thing in self.classes else None

    def has_twin(self, thing: object) -> typing.TypeGuard[type]:
        """Return whether objects of a class are wrapped."""
        return self.kind_of(thing) in ("twin", "value")

    def home_of(self, cls: type) -> str:
        """Return the generated module that has the twin of a class."""
        return f"{GENERATED}.{self.classes[cls][0].target}"

    def problem(self, text: str) -> None:
        """Note something that keeps the generator from doing its job."""
        if text not in self.problems:
            self.problems.append(text)

    def uses(self, table: str, entry: str) -> bool:
        """Return whether a table of the rules has an entry, and note that it was of use."""
        self.used.add((table, entry))
        return entry in getattr(self.rules, table)

    def why_not_shared(self, thing: object) -> str | None:
        """Return why something can't be the same object in both packages, or None if it can."""
        has_twin = any(map(self.has_twin, source.reached(thing)))
        return source.why_async(thing) or ("which has a twin" if has_twin else None)

    def reworded(self, text: str, where: str) -> str:
        """Return a docstring that speaks of blocking calls."""
        for phrase, replacement in self.rules.words.items():
            if phrase in text and self.uses("words", phrase):
                text = text.replace(phrase, replacement)
        if left := SPEAKS_OF_ASYNC.search(text):
            self.problem(f"{where}: its docstring says {left[0]!r}; see words")
        public = getattr(importlib.import_module(source.PACKAGE), "__all__", ())
        for name in re.findall(r"\bicure_sync\.(\w+)", text):
            if f"icure_sync.{name}" not in self.rules.facades and name not in public:
                self.problem(f"{where}: its docstring names icure_sync.{name}; there is no such")
        return text


class ModuleWriter:
    """Writes one module, and collects its imports."""

    def __init__(self, plan: Plan, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.home: Final = f"{GENERATED}.{module.target}"
        self.source: Final = module.source
        self.classes: Final = {c: kind for c, (m, kind) in plan.classes.items() if m is module}
        self._imports: defaultdict[str, set[str]] = defaultdict(set)
        self._meanings: dict[str, object] = {cls.__name__: cls for cls in self.classes}
        self._meanings |= dict.fromkeys(RUNTIME)

    def write(self) -> str:
        """Return the text of the module, not yet formatted."""
        writers = {"twin": TwinWriter, "value": ValueWriter, "protocol": ProtocolWriter}
        classes = ["\n".join(writers[kind](self, c).write()) for c, kind in self.classes.items()]
        doc = ast.get_docstring(source.tree_of(self.source)) or ""
        imports = [start + ", ".join(sorted(names)) for start, names in self._imports.items()]
        exported: list[str] = []
        for cls, kind in self.classes.items():
            is_plain = kind == "protocol"
            exported += [blocking_name(cls), constant_name(cls)] if is_plain else [cls.__name__]
        head = f'"""{self.plan.reworded(doc, self.source)}"""\n{IMPORTS}'
        return "\n".join([head, *imports, f"__all__ = {exported}", *classes])

    def needs(self, home: str, name: str) -> str:
        """Import a name, and return it."""
        self._imports[f"from {home} import "].add(name)
        return name.rpartition(" ")[2]

    def in_sibling(self, cls: type, name: str) -> str:
        """Return the expression for a name in the generated module of a class.

        The modules refer to each other: classes can't be imported from them at the start.
        """
        target = self.plan.classes[cls][0].target
        return f"{self.needs(GENERATED, f'{target} as _{target}')}.{name}"

    def text_of(self, node: ast.AST, home: str) -> str:
        """Import all names of an annotation or a default, and return its text."""
        for name in (part.id for part in ast.walk(node) if isinstance(part, ast.Name)):
            thing = source.names_of(home).get(name, getattr(builtins, name, None))
            if self._meanings.setdefault(name, thing) is not thing:
                self.plan.problem(
                    f"{home}.{name}: has another meaning in the module that is generated from "
                    f"{self.source}; rename one of them"
                )
            module, original = source.imports_in(source.tree_of(home)).get(name, (home, name))
            if self.plan.has_twin(thing):
                module, original = self.plan.home_of(thing), thing.__name__
            alias = "" if name == (original or module) else f" as {name}"
            if not original:
                self._imports[f"import {module}{alias}"] = set()
            elif name in source.names_of(home) and module != self.home:
                self.needs(module, original + alias)
        return ast.unparse(node)


def blocking_name(protocol: type) -> str:
    """Return the name of the plain form of a protocol; the async one keeps its own."""
    return f"Blocking{protocol.__name__}"


def constant_name(protocol: type) -> str:
    """Return the name of the constant that lists the methods of a protocol."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", protocol.__name__).upper() + "_METHODS"


class ClassWriter:
    """Writes one class: the common parts of values, protocols and twins."""

    def __init__(self, module: ModuleWriter, cls: type) -> None:
        self.module: Final = module
        self.plan: Final = module.plan
        self.cls: Final = cls
        self.name: Final = cls.__name__
        self.members: Final = members_of(cls)
        self.doc: Final = ast.get_docstring(node_of(cls)) or ""
        # The module of the member that is being written.
        self.home = module.source
        self._check_class()

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        raise NotImplementedError

    def _check_class(self) -> None:
        """Refuse what changes a class from outside, and is not taken over."""
        mro = self.cls.__mro__
        plain = (
            object,
            ABC,
            *((typing.Protocol, typing.Generic) if typing.Protocol in mro else ()),
        )
        odd = [f"inherits from {b.__name__}" for b in mro if not is_ours(b) and b not in plain]
        if type(self.cls) not in (type, ABCMeta, type(typing.Protocol)):
            odd.append(f"has the metaclass {type(self.cls).__name__}")
        for parent in filter(is_ours, mro):
            # A value has the decorators of its original.
            for node in [] if isinstance(self, ValueWriter) else node_of(parent).decorator_list:
                is_plain = meaning(node, parent.__module__) in PLAIN_DECORATORS
                if not is_plain and not self.plan.uses("decorators", ast.unparse(node)):
                    odd.append(f"has @{ast.unparse(node)}")
        for what in odd:
            self.problem("", f"{what}, and there is no rule for that")

    def problem(self, member: str, what: str) -> None:
        """Note what is wrong with a member."""
        self.plan.problem(f"{self.module.source}.{self.name}.{member}".rstrip(".") + f": {what}")

    def docstring(self, text: str | None, member: str = "") -> Iterator[str]:
        """Yield a docstring as it is in the twin."""
        if text:
            where = f"{self.module.source}.{self.name}.{member}".rstrip(".")
            quoted = self.plan.reworded(text, where).replace("\\", "\\\\")
            quoted = quoted.replace('"""', '\\"\\"\\"')
            end = "\n" if "\n" in quoted or quoted.endswith('"') else ""
            yield indent(f'"""{quoted}{end}"""', " " * (8 if member else 4))

    def text_of(self, node: ast.AST) -> str:
        """Return the text of a part of the member at work, and import its names."""
        return self.module.text_of(node, self.home)

    def default(self, value: ast.expr, member: str) -> str:
        """Return the text of a default, and import its names."""
        if isinstance(meaning(value, self.home), source.Unknown):
            text = ast.unparse(value)
            self.problem(member, f"the default {text!r} has a name not found in {self.home}")
        return self.text_of(value)

    # Types.

    def check_plain(self, annotation: ast.expr | None, member: str) -> None:
        """Refuse a type that is async or has a twin."""
        if annotation is None:
            self.problem(member, "has no annotation")
            return
        text = ast.unparse(annotation)
        reason = self.plan.why_not_shared(meaning(annotation, self.home))
        same = [text] if reason else []
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name | ast.Attribute | ast.Constant):
                thing = meaning(node, self.home)
                if thing is typing.Self:
                    self.problem(member, f"{text!r} has {ast.unparse(node)}, which is not the twin")
                elif reason and self.plan.why_not_shared(thing) == reason:
                    same.append(ast.unparse(node))
        if reason:
            name = same[:2][-1]
            self.problem(member, f"{text!r} has {name}, {reason}, and no rule for it")

    def wrapped(self, annotation: ast.expr | None, value: str, member: str, more: str = "") -> str:
        """Return the expression for a value that came from the async side."""
        cls = meaning(annotation, self.home)
        if not self.plan.has_twin(cls):
            self.check_plain(annotation, member)
            return value
        is_here = cls in self.module.classes
        twin = cls.__name__ if is_here else self.module.in_sibling(cls, cls.__name__)
        return f"{twin}._wrap({value}{more})"

    def generic(self, annotation: ast.expr | None) -> tuple[object, ast.expr | None]:
        """Return the class of a generic type, and its first argument."""
        match annotation:
            case ast.Subscript(slice=ast.Tuple(elts=[part, *_]) | part):
                return typing.get_origin(meaning(annotation, self.home)), part
            case _:
                return None, None

    def entered(self, method: Function) -> ast.expr | None:
        """Return the type of the plain context manager, if a method has a rule for an async one."""
        shape, held = self.generic(method.returns)
        decorators = [meaning(decorator, self.home) for decorator in method.decorator_list]
        if isinstance(method, ast.FunctionDef):
            fits = shape is AbstractAsyncContextManager and not decorators
        else:
            fits = shape in ITERATORS and decorators == [asynccontextmanager]
        if held is None or not fits or not self.plan.uses("entered", f"{self.name}.{method.name}"):
            return None
        self.check_plain(held, method.name)
        return ast.Subscript(ast.Name("AbstractContextManager"), held)

    # Signatures.

    def method(
        self, method: Function, *body: str, name: str = "", returns: ast.expr | None = None
    ) -> Iterator[str]:
        """Yield the lines of a method."""
        parameters, returned = self.parameters(method)[0], returns or method.returns
        arrow = "" if returned is None else f" -> {self.text_of(returned)}"
        yield f"    def {name or method.name}({self.text_of(parameters)}){arrow}:"
        yield from self.docstring(ast.get_docstring(method), method.name)
        yield from (f"        {line}" for line in body)

    def parameters(self, method: Function) -> tuple[ast.arguments, str]:
        """Return the parameters of the twin's method, and the arguments that it passes on."""
        spec = copy.deepcopy(method.args)
        pairs = [*zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
        # Private ones are passed by tests.
        pairs = [(a, default) for a, default in pairs if is_public(a.arg) or default is None]
        spec.kwonlyargs, spec.kw_defaults = [a for a, _ in pairs], [d for _, d in pairs]
        positional = [*spec.posonlyargs, *spec.args]
        if not positional or positional[0].arg not in ("self", "cls"):
            self.problem(method.name, "its first parameter is not called self")
        for default in filter(None, (*spec.defaults, *spec.kw_defaults)):
            self.default(default, method.name)
        passed = [self._taken(argument, method.name) for argument in positional[1:]]
        passed += [f"*{self._taken(a, method.name, starred=True)}" for a in [spec.vararg] if a]
        passed += [f"{a.arg}={self._taken(a, method.name)}" for a in spec.kwonlyargs]
        passed += [f"**{self._taken(a, method.name, starred=True)}" for a in [spec.kwarg] if a]
        return spec, "".join(f", {argument}" for argument in passed)

    def unless_none(self, annotation: ast.expr | None) -> tuple[ast.expr | None, bool]:
        """Return ``X`` for ``X | None``, and whether it was that; everything else as it is."""
        match annotation:
            case ast.BinOp(left=a, right=b) if "None" in (ast.unparse(a), ast.unparse(b)):
                return (a if ast.unparse(b) == "None" else b), True
            case ast.Subscript(value=of, slice=part) if meaning(of, self.home) is typing.Optional:
                return part, True
            case _:
                return annotation, False

    def _taken(self, argument: ast.arg, method: str, *, starred: bool = False) -> str:
        """Give a parameter the annotation of the twin, and return what is passed on for it."""
        name, where = argument.arg, f"{method}.{argument.arg}"
        wanted, optional = self.unless_none(argument.annotation)
        cls = meaning(wanted, self.home)
        shape, parts = (None, []) if starred else self._parts_of_callback(wanted)
        if name in RUNTIME:
            self.problem(where, "has the name of what the twin calls; rename it")
        if wanted and self.plan.kind_of(cls) == "protocol" and not starred:
            plain = self.module.needs(self.plan.home_of(cls), blocking_name(cls))
            wanted = ast.BinOp(ast.Name(plain), ast.BitOr(), wanted)
            made = f"adapt({name}, {self.module.in_sibling(cls, constant_name(cls))})"
        elif shape and parts and self.plan.uses("callbacks", f"{self.name}.{where}"):
            for part in parts:
                if source.calls_back(meaning(part, self.home)):
                    self.problem(where, "is a callback that takes or returns another one")
                self.check_plain(part, where)
            wanted, made = ast.Subscript(shape, ast.Tuple(parts)), f"callback({name})"
        else:
            if not source.calls_back(meaning(argument.annotation, self.home)):
                self.check_plain(argument.annotation, where)
            elif self.plan.uses("callbacks", f"{self.name}.{where}"):
                self.problem(where, CONVERTIBLE)
            else:
                self.problem(where, "is a callback without a rule; see callbacks")
            return name
        if optional:
            wanted = ast.BinOp(wanted, ast.BitOr(), ast.Constant(None))
            made = f"None if {name} is None else {made}"
        argument.annotation = wanted
        return made

    def _parts_of_callback(self, hint: ast.expr | None) -> tuple[ast.expr | None, list[ast.expr]]:
        """Return the name, the parameters and the result of an async function's type."""
        match hint:
            case ast.Subscript(
                value=shape, slice=ast.Tuple(elts=[given, ast.Subscript(slice=got) as awaited])
            ) if self.generic(awaited)[0] in (abc.Awaitable, abc.Coroutine):
                # Of a Coroutine[Any, Any, T] the last one is what it returns.
                return shape, [given, got.elts[-1] if isinstance(got, ast.Tuple) else got]
            case _:
                return None, []


class ValueWriter(ClassWriter):
    """Writes a value: the same members, with twins in the place of async objects."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}")
        for decorator in node_of(self.cls).decorator_list:
            yield f"@{self.text_of(decorator)}"
        yield f"class {self.name}:"
        yield from self.docstring(self.doc)
        arguments: list[str] = []
        for name, (home, node) in self.members.items():
            self.home = home
            if is_public(name) and isinstance(node, ast.AnnAssign):
                # Not what the constructor takes under the name of the attribute.
                text = f"{ast.unparse(node.annotation)} {ast.unparse(node.value or node.target)}"
                for what in re.findall(r"\b(?:ClassVar|InitVar|init|alias)\b", text):
                    self.problem(name, f"has {what}, and there is no rule for it in a value")
                default = f" = {self.default(node.value, name)}" if node.value else ""
                yield f"    {name}: {self.text_of(node.annotation)}{default}"
                arguments.append(f"{name}={self.wrapped(node.annotation, f'inner.{name}', name)}")
            elif node is not None or not source.is_special(name):
                self.problem(name, "there is no rule for such a member of a value")
        yield "    @classmethod"
        yield f"    def _wrap(cls, inner: {original}) -> Self:"
        yield f"        return cls({', '.join(arguments)})"


class ProtocolWriter(ClassWriter):
    """Writes the plain form of a protocol."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class, and the constant after it."""
        yield f"class {blocking_name(self.cls)}(Protocol):"
        yield from self.docstring(self.doc)
        for name, (home, node) in self.members.items():
            self.home = home
            yield from self._method(name, node)
        yield f"{constant_name(self.cls)}: Final = ({', '.join(map(repr, self.members))},)"

    def _method(self, name: str, method: ast.stmt | None) -> Iterator[str]:
        if name in self.plan.rules.renamed:
            self.problem(name, "would be renamed, which there is no rule for in a protocol")
        held = self.entered(method) if isinstance(method, ast.FunctionDef) else None
        is_async = isinstance(method, ast.AsyncFunctionDef) and not method.decorator_list
        if not isinstance(method, Function) or not is_public(name) or not (held or is_async):
            self.problem(name, "there is no rule for such a member of a protocol")
            return
        arguments = [node for node in ast.walk(method.args) if isinstance(node, ast.arg)][1:]
        for annotation in [] if held else [method.returns, *(a.annotation for a in arguments)]:
            self.check_plain(annotation, name)
        yield from self.method(method, "...", returns=held)
        stubs = (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in method.body)
        if not all(stubs):
            self.problem(name, "has a body, which there is no rule for in a protocol")


class TwinWriter(ClassWriter):
    """Writes a twin: it holds the async object, and blocks on its calls."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}")
        bases = [base for base in self.cls.__bases__ if self.plan.kind_of(base) == "twin"]
        if len(bases) > 1:
            what = "inherits from several classes that have twins"
            self.problem("", f"{what}, and there is no rule for that")
        base = bases[0] if bases else None
        inherited = members_of(base) if base else {}
        if base and base not in self.module.classes:
            self.module.needs(self.plan.home_of(base), base.__name__)
        twin = base.__name__ if base else f"Twin[{original}]"
        yield f"class {self.name}({twin}):"
        yield from self.docstring(self.doc)
        if base:
            yield f"    _inner: {original}"
        elif not self.doc and not self.members:
            yield "    pass"
        methods: list[str] = []
        for name, (home, node) in self.members.items():
            self.home = home
            if inherited.get(name) == (home, node) or self._is_left_out(name):
                continue
            if not is_public(name) and name not in self.plan.rules.renamed:
                self.problem(name, "is special, and there is no rule for it")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                yield from self._constant(name, node)
            else:
                methods += self._member(name, node)
        if self.plan.uses("portable", self.name):
            yield "    _portable = True"
        if self.plan.uses("constructed", self.name):
            self.home, method = self.members.get("__init__", (self.home, None))
            if isinstance(method, ast.FunctionDef):
                call = f"{original}({self.parameters(method)[1].removeprefix(', ')})"
                yield from self.method(method, f"self._hold({call})")
            else:
                self.problem("__init__", "is constructed, but has no constructor")
        yield from self._attributes(base)
        yield from methods

    def _is_left_out(self, name: str) -> bool:
        is_hidden = not is_public(name) and (not source.is_special(name) or name in COVERED)
        return is_hidden or self.plan.uses("left_out", f"{self.name}.{name}")

    def _constant(self, name: str, member: ast.Assign | ast.AnnAssign) -> Iterator[str]:
        declared = name
        if isinstance(member, ast.AnnAssign):
            self.check_plain(member.annotation, name)
            declared = f"{name}: {self.text_of(member.annotation)}"
        if member.value and is_constant(getattr(self.cls, name)):
            yield f"    {declared} = {self.default(member.value, name)}"
        else:
            self.problem(name, "is a public attribute whose value is no constant")

    def _attributes(self, base: type | None) -> Iterator[str]:
        """Yield the public attributes that constructors set."""
        parents = [p for p in self.cls.__mro__ if is_ours(p) and not (base and issubclass(base, p))]
        found = [(p.__module__, *a) for p in parents for a in source.attributes_set(p)]
        written, what = set[str](), "is a public attribute"
        # What is set later, too, would be out of date in the twin.
        found.sort(key=lambda attribute: attribute[2].name == "__init__")
        for home, name, method, annotation in found:
            self.home = home
            if name in written or self._is_left_out(name):
                continue
            written.add(name)
            described = re.search(rf"^ +{name}: (.+(?:\n {{8,}}.+)*)$", self.doc, re.MULTILINE)
            if method.name != "__init__":
                self.problem(name, f"{what} that {method.name} sets; make it private")
            elif annotation is None:
                self.problem(name, f"{what} without an annotation")
            elif described is None:
                self.problem(name, "is not described among the Attributes of its class")
            else:
                text = " ".join(described[1].split())
                yield "    @property"
                yield f"    def {name}(self) -> {self.text_of(annotation)}:"
                yield from self.docstring(text[0].upper() + text[1:], name)
                yield f"        return {self._held(annotation, name)}"

    def _held(self, annotation: ast.expr | None, name: str) -> str:
        """Return the expression for an attribute of the async object."""
        # What it holds was made with it, perhaps by the parent process.
        return self.wrapped(annotation, f"self._inner.{name}", name, ", pid=self._pid")

    def _member(self, name: str, method: ast.stmt | None) -> Iterator[str]:
        decorators = [ast.unparse(node) for node in getattr(method, "decorator_list", ())]
        is_maker = decorators == ["classmethod"] and self.name in self.plan.rules.constructed
        if isinstance(method, Function) and (held := self.entered(method)):
            call = f"self._inner.{name}{self.parameters(method)[1]}"
            yield from self.method(method, f"return self._enter({call})", returns=held)
        elif isinstance(method, Function) and not decorators:
            yield from self._method(name, method)
        elif isinstance(method, ast.FunctionDef) and decorators == ["property"]:
            yield "    @property"
            yield from self.method(method, f"return {self._held(method.returns, name)}")
        elif isinstance(method, ast.FunctionDef) and is_maker:
            yield "    @classmethod"
            made = f"cls._made_by({name!r}{self.parameters(method)[1]})"
            yield from self.method(method, f"return {made}")
            if meaning(method.returns, self.home) is not typing.Self:
                self.problem(name, "is a class method that does not return Self")
        else:
            self.problem(name, "there is no rule for such a member")

    def _method(self, name: str, method: Function) -> Iterator[str]:
        """Yield a method without decorators."""
        returns, call = method.returns, f"self._inner.{name}{self.parameters(method)[1]}"
        shape, part = self.generic(returns)
        is_async = isinstance(method, ast.AsyncFunctionDef)
        is_generator = inspect.isasyncgenfunction(inspect.unwrap(getattr(self.cls, name)))
        if is_generator or (shape in ITERATORS and not is_async):
            if (
                shape not in ITERATORS
                or not part
                or not self.plan.uses("iterators", f"{self.name}.{name}")
            ):
                self.problem(name, "is an async iterator without a rule; see iterators")
                return
            self.check_plain(part, name)
            plain = ast.Subscript(ast.Name("ClosableIterator"), part)
            yield from self.method(method, f"return self._iterate({call})", returns=plain)
            return
        how, twin = "_call", name
        if is_async:
            how = "_close" if self.plan.uses("closing", name) else "_run"
            twin = self.plan.rules.renamed[name] if self.plan.uses("renamed", name) else name
        elif self.plan.uses("awaitables", getattr(shape, "__name__", "")):
            how, returns = "_run", part
        if twin != name and twin in self.members:
            self.problem(name, "is renamed to what another member is called; see renamed")
        body = self._body(f"self.{how}({call})", returns, method)
        yield from self.method(method, *body, name=twin, returns=returns)

    def _body(self, call: str, returns: ast.expr | None, method: Function) -> list[str]:
        name = method.name
        if isinstance(returns, ast.Constant) and returns.value is None:
            return [call]
        if meaning(returns, self.home) is not typing.Self:
            return [f"return {self.wrapped(returns, call, name)}"]
        returned = {ast.unparse(node) for node in ast.walk(method) if isinstance(node, ast.Return)}
        if isinstance(method, ast.AsyncFunctionDef) and name != "__aenter__":
            self.problem(name, "is async and returns Self; name the class that it returns")
        elif returned != {"return self"}:
            self.problem(name, "returns Self, but not self; name the class that it returns")
        return [call, "return self"]


def is_constant(value: object) -> bool:
    """Return whether a value is the same wherever it is written."""
    if isinstance(value, tuple):
        return all(map(is_constant, typing.cast("tuple[object, ...]", value)))
    return value is None or type(value) in (bool, bytes, float, int, str)
