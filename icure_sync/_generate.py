"""Writes ``icure_sync/_generated`` from the source of ``icure_async``.

``python -m icure_sync._generate`` writes the modules; with ``--check`` nothing is written, and the
exit code tells whether they are what the source and the rules ask for. Where the package can't be
imported since what is generated is out of date, ``python icure_sync/_generate.py`` does the same.

The source is read with ``ast`` and never imported. The rules are in
:mod:`icure_sync._generator.rules`.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Final

if not __package__:
    # Run as a file: stand in for the package, whose own imports may fail.
    _package = ModuleType("icure_sync")
    _package.__path__ = [str(Path(__file__).parent)]
    sys.modules["icure_sync"] = _package

from icure_sync._generator.modules import write_module
from icure_sync._generator.plan import Plan
from icure_sync._generator.rules import RULES, Rules
from icure_sync._generator.signatures import blocking_name
from icure_sync._generator.source import Package, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["check", "formatted", "generate", "main", "write"]

ROOT: Final = Path(__file__).resolve().parents[1]
_TARGET: Final = Path("icure_sync", "_generated")
_HEAD: Final = """\
# Written by "python -m icure_sync._generate" from {source}.
# Changes here are lost: change that module, or icure_sync/_generator/rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""
_ADVICE: Final = (
    "The rules are in icure_sync/_generator/rules.py, and what each of its tables is for. What has "
    "no rule can be made private, written in another way, or left out there with a reason."
)
_INIT: Final = '"""The blocking twins of the classes of ``icure_async``."""\n'


def generate(root: Path = ROOT, rules: Rules = RULES) -> tuple[dict[Path, str], list[str]]:
    """Return the generated files before formatting, and what the rules don't cover or match.

    The paths are relative to the root. Where there are problems, the files may be of no use.
    """
    plan = Plan(Package(root, "icure_async"), rules)
    files = {_TARGET / "__init__.py": _HEAD.format(source="icure_async") + _INIT}
    for module in rules.modules:
        source = plan.package.source(module.source)
        if source is None:
            plan.problem(f"rules: there is no module {module.source}")
            continue
        if _TARGET / f"{module.target}.py" in files:
            plan.problem(f"rules: two modules have the target {module.target}")
        head = _HEAD.format(source=source.path.relative_to(root).as_posix())
        files[_TARGET / f"{module.target}.py"] = head + write_module(plan, source, module)
    plan.problems += _check_facades(root, plan)
    plan.problems += _unused(plan)
    return files, plan.problems


def write(root: Path = ROOT, rules: Rules = RULES) -> list[str]:
    """Write the generated files, remove what is beside them, and return what is wrong."""
    files, problems = generate(root, rules)
    for orphan in _orphans(root, files):
        orphan.unlink()
    (root / _TARGET).mkdir(exist_ok=True)
    for path, text in formatted(root, files).items():
        (root / path).write_text(text, "utf-8")
    return problems


def check(root: Path = ROOT, rules: Rules = RULES) -> list[str]:
    """Return what is wrong with the generated files and the rules; nothing is written."""
    files, problems = generate(root, rules)
    problems += [f"{path.relative_to(root)}: an orphan" for path in _orphans(root, files)]
    for path, text in formatted(root, files).items():
        file = root / path
        if not file.is_file():
            problems.append(f"{path}: is missing")
        elif file.read_text("utf-8") != text:
            problems.append(f"{path}: is not what the generator writes")
    return problems


def _orphans(root: Path, files: Iterable[Path]) -> list[Path]:
    found = (path for path in (root / _TARGET).rglob("*") if "__pycache__" not in path.parts)
    return sorted(path for path in found if path.is_file() and path.relative_to(root) not in files)


