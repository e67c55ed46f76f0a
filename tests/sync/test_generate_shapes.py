"""The generator, on small packages: shapes of source that it has to understand or to refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sync_rules import GeneratedModule, Rules
from tests.support.project_copies import Project as Copy

IMPORTS = """
from __future__ import annotations

import asyncio
import collections.abc
import enum
import functools
import typing
import typing as t
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any, ClassVar, Generic, Literal, Optional, Protocol, Self, TypeAlias
from typing import NamedTuple, TypeVar, overload

import attrs
from icure_async.other import Named
from icure_async.other import OnOther, OnUser, Storage
from icure_async.other import Storage as Kept
import icure_async.other as elsewhere

if typing.TYPE_CHECKING:
    import aiohttp
    import anyio
    from anyio.abc import ObjectReceiveStream
"""
OTHER = """
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Storage(Protocol):
    async def get(self) -> str: ...


class Named:
    name: str


class Base:
    async def inherited(self, of: Named) -> Later: ...


Later = str
OnUser = Callable[[Named], Awaitable[bool]]
OnOther = Callable[[Later], Awaitable[bool]]
"""
RULES = Rules(
    modules=(
        GeneratedModule("icure_async.api", "api", {"Api": "twin", "Page": "twin"}),
        GeneratedModule("icure_async.other", "other", {"Storage": "protocol"}),
    ),
    constructed=(),
    portable=(),
    renamed={},
    closing=(),
    awaitables=(),
    entered=(),
    iterators=(),
    callbacks=(),
    streams=(),
    left_out={},
    facades={},
    internal=(),
    decorators=(),
    shared_modules=(),
    shared_names={},
    words={},
)


class Project(Copy):
    """A package with a class ``Api`` that has a twin."""

    imports = ""

    def twin(
        self, member: str, definitions: str = "", *, head: str = "Api", **changes: Any
    ) -> tuple[str, list[str]]:
        """Return the text of the twin of the class, and what there are no rules for."""
        body = "".join(f"    {line}\n" for line in (member or "pass").splitlines())
        page = "class Page:\n    def number(self) -> int: ...\n"
        self.write("icure_async/__init__.py", "")
        self.write("icure_async/other.py", OTHER)
        self.write(
            "icure_async/api.py", f"{IMPORTS}\n{page}\n{definitions}\n\nclass {head}:\n{body}"
        )
        rules = dataclasses.replace(RULES, **changes)
        if not any(module.source == "icure_async.other" for module in rules.modules):
            rules = dataclasses.replace(rules, internal=("icure_async.other",))
        files, problems = self.generate(rules)
        self.imports, _, twin = files["api"].partition("class Api(")
        return twin, [problem.removeprefix("icure_async.api.Api") for problem in problems]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


ASYNC = "which is async, and no rule for it"


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ('"Awaitable[str]"', "has 'Awaitable[str]', which is quoted; write the type itself"),
        ('list["Awaitable[str]"]', "has 'Awaitable[str]', which is quoted; write the type itself"),
        ("t.Awaitable[str]", f"'t.Awaitable[str]' has t.Awaitable, {ASYNC}"),
        ("collections.abc.Awaitable[str]", f"has collections.abc.Awaitable, {ASYNC}"),
        ("Annotated[Awaitable[str], 'it']", f"has Awaitable, {ASYNC}"),
        ("asyncio.Queue[str]", f"'asyncio.Queue[str]' has asyncio.Queue, {ASYNC}"),
        ("asyncio.Event", f"'asyncio.Event' has asyncio.Event, {ASYNC}"),
        ("aiohttp.ClientSession", "has aiohttp.ClientSession, which may be async, since nothing"),
        ("anyio.Event | None", "has anyio.Event, which may be async, since nothing is known of"),
        ("ObjectReceiveStream[str]", "has ObjectReceiveStream, which may be async, since nothing"),
        ("elsewhere.Storage", f"'elsewhere.Storage' has elsewhere.Storage, {ASYNC}"),
        ("Missing", "has Missing, which is not known, since icure_async.api has no Missing"),
        (
            "list[Missing]",
            "has list[Missing], which is not known, since icure_async.api has no list",
        ),
        ("dict[str, anyio.Missing]", "has dict[str, anyio.Missing], which is not known"),
        ('"no type"', "has 'no type', which is quoted"),
        ("list[Page]", "'list[Page]' has Page, which has a twin, and no rule for it"),
        ("Self | None", "'Self | None' has Self, which is not the twin"),
        ("dict[str, t.Self]", "'dict[str, t.Self]' has t.Self, which is not the twin"),
        ("Literal['Awaitable', 'no type']", None),
        ("Annotated[str, 'Awaitable']", None),
        ("Mood", None),
    ],
)
@pytest.mark.parametrize("member", ["async def get(self) -> {}: ...", "def get(self) -> {}: ..."])
def test_async_annotations_are_seen_however_they_are_written(
    project: Project, member: str, annotation: str, problem: str | None
) -> None:
    definitions = """
