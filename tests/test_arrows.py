"""The structure of the package, drawn from its imports: arrows point down, and never in a circle.

Imports inside functions count; those for type checkers alone don't.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import icure_async

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = "icure_async"
ROOT: Final = Path(icure_async.__file__).parent

LEVELS: Final[tuple[tuple[str, ...], ...]] = (
    ("__main__",),
    ("cli",),
    ("services",),
    ("__init__",),
    ("builders",),
    ("medtech",),
    ("parts",),
    ("apis", "authentication"),
    ("keys",),
    ("entities",),
    ("storage",),
    ("crypto",),
    ("rest", "sandbox"),
    ("models",),
    (
        "cautions",
        "environment",
        "foreign_text",
        "hooks",
        "json_shapes",
        "mistakes",
        "secret_holders",
        "threads",
    ),
    ("_version", "errors", "tracebacks"),
)
"""The rooms of the package, and its modules outside of rooms, from the top to the bottom."""

LEVEL_OF: Final = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

OF_THE_SANDBOX: Final = {f"{PACKAGE}.models.key_pair"}
"""All that the sandbox may import, since it plays the backend that the SDK is tested against."""

Graph = dict[str, set[str]]


class _Imports(ast.NodeVisitor):
    """Collects the modules that a module imports when it runs."""

    def __init__(self, modules: frozenset[str]) -> None:
        self._modules = modules
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if _last_name(node.test) == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self._add(*(alias.name for alias in node.names))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert not node.level, "Imports are absolute, so that one can see where they point."
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            self._add(name if name in self._modules else str(node.module))

    def visit_Call(self, node: ast.Call) -> None:
        if _last_name(node.func) == "import_module":
            self._add(*(str(a.value) for a in node.args if isinstance(a, ast.Constant)))
        self.generic_visit(node)

    def _add(self, *names: str) -> None:
        self.found.update(name for name in names if name.partition(".")[0] == PACKAGE)


def _last_name(node: ast.expr) -> str:
    """Return the name at the end of a dotted one; nothing for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _drawn(root: Path) -> Graph:
    """Return the modules of a package, each with those that it imports."""
    paths = {
        ".".join((PACKAGE, *path.relative_to(root).with_suffix("").parts)): path
        for path in root.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    graph: Graph = {}
    for name, path in modules.items():
        imports = _Imports(frozenset(modules))
        imports.visit(ast.parse(path.read_text(encoding="utf-8")))
        graph[name] = imports.found
    return graph


def _room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def _wrong_arrows(graph: Graph) -> Iterator[str]:
    """Yield the imports from one room to another that is not below it."""
    for module, imported in sorted(graph.items()):
        for other in sorted(imported):
            room, other_room = _room_of(module), _room_of(other)
            if room != other_room and LEVEL_OF[room] >= LEVEL_OF[other_room]:
                yield f"{module} → {other}"


def _circle(graph: Graph) -> list[str]:
    """Return the modules of a circle of imports, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module", name="graph")
def _graph() -> Graph:
    return _drawn(ROOT)


def test_every_room_has_a_level(graph: Graph) -> None:
    assert {_room_of(module) for module in graph} <= LEVEL_OF.keys()


def test_arrows_between_rooms_point_down(graph: Graph) -> None:
    assert list(_wrong_arrows(graph)) == []


def test_no_imports_go_in_a_circle(graph: Graph) -> None:
    assert _circle(graph) == []


def test_the_sandbox_knows_nothing_of_the_sdk_but_key_pairs(graph: Graph) -> None:
    imported = {
        other for module in graph if _room_of(module) == "sandbox" for other in graph[module]
    }
    assert {other for other in imported if _room_of(other) != "sandbox"} <= OF_THE_SANDBOX


def _written(root: Path, **sources: str) -> Graph:
    for name, source in sources.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    return _drawn(root)


@pytest.mark.parametrize(
    "statement",
    [
        "from icure_async.keys.start import x",
        "from icure_async.keys import start",
        "import icure_async.keys.start",
        "def late():\n    from icure_async.keys.start import x",
        "if y:\n    from icure_async.keys.start import x",
        "importlib.import_module('icure_async.keys.start')",
    ],
)
def test_an_arrow_up_is_found_however_it_is_written(tmp_path: Path, statement: str) -> None:
    graph = _written(tmp_path, keys__start="x = 1", crypto__ring=statement)
    assert list(_wrong_arrows(graph)) == ["icure_async.crypto.ring → icure_async.keys.start"]


def test_an_arrow_between_rooms_of_one_level_is_found(tmp_path: Path) -> None:
    graph = _written(
        tmp_path, apis__users="x = 1", authentication__api="import icure_async.apis.users"
    )
    wrong = "icure_async.authentication.api → icure_async.apis.users"
    assert list(_wrong_arrows(graph)) == [wrong]


def test_an_import_for_type_checkers_is_no_arrow(tmp_path: Path) -> None:
    source = "if TYPE_CHECKING:\n    from icure_async.keys.start import x\n"
    graph = _written(tmp_path, keys__start="x = 1", crypto__ring=source)
    assert list(_wrong_arrows(graph)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    graph = _written(
        tmp_path,
        models__one="from icure_async.models import two",
        models__two="def late():\n    from icure_async.models.one import x",
    )
    assert set(_circle(graph)) == {"icure_async.models.one", "icure_async.models.two"}