def _check_facades(root: Path, plan: Plan) -> Iterator[str]:
    """Hold the hand-written modules of public names against the public names of ``icure_async``."""
    sync = Package(root, "icure_sync")
    for facade, original in plan.rules.facades.items():
        source, twin = plan.package.source(original), sync.source(facade)
        if source is None or twin is None:
            yield f"rules: there is no module {facade if source else original}"
            continue
        try:
            public, names = source.exported, twin.exported
        except ValueError as error:
            yield str(error)
            continue
        for name in public:
            origin = _origin_of(plan, source, name)
            if origin is None:
                continue
            imported = twin.imports.get(name)
            if name not in names or imported is None:
                yield f"{facade}: lacks {name}"
            elif f"{imported.module}.{imported.name}" != origin:
                yield f"{facade}: {name} should be imported as {origin}"
        protocols = [name for name in public if _is_protocol(plan, source, name)]
        plain = {blocking_name(name) for name in protocols}
        for name in sorted(plain - {*names}):
            yield f"{facade}: lacks {name}"
        for name in sorted({*names} - {*public} - plain):
            yield f"{facade}: {name} is not public in {original}"


def _is_protocol(plan: Plan, source: Source, name: str) -> bool:
    """Return whether a public name of ``icure_async`` is a protocol that has a plain form."""
    return plan.kind_of(plan.package.find(source, name)) == "protocol"


def _origin_of(plan: Plan, source: Source, name: str) -> str | None:
    """Return what a public name of ``icure_async`` is imported as in ``icure_sync``.

    None stands for a name that is left out, or that there is no rule for: then it is a problem.
    """
    rules = plan.rules
    if plan.uses("left_out", name):
        return None
    definition = plan.package.find(source, name)
    where = f"{source.module}.{name}"
    if definition is None:
        plan.problem(f"{where}: is public, and defined nowhere")
        return None
    if definition.name is None:
        facades = {original: facade for facade, original in rules.facades.items()}
        if definition.module not in facades:
            plan.problem(f"{where}: a public module without a rule; see facades")
            return None
        return facades[definition.module]
    # Imported from where icure_async itself has it from.
    direct = source.imports.get(name)
    home = direct.module if direct else definition.module
    target = plan.target_of(definition)
    if target is not None:
        shared = _is_protocol(plan, source, name)
        return f"{home}.{name}" if shared else f"icure_sync._generated.{target}.{name}"
    if plan.uses("shared_names", name):
        return f"{home}.{name}"
    for module in rules.shared_modules:
        if f"{definition.module}.".startswith(f"{module}."):
            plan.uses("shared_modules", module)
            if plan.shapes.why_async(definition):
                plan.problem(f"{where}: is shared with {module}, but is async")
            return f"{home}.{name}"
    plan.problem(f"{where}: a public name that is neither generated, shared nor left out")
    return None


def _unused(plan: Plan) -> Iterator[str]:
    for table in (
        "constructed",
        "portable",
        "renamed",
        "closing",
        "awaitables",
        "decorators",
        "entered",
        "iterators",
        "callbacks",
        "left_out",
        "shared_modules",
        "shared_names",
        "words",
    ):
        for entry in getattr(plan.rules, table):
            if (table, entry) not in plan.used:
                yield f"rules: {table} has {entry!r}, which matches nothing"


def formatted(root: Path, files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files as ruff formats them with the settings of the project."""
    if importlib.util.find_spec("ruff") is None:
        raise SystemExit("The generator needs ruff to format what it writes: pip install ruff")
    with TemporaryDirectory() as directory:
        copies = {path: Path(directory, path.name) for path in files}
        for path, copy in copies.items():
            copy.write_text(files[path], "utf-8")
        for command in ("check --quiet --fix-only --select=I", "format --quiet"):
            options = [*command.split(), f"--config={root / 'pyproject.toml'}", "--no-cache"]
            ruff = [sys.executable, "-m", "ruff", *options, directory]
            subprocess.run(ruff, cwd=root, check=True)  # noqa: S603
        return {path: copy.read_text("utf-8") for path, copy in copies.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m icure_sync._generate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing, and tell differences")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of both packages")
    options = parser.parse_args(arguments)
    problems = (check if options.check else write)(options.root.resolve())
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    if problems:
        print(_ADVICE, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