class Mood(enum.StrEnum):
    GOOD = "good"
"""
    _, problems = project.twin(member.format(annotation), definitions)
    assert len(problems) == (problem is not None)
    assert all(found.startswith(".get: ") and str(problem) in found for found in problems)


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        ("class Thing(Protocol):\n    async def __call__(self) -> None: ...", "is async"),
        ("class Thing:\n    async def __aexit__(self, *error: object) -> None: ...", "is async"),
        ("class Thing:\n    def __await__(self): ...", "is async"),
        ("class Thing:\n    def __call__(self) -> Awaitable[str]: ...", "is async"),
        ("class Thing:\n    async def _call(self): ...\n    __call__ = _call", "is async"),
        ("class Thing:\n    def on_end(self, do: Later) -> None: ...", "is async"),
        ("class Thing:\n    @property\n    def done(self) -> Later: ...", "is async"),
        ("class Thing:\n    @_later\n    def done(self) -> str: ...", "is async"),
        ("class Thing:\n    if True:\n        async def close(self): ...", "is async"),
        ("class Thing:\n    class Inner:\n        async def close(self): ...", "is async"),
        ("class Thing:\n    @attrs.frozen\n    class Inner:\n        done: Later", "is async"),
        (
            "class Thing:\n    def __init__(self):\n        self.done: Awaitable[str] = x",
            "is async",
        ),
        (
            "class Thing:\n    def __init__(self):\n        self.done = asyncio.Event()",
            "is async",
        ),
        (
            "class Thing:\n    def __init__(self):\n        self.done: 'Awaitable[str]' = x",
            "is quoted",
        ),
        ("class Thing:\n    done = asyncio.Event()", "is async"),
        ("class Thing(AsyncIterator[str]): ...", "is async"),
        ("class Thing(asyncio.Event): ...", "is async"),
        ("class Thing(t.AsyncContextManager[str]): ...", "is async"),
        (
            "import anyio\nclass Thing(anyio.Event): ...",
            "may be async, since nothing is known of anyio",
        ),
        (
            "import anyio.abc\nclass Thing(anyio.abc.ObjectReceiveStream[str]): ...",
            "may be async, since nothing is known of",
        ),
        ("class _Base:\n    done: Later\nclass Thing(_Base): ...", "is async"),
        ("class Thing(elsewhere.Storage): ...", "is async"),
        ('Thing: TypeAlias = "Awaitable[str]"', "is quoted"),
        ('Thing = dict[str, "Awaitable[str]"]', "is quoted"),
        ('Thing = TypeVar("Thing", bound="Awaitable[str]")', "is quoted"),
        ('Thing = TypeVar("Thing", str, "Later")', "is quoted"),
        ('Thing = TypeVar("Thing", bound=Awaitable[str])', "is async"),
        ("Thing = list['Other']\nOther = list['Later']", "is quoted"),
        ("class Thing:\n    async def _close(self): ...", None),
        ("class Thing(enum.Enum):\n    GOOD = enum.auto()", None),
        ("class Thing(NamedTuple):\n    name: str", None),
        ("@attrs.frozen\nclass Thing(Generic[T]):\n    of: T = attrs.field(default=None)", None),
        ("class Thing(Named, dict[str, int]):\n    def __enter__(self) -> Self: ...", None),
        ("class Thing:\n    @functools.cached_property\n    def other(self) -> Thing: ...", None),
    ],
)
def test_async_definitions_are_seen(project: Project, thing: str, reason: str | None) -> None:
    definitions = (
        'Later = Awaitable[str]\nT = TypeVar("T")\n'
        "def _later(function: Callable[..., str]) -> Callable[..., Awaitable[str]]:\n"
        "    async def later(self: object) -> str: ...\n"
        f"    return later\n{thing}"
    )
    _, problems = project.twin("async def get(self) -> list[Thing]: ...", definitions)
    start = ".get: 'list[Thing]' has Thing, which"
    assert len(problems) == (reason is not None)
    assert all(found.startswith(f"{start} {reason}") for found in problems)


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ("get_other = get", "get_other: is a public attribute whose value is no constant"),
        ("fetch = lambda self: self.get()", "fetch: is a public attribute whose value is no"),
        ("lock = asyncio.Lock()", "lock: is a public attribute whose value is no constant"),
        ("names: list[str] = []", "names: is a public attribute whose value is no constant"),
        ("other = Page", "other: is a public attribute whose value is no constant"),
        ("a, b = 1, 2", "a: there is no rule for such a member"),
        ("a = b = 1", "a: there is no rule for such a member"),
        ("if True:\n    async def hidden(self) -> int: ...", "hidden: there is no rule for"),
        ("__call__ = get", "__call__: is special, and there is no rule for it"),
        (
            "@property\ndef name(self) -> str: ...\n@name.setter\ndef name(self, value: str): ...",
            "name: there is no rule for such a member",
        ),
        (
            "@overload\nasync def find(self): ...\nasync def find(self, of: int = 0) -> int: ...",
            "find: there is no rule for such a member",
        ),
        ("async def find(self, of=None) -> None: ...", "find.of: has no annotation"),
        ("async def find(self, *of) -> None: ...", "find.of: has no annotation"),
        ("async def find(self, **of) -> None: ...", "find.of: has no annotation"),
        ("def find(self, *, of) -> None: ...", "find.of: has no annotation"),
        (
            "_LIMIT = 1\nasync def find(self, of: int = _LIMIT) -> None: ...",
            "find: the default '_LIMIT' has a name not found in icure_async.api",
        ),
        (
            "async def find(self, name: str) -> Self:\n    return self",
            "find: is async and returns Self; name the class that it returns",
        ),
        (
            "def find(self) -> Self:\n    return copy(self)",
            "find: returns Self, but not self; name the class that it returns",
        ),
        (
            "@property\ndef other(self) -> Self: ...",
            "other: 'Self' has Self, which is not the twin",
        ),
        (
            "def find(self, of: Self) -> None: ...",
            "find.of: 'Self' has Self, which is not the twin",
        ),
        (
            "async def open(self) -> None:\n    self.state = 1",
            "state: is a public attribute that open sets; make it private",
        ),
        (
            "async def open(self) -> None:\n    async with it as self.state:\n        pass",
            "state: is a public attribute that open sets; make it private",
        ),
        ("async def find(this) -> None: ...", "find: its first parameter is not called self"),
        ("async def find(*of: int) -> None: ...", "find: its first parameter is not called self"),
        (
            "def __init__(self) -> None:\n    self.a, self.b = 1, 2",
            "a: is a public attribute without an annotation",
        ),
    ],
)
def test_members_without_a_rule_are_named(project: Project, member: str, problem: str) -> None:
    _, problems = project.twin(f"async def get(self) -> int: ...\n{member}")
    assert problems
    assert problems[0].startswith(f".{problem}")


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("limit = 10", "limit = 10"),
        (
            "limit: ClassVar[tuple[int, ...]] = (1, -2)",
            "limit: ClassVar[tuple[int, ...]] = (1, -2)",
        ),
        ("limit = LIMIT", "limit = LIMIT"),
        ("__slots__ = ()\nlimit = elsewhere_limit + 1", "limit = elsewhere_limit + 1"),
        ("def with_name(self) -> Self:\n    return self", "        return self\n"),
        ("async def get(self, at: Callable[..., int] = min) -> int: ...", None),
    ],
)
def test_members_that_are_taken_over(project: Project, member: str, text: str | None) -> None:
    twin, problems = project.twin(member, "LIMIT = 1\nelsewhere_limit = LIMIT")
    if text is None:
        assert problems == [".get.at: is a callback without a rule; see callbacks"]
    else:
        assert problems == []
        assert text in twin


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("Api(asyncio.Event)", "inherits from Event"),
        ("Api(AsyncIterator[str])", "inherits from AsyncIterator"),
        ("Api(dict)", "inherits from dict"),
        ("Api(metaclass=Meta)", "has the metaclass Meta"),
    ],
)
def test_what_else_changes_a_class_is_named(project: Project, head: str, problem: str) -> None:
    definitions = """
