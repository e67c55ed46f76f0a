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
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import UnionType
from typing import TYPE_CHECKING, Any, Final

import sync_source as source
from sync_examples import blocking_examples
from sync_source import Attribute, Function, Refusal, is_ours, is_public, node_of, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from sync_rules import GeneratedModule, Rules

GENERATED: Final = "icure_sync._generated"
# Ruff removes those that a module does not need.
IMPORTS: Final = """\
from __future__ import annotations
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self
from icure_sync._iterators import ClosableIterator
from icure_sync._plain import adapt, callback, stepped, taking
from icure_sync._twins import Twin
"""
RUNTIME: Final = ("Twin", "adapt", "callback", "stepped", "taking")
ITERATORS: Final = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
# Results of methods: the table of its rules, the twin's way to call it, and the plain type.
PLAIN_FORMS: Final[dict[object, tuple[str, str, str]]] = {
    AbstractAsyncContextManager: ("entered", "_enter", "AbstractContextManager"),
    **dict.fromkeys(ITERATORS, ("iterators", "_iterate", "ClosableIterator")),
}
# The distribution is called icure-async, for both packages.
SPEAKS_OF_ASYNC: Final = re.compile(
    r"\b(?<!icure-)(async\w*|await\w*|coroutines?|event loops?|aclose|icure_async)\b", re.IGNORECASE
)
# Special methods of twins come from their base class.
COVERED: Final = {
    "__copy__",
    "__del__",
    "__getstate__",
    "__init__",
    "__reduce_ex__",
    "__repr__",
    "__slots__",
}
CONSTANTS: Final = {bool, bytes, float, int, str, type(None)}
NO_RULE: Final = "there is no rule for such a member"
SPECIAL: Final = "is special, and there is no rule for it"
ITERATOR: Final = "is an async iterator without a rule; see iterators"
STREAM: Final = "is an async iterable without a rule; see streams"
CALLBACK: Final = "is a callback without a rule; see callbacks"
CONVERTIBLE: Final = (
    "is a callback, and only Callable[…, Awaitable[…]] can be converted; write that"
)


class Plan:
    """The rules, which of them were used, the classes that they name, and problems."""

    def __init__(self, rules: Rules) -> None:
        self.rules: Final = rules
        # In their order, each once.
        self.problems: Final[dict[str, None]] = {}
        self.used: Final[set[tuple[str, str]]] = set()
        self.homes: Final[dict[type, str]] = {}
        self.kinds: Final[dict[type, str]] = {}
        for module in rules.modules:
            with self.at("rules"):
                is_there = importlib.util.find_spec(module.source) is not None
                refuse(not is_there, f"there is no module {module.source}")
                for name, kind in module.classes.items():
                    cls: Any = getattr(importlib.import_module(module.source), name, None)
                    is_there = is_ours(cls) and cls.__module__ == module.source
                    refuse(not is_there, f"there is no class {module.source}.{name}")
                    self.homes[cls], self.kinds[cls] = f"{GENERATED}.{module.target}", kind

    @contextmanager
    def at(self, place: str) -> Generator[None]:
        """Note what is refused at a place, and go on after it."""
        try:
            yield
        except Refusal as refusal:
            self.problems[f"{place}: {refusal}"] = None

    def kind_of(self, thing: object) -> str | None:
        """Return what is generated of a class, if anything is."""
        return self.kinds.get(thing) if is_ours(thing) else None

    def has_twin(self, thing: object) -> typing.TypeGuard[type]:
        """Return whether objects of a class are wrapped."""
        return self.kind_of(thing) in ("twin", "value")

    def uses(self, table: str, entry: str) -> bool:
        """Return whether a table of the rules has an entry, and note that it was of use."""
        self.used.add((table, entry))
        return entry in getattr(self.rules, table)

    def why_not_shared(self, thing: object) -> str | None:
        """Return why something can't be the same object in both packages, or None if it can."""
        if inspect.isclass(thing) and self.uses("shared_names", thing.__name__):
            return None
        has_twin = any(map(self.has_twin, source.reached(thing)))
        return source.why_async(thing) or ("which has a twin" if has_twin else None)

    def docstring(self, text: str | None) -> str:
        """Return the statement of a docstring, which speaks of blocking calls."""
        if not text:
            return ""
        text = blocking_examples(text)
        for phrase, replacement in self.rules.words.items():
            if phrase in text and self.uses("words", phrase):
                text = text.replace(phrase, replacement)
        left = SPEAKS_OF_ASYNC.findall(text)
        refuse(left, f"its docstring says {''.join(left[:1])!r}; see words")
        public = getattr(importlib.import_module(source.PACKAGE), "__all__", ())
        for name in re.findall(r"\bicure_sync\.(\w+)", text):
            is_known = name in public or f"icure_sync.{name}" in self.rules.facades
            refuse(not is_known, f"its docstring names icure_sync.{name}; there is no such")
        end = "\n" if "\n" in text or text.endswith('"') else ""
        return ast.unparse(ast.Module([ast.Expr(ast.Constant(text + end))], []))


