"""The generator of ``icure_sync/_generated``: blocking twins of the classes of ``icure_async``.

``python tools/gen_sync.py`` writes the modules; with ``--check`` it writes nothing, and names
differences from the source and the rules (``tools/sync_rules.py``). It imports ``icure_async``,
and never ``icure_sync``: the generated modules may be out of date.
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
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from sync_rules import RULES, Rules
from sync_source import PACKAGE, imports_in, names_of, refuse, tree_of
from sync_writers import ModuleWriter, Plan, plain_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = Path("icure_sync", "_generated")
HEAD: Final = """\
# Written by "python tools/gen_sync.py" from {}.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""
INIT: Final = '"""The blocking twins of the classes of ``icure_async``."""\n'
# Imports: no unused ones, and those for annotations alone where only type checkers see them.
TIDY: Final = "check --quiet --fix-only --unsafe-fixes --select=F401,I,RUF022,TC001,TC002,TC003"
ADVICE: Final = (
    "The rules are in tools/sync_rules.py, and the purpose of each of its tables. If something has "
    "no rule, make it private, write it in another way, or leave it out there with a reason."
)
# The tables in which every entry has to match something.
TABLES: Final = [f.name for f in fields(Rules) if f.name not in ("modules", "facades")]
# Facades: the modules of public names that are written by hand.


def check_facade(plan: Plan, facade: str, original: str) -> None:
    """Hold a facade of ``icure_sync`` against the public names of a module of ``icure_async``."""
    path = ROOT.joinpath(*facade.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    is_there = path.is_file() and importlib.util.find_spec(original)
    refuse(not is_there, f"there is no module {original if path.is_file() else facade}")
    tree = ast.parse(path.read_text("utf-8"))
    lists = [n.value for n in tree.body if isinstance(n, ast.Assign) and "__all__" in ast.dump(n)]
    names = {name for value in lists for name in ast.literal_eval(value)}
    found = {name: ".".join(home) for name, home in imports_in(tree).items() if name in names}
    expected = origins_of(plan, original)
    for name in [*filter(expected.get, expected), *sorted(names - expected.keys())]:
        with plan.at(facade):
            refuse(name not in expected, f"{name} is not public in {original}")
            refuse(name not in found, f"lacks {name}")
            is_right = found[name] == expected[name]
            refuse(not is_right, f"{name} should be imported as {expected[name]}")


def origins_of(plan: Plan, original: str) -> dict[str, str]:
    """Return what a facade has to import for the public names of a module, empty for nothing."""
    found: dict[str, str] = {}
    for name in getattr(importlib.import_module(original), "__all__", []):
        thing: Any = names_of(original).get(name)
        found[name] = ""
        with plan.at(f"{original}.{name}"):
            found[name] = origin_of(plan, original, name, thing)
        if plan.kind_of(thing) == "protocol":
            blocking = plain_names(thing)[0]
            found[blocking] = f"{plan.homes[thing]}.{blocking}"
    return found


def origin_of(plan: Plan, original: str, name: str, thing: Any) -> str:
    """Return what a facade has to import for a public name, empty for nothing."""
    home = imports_in(tree_of(original)).get(name, (original, name))[0]
    shared = [m for m in plan.rules.shared_modules if f"{home}.".startswith(f"{m}.")]
    if plan.uses("left_out", name):
        return ""
    if plan.has_twin(thing):
        return f"{plan.homes[thing]}.{name}"
    if inspect.ismodule(thing):
        facades = [facade for facade, of in plan.rules.facades.items() if of == thing.__name__]
        refuse(not facades, "a public module without a rule; see facades")
        return facades[0]
    if plan.kind_of(thing) != "protocol" and not plan.uses("shared_names", name):
        refuse(name not in names_of(original), "is public, and defined nowhere")
        refuse(not shared, "a public name that is neither generated, shared nor left out")
        plan.uses("shared_modules", shared[0])
        is_async = plan.why_not_shared(thing if callable(thing) else thing.__class__)
        refuse(is_async, f"is shared with {shared[0]}, but is async")
    return f"{home}.{name}"


def check_modules(plan: Plan) -> None:
    """Name the modules of ``icure_async`` that neither a facade nor a rule knows."""
    rules = plan.rules
    known = {*rules.facades.values(), *rules.shared_modules, *(m.source for m in rules.modules)}
    for found in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        is_known = any(f"{name}.".startswith(f"{found.name}.") for name in known)
        is_known |= "._" in found.name or plan.uses("internal", found.name)
        with plan.at(found.name):
            refuse(not is_known, "a module without a rule; see facades and internal")


# Files.


def generate(rules: Rules = RULES) -> tuple[dict[Path, str], list[str]]:
    """Return the generated files before formatting, and what the rules don't cover or match.

    The paths are relative to the root. Where there are problems, the files may be of no use.
    """
    plan = Plan(rules)
    files = {TARGET / "__init__.py": HEAD.format(PACKAGE) + INIT}
    for writer in (ModuleWriter(plan, module) for module in rules.modules):
        if writer.classes:
            path = TARGET / f"{writer.home.rpartition('.')[2]}.py"
            with plan.at("rules"):
                refuse(path in files, f"two modules have the target {path.stem}")
            source = writer.source.replace(".", "/")
            files[path] = HEAD.format(f"{source}.py") + writer.write()
    for facade, original in rules.facades.items():
        with plan.at("rules"):
            check_facade(plan, facade, original)
    check_modules(plan)
    entries = [(table, entry) for table in TABLES for entry in getattr(rules, table)]
    unused = [f"rules: {table} has {e!r}" for table, e in entries if (table, e) not in plan.used]
    return files, [*plan.problems, *(f"{rule}, which matches nothing" for rule in unused)]


def formatted(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files as ruff formats them with the settings of the project."""
    if importlib.util.find_spec("ruff") is None:
        raise SystemExit("The generator needs ruff to format what it writes: pip install ruff")
    with TemporaryDirectory() as directory:
        for path, text in files.items():
            Path(directory, path.name).write_text(text, "utf-8")
        for command in (TIDY, "format --quiet"):
            options = [*command.split(), f"--config={ROOT / 'pyproject.toml'}", "--no-cache"]
            ruff = [sys.executable, "-m", "ruff", *options, directory]
            subprocess.run(ruff, cwd=ROOT, check=True)
        return {path: Path(directory, path.name).read_text("utf-8") for path in files}


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


# The package in the same repository, whatever is installed.
sys.path.insert(0, str(ROOT))

if __name__ == "__main__":
    sys.exit(main())
