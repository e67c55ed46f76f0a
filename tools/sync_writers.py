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
from contextlib import AbstractAsyncContextManager
from textwrap import indent
from typing import TYPE_CHECKING, Final, Generic, Protocol

from sync_source import (
    PACKAGE,
    Function,
    Unknown,
    attributes_set,
    imports_in,
    is_ours,
    is_public,
    is_special,
    last_name,
    meaning,
    members_of,
    names_in,
    names_of,
    node_of,
    reached,
    tree_of,
    unless_none,
    why_async,
    why_callback,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


class Plan:
    """The rules, which of them were used, the classes that they name, and problems."""

    def __init__(self, rules: Rules) -> None:
        self.rules: Final = rules
        self.problems: Final[list[str]] = []
        self.modules: Final[list[GeneratedModule]] = []
        self.used: Final[set[tuple[str, str]]] = set()
        self.classes: Final[dict[type, tuple[GeneratedModule, str]]] = {}
        for module in rules.modules:
            is_known = importlib.util.find_spec(module.source)
            found = vars(importlib.import_module(module.source)) if is_known else {}
            if is_known:
                self.modules.append(module)
            else:
                self.problem(f"rules: there is no module {module.source}")
            for name, kind in module.classes.items() if is_known else ():
                if getattr(found.get(name), "__module__", None) == module.source:
                    self.classes[found[name]] = (module, kind)
                else:
                    self.problem(f"rules: there is no class {module.source}.{name}")

    def kind_of(self, thing: object) -> str | None:
        """Return what is generated of a class, if anything is."""
        return self.classes[thing][1] if inspect.isclass(thing) and thing in self.classes else None

    def has_twin(self, thing: object) -> typing.TypeGuard[type]:
        """Return whether objects of a class are wrapped."""
        return self.kind_of(thing) in ("twin", "value")

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

    def why_not_shared(self, thing: object) -> str | None:
        """Return why something can't be the same object in both packages, or None if it can."""
        has_twin = any(map(self.has_twin, reached(thing)))
        return why_async(thing) or ("which has a twin" if has_twin else None)

    def reworded(self, text: str | None, where: str) -> str:
        """Return a docstring that speaks of blocking calls."""
        text = text or ""
        for phrase, replacement in self.rules.words.items():
            if phrase in text:
                self.uses("words", phrase)
                text = text.replace(phrase, replacement)
        left = SPEAKS_OF_ASYNC.search(text)
        if left:
            self.problem(f"{where}: its docstring says {left[0]!r}; see words")
        public = getattr(importlib.import_module(PACKAGE), "__all__", ())
        for name in re.findall(r"\bicure_sync\.(\w+)", text):
            if f"icure_sync.{name}" not in self.rules.facades and name not in public:
                self.problem(f"{where}: its docstring names icure_sync.{name}; there is no such")
        return text


class ModuleWriter:
    """Writes one module, and collects its imports."""

    def __init__(self, plan: Plan, module: GeneratedModule) -> None:
        self.plan: Final = plan
        self.target: Final = module.target
        self.source: Final = module.source
        self.classes: Final = [cls for cls, (home, _) in plan.classes.items() if home is module]
        self._imports: defaultdict[bool, defaultdict[str, set[str]]]
        self._imports = defaultdict(lambda: defaultdict(set))
        self._meanings: dict[str, object] = {name: None for name in RUNTIME}  # noqa: C420
        self._meanings |= {cls.__name__: cls for cls in self.classes}

    def write(self) -> str:
        """Return the text of the module, not yet formatted."""
        writers = {"twin": TwinWriter, "value": ValueWriter, "protocol": ProtocolWriter}
        classes = [
            "\n".join(writers[str(self.plan.kind_of(cls))](self, cls).write())
            for cls in self.classes
        ]
        exported: list[str] = []
        for cls in self.classes:
            is_plain = self.plan.kind_of(cls) == "protocol"
            exported += [blocking_name(cls), constant_name(cls)] if is_plain else [cls.__name__]
        doc = self.plan.reworded(ast.get_docstring(tree_of(self.source)), self.source)
        imports = [f"    {line}" for line in statements(self._imports[False])]
        if imports:
            self.needs("typing", "TYPE_CHECKING")
            imports.insert(0, "if TYPE_CHECKING:")
        return "\n\n".join(
            [
                f'"""{doc}"""',
                "from __future__ import annotations",
                "\n".join([*statements(self._imports[True]), *imports]),
                # As ruff sorts it: constants first.
                f"__all__ = {sorted(exported, key=lambda name: (not name.isupper(), name))}",
                *classes,
            ]
        )

    def needs(self, home: str, name: str, *, now: bool = True) -> str:
        """Import a name, for annotations alone unless it is needed now, and return it."""
        self._imports[now or home == "typing"][home].add(name)
        return name.rpartition(" ")[2]

    def sibling(self, cls: type) -> str:
        """Import the generated module that has the twin of a class, and return its name here.

        The modules refer to each other: classes can't be imported from them at the start.
        """
        target = self.plan.target_of(cls)
        return self.needs(GENERATED, f"{target} as _{target}")

    def text_of(self, expression: ast.expr, home: str, *, now: bool = False) -> str:
        """Import all names of an annotation or, now, of a default, and return its text."""
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                self._import(node.id, home, now=now)
        return ast.unparse(expression)

    def _import(self, name: str, home: str, *, now: bool) -> None:
        thing = names_of(home).get(name, getattr(builtins, name, None))
        if self._meanings.setdefault(name, thing) is not thing:
            self.plan.problem(
                f"{home}.{name}: has another meaning in the module that is generated from "
                f"{self.source}; rename one of them"
            )
        module, original = imports_in(tree_of(home)).get(name, (home, name))
        if self.plan.has_twin(thing):
            module, original = f"{GENERATED}.{self.plan.target_of(thing)}", thing.__name__
            if module == f"{GENERATED}.{self.target}":
                return
        if name in names_of(home):
            alias = "" if name == (original or module) else f" as {name}"
            if original:
                self.needs(module, original + alias, now=now)
            else:
                self.needs(module + alias, "", now=now)


def statements(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield import statements; an empty name stands for the module itself."""
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


class ClassWriter:
    """Writes one class: the common parts of values, protocols and twins."""

    decorators_are_taken_over = False

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
        plain = {object, ABC, *((Protocol, Generic) if Protocol in self.cls.__mro__ else ())}
        for base in self.cls.__mro__:
            if not is_ours(base) and base not in plain:
                self.problem("", f"inherits from {base.__name__}, and there is no rule for that")
        made_by = type(self.cls)
        if made_by not in (type, ABCMeta, type(Protocol)):
            self.problem("", f"has the metaclass {made_by.__name__}, and there is no rule for that")
        for parent in () if self.decorators_are_taken_over else filter(is_ours, self.cls.__mro__):
            for node in node_of(parent).decorator_list:
                is_plain = meaning(node, parent.__module__) in (
                    typing.final,
                    typing.runtime_checkable,
                )
                if not is_plain and not self.plan.uses("decorators", ast.unparse(node)):
                    self.problem("", f"has @{ast.unparse(node)}, and there is no rule for that")

    def where(self, member: str) -> str:
        """Return the dotted name of a member, or of the class."""
        return f"{self.module.source}.{self.name}.{member}".rstrip(".")

    def problem(self, member: str, what: str) -> None:
        """Note what is wrong with a member."""
        self.plan.problem(f"{self.where(member)}: {what}")

    def docstring(self, text: str | None, member: str = "") -> Iterator[str]:
        """Yield a docstring as it is in the twin."""
        if text:
            quoted = self.plan.reworded(text, self.where(member)).replace("\\", "\\\\")
            quoted = quoted.replace('"""', '\\"\\"\\"')
            end = "\n" if "\n" in quoted or quoted.endswith('"') else ""
            yield indent(f'"""{quoted}{end}"""', " " * (8 if member else 4))

    def text_of(self, expression: ast.expr, *, now: bool = False) -> str:
        """Return the text of an expression of the member at work, and import its names."""
        return self.module.text_of(expression, self.home, now=now)

    def default(self, value: ast.expr, member: str) -> str:
        """Return the text of a default, and import its names."""
        if isinstance(meaning(value, self.home), Unknown):
            text = ast.unparse(value)
            self.problem(member, f"the default {text!r} has a name not found in {self.home}")
        return self.text_of(value, now=True)

    # Types.

    def check_plain(self, annotation: ast.expr | None, member: str) -> None:
        """Refuse a type that is async or has a twin."""
        if annotation is None:
            self.problem(member, "has no annotation")
            return
        for name in names_in(annotation):
            thing, what = (
                meaning(name, self.home),
                f"{ast.unparse(annotation)!r} has {ast.unparse(name)}",
            )
            if thing is typing.Self:
                self.problem(member, f"{what}, which is not the twin")
            elif reason := self.plan.why_not_shared(thing):
                self.problem(member, f"{what}, {reason}, and no rule for it")
                return

    def calls_back(self, annotation: ast.expr) -> bool:
        """Return whether a type has something in it that is to be called."""
        return any(why_callback(meaning(name, self.home)) for name in names_in(annotation))

    def wrapped(self, annotation: ast.expr | None, value: str, member: str, more: str = "") -> str:
        """Return the expression for a value that came from the async side."""
        cls = meaning(annotation, self.home)
        if not self.plan.has_twin(cls):
            self.check_plain(annotation, member)
            return value
        is_here = self.plan.target_of(cls) == self.module.target
        twin = cls.__name__ if is_here else f"{self.module.sibling(cls)}.{cls.__name__}"
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
        is_plain = isinstance(method, ast.FunctionDef)
        shapes = (AbstractAsyncContextManager,) if is_plain else ITERATORS
        shape, held = self.generic(method.returns)
        decorators = [last_name(decorator) for decorator in method.decorator_list]
        if shape not in shapes or decorators != ([] if is_plain else ["asynccontextmanager"]):
            return None
        if not held or not self.plan.uses("entered", f"{self.name}.{method.name}"):
            return None
        self.check_plain(held, method.name)
        return ast.Subscript(
            ast.Name(self.module.needs("contextlib", "AbstractContextManager", now=False)), held
        )

    # Signatures.

    def signature(self, method: Function, name: str = "", returns: ast.expr | None = None) -> str:
        """Return the lines of a method down to its body."""
        parameters, returned = self.parameters(method)[0], returns or method.returns
        arrow = "" if returned is None else f" -> {self.text_of(returned)}"
        line = f"    def {name or method.name}({ast.unparse(parameters)}){arrow}:"
        return "\n".join([line, *self.docstring(ast.get_docstring(method), method.name)])

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
        passed = [self._taken(argument, method) for argument in positional[1:]]
        passed += [f"*{self._taken(a, method, starred=True)}" for a in [spec.vararg] if a]
        passed += [f"{a.arg}={self._taken(a, method)}" for a in spec.kwonlyargs]
        passed += [f"**{self._taken(a, method, starred=True)}" for a in [spec.kwarg] if a]
        return spec, ", ".join(passed)

    def _taken(self, argument: ast.arg, method: Function, *, starred: bool = False) -> str:
        """Give a parameter the annotation of the twin, and return what is passed on for it."""
        name, where = argument.arg, f"{method.name}.{argument.arg}"
        wanted, optional = unless_none(argument.annotation)
        cls = meaning(wanted, self.home)
        if name in RUNTIME:
            self.problem(where, "has the name of what the twin calls; rename it")
        if self.plan.kind_of(cls) == "protocol" and not starred:
            target = f"{GENERATED}.{self.plan.target_of(cls)}"
            plain = ast.Name(self.module.needs(target, blocking_name(cls), now=False))
            self.text_of(wanted)
            wanted = ast.BinOp(plain, ast.BitOr(), wanted)
            converter = "adapt"
            made = f"{name}, {self.module.sibling(cls)}.{constant_name(cls)}"
        elif not starred and (plain := self._plain_callback(wanted, where)):
            wanted, converter, made = plain, "callback", name
        else:
            self._check_parameter(argument.annotation, where)
            return name
        made = f"{self.module.needs(RUNTIME[converter], converter)}({made})"
        argument.annotation = (
            ast.BinOp(wanted, ast.BitOr(), ast.Constant(None)) if optional else wanted
        )
        return f"None if {name} is None else {made}" if optional else made

    def _check_parameter(self, annotation: ast.expr | None, where: str) -> None:
        if annotation is None or not self.calls_back(annotation):
            self.check_plain(annotation, where)
        elif self.plan.uses("callbacks", f"{self.name}.{where}"):
            what = "only Callable[…, Awaitable[…]] can be converted; write that"
            self.problem(where, f"is a callback, and {what}")
        else:
            self.problem(where, "is a callback without a rule; see callbacks")
        if annotation is not None:
            self.text_of(annotation)

    def _plain_callback(self, annotation: ast.expr | None, where: str) -> ast.expr | None:
        """Return the type of the plain function for that of an async one with a rule."""
        match annotation:
            case ast.Subscript(
                value=shape, slice=ast.Tuple(elts=[given, ast.Subscript(slice=result) as awaited])
            ) if self.generic(awaited)[0] in (abc.Awaitable, abc.Coroutine) and self.plan.uses(
                "callbacks", f"{self.name}.{where}"
            ):
                # Of a Coroutine[Any, Any, T] the last one is what it returns.
                result = result.elts[-1] if isinstance(result, ast.Tuple) else result
            case _:
                return None
        for part in (given, result):
            if self.calls_back(part):
                self.problem(where, "is a callback that takes or returns another one")
            self.check_plain(part, where)
        plain = ast.Subscript(shape, ast.Tuple([given, result]))
        self.text_of(plain)
        return plain


class ValueWriter(ClassWriter):
    """Writes a value: the same members, with twins in the place of async objects."""

    decorators_are_taken_over = True

    def write(self) -> Iterator[str]:
        """Yield the lines of the class."""
        original = self.module.needs(self.home, f"{self.name} as Async{self.name}", now=False)
        for decorator in node_of(self.cls).decorator_list:
            yield f"@{self.text_of(decorator, now=True)}"
        yield f"class {self.name}:"
        yield from self.docstring(self.doc)
        arguments: list[str] = []
        for name, (self.home, node) in self.members.items():
            if is_public(name) and isinstance(node, ast.AnnAssign):
                self._check_field(name, node)
                default = f" = {self.default(node.value, name)}" if node.value else ""
                yield f"    {name}: {self.text_of(node.annotation)}{default}"
                arguments.append(f"{name}={self.wrapped(node.annotation, f'inner.{name}', name)}")
            else:
                self.problem(name, "there is no rule for such a member of a value")
        self.module.needs("typing", "Self")
        yield "    @classmethod"
        yield f"    def _wrap(cls, inner: {original}) -> Self:"
        yield f"        return cls({', '.join(arguments)})"

    def _check_field(self, name: str, member: ast.AnnAssign) -> None:
        """Refuse what the constructor does not take under the name of the attribute."""
        keywords = member.value.keywords if isinstance(member.value, ast.Call) else []
        kinds = {last_name(part) for part in names_in(member.annotation)} & {"ClassVar", "InitVar"}
        for what in sorted({str(keyword.arg) for keyword in keywords} & {"init", "alias"} | kinds):
            self.problem(name, f"has {what}, and there is no rule for it in a value")


class ProtocolWriter(ClassWriter):
    """Writes the plain form of a protocol."""

    def write(self) -> Iterator[str]:
        """Yield the lines of the class, and the constant after it."""
        self.module.needs("typing", "Protocol")
        self.module.needs("typing", "Final")
        yield f"class {blocking_name(self.cls)}(Protocol):"
        yield from self.docstring(self.doc)
        for name, (self.home, node) in self.members.items():
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
        parameters = method.args.posonlyargs + method.args.args + method.args.kwonlyargs
        for annotation in [] if held else [method.returns, *(p.annotation for p in parameters[1:])]:
            self.check_plain(annotation, name)
        yield self.signature(method, name, held)
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
        twin = (
            f"{self.module.needs(RUNTIME['Twin'], 'Twin')}[{original}]"
            if not base
            else base.__name__
        )
        if base and self.plan.target_of(base) != self.module.target:
            self.module.needs(f"{GENERATED}.{self.plan.target_of(base)}", twin)
        yield f"class {self.name}({twin}):"
        yield from self.docstring(self.doc)
        if base is not None:
            yield f"    _inner: {original}"
        inherited = members_of(base) if base else {}
        own = {
            name: member
            for name, member in self.members.items()
            if inherited.get(name) != member and not self._is_left_out(name)
        }
        for name, (self.home, node) in own.items():
            if isinstance(node, ast.Assign | ast.AnnAssign):
                yield from self._constant(name, node)
        if self.plan.uses("portable", self.name):
            yield "    _portable = True"
        if self.plan.uses("constructed", self.name):
            yield from self._constructor(original, "self._hold" if base else "super().__init__")
        yield from self._attributes(base)
        for name, (self.home, node) in own.items():
            if self.plan.rules.renamed.get(name) in own:
                self.problem(name, "is renamed to what another member is called; see renamed")
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                yield from self._member(name, node)
        if not (self.doc or self.members):
            yield "    pass"

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
        self.home, method = self.members.get("__init__", (self.home, None))
        if isinstance(method, ast.FunctionDef):
            yield self.signature(method)
            yield f"        {held_by}({original}({self.parameters(method)[1]}))"
        else:
            self.problem("__init__", "is constructed, but has no constructor")

    def _attributes(self, base: type | None) -> Iterator[str]:
        """Yield the public attributes that constructors set."""
        parents = [p for p in self.cls.__mro__ if is_ours(p) and not (base and issubclass(base, p))]
        found = [(parent, *attribute) for parent in parents for attribute in attributes_set(parent)]
        written: set[str] = set()
        # What is set later, too, would be out of date in the twin.
        for parent, name, method, annotation in sorted(
            found, key=lambda f: f[2].name == "__init__"
        ):
            if name in written or self._is_left_out(name):
                continue
            written.add(name)
            self.home = parent.__module__
            described = re.search(rf"^ +{name}: (.+(?:\n {{8,}}.+)*)$", self.doc, re.MULTILINE)
            if method.name != "__init__":
                self.problem(
                    name, f"is a public attribute that {method.name} sets; make it private"
                )
            elif annotation is None:
                self.problem(name, "is a public attribute without an annotation")
            elif described is None:
                self.problem(name, "is not described among the Attributes of its class")
            else:
                text = " ".join(described[1].split())
                yield "    @property"
                yield f"    def {name}(self) -> {self.text_of(annotation)}:"
                yield from self.docstring(text[0].upper() + text[1:], name)
                yield f"        return {self._held(annotation, name)}"

    # Methods.

    def _member(self, name: str, method: ast.stmt | None) -> Iterator[str]:
        if not is_public(name) and name not in self.plan.rules.renamed:
            self.problem(name, "is special, and there is no rule for it")
            return
        decorators = [ast.unparse(d) for d in getattr(method, "decorator_list", ())]
        if not isinstance(method, Function):
            self.problem(name, "there is no rule for such a member")
        elif held := self.entered(method):
            yield self.signature(method, "", held)
            yield f"        return self._enter({self._call(method)})"
        elif not decorators:
            yield from self._method(method)
        elif isinstance(method, ast.FunctionDef) and decorators in (["property"], ["classmethod"]):
            yield f"    @{decorators[0]}"
            yield self.signature(method)
            is_held = decorators == ["property"]
            yield f"        return {self._held(method.returns, name) if is_held else self._made_by(method)}"
        else:
            self.problem(name, "there is no rule for such a member")

    def _made_by(self, method: Function) -> str:
        """Return the call of a class method."""
        passed = self.parameters(method)[1]
        call = f"Async{self.name}.{method.name}({passed})"
        if meaning(method.returns, self.home) is not typing.Self:
            return self.wrapped(method.returns, call, method.name)
        if self.name in self.plan.rules.constructed:
            return f"cls._made_by({', '.join(filter(None, (repr(method.name), passed)))})"
        return f"cls._wrap({call})"

    def _call(self, method: Function) -> str:
        parts = (f"self._inner.{method.name}", self.parameters(method)[1])
        return ", ".join(filter(None, parts))

    def _method(self, method: Function) -> Iterator[str]:
        """Yield a method without decorators."""
        name, call, returns = method.name, self._call(method), method.returns
        shape, part = self.generic(returns)
        is_async = isinstance(method, ast.AsyncFunctionDef)
        if inspect.isasyncgenfunction(inspect.unwrap(getattr(self.cls, name))) or (
            shape in ITERATORS and not is_async
        ):
            yield from self._iterator(method, part if shape in ITERATORS else None)
            return
        how = "_run" if is_async else "_call"
        if is_async:
            self.plan.uses("renamed", name)
            how = "_close" if self.plan.uses("closing", name) else how
        elif self.plan.uses("awaitables", getattr(shape, "__name__", "")):
            how, returns = "_run", part
        yield self.signature(
            method, self.plan.rules.renamed.get(name, name) if is_async else name, returns
        )
        call = f"self.{how}({call})"
        if meaning(returns, self.home) is typing.Self:
            if is_async and name != "__aenter__":
                self.problem(name, "is async and returns Self; name the class that it returns")
            elif not returns_self(method):
                what = "returns Self, but not self; name the class that it returns"
                self.problem(name, what)
            yield f"        {call}"
            yield "        return self"
        elif isinstance(returns, ast.Constant) and returns.value is None:
            yield f"        {call}"
        else:
            yield f"        return {self.wrapped(returns, call, name)}"

    def _iterator(self, method: Function, item: ast.expr | None) -> Iterator[str]:
        if item is None or not self.plan.uses("iterators", f"{self.name}.{method.name}"):
            self.problem(method.name, "is an async iterator without a rule; see iterators")
            return
        self.check_plain(item, method.name)
        self.module.needs("icure_sync._iterators", "ClosableIterator", now=False)
        yield self.signature(method, "", ast.Subscript(ast.Name("ClosableIterator"), item))
        yield f"        return self._iterate({self._call(method)})"

    def _held(self, annotation: ast.expr | None, name: str) -> str:
        """Return the expression for an attribute of the async object."""
        # What it holds was made with it, perhaps by the parent process.
        return self.wrapped(annotation, f"self._inner.{name}", name, ", pid=self._pid")


def returns_self(method: Function) -> bool:
    """Return whether a method returns the object it was called on, and nothing else."""
    returned = [ast.unparse(n) for n in ast.walk(method) if isinstance(n, ast.Return)]
    return {*returned} == {"return self"}


def is_constant(value: object) -> bool:
    """Return whether a value is the same wherever it is written."""
    if isinstance(value, tuple):
        return all(map(is_constant, typing.cast("tuple[object, ...]", value)))
    return value is None or type(value) in (bool, bytes, float, int, str)
