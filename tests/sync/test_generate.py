"""The generator: what is checked in is what it writes, and nothing async slips through."""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icure_sync import _generate
from icure_sync._generate import check, formatted, generate, write
from icure_sync._generator.rules import RULES, GeneratedModule

ROOT = Path(__file__).parents[2]
GENERATED = Path("icure_sync", "_generated")

Edit = Callable[[str, str, str], None]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of both packages, to be spoiled."""
    for package in ("icure_async", "icure_sync"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def edit(project: Path) -> Edit:
    def change(path: str, old: str, new: str) -> None:
        file = project / path
        text = file.read_text("utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), "utf-8")

    return change


@pytest.fixture
def add_to_users(edit: Edit) -> Callable[[str], None]:
    """Add a member to the class ``UserApi`` of the copy."""

    def add(member: str) -> None:
        old = '    async def get_user(self, user_id: str) -> User:\n        """'
        indented = "".join(f"    {line}\n" for line in member.splitlines())
        edit("icure_async/apis/users.py", old, f"{indented}\n{old}")

    return add


def test_what_is_checked_in_is_what_the_generator_writes() -> None:
    command = [sys.executable, "-m", "icure_sync._generate", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "path", sorted((ROOT / GENERATED).glob("*.py")), ids=lambda path: path.stem
)
def test_nothing_generated_is_async(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith('# Written by "python -m icure_sync._generate" from icure_async')
    nodes = ast.walk(ast.parse(text))
    assert not [n for n in nodes if isinstance(n, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith)]


def test_what_is_generated_is_formatted() -> None:
    command = [sys.executable, "-m", "ruff", "format", "--check", str(GENERATED)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def test_drift_is_named(project: Path, edit: Edit) -> None:
    edit(str(GENERATED / "users.py"), "self._inner.get_user, user_id", "self._inner.get_user, ''")
    (project / GENERATED / "patients.py").unlink()
    assert check(project) == [
        "icure_sync/_generated/patients.py: is missing",
        "icure_sync/_generated/users.py: is not what the generator writes",
    ]


def test_drift_of_the_source_is_named(project: Path, edit: Edit) -> None:
    edit("icure_async/apis/users.py", "get_user(self, user_id: str)", "get_user(self, key: str)")
    assert check(project) == ["icure_sync/_generated/users.py: is not what the generator writes"]


def test_an_orphan_is_named_and_removed(project: Path) -> None:
    orphan = project / GENERATED / "leftover.py"
    orphan.write_text("")
    assert check(project) == ["icure_sync/_generated/leftover.py: an orphan"]
    assert write(project) == []
    assert not orphan.exists()


def test_the_command_tells_what_is_wrong_and_mends_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / GENERATED / "users.py").write_text("async def")
    assert _generate.main(["--check", "--root", str(project)]) == 1
    assert "users.py: is not what the generator writes" in capsys.readouterr().err
    assert _generate.main(["--root", str(project)]) == 0
    assert _generate.main(["--check", "--root", str(project)]) == 0
    assert capsys.readouterr().err == ""


def test_it_runs_where_the_package_can_not_be_imported(project: Path) -> None:
    shutil.rmtree(project / GENERATED)
    command = [sys.executable, str(project / "icure_sync" / "_generate.py")]
    # The copy is not what coverage is to measure.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    subprocess.run(command, cwd=project, check=True, env=environment)
    assert check(project) == []


def test_ruff_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install ruff"):
        check()


@pytest.mark.parametrize(
    ("table", "entry"),
    [
        ("constructed", "UserApi"),
        ("portable", "Subscription"),
        ("closing", "arelease"),
        ("entered", "*.transaction"),
        ("renamed", "arelease"),
        ("awaitables", "Subscribing"),
        ("iterators", "UserApi.filter_users"),
        ("callbacks", "UserApi.get_user.on_progress"),
        ("left_out", "UserApi.delete_user"),
        ("shared_modules", "icure_async.filters"),
        ("shared_names", "KeyringStorage"),
        ("words", "asynchronously"),
    ],
)
def test_an_unused_rule_is_named(table: str, entry: str) -> None:
    old = getattr(RULES, table)
    new = (*old, entry) if isinstance(old, tuple) else {**old, entry: "x"}
    change: dict[str, Any] = {table: new}
    _, problems = generate(rules=dataclasses.replace(RULES, **change))
    if table == "constructed":
        # It is used, and asks for the internals of the SDK.
        where = "icure_async.apis.users.UserApi.__init__.current_user"
        assert f"{where}: 'CurrentUser' has CurrentUser" in "".join(problems)
    else:
        assert problems == [f"rules: {table} has {entry!r}, which matches nothing"]


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (GeneratedModule("icure_async.nothing", "nothing", {}), "no module icure_async.nothing"),
        (
            GeneratedModule("icure_async.cli", "cli", {"Nobody": "twin"}),
            "no class icure_async.cli.Nobody",
        ),
    ],
)
def test_a_rule_about_nothing_is_named(module: GeneratedModule, problem: str) -> None:
    rules = dataclasses.replace(RULES, modules=(*RULES.modules, module))
    _, problems = generate(rules=rules)
    assert problems == [f"rules: there is {problem}"]