T = TypeVar("T")
class Meta(type): ...
"""
    _, problems = project.twin("", definitions, head=head)
    assert problems[0] == f": {problem}, and there is no rule for that"


@pytest.mark.parametrize("head", ["Api(Made)", "Api(Either)"])
def test_a_base_without_a_text_of_its_own_is_named(project: Project, head: str) -> None:
    definitions = """
def get(self) -> int: ...
Made = type("Made", (), {"get": get})
if True:
    class Either:
        def get(self) -> int: ...
else:
    class Either: ...
"""
    _, problems = project.twin("", definitions, head=head)
    assert problems == [".get: there is no rule for such a member"]


def test_a_decorator_of_a_class_is_named(project: Project) -> None:
    _, problems = project.twin("", head="Nobody:\n    pass\n@attrs.frozen\nclass Api")
    assert problems == [": has @attrs.frozen, and there is no rule for that"]


def test_the_first_of_several_bases_counts(project: Project) -> None:
    bases = """
class Root:
    async def get(self) -> int: ...
class First(Root):
    async def get(self) -> str: ...
class Second(Root):
    def get(self) -> bytes: ...
"""
    twin, problems = project.twin("", bases, head="Api(First, Second)")
    assert problems == []
    assert "def get(self) -> str:" in twin


def test_what_is_inherited_from_another_module_means_what_it_means_there(project: Project) -> None:
    head = "Api(elsewhere.Base)"
    for definitions in ("", "from icure_async.other import Later"):
        twin, problems = project.twin("", definitions, head=head)
        assert problems == []
        assert "def inherited(self, of: Named) -> Later:" in twin
        assert "from icure_async.other import Later, Named\n" in project.imports


def test_a_name_with_two_meanings_in_a_generated_module_is_named(project: Project) -> None:
    members = "async def own(self) -> Later: ..."
    _, problems = project.twin(members, "Later = bytes", head="Api(elsewhere.Base)")
    assert len(problems) == 1
    assert "Later: has another meaning in the module that is generated" in problems[0]


def test_public_attributes_of_a_base_are_taken_over(project: Project) -> None:
    base = "class _Base:\n    def __init__(self) -> None:\n        self.name: Awaitable[str] = x"
    _, problems = project.twin("def __init__(self) -> None: ...", base, head="Api(_Base)")
    assert problems == [".name: is not described among the Attributes of its class"]


def test_a_member_with_the_new_name_of_another_is_named(project: Project) -> None:
    _, problems = project.twin(
        "async def aclose(self) -> None: ...\ndef close(self) -> None: ...",
        renamed={"aclose": "close"},
    )
    assert problems == [".aclose: is renamed to what another member is called; see renamed"]


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ("page: ClassVar[int] = 1", "page: has ClassVar, and there is no rule for it in a value"),
        ("page: int = attrs.field(init=False)", "page: has init, and there is no rule for it"),
        ("page: list[Page]", "page: 'list[Page]' has Page, which has a twin, and no rule for it"),
    ],
)
def test_members_of_values_without_a_rule_are_named(
    project: Project, member: str, problem: str
) -> None:
    modules = (GeneratedModule("icure_async.api", "api", {"Api": "value", "Page": "twin"}),)
    _, problems = project.twin(member, modules=modules)
    assert len(problems) == 1
    assert problems[0].startswith(f".{problem}")


@pytest.mark.parametrize(
    "member",
    ["@property\nasync def name(self) -> str: ...", "@overload\nasync def get(self) -> str: ..."],
)
def test_decorated_members_of_protocols_are_named(project: Project, member: str) -> None:
    modules = (GeneratedModule("icure_async.api", "api", {"Api": "protocol"}),)
    with_page = project.twin
    _, problems = with_page(member, head="Api(Protocol)", modules=modules)
    assert len(problems) == 1
    assert problems[0].endswith("there is no rule for such a member of a protocol")


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ("async def get(self) -> int:\n    return 1", ".get: has a body, which there is no rule"),
        ("async def aclose(self) -> None: ...", ".aclose: would be renamed, which there is no"),
    ],
)
def test_what_a_plain_protocol_would_lose_is_named(
    project: Project, member: str, problem: str
) -> None:
    modules = (GeneratedModule("icure_async.api", "api", {"Api": "protocol"}),)
    _, problems = project.twin(
        member, head="Api(Protocol)", modules=modules, renamed={"aclose": "close"}
    )
    assert problems[0].startswith(problem)


def test_a_class_without_anything_has_a_twin(project: Project) -> None:
    twin, problems = project.twin("")
    assert problems == []
    assert twin.partition("class Page")[0].strip() == "Twin[AsyncApi]):\n    pass"


def test_a_special_iterator_is_named_even_with_a_rule(project: Project) -> None:
    _, problems = project.twin(
        "def __aiter__(self) -> AsyncIterator[str]: ...", iterators=("Api.__aiter__",)
    )
    assert ".__aiter__: is special, and there is no rule for it" in problems


BASE = """
class Base:
    def __init__(self, number: int) -> None: ...
    async def get(self) -> int: ...
    async def set(self, number: int) -> None: ...
