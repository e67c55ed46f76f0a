"""A release: wheel and sdist, built once, and tried where the source tree is absent.

``python tools/release.py build`` makes ``dist/``, ``python tools/release.py try`` tries its wheel
with each Python of the machine that the classifiers name, in an environment and a folder of its
own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PACKAGES = ("icure_async", "icure_sync", "pytest_icure")
# Files that no import would miss.
MUST_HAVE = (
    "icure_async/py.typed",
    "icure_sync/py.typed",
    "icure_async/sandbox/page/index.html",
)
TRIED = ("tests/crypto/test_golden.py", "tests/models/test_wire.py", "tests/sandbox/test_seed.py")
COPIED = ("tests", "pyproject.toml")


class ReleaseError(Exception):
    """Something of a release is not as it must be."""


def build() -> list[Path]:
    """Build sdist and wheel, the wheel from the sdist, and check them; return both."""
    shutil.rmtree(DIST, ignore_errors=True)
    run("uv", "build", "--quiet", "--out-dir", str(DIST), cwd=ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    check_version(wheel)
    check_wheel(wheel)
    check_sdist(sdist)
    run("twine", "check", "--strict", str(sdist), str(wheel))
    return [sdist, wheel]


def check_version(wheel: Path) -> None:
    """Check that everything names the same version, and the changelog what is new in it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version = str(project["version"])
    require(f"-{version}-" in wheel.name, f"{wheel.name} is not version {version}")
    code = (ROOT / "icure_async/_version.py").read_text("utf-8")
    require(f'"{version}"' in code, f"icure_async/_version.py does not say {version}")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    heading = re.search(rf"^## \[?({re.escape(version)}|Unreleased)\]?", changelog, re.MULTILINE)
    require(heading is not None, f"CHANGELOG.md says nothing of {version}")


def check_wheel(wheel: Path) -> None:
    """Check that a wheel holds the packages, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in names:
        top = name.partition("/")[0]
        require(top in PACKAGES or top.endswith(".dist-info"), f"{name} is in the wheel")
        require("__pycache__" not in name, f"{name} is in the wheel")
    for name in MUST_HAVE:
        require(name in names, f"{name} is not in the wheel")


def check_sdist(sdist: Path) -> None:
    """Check that an sdist has what tests and builds need, and nothing that was made here."""
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"):
        require(name in names, f"{name} is not in the sdist")
    made = ("node_modules", "__pycache__", ".nox/", ".venv/")
    for name in names:
        require(not any(part in name for part in made), f"{name} is in the sdist")


def pythons() -> list[str]:
    """Return an interpreter for each version of the classifiers that this machine has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    found = [_python(version) for version in named]
    return [path for path in found if path]


def _python(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
    for candidate in candidates:
        # A shim of pyenv is there for versions that do not run.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return str(candidate)
    return None


def try_with(python: str, wheel: Path, *, sbom: Path | None = None) -> None:
    """Install a wheel with one interpreter, tell the story with it, and run tests on it.

    Args:
        python: the interpreter.
        wheel: to be installed.
        sbom: where to write which packages, and in which versions, it runs with.
    """
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv = place / "venv"
        run("uv", "venv", "--quiet", "--python", python, str(venv))
        own = str(venv / "bin/python")
        run("uv", "pip", "install", "--quiet", "--python", own, f"{wheel}[cli]")
        run(str(venv / "bin/icure"), "--version", cwd=place)
        for flavour in ("medtech", "cardinal"):
            run(str(venv / "bin/icure"), "demo", "--flavour", flavour, cwd=place, quiet=True)
        if sbom is not None:
            tool = ("cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON")
            run(*tool, "-o", str(sbom), own)
        run("uv", "pip", "install", "--quiet", "--python", own, *groups["test"])
        source = place / "copy"
        source.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                skipped = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(ROOT / name, source / name, ignore=skipped)
            else:
                shutil.copy(ROOT / name, source / name)
        require_installed(own, source, venv)
        run(own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TRIED, cwd=source)


def require_installed(python: str, source: Path, venv: Path) -> None:
    """Check that tests import the wheel's packages, and not those of a checkout."""
    for package in PACKAGES:
        shown = subprocess.check_output(
            [python, "-c", f"import {package}; print({package}.__file__)"],
            cwd=source,
            text=True,
            env=clean_environment(),
        )
        require(shown.startswith(str(venv)), f"{package} comes from {shown.strip()}")


def run(*command: str, cwd: Path | None = None, quiet: bool = False) -> None:
    """Run a command; its output is shown, or only where it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        check=False,
        env=clean_environment(),
        stdout=subprocess.PIPE if quiet else None,
        text=True,
    )
    if done.returncode:
        print(done.stdout or "")
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}")


def clean_environment() -> dict[str, str]:
    """Return the environment without ways to a checkout."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def require(holds: bool, problem: str) -> None:
    """Fail with a problem, unless something holds."""
    if not holds:
        raise ReleaseError(problem)


def main() -> int:
    """Run the step that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("build", "try"))
    parser.add_argument("python", nargs="*", help="to try the wheel with, by default all")
    options = parser.parse_args()
    try:
        if options.step == "build":
            built = build()
            print("Built", *(f"{path.name} ({path.stat().st_size // 1024} kB)" for path in built))
            return 0
        (wheel,) = DIST.glob("*.whl")
        for number, python in enumerate(options.python or pythons()):
            print(f"--- {python}", flush=True)
            try_with(python, wheel, sbom=None if number else DIST / "sbom.cdx.json")
    except ReleaseError as problem:
        print(f"Not a release: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
