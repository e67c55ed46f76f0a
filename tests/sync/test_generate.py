"""The generator: what is checked in is what it writes, and nothing async slips through."""

from __future__ import annotations

import ast
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync_rules import RULES, GeneratedModule
from tests.support.project_copies import GENERATED, ROOT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of both packages, to be spoiled."""
    return Project.copied(tmp_path)


def test_what_is_checked_in_is_what_the_generator_writes() -> None:
    command = [sys.executable, "tools/gen_sync.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "path", sorted((ROOT / GENERATED).glob("*.py")), ids=lambda path: path.stem
)
def test_nothing_generated_is_async(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith('# Written by "python tools/gen_sync.py" from icure_async')
    nodes = ast.walk(ast.parse(text))
    assert not [n for n in nodes if isinstance(n, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith)]


def test_what_is_generated_is_formatted() -> None:
    command = [sys.executable, "-m", "ruff", "format", "--check", str(GENERATED)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def test_drift_is_named(project: Project) -> None:
    project.edit(
        str(GENERATED / "users.py"), "self._inner.get_user, user_id", "self._inner.get_user, ''"
    )
    (project.root / GENERATED / "patients.py").unlink()
    assert project.check() == [
        "icure_sync/_generated/patients.py: is missing",
        "icure_sync/_generated/users.py: is not what the generator writes",
    ]


def test_drift_of_the_source_is_named(project: Project) -> None:
    project.edit(
        "icure_async/apis/users.py", "get_user(self, user_id: str)", "get_user(self, key: str)"
    )
    assert project.check() == ["icure_sync/_generated/users.py: is not what the generator writes"]


def test_an_orphan_is_named_and_removed(project: Project) -> None:
    orphan = project.root / GENERATED / "leftover.py"
    orphan.write_text("")
    assert project.check() == ["icure_sync/_generated/leftover.py: an orphan"]
    assert project.evaluate("gen_sync.write()") == []
    assert not orphan.exists()


def test_the_command_tells_what_is_wrong_and_mends_it(project: Project) -> None:
    (project.root / GENERATED / "users.py").write_text("async def")
    command = "tools/gen_sync.py"
    told = project.run(command, "--check")
    assert told.returncode == 1
    assert "users.py: is not what the generator writes" in told.stderr
    for arguments in ((command,), (command, "--check")):
        done = project.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_where_the_blocking_package_can_not_be_imported(project: Project) -> None:
    shutil.rmtree(project.root / GENERATED)
    assert project.run("tools/gen_sync.py").returncode == 0
    assert project.check() == []


def test_ruff_is_asked_for(project: Project) -> None:
    project.edit("tools/gen_sync.py", 'find_spec("ruff")', 'find_spec("ruff_that_is_missing")')
    done = project.run("tools/gen_sync.py", "--check")
    assert (done.returncode, "pip install ruff" in done.stderr) == (1, True)


UNUSED = {
    "portable": "Conversation",
    "closing": "arelease",
    "entered": "*.transaction",
    "renamed": "arelease",
    "awaitables": "Subscribing",
    "iterators": "UserApi.filter_nobody",
    "decorators": "cached",
    "callbacks": "UserApi.get_user.on_progress",
    "streams": "UserApi.get_user.body",
    "left_out": "UserApi.delete_everybody",
    "internal": "icure_async.filters",
    "shared_modules": "icure_async.filters",
    "shared_names": "KeyringStorage",
    "words": "asynchronously",
}


def with_entry(table: str, entry: str) -> dict[str, Any]:
    old = getattr(RULES, table)
    return {table: (*old, entry) if isinstance(old, tuple) else {**old, entry: "x"}}


def test_every_unused_rule_is_named(project: Project) -> None:
    assert UNUSED.keys() | {"constructed", "facades", "modules"} == {
        table.name for table in dataclasses.fields(RULES)
    }
    changes: dict[str, Any] = {}
    for table, entry in UNUSED.items():
        changes |= with_entry(table, entry)
    assert sorted(project.problems(dataclasses.replace(RULES, **changes))) == sorted(
        f"rules: {table} has {entry!r}, which matches nothing" for table, entry in UNUSED.items()
    )


def test_a_twin_that_can_not_be_constructed_is_named(project: Project) -> None:
    rules = dataclasses.replace(RULES, **with_entry("constructed", "UserApi"))
    # It would ask for the internals of the SDK.
    where = "icure_async.apis.users.UserApi.__init__.current_user"
    assert f"{where}: 'CurrentUser' has CurrentUser" in "".join(project.problems(rules))
    rules = dataclasses.replace(RULES, **with_entry("constructed", "Nobody"))
    assert project.problems(rules) == ["rules: constructed has 'Nobody', which matches nothing"]


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (GeneratedModule("icure_async.nothing", "nothing", {}), "no module icure_async.nothing"),
        (
            GeneratedModule("icure_async.apis.users", "nobody", {"Nobody": "twin"}),
            "no class icure_async.apis.users.Nobody",
        ),
    ],
)
def test_a_rule_about_nothing_is_named(
    project: Project, module: GeneratedModule, problem: str
) -> None:
    rules = dataclasses.replace(RULES, modules=(*RULES.modules, module))
    problems = project.problems(rules)
    assert problems == [f"rules: there is {problem}"]


def test_a_facade_of_nothing_is_named(project: Project) -> None:
    rules = dataclasses.replace(
        RULES, facades={**RULES.facades, "icure_sync.filters": "icure_async.apis.users"}
    )
    problems = project.problems(rules)
    assert problems == ["rules: there is no module icure_sync.filters"]


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (
            "async def all_users(self) -> AsyncIterator[User]:\n    yield User()",
            "all_users: is an async iterator without a rule; see iterators",
        ),
        (
            "def all_users(self) -> AsyncIterator[User]:\n    return self._all()",
            "all_users: is an async iterator without a rule; see iterators",
        ),
        (
            "async def watch(self, on_user: Callable[[User], Awaitable[None]]) -> None: ...",
            "watch.on_user: is a callback without a rule; see callbacks",
        ),
        (
            "async def watch(self, on_user: Callable[[User], None] | None = None) -> None: ...",
            "watch.on_user: is a callback without a rule; see callbacks",
        ),
        (
            "@property\nasync def name(self) -> str: ...",
            "name: there is no rule for such a member",
        ),
        (
            "@property\ndef name(self) -> Awaitable[str]: ...",
            "name: 'Awaitable[str]' has Awaitable, which is async, and no rule for it",
        ),
        (
            "def later(self) -> Awaitable[str]: ...",
            "later: 'Awaitable[str]' has Awaitable, which is async, and no rule for it",
        ),
        (
            "async def api(self) -> MedTechApi | None: ...",
            "api: 'MedTechApi | None' has MedTechApi, which is async, and no rule for it",
        ),
        (
            "async def join(self, apis: list[MedTechApi]) -> None: ...",
            "join.apis: 'list[MedTechApi]' has MedTechApi, which is async, and no rule for it",
        ),
        (
            "async def session(self) -> Session: ...",
            "session: 'Session' has Session, which is async, and no rule for it",
        ),
        (
            "@asynccontextmanager\nasync def lock(self) -> AsyncIterator[None]: ...",
            "lock: there is no rule for such a member",
        ),
        (
            "def __await__(self) -> Self: ...",
            "__await__: is special, and there is no rule for it",
        ),
        ("async def find(self, name: str): ...", "find: has no annotation"),
        (
            'async def find(self) -> None:\n    """Find it."""\n    await it',
            None,
        ),
        (
            'async def find(self) -> None:\n    """Use ``await``."""',
            "find: its docstring says 'await'; see words",
        ),
        (
            'async def find(self) -> None:\n    """Awaited, it blocks the event loop."""',
            "find: its docstring says 'Awaited'; see words",
        ),
        (
            'async def find(self) -> None:\n    """Use :mod:`icure_async.crypto.software`."""',
            "find: its docstring names icure_sync.crypto; there is no such",
        ),
        ("class Page: ...", "Page: there is no rule for such a member"),
    ],
    ids=lambda value: value.splitlines()[-1] if value else "",
)
def test_what_is_async_without_a_rule_is_named(
    project: Project,
    member: str,
    problem: str | None,
) -> None:
    project.edit(
        "icure_async/apis/users.py",
        "if TYPE_CHECKING:\n",
        "from contextlib import asynccontextmanager\n"
        "if TYPE_CHECKING:\n"
        "    from collections.abc import AsyncIterator, Awaitable, Callable\n"
        "    from icure_async.medtech import MedTechApi\n"
        "    from icure_async.rest.session import Session\n",
    )
    project.add_to_users(member)
    problems = project.problems()
    assert problems == ([] if problem is None else [f"icure_async.apis.users.UserApi.{problem}"])


@pytest.mark.parametrize("doc", ['"x"', '"""', 'Say """x""" to "y"', "a\\b"])
def test_a_docstring_may_have_quotes(project: Project, doc: str) -> None:
    project.add_to_users(f"async def find(self) -> None:\n    {doc!r}")
    assert project.problems() == []
    tree = ast.parse(project.formatted()["users"])
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    (found,) = [ast.get_docstring(node) for node in functions if node.name == "find"]
    assert str(found).rstrip() == doc


