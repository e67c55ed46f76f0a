"""The distribution's name and version, the same wherever they are said."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import icure_async
import icure_sync

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "noxfile.py", ".ci/run")),
    *sorted((ROOT / "icure_async").rglob("*.py")),
    *sorted((ROOT / "icure_sync").rglob("*.py")),
    *sorted((ROOT / "pytest_icure").rglob("*.py")),
    ROOT / "docs" / "in-tests.md",
]
FORMER = "icure-sdk"
# Stored under the former name, and lost if it were another: key files, and keys in a keyring.
KEPT = {"icure_async/cli/folders.py", "icure_async/storage/_master_key.py"}
KEPT |= {"icure_async/storage/_keyring.py"}

# The packages of an install line, up to where the line of code or the shell's command ends.
INSTALL = re.compile(r"\bpip3? install ((?:[^\n`;&|)\\]|\n *)+)")
ARGUMENT = re.compile(r"'([^']+)'|\"([^\"]+)\"|(\S+)")
EXTRAS = "|".join(PROJECT["optional-dependencies"])
EXTRA = re.compile(rf"(?<![\w.-])([a-z][a-z0-9-]*)\[({EXTRAS})\]")
TOOLS = {"nox", "pandas", "ruff"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def installed(text: str) -> Iterator[str]:
    """The first thing that each install line names which is no option."""
    for line in INSTALL.findall(text):
        named = (quoted or double or bare for quoted, double, bare in ARGUMENT.findall(line))
        first = next((name for name in named if not name.startswith("-")), None)
        if first is not None:
            yield first.rstrip(".,:'\"")


def is_ours(name: str) -> bool:
    return name.partition("[")[0] in {PROJECT["name"], "", "."}


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert PROJECT["name"] == "icure-async"


@pytest.mark.parametrize("path", TEXTS, ids=relative)
def test_every_install_line_names_the_distribution(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in installed(text):
        assert is_ours(name) or name.partition("[")[0] in TOOLS, name
    for name, extra in EXTRA.findall(text):
        assert name == PROJECT["name"], f"{name}[{extra}]"
    if relative(path) not in KEPT:
        assert FORMER not in text


def test_there_are_install_lines_to_look_at() -> None:
    texts = [path.read_text("utf-8") for path in TEXTS]
    found = [name for text in texts for name in installed(text)]
    ours = [name for name in found if name.startswith(PROJECT["name"])]
    extras = {extra for text in texts for _, extra in EXTRA.findall(text)}
    assert len(ours) >= 5, found
    assert extras == set(PROJECT["optional-dependencies"])


def test_the_extras_of_the_distribution_name_itself() -> None:
    (own,) = [one for one in PROJECT["optional-dependencies"]["cli"] if "[" in one]
    assert own == "icure-async[sandbox]"


def test_both_packages_and_the_command_tell_the_version() -> None:
    version = PROJECT["version"]
    assert icure_async.__version__ == icure_sync.__version__ == version
    for module in ("icure_async", "icure_async.cli"):
        code = "import runpy; runpy.run_module('icure_async', run_name='__main__')"
        command = ["-m", module] if module == "icure_async" else ["-c", code]
        told = subprocess.run(
            [sys.executable, *command, "--version"], check=True, capture_output=True, text=True
        )
        assert told.stdout == f"icure-async {version}\n"


def test_only_python_versions_that_the_tests_ran_on_are_claimed() -> None:
    claimed = [
        name.rpartition(" ")[2]
        for name in PROJECT["classifiers"]
        if name.startswith("Programming Language :: Python :: 3.")
    ]
    assert claimed == ["3.11", "3.12", "3.13"]


def test_no_link_of_the_readme_leads_nowhere() -> None:
    """It is the project's page on the package index, too: there the pictures are only named."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    files = [link for link in links if not link.startswith("https://")]
    results = [f"benchmarks/results/speed.{kind}" for kind in ("md", "svg")]
    assert files == ["docs/images/sandbox-page.png", *results]
    assert all((ROOT / file).is_file() for file in files)
    assert all(url.startswith("https://") for url in PROJECT["urls"].values())