"""


def test_a_twin_inherits_from_the_twin_of_its_base(project: Project) -> None:
    modules = (GeneratedModule("icure_async.api", "api", {"Base": "twin", "Api": "twin"}),)
    twin, problems = project.twin(
        "def __init__(self) -> None: ...\nasync def set(self, number: int) -> None: ...",
        BASE,
        head="Api(Base)",
        modules=modules,
        constructed=("Api", "Base"),
    )
    assert problems == []
    assert twin.startswith("Base):\n    _inner: AsyncApi\n")
    assert "self._hold(AsyncApi())" in twin
    assert "def set(" in twin
    assert "def get(" not in twin


def test_a_twin_inherits_from_one_twin(project: Project) -> None:
    modules = (
        GeneratedModule("icure_async.api", "api", dict.fromkeys(("Api", "Base", "Page"), "twin")),
    )
    _, problems = project.twin("", BASE, head="Api(Base, Page)", modules=modules)
    problem = ": inherits from several classes that have twins, and there is no rule for that"
    assert problem in problems


RULE = "is a callback without a rule; see callbacks"
CONVERTED = "is a callback, and only Callable[…, Awaitable[…]] can be converted; write that"


@pytest.mark.parametrize(
    ("annotation", "plain"),
    [
        ("Callable[[Named], Awaitable[bool]]", "Callable[[Named], bool]"),
        ("t.Callable[[], t.Awaitable[None]]", "t.Callable[[], None]"),
        ("Callable[..., Coroutine[Any, Any, bool]]", "Callable[..., bool]"),
    ],
)
@pytest.mark.parametrize(
    "form", ["{}", "{} | None = None", "None | {} = None", "Optional[{}] = None"]
)
def test_callbacks_with_a_rule_are_converted(
    project: Project, form: str, annotation: str, plain: str
) -> None:
    twin, problems = project.twin(
        f"async def watch(self, on: {form.format(annotation)}) -> None: ...",
        callbacks=("Api.watch.on",),
    )
    assert problems == []
    optional = form != "{}"
    assert f"on: {plain}{' | None=None' if optional else ''})" in twin
    converted = "None if on is None else callback(on)" if optional else "callback(on)"
    assert f"self._inner.watch, {converted})" in twin


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ("Callable[[str], None]", RULE),
        ("Callable", RULE),
        ("t.Callable[[str], None]", RULE),
        ("collections.abc.Callable[[str], None]", RULE),
        ("functools.partial[str]", RULE),
        ("On", RULE),
        ("On | None", RULE),
        ("OnUser", RULE),
        ("elsewhere.OnUser", RULE),
        ("dict[str, Callable[[str], Awaitable[None]]]", RULE),
        ("list[On]", RULE),
        ("dict[str, Awaitable[Callable[[str], None]]]", RULE),
        ("Called", RULE),
        ("Listener", RULE),
        ("SubListener", RULE),
        ("Options", RULE),
        ("Callable[[str], Awaitable]", RULE),
        ("Callable[[str], asyncio.Future[None]]", RULE),
        ("OnOther", RULE),
        ("AsyncCalled", f"'AsyncCalled' has AsyncCalled, {ASYNC}"),
        ("list[Storage]", f"'list[Storage]' has Storage, {ASYNC}"),
        ("type[Named]", None),
        ("Named", None),
    ],
)
def test_callbacks_that_can_not_be_converted_are_named(
    project: Project, annotation: str, problem: str | None
) -> None:
    definitions = """