def test_a_second_module_of_one_target_is_named(project: Project) -> None:
    module = GeneratedModule("icure_async.apis.patients", "users", {"PatientApi": "twin"})
    rules = dataclasses.replace(RULES, modules=(*RULES.modules, module))
    problems = project.problems(rules)
    assert problems[0] == "rules: two modules have the target users"


def test_an_async_alias_or_value_is_seen_through(project: Project) -> None:
    project.edit(
        "icure_async/apis/users.py",
        "@explained\nclass UserApi:",
        "import attrs\nfrom collections.abc import Awaitable\n\nLater = Awaitable[str]\n\n"
        "@attrs.frozen\nclass Page:\n    following: Later\n\n\n@explained\nclass UserApi:\n"
        "    async def first_page(self) -> list[Page]: ...\n",
    )
    problems = project.problems()
    (problem,) = problems
    assert problem.endswith("first_page: 'list[Page]' has Page, which is async, and no rule for it")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("self.cache: UserCache = UserCache()", "cache: is not described among the Attributes"),
        ("self.cache = UserCache()", "cache: is a public attribute without an annotation"),
    ],
)
def test_a_public_attribute_without_annotation_or_description_is_named(
    project: Project, statement: str, problem: str
) -> None:
    project.edit("icure_async/apis/users.py", "self._users = users", statement)
    problems = project.problems()
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_member_of_a_value_or_a_protocol_without_a_rule_is_named(project: Project) -> None:
    project.edit(
        "icure_async/authentication/result.py",
        "    med_tech_api: MedTechApi\n",
        "    med_tech_api: MedTechApi\n\n    async def aclose(self) -> None: ...\n",
    )
    project.edit(
        "icure_async/storage/protocols.py",
        '    """Named text items that outlive the program."""\n',
        '    """Named text items that outlive the program."""\n\n    def sync(self) -> None: ...\n',
    )
    problems = project.problems()
    where = "there is no rule for such a member of a"
    assert problems == [
        f"icure_async.authentication.result.AuthenticationResult.aclose: {where} value",
        f"icure_async.storage.protocols.Storage.sync: {where} protocol",
    ]