class ModuleWriter:
    """Writes one module, and collects its imports."""

    def __init__(self, plan: Plan, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.home: Final = f"{GENERATED}.{module.target}"
        self.source: Final = module.source
        self.classes: Final = [cls for cls, home in plan.homes.items() if home == self.home]
        self._imports: defaultdict[str, set[str]] = defaultdict(set)
        self._meanings: dict[str, object] = {cls.__name__: cls for cls in self.classes}
        self._meanings |= dict.fromkeys(RUNTIME)

    def write(self) -> str:
        """Return the text of the module, not yet formatted."""
        classes: list[str] = []
        exported: list[str] = []
        for cls, kind in ((cls, self.plan.kinds[cls]) for cls in self.classes):
            classes += getattr(ClassWriter(self, cls), kind)()
            exported += plain_names(cls) if kind == "protocol" else [cls.__name__]
        head = ""
        with self.plan.at(self.source):
            head = self.plan.docstring(ast.get_docstring(source.tree_of(self.source)))
        imports = [start + ", ".join(sorted(names)) for start, names in self._imports.items()]
        return "\n".join([head, IMPORTS, *imports, f"__all__ = {exported}", *classes])

    def needs(self, home: str, name: str) -> str:
        """Import a name, and return it."""
        self._imports[f"from {home} import "].add(name)
        return name.rpartition(" ")[2]

    def in_sibling(self, cls: type, name: str) -> str:
        """Return the expression for a name in the generated module of a class."""
        if cls in self.classes:
            return name
        # The modules refer to each other: classes can't be imported from them at the start.
        target = self.plan.homes[cls].rpartition(".")[2]
        return f"{self.needs(GENERATED, f'{target} as _{target}')}.{name}"

    def text_of(self, node: ast.AST, home: str) -> str:
        """Import all names of an annotation or a default, and return its text."""
        for name in (part.id for part in ast.walk(node) if isinstance(part, ast.Name)):
            thing: Any = source.names_of(home).get(name, getattr(builtins, name, None))
            other = f"has another meaning in the module that is generated from {self.source}"
            is_other = self._meanings.setdefault(name, thing) is not thing
            refuse(is_other, f"{name}: {other}; rename one of them")
            module, original = source.imports_in(source.tree_of(home)).get(name, (home, name))
            if self.plan.has_twin(thing):
                module, original = self.plan.homes[thing], thing.__name__
            alias = "" if name == (original or module.partition(".")[0]) else f" as {name}"
            if not original:
                self._imports[f"import {module}{alias}"] = set()
            elif name in source.names_of(home) and module != self.home:
                self.needs(module, original + alias)
        return ast.unparse(node)


def plain_names(protocol: type) -> tuple[str, str]:
    """Return the names of the plain form of a protocol, and of the constant with its methods."""
    constant = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", protocol.__name__).upper()
    return f"Blocking{protocol.__name__}", f"{constant}_METHODS"


class ClassWriter:
    """Writes one class: a twin, a value, or the plain form of a protocol."""

    def __init__(self, module: ModuleWriter, cls: type) -> None:
        self.module: Final = module
        self.plan: Final = module.plan
        self.cls: Final = cls
        self.name: Final = cls.__name__
        self.original = f"Async{cls.__name__}"
        self.members: Final = source.members_of(cls)
        self.doc: Final = ast.get_docstring(node_of(cls)) or ""
        self.fields: Final[list[str]] = []
        # The place at work, "Class.method.parameter", and its module.
        self.place = self.name
        self.home = module.source

    def twin(self) -> Iterator[str]:
        """Yield a class that holds the async object, and blocks on its calls."""
        self.module.needs(self.home, f"{self.name} as {self.original}")
        base = next((b for b in self.cls.__bases__ if self.plan.kind_of(b) == "twin"), None)
        if base and base not in self.module.classes:
            self.module.needs(self.plan.homes[base], base.__name__)
        # A generic class has a generic twin.
        with self._inside(""):
            names = [self.text_of(ast.Name(p.__name__)) for p in source.parameters_of(self.cls)]
            refuse(base and names, "is generic and inherits from a twin, which has no rule")
            self.original += f"[{', '.join(names)}]" if names else ""
        yield from self._head(self.name, base.__name__ if base else f"Twin[{self.original}]")
        if base:
            yield f"    _inner: {self.original}"
        elif not self.doc and not self.members:
            yield "    pass"
        inherited = source.members_of(base) if base else {}
        own = {n: m for n, m in self.members.items() if self._is_own(n) and inherited.get(n) != m}
        constants = {n: m for n, m in own.items() if isinstance(m[1], ast.Assign | ast.AnnAssign)}
        attributes = {n: m for n, m in own.items() if isinstance(m[1], tuple)}
        methods = {n: m for n, m in own.items() if n not in {**constants, **attributes}}
        yield from self._each(constants, self._constant)
        if self.plan.uses("portable", self.name):
            yield "    _portable = True"
        if self.plan.uses("constructed", self.name):
            init = self.members.get("__init__", (self.home, None))
            yield from self._each({"__init__": init}, self._constructor)
        yield from self._each(attributes, self._attribute)
        yield from self._each(methods, self._member)

    def value(self) -> Iterator[str]:
        """Yield a class with the same members, with twins instead of async objects."""
        self.module.needs(self.home, f"{self.name} as {self.original}")
        with self._inside(""):
            yield from (f"@{self.text_of(node)}" for node in node_of(self.cls).decorator_list)
        yield from self._head(self.name)
        fields = {n: m for n, m in self.members.items() if m[1] or not n.startswith("__")}
        yield from self._each(fields, self._field)
        yield "    @classmethod"
        yield f"    def _wrap(cls, inner: {self.original}) -> Self:"
        yield f"        return cls({', '.join(self.fields)})"

    def protocol(self) -> Iterator[str]:
        """Yield the plain form of a protocol, and the names of its methods."""
        name, constant = plain_names(self.cls)
        yield from self._head(name, "Protocol")
        yield from self._each(self.members, self._stub)
        yield f"{constant}: Final = ({', '.join(map(repr, self.members))},)"

    # Classes.

    def _head(self, name: str, base: str = "") -> Iterator[str]:
        """Yield the first line of a class, and the docstring."""
        yield f"class {name}({base}):" if base else f"class {name}:"
        with self._inside(""):
            for what in self._unknown():
                raise Refusal(f"{what}, and there is no rule for that")
        with self._inside(""):
            yield from [f"    {self.plan.docstring(self.doc)}"] if self.doc else []

    def _unknown(self) -> Iterator[str]:
        """Yield what changes a class from outside, and is not taken over."""
        mro, meta = self.cls.__mro__, type(self.cls)
        is_generic = typing.Protocol in mro or self.plan.kind_of(self.cls) == "twin"
        plain = (object, ABC, typing.Protocol, *((typing.Generic,) if is_generic else ()))
        yield from (f"inherits from {b.__name__}" for b in mro if not is_ours(b) and b not in plain)
        if [self.plan.kind_of(base) for base in self.cls.__bases__].count("twin") > 1:
            yield "inherits from several classes that have twins"
        if meta not in (type, ABCMeta, type(typing.Protocol)):
            yield f"has the metaclass {meta.__name__}"
        # A value has the decorators of its original.
        parents = mro if self.plan.kind_of(self.cls) != "value" else ()
        nodes = [node for p in filter(is_ours, parents) for node in node_of(p).decorator_list]
        for name in map(ast.unparse, nodes):
            if not self.plan.uses("decorators", name):
                yield f"has @{name}"

    @contextmanager
    def _inside(self, part: str) -> Generator[None]:
        """Note what is refused in a part of the place at work, and go on after it."""
        place, self.place = self.place, f"{self.place}.{part}".rstrip(".")
        with self.plan.at(f"{self.module.source}.{self.place}"):
            yield
        self.place = place

    def _each(
        self, members: Mapping[str, tuple[str, Any]], write: Callable[[str, Any], Iterator[str]]
    ) -> Iterator[str]:
        """Yield the lines of the members that are not refused."""
        for name, (self.home, member) in members.items():
            with self._inside(name):
                yield from [*write(name, member)]

    def _is_own(self, name: str) -> bool:
        is_hidden = not is_public(name) and (not name.startswith("__") or name in COVERED)
        return not is_hidden and not self.plan.uses("left_out", f"{self.name}.{name}")

    # Members.

    def _field(self, name: str, node: Any) -> Iterator[str]:
        """Yield the line of an attribute of a value."""
        is_field = is_public(name) and isinstance(node, ast.AnnAssign)
        refuse(not is_field, f"{NO_RULE} of a value")
        # Not what the constructor takes under the name of the attribute.
        for what in re.findall(r"\b(?:ClassVar|InitVar|init|alias)\b", ast.unparse(node)):
            raise Refusal(f"has {what}, and there is no rule for it in a value")
        self.check_default(node.value)
        yield f"    {self.text_of(node)}"
        self.fields.append(f"{name}={self.wrapped(node.annotation, f'inner.{name}')}")

    def _stub(self, name: str, method: Any) -> Iterator[str]:
        """Yield a method of the plain form of a protocol."""
        is_renamed = name in self.plan.rules.renamed
        refuse(is_renamed, "would be renamed, which there is no rule for in a protocol")
        refuse(not isinstance(method, Function) or not is_public(name), f"{NO_RULE} of a protocol")
        form = self.plain_form(method)
        is_async = isinstance(method, ast.AsyncFunctionDef) and not method.decorator_list
        refuse(not form and not is_async, f"{NO_RULE} of a protocol")
        arguments = [node for node in ast.walk(method.args) if isinstance(node, ast.arg)][1:]
        for annotation in [] if form else [method.returns, *(a.annotation for a in arguments)]:
            self.check_plain(annotation)
        stubs = (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in method.body)
        refuse(not all(stubs), "has a body, which there is no rule for in a protocol")
        yield from self.method(method, "...", returns=form and form[1])

    def _constant(self, name: str, node: Any) -> Iterator[str]:
        refuse(not is_public(name), SPECIAL)
        if isinstance(node, ast.AnnAssign):
            self.check_plain(node.annotation)
        value: Any = getattr(self.cls, name, ...)
        values = typing.cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
        is_constant = node.value and {*map(type, values)} <= CONSTANTS
        refuse(not is_constant, "is a public attribute whose value is no constant")
        self.check_default(node.value)
        yield f"    {self.text_of(node)}"

    def _constructor(self, _: str, method: Any) -> Iterator[str]:
        refuse(not isinstance(method, ast.FunctionDef), NO_RULE)
        call = f"{self.original}({self.parameters(method)[1].removeprefix(', ')})"
        yield from self.method(method, f"self._hold({call})")

    def _attribute(self, name: str, attribute: Attribute) -> Iterator[str]:
        """Yield a property for an attribute that the constructor sets."""
        methods, annotation = attribute
        for method in methods:
            what = f"is a public attribute that {method.name} sets; make it private"
            refuse(method.name != "__init__", what)
        if annotation is None:
            raise Refusal("is a public attribute without an annotation")
        described = re.findall(rf"^ +{name}: (.+(?:\n {{8,}}.+)*)$", self.doc, re.MULTILINE)
        refuse(not described, "is not described among the Attributes of its class")
        text = " ".join(described[0].split())
        head = f"@property\ndef {name}(self) -> {ast.unparse(annotation)}: "
        yield from self._member(name, ast.parse(f"{head}{text[0].upper() + text[1:]!r}").body[0])

    def _member(self, name: str, method: Any) -> Iterator[str]:
        """Yield a property, a class method, or a method."""
        refuse(not is_public(name) and name not in self.plan.rules.renamed, SPECIAL)
        refuse(not isinstance(method, Function), NO_RULE)
        inner, passed = f"self._inner.{name}", self.parameters(method)[1]
        decorators = [ast.unparse(node) for node in method.decorator_list]
        is_plain, plain = isinstance(method, ast.FunctionDef), None
        if is_plain and decorators == ["property"]:
            # Its members were made with it, perhaps by the parent process.
            result = self.wrapped(method.returns, inner, ", pid=self._pid")
        elif is_plain and decorators == ["classmethod"]:
            if self.meaning(method.returns) is self.cls:
                result = self.wrapped(method.returns, f"{self.original}.{name}({passed[2:]})")
                yield "    @classmethod"
                yield from self.method(method, f"return {result}")
                return
            is_maker = self.name in self.plan.rules.constructed
            refuse(not is_maker or self.meaning(method.returns) is not typing.Self, NO_RULE)
            result = f"cls._made_by({name!r}{passed})"
        elif form := self.plain_form(method):
            how, plain = form
            result, decorators = f"self.{how}({inner}{passed})", []
            if held := self._held(plain):
                result = f"self._enter_twin({held}, {inner}{passed})"
        else:
            refuse(decorators, NO_RULE)
            yield from self._method(method, f"({inner}{passed})")
            return
        yield from (f"    @{decorator}" for decorator in decorators)
        yield from self.method(method, f"return {result}", returns=plain)

    def _method(self, method: Function, call: str) -> Iterator[str]:
        """Yield a method without decorators that returns a plain value, a twin, or itself."""
        name, returns, how = method.name, method.returns, "_call"
        shape, parts = self.generic(returns)
        if isinstance(method, ast.AsyncFunctionDef):
            how = "_close" if self.plan.uses("closing", name) else "_run"
            how = "_next" if name == "__anext__" else how
        elif self.plan.uses("awaitables", getattr(shape, "__name__", "")):
            how, returns = "_run", parts[0]
        name = self.plan.rules.renamed[name] if self.plan.uses("renamed", name) else name
        is_taken = name != method.name and name in self.members
        refuse(is_taken, "is renamed to what another member is called; see renamed")
        call, is_async = f"self.{how}{call}", how != "_call"
        if self.meaning(returns) is typing.Self:
            is_async &= method.name != "__aenter__"
            refuse(is_async, "is async and returns Self; name the class that it returns")
            returned = {ast.unparse(n) for n in ast.walk(method) if isinstance(n, ast.Return)}
            is_other = returned != {"return self"}
            refuse(is_other, "returns Self, but not self; name the class that it returns")
            body = [call, "return self"]
        elif isinstance(returns, ast.Constant) and returns.value is None:
            body = [call]
        else:
            body = [f"return {self.wrapped(returns, call)}"]
        yield from self.method(method, *body, name=name, returns=returns)

    # Types.

    def meaning(self, node: ast.expr | None) -> Any:
        """Return the object that an expression at work stands for."""
        return source.meaning(node, self.home)

    def text_of(self, node: ast.AST) -> str:
        """Return the text of a part of the member at work, and import its names."""
        return self.module.text_of(node, self.home)

    def check_default(self, value: ast.expr | None) -> None:
        """Refuse a value that means nothing outside its class."""
        text, is_known = value and ast.unparse(value), not isinstance(self.meaning(value), Refusal)
        refuse(not is_known, f"the default {text!r} has a name not found in {self.home}")

    def check_plain(self, annotation: ast.expr | None) -> None:
        """Refuse a type that is async or has a twin."""
        if annotation is None:
            raise Refusal("has no annotation")
        text, reason = ast.unparse(annotation), self.plan.why_not_shared(self.meaning(annotation))
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name | ast.Attribute | ast.Constant):
                part, thing = ast.unparse(node), self.meaning(node)
                refuse(thing is typing.Self, f"{text!r} has {part}, which is not the twin")
                is_reason = reason and self.plan.why_not_shared(thing) == reason
                refuse(is_reason, f"{text!r} has {part}, {reason}, and no rule for it")
        refuse(reason, f"{text!r} has {text}, {reason}, and no rule for it")

    def wrapped(self, annotation: ast.expr | None, value: str, more: str = "") -> str:
        """Return the expression for a value that came from the async side."""
        shape, parts = self.generic(annotation)
        cls = shape if self.plan.has_twin(shape) else self.meaning(annotation)
        if not self.plan.has_twin(cls):
            self.check_plain(annotation)
            return value
        for part in parts:
            self.check_plain(part)
        twin = self.module.in_sibling(cls, cls.__name__)
        # Without its arguments, type checkers would not know the type of what is returned.
        of = f"[{', '.join(map(self.text_of, parts))}]" if parts else ""
        return f"{twin}{of}._wrap({value}{more})"

    def generic(self, annotation: ast.expr | None) -> tuple[Any, list[ast.expr]]:
        """Return the class of a generic type, and its arguments."""
        match annotation:
            case ast.Subscript(slice=ast.Tuple(elts=parts)):
                pass
            case ast.Subscript(slice=part):
                parts = [part]
            case ast.BinOp(left=left, right=right):
                parts = [left, right]
            case _:
                parts = []
        return typing.get_origin(self.meaning(annotation)), parts

    def plain_form(self, method: Function) -> tuple[str, ast.expr] | None:
        """Return the way to call a method that returns an async object, and the plain type."""
        shape, parts = self.generic(method.returns)
        if inspect.isasyncgenfunction(inspect.unwrap(getattr(self.cls, method.name))):
            is_entered = [*map(self.meaning, method.decorator_list)] == [asynccontextmanager]
            shape = AbstractAsyncContextManager if is_entered else abc.AsyncIterator
        elif isinstance(method, ast.AsyncFunctionDef) or shape not in PLAIN_FORMS:
            return None
        table, how, plain = PLAIN_FORMS[shape]
        is_ruled = parts and self.plan.uses(table, self.place)
        refuse(not is_ruled, NO_RULE if table == "entered" else ITERATOR)
        if table != "entered" or not self.plan.has_twin(self.meaning(parts[0])):
            self.check_plain(parts[0])
        return how, ast.Subscript(ast.Name(plain), parts[0])

    def _held(self, plain: Any) -> str | None:
        """Return the expression for the twin that a plain context manager gives, if it has one."""
        cls = self.meaning(plain.slice)
        return self.module.in_sibling(cls, cls.__name__) if self.plan.has_twin(cls) else None

    # Signatures.

    def method(
        self, method: Function, *body: str, name: str = "", returns: ast.expr | None = None
    ) -> Iterator[str]:
        """Yield the lines of a method."""
        parameters, returned = self.parameters(method)[0], returns or method.returns
        arrow = "" if returned is None else f" -> {self.text_of(returned)}"
        yield f"    def {name or method.name}({self.text_of(parameters)}){arrow}:"
        lines = (self.plan.docstring(ast.get_docstring(method)), *body)
        yield from (f"        {line}" for line in lines if line)

    def parameters(self, method: Function) -> tuple[ast.arguments, str]:
        """Return the parameters of the twin's method, and the arguments that it passes on."""
        spec = copy.deepcopy(method.args)
        pairs = [*zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
        # Private ones are passed by tests.
        pairs = [(a, default) for a, default in pairs if is_public(a.arg) or default is None]
        spec.kwonlyargs, spec.kw_defaults = [a for a, _ in pairs], [d for _, d in pairs]
        first, *positional = [*spec.posonlyargs, *spec.args] or [ast.arg("")]
        refuse(first.arg not in ("self", "cls"), "its first parameter is not called self")
        for default in (*spec.defaults, *spec.kw_defaults):
            self.check_default(default)
        passed = [self._taken(argument) for argument in positional]
        passed += [f"*{self._taken(a, starred=True)}" for a in [spec.vararg] if a]
        passed += [f"{a.arg}={self._taken(a)}" for a in spec.kwonlyargs]
        passed += [f"**{self._taken(a, starred=True)}" for a in [spec.kwarg] if a]
        return spec, "".join(f", {argument}" for argument in passed)

    def _taken(self, argument: ast.arg, *, starred: bool = False) -> str:
        """Give a parameter the annotation of the twin, and return what is passed on for it."""
        name = made = argument.arg
        with self._inside(name):
            plain, made = self._converted(name, argument.annotation, starred=starred)
            refuse(name in RUNTIME, "has the name of what the twin calls; rename it")
            argument.annotation = ast.parse(plain, mode="eval").body
        return made

    def _converted(self, name: str, annotation: Any, *, starred: bool) -> tuple[str, str]:
        """Return the type of the twin's parameter, and the argument that is made of it."""
        wanted, optional = self._unless_none(annotation)
        cls = self.meaning(wanted)
        if wanted and self.plan.kind_of(cls) == "protocol" and not starred:
            blocking, constant = plain_names(cls)
            self.module.needs(self.plan.homes[cls], blocking)
            plain = f"{blocking} | {ast.unparse(wanted)}"
            made = f"adapt({name}, {self.module.in_sibling(cls, constant)})"
        elif wanted and self._is_stream(wanted) and not starred:
            refuse(not self.plan.uses("streams", self.place), STREAM)
            plain, made = _plain_streams(wanted), f"stepped({name})"
        elif source.calls_back(self.meaning(annotation)):
            refuse(not self.plan.uses("callbacks", self.place), CALLBACK)
            plain, made = self._callback(None if starred else wanted, name)
        elif self.plan.kind_of(cls) == "twin" and not starred:
            self.module.needs(self.plan.homes[cls], cls.__name__)
            plain = cls.__name__
            made = f"{self.module.in_sibling(cls, plain)}._unwrap({name})"
        else:
            self.check_plain(annotation)
            return ast.unparse(annotation), name
        if optional:
            return f"{plain} | None", f"None if {name} is None else {made}"
        return plain, made

    def _unless_none(self, annotation: ast.expr | None) -> tuple[ast.expr | None, bool]:
        """Return ``X`` for ``X | None``, and whether it was that; everything else as it is."""
        shape, parts = self.generic(annotation)
        others = [part for part in parts if ast.unparse(part) != "None"]
        is_optional = shape in (typing.Union, UnionType) and len(others) == 1
        return (others[0], True) if is_optional else (annotation, False)

    def _is_stream(self, annotation: ast.expr) -> bool:
        """Return whether a type, or a part of a union, is an async iterable."""
        shape, parts = self.generic(annotation)
        if shape in (typing.Union, UnionType):
            return any(map(self._is_stream, parts))
        return shape is abc.AsyncIterable

    def _callback(self, hint: Any, name: str) -> tuple[str, str]:
        """Return the type of the plain function for that of an async one, and what is made of it.

        Where it takes async objects, it gets their twins.
        """
        shape, parts = self.generic(hint)
        awaited, results = self.generic(parts[-1] if parts else None)
        is_async = results and awaited in (abc.Awaitable, abc.Coroutine)
        refuse(not is_async or shape.__name__ != "Callable", CONVERTIBLE)
        # Of a Coroutine[Any, Any, T] the last one is what it returns.
        parts = [parts[0], results[-1]]
        taken = parts[0].elts if isinstance(parts[0], ast.List) else []
        twins = [self._twin_taken(part) for part in taken]
        for part in [*taken, results[-1]] if any(twins) else parts:
            is_callback = source.calls_back(self.meaning(part))
            refuse(is_callback, "is a callback that takes or returns another one")
            if not self.plan.has_twin(self.meaning(part)) or part is results[-1]:
                self.check_plain(part)
        made = f"taking({name}, {', '.join(t or 'None' for t in twins)})" if any(twins) else name
        plain = f"{ast.unparse(hint.value)}[{', '.join(map(ast.unparse, parts))}]"
        return plain, f"callback({made})"

    def _twin_taken(self, annotation: ast.expr) -> str | None:
        """Return the expression for the twin of an argument of a callback, if it has one."""
        cls = self.meaning(annotation)
        if not self.plan.has_twin(cls):
            return None
        self.module.needs(self.plan.homes[cls], cls.__name__)
        return self.module.in_sibling(cls, cls.__name__)


def _plain_streams(annotation: ast.expr) -> str:
    """Return a type with plain iterables in place of async ones."""
    plain = copy.deepcopy(annotation)
    for node in ast.walk(plain):
        if isinstance(node, ast.Name) and node.id == abc.AsyncIterable.__name__:
            node.id = abc.Iterable.__name__
    return ast.unparse(plain)