On = Callable[[str], None]
class Called(Protocol):
    def __call__(self, user: str) -> None: ...
class AsyncCalled(Protocol):
    async def __call__(self, user: str) -> None: ...
class Listener(Protocol):
    def on_user(self, user: str) -> None: ...
class SubListener(Listener): ...
@attrs.frozen
class Options:
    on_user: Callable[[str], None]
"""
    member = f"async def watch(self, on: {annotation}) -> None: ..."
    _, problems = project.twin(member, definitions)
    assert problems == ([] if problem is None else [f".watch.on: {problem}"])
    _, problems = project.twin(member, definitions, callbacks=("Api.watch.on",))
    if problem == RULE:
        assert problems == [f".watch.on: {CONVERTED}"]
    else:
        assert problems[-1] == "rules: callbacks has 'Api.watch.on', which matches nothing"


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        (
            "on: Callable[[list[Page]], Awaitable[None]]",
            "'[list[Page]]' has Page, which has a twin, and no rule",
        ),
        ("on: Callable[[], Awaitable[asyncio.Event]]", "'asyncio.Event' has asyncio.Event, which"),
        (
            "on: Callable[[Callable[[], None]], Awaitable[None]]",
            "is a callback that takes or returns another one",
        ),
    ],
)
def test_what_a_callback_is_given_has_to_be_plain(
    project: Project, parameter: str, problem: str
) -> None:
    _, problems = project.twin(
        f"async def watch(self, {parameter}) -> None: ...", callbacks=("Api.watch.on",)
    )
    assert len(problems) == 1
    assert problems[0].startswith(f".watch.on: {problem}")


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        ("*on: Callable[[], Awaitable[None]]", CONVERTED),
        ("**on: Callable[[], Awaitable[None]]", CONVERTED),
        ("*on: Storage", f"'Storage' has Storage, {ASYNC}"),
    ],
)
def test_any_number_of_arguments_is_not_converted(
    project: Project, parameter: str, problem: str
) -> None:
    member = f"async def watch(self, {parameter}) -> None: ..."
    _, problems = project.twin(member, callbacks=("Api.watch.on",))
    assert problems[0] == f".watch.on: {problem}"


def test_a_parameter_does_not_hide_what_the_twin_calls(project: Project) -> None:
    problem = "has the name of what the twin calls; rename it"
    member = "async def watch(self, callback: Callable[[], Awaitable[None]]) -> None: ..."
    _, problems = project.twin(member, callbacks=("Api.watch.callback",))
    assert problems == [f".watch.callback: {problem}"]
    _, problems = project.twin("async def keep(self, adapt: int, of: Storage) -> None: ...")
    assert problems == [f".keep.adapt: {problem}"]


@pytest.mark.parametrize(
    ("annotation", "converted"),
    [
        ("Storage", "adapt({})"),
        ("Kept", "adapt({})"),
        ("elsewhere.Storage", "adapt({})"),
        ("Storage | None", "None if of is None else adapt({})"),
        ("None | Storage", "None if of is None else adapt({})"),
        ("Optional[Storage]", "None if of is None else adapt({})"),
        ("t.Optional[Storage]", "None if of is None else adapt({})"),
    ],
)
def test_protocols_are_adapted_however_they_are_written(
    project: Project, annotation: str, converted: str
) -> None:
    twin, problems = project.twin(f"async def use(self, of: {annotation}) -> None: ...")
    assert problems == []
    names = annotation.removesuffix(" | None").removeprefix("None | ").replace("'", "")
    name = names.removeprefix("t.").removeprefix("Optional[").removesuffix("]")
    optional = " | None" if "None" in converted else ""
    assert f"def use(self, of: BlockingStorage | {name}{optional}) -> None:" in twin
    assert converted.format("of, _other.STORAGE_METHODS") in twin


def test_names_are_imported_as_they_are_in_the_source(project: Project) -> None:
    _, problems = project.twin(
        "async def get(self, of: t.Any, name: elsewhere.Named, kept: Kept) -> Other: ...",
        "from icure_async.other import Named as Other",
    )
    assert problems == []
    imports = project.imports
    assert "import typing as t" in imports
    assert "import icure_async.other as elsewhere" in imports
    assert "from icure_async.other import Named as Other, Storage as Kept" in imports


def test_a_module_and_names_of_it_are_both_imported(project: Project) -> None:
    _, problems = project.twin("async def get(self, of: typing.Any, name: Any | None) -> int: ...")
    assert problems == []
    assert "\nimport typing\n" in project.imports
    assert "\nfrom typing import Any\n" in project.imports


def test_twins_are_imported_as_they_are_in_the_source(project: Project) -> None:
    modules = (
        GeneratedModule("icure_async.api", "api", {"Api": "twin", "Page": "twin"}),
        GeneratedModule("icure_async.other", "other", {"Storage": "protocol", "Named": "value"}),
    )
    twin, problems = project.twin(
        "async def get(self) -> Other: ...",
        "from icure_async.other import Named as Other",
        modules=modules,
    )
    assert problems == []
    assert "from icure_sync._generated.other import Named as Other" in project.imports
    assert "return _other.Named._wrap(self._run(self._inner.get))" in twin


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("async def load() -> None: ...", "is shared with icure_async.shared, but is async"),
        ("def load() -> Awaitable[None]: ...", "is shared with icure_async.shared, but is async"),
        ("load = asyncio.sleep", "is shared with icure_async.shared, but is async"),
        ("load = asyncio.Lock()", "is shared with icure_async.shared, but is async"),
        ("def load() -> None: ...", None),
        ("load: Final = ('a', \"Awaitable\")", None),
    ],
)
def test_functions_and_constants_that_are_shared_are_plain(
    project: Project, definition: str, reason: str | None
) -> None:
    imports = "import asyncio\nfrom collections.abc import Awaitable\nfrom typing import Final\n"
    facade = "from icure_async.shared import load\n__all__ = ['load']"
    project.write("icure_async/shared.py", f"{imports}{definition}")
    project.write("icure_async/facade.py", facade)
    project.write("icure_sync/facade.py", facade)
    _, problems = project.twin(
        "",
        facades={"icure_sync.facade": "icure_async.facade"},
        shared_modules=("icure_async.shared",),
    )
    assert problems == ([] if reason is None else [f"icure_async.facade.load: {reason}"])


def test_a_generic_class_has_a_generic_twin_and_an_iterator_is_one(project: Project) -> None:
    twin, problems = project.twin(
        """
