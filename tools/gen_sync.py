"""The generator of ``icure_sync/_generated``: blocking twins of the classes of ``icure_async``.

``python tools/gen_sync.py`` writes the modules; with ``--check`` it writes nothing, and names what
is not as the source and the rules (``tools/sync_rules.py``) ask for. It imports ``icure_async``,
and never ``icure_sync``: what is generated there may be out of date.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NoReturn

from sync_rules import RULES, Rules
from sync_source import PACKAGE, imports_in, meaning, names_of, tree_of
from sync_writers import GENERATED, ModuleWriter, Plan, blocking_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = Path("icure_sync", "_generated")
HEAD: Final = """\
# Written by "python tools/gen_sync.py" from {source}.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""
INIT: Final = '"""The blocking twins of the classes of ``icure_async``."""\n'
ADVICE: Final = (
    "The rules are in tools/sync_rules.py, and what each of its tables is for. What has no rule "
    "can be made private, written in another way, or left out there with a reason."
)
# The tables in which every entry has to match something.
TABLES: Final = [f.name for f in fields(Rules) if f.name not in ("modules", "facades")]
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
    """Write the generated files, remove what no rule makes, and return what is wrong."""
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