def test_a_new_public_name_without_a_rule_is_named(project: Project) -> None:
    project.edit(
        "icure_async/__init__.py",
        "from icure_async import errors, storage\n",
        "from icure_async import errors, rest, storage\n"
        "from icure_async.rest.session import Session\n",
    )
    old = '    "storage",\n'
    project.edit("icure_async/__init__.py", old, f'{old}    "Session",\n    "rest",\n    "gone",\n')
    problems = project.problems()
    assert problems == [
        "icure_async.Session: a public name that is neither generated, shared nor left out",
        "icure_async.rest: a public module without a rule; see facades",
        "icure_async.gone: is public, and defined nowhere",
    ]


def test_a_new_module_without_a_rule_is_named(project: Project) -> None:
    project.write("icure_async/teams/__init__.py", '__all__ = ["Team"]\nclass Team: ...\n')
    project.write("icure_async/_pools.py", "")
    assert project.check() == [
        "icure_async.teams: a module without a rule; see facades and internal"
    ]


def test_a_member_that_is_set_elsewhere_is_named(project: Project) -> None:
    project.edit(
        "icure_async/apis/users.py",
        "@explained\nclass UserApi:",
        "def remembered(cls: type) -> type:\n"
        "    cls.forget = lambda self: None\n"
        "    return cls\n\n\n"
        "@explained\n@remembered\nclass UserApi:",
    )
    rules = dataclasses.replace(RULES, decorators=(*RULES.decorators, "remembered"))
    assert project.problems(rules) == [
        "icure_async.apis.users.UserApi.forget: there is no rule for such a member"
    ]