def test_a_facade_of_nothing_is_named() -> None:
    rules = dataclasses.replace(
        RULES, facades={**RULES.facades, "icure_sync.filters": "icure_async.apis.users"}
    )
    _, problems = generate(rules=rules)
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
            "async def join(self, api: MedTechApi) -> None: ...",
            "join.api: 'MedTechApi' has MedTechApi, which is async, and no rule for it",
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
            "def __aiter__(self) -> Self: ...",
            "__aiter__: is special, and there is no rule for it",
        ),
        (
            "async def __anext__(self) -> User: ...",
            "__anext__: is async and special, and there is no rule for it; see renamed",
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
    project: Path,
    edit: Edit,
    add_to_users: Callable[[str], None],
    member: str,
    problem: str | None,
) -> None:
    edit(
        "icure_async/apis/users.py",
        "if TYPE_CHECKING:\n",
        "if TYPE_CHECKING:\n"
        "    from collections.abc import AsyncIterator, Awaitable, Callable\n"
        "    from icure_async.medtech import MedTechApi\n"
        "    from icure_async.rest.session import Session\n",
    )
    add_to_users(member)
    _, problems = generate(project)
    assert problems == ([] if problem is None else [f"icure_async.apis.users.UserApi.{problem}"])


@pytest.mark.parametrize("doc", ['"x"', '"""', 'Say """x""" to "y"', "a\\b"])
def test_a_docstring_may_have_quotes(
    project: Path, add_to_users: Callable[[str], None], doc: str
) -> None:
    add_to_users(f"async def find(self) -> None:\n    {doc!r}")
    files, problems = generate(project)
    assert problems == []
    tree = ast.parse(formatted(project, files)[GENERATED / "users.py"])
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    (found,) = [ast.get_docstring(node) for node in functions if node.name == "find"]
    assert str(found).rstrip() == doc


def test_a_second_module_of_one_target_is_named(project: Path) -> None:
    module = GeneratedModule("icure_async.apis.patients", "users", {"PatientApi": "twin"})
    rules = dataclasses.replace(RULES, modules=(*RULES.modules, module))
    _, problems = generate(project, rules)
    assert problems == ["rules: two modules have the target users"]


def test_an_async_alias_or_value_is_seen_through(project: Path, edit: Edit) -> None:
    edit(
        "icure_async/apis/users.py",
        "@explained\nclass UserApi:",
        "import attrs\nfrom collections.abc import Awaitable\n\nLater = Awaitable[str]\n\n"
        "@attrs.frozen\nclass Page:\n    following: Later\n\n\n@explained\nclass UserApi:\n"
        "    async def first_page(self) -> list[Page]: ...\n",
    )
    _, problems = generate(project)
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
    project: Path, edit: Edit, statement: str, problem: str
) -> None:
    edit("icure_async/apis/users.py", "self._users = users", statement)
    _, problems = generate(project)
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_member_of_a_value_or_a_protocol_without_a_rule_is_named(
    project: Path, edit: Edit
) -> None:
    edit(
        "icure_async/authentication/result.py",
        "    med_tech_api: MedTechApi\n",
        "    med_tech_api: MedTechApi\n\n    async def aclose(self) -> None: ...\n",
    )
    edit(
        "icure_async/storage/protocols.py",
        '    """Named text items that outlive the program."""\n',
        '    """Named text items that outlive the program."""\n\n    def sync(self) -> None: ...\n',
    )
    _, problems = generate(project)
    where = "there is no rule for such a member of a"
    assert problems == [
        f"icure_async.authentication.result.AuthenticationResult.aclose: {where} value",
        f"icure_async.storage.protocols.Storage.sync: {where} protocol",
    ]


def test_a_new_public_name_without_a_rule_is_named(project: Path, edit: Edit) -> None:
    edit(
        "icure_async/__init__.py",
        "from icure_async import errors, storage\n",
        "from icure_async import errors, rest, storage\n"
        "from icure_async.rest.session import Session\n",
    )
    old = '    "storage",\n'
    edit("icure_async/__init__.py", old, f'{old}    "Session",\n    "rest",\n    "gone",\n')
    _, problems = generate(project)
    assert problems == [
        "icure_async.Session: a public name that is neither generated, shared nor left out",
        "icure_async.rest: a public module without a rule; see facades",
        "icure_async.gone: is public, and defined nowhere",
    ]


def test_a_shared_name_that_becomes_async_is_named(project: Path, edit: Edit) -> None:
    edit(
        "icure_async/models/key_pair.py",
        "class KeyPair:\n",
        "class KeyPair:\n    async def publish(self) -> None: ...\n\n",
    )
    _, problems = generate(project)
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
    project: Path, edit: Edit, old: str, new: str, problem: str
) -> None:
    edit("icure_sync/__init__.py", old, new)
    assert check(project) == [problem]


def test_iterators_and_callbacks_with_a_rule(
    project: Path, edit: Edit, add_to_users: Callable[[str], None]
) -> None:
    edit(
        "icure_async/apis/users.py",
        "if TYPE_CHECKING:\n",
        "if TYPE_CHECKING:\n"
        "    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine\n",
    )
    add_to_users(
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
    files, problems = generate(project, rules)
    assert problems == []
    text = formatted(project, files)[GENERATED / "users.py"]
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
        with trimmed_traceback:
            self._run(
                self._inner.watch, callback(on_user), None if on_end is None else callback(on_end)
            )
'''
        in text
    )
    assert "from icure_sync._plain import callback\n" in text
    assert "from icure_sync._twins import Twin\n" in text
    assert "    from icure_sync._iterators import ClosableIterator\n" in text