def __aiter__(self) -> Self:
    return self
async def __anext__(self) -> T: ...
""",
        'T = TypeVar("T")',
        head="Api(Generic[T])",
        renamed={"__aiter__": "__iter__", "__anext__": "__next__"},
    )
    assert problems == []
    assert twin.startswith("Twin[AsyncApi[T]]):")
    assert "Page as AsyncPage, T\n" in project.imports
    assert "def __iter__(self) -> Self:" in twin
    assert "def __next__(self) -> T:" in twin
    assert "return self._next(self._inner.__anext__)" in twin


def test_a_generic_twin_that_is_returned_is_wrapped(project: Project) -> None:
    twin, problems = project.twin(
        "def pages(self) -> Api[int]: ...", 'T = TypeVar("T")', head="Api(Generic[T])"
    )
    assert problems == []
    assert "def pages(self) -> Api[int]:" in twin
    assert "return Api[int]._wrap(self._call(self._inner.pages))" in twin


def test_what_a_generic_twin_is_of_must_be_the_same_in_both_packages(project: Project) -> None:
    _, problems = project.twin(
        "def pages(self) -> Api[asyncio.Event]: ...",
        'import asyncio\nT = TypeVar("T")',
        head="Api(Generic[T])",
    )
    assert len(problems) == 1
    assert "Event" in problems[0]