def test_a_shared_name_that_becomes_async_is_named(project: Project) -> None:
    project.edit(
        "icure_async/models/key_pair.py",
        "class KeyPair:\n",
        "class KeyPair:\n    async def publish(self) -> None: ...\n\n",
    )
    problems = project.problems()
    assert "icure_async.KeyPair: is shared with icure_async.models, but is async" in problems


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('    "Patient",\n', "", "icure_sync: lacks Patient"),
        (
            '    "Patient",\n',
            '    "Patient",\n    "Nurse",\n',
            "icure_sync: Nurse is not public in icure_async",
        ),
        (
            "from icure_sync._generated.users import UserApi",
            "from icure_async.apis.users import UserApi",
            "icure_sync: UserApi should be imported as icure_sync._generated.users.UserApi",
        ),
    ],
)
def test_a_facade_with_other_names_is_named(
    project: Project, old: str, new: str, problem: str
) -> None:
    project.edit("icure_sync/__init__.py", old, new)
    assert project.check() == [problem]


def test_iterators_and_callbacks_with_a_rule(project: Project) -> None:
    project.edit(
        "icure_async/apis/users.py",
        "if TYPE_CHECKING:\n",
        "if TYPE_CHECKING:\n"
        "    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable\n"
        "    from collections.abc import Coroutine\n"
        "    from typing import Any\n",
    )
    project.add_to_users(
        "async def all_users(self, prefix: str, /, *rest: str, page: int = 10, **options: bool)"
        ' -> AsyncIterator[User]:\n    """Return all users."""\n    yield User()\n'
        "def groups(self) -> AsyncGenerator[str, None]: ...\n"
        "async def watch(\n"
        "    self,\n"
        "    on_user: Callable[[User], Awaitable[None]],\n"
        "    on_end: Callable[[], Coroutine[Any, Any, bool]] | None = None,\n"
        ") -> None: ..."
    )
    rules = dataclasses.replace(
        RULES,
        iterators=(*RULES.iterators, "UserApi.all_users", "UserApi.groups"),
        callbacks=(*RULES.callbacks, "UserApi.watch.on_user", "UserApi.watch.on_end"),
    )
    assert project.problems(rules) == []
    text = project.formatted(rules)["users"]
    assert (
        '''    def all_users(
        self, prefix: str, /, *rest: str, page: int = 10, **options: bool
    ) -> ClosableIterator[User]:
        """Return all users."""
        return self._iterate(self._inner.all_users, prefix, *rest, page=page, **options)

    def groups(self) -> ClosableIterator[str]:
        return self._iterate(self._inner.groups)

    def watch(
        self, on_user: Callable[[User], None], on_end: Callable[[], bool] | None = None
    ) -> None:
        self._run(
            self._inner.watch, callback(on_user), None if on_end is None else callback(on_end)
        )
'''
        in text
    )
    assert "from icure_sync._plain import callback\n" in text
    assert "from icure_sync._twins import Twin\n" in text
    assert "    from icure_sync._iterators import ClosableIterator\n" in text
