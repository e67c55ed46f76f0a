"""The published cardinal-sdk package, in an environment of its own on Python 3.12 or newer."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CARDINAL_DRIVER = Path(__file__).parents[1] / "interop" / "cardinal"
WANTED = "cardinal-sdk==2.14.0"
OLDEST = (3, 12)
NEWEST = (3, 20)
INSTALL_TIMEOUT = 600
ANSWER_TIMEOUT = 30
# Among other environments, and not where tests look for source files of ours.
_ENVIRONMENT = Path(__file__).parents[2] / ".nox" / "cardinal-sdk"
_VERSION = "import sys; print(*sys.version_info[:2])"
_PACKAGE = "from importlib.metadata import version; print(version('cardinal-sdk'))"


class MissingCardinalError(Exception):
    """This machine can't run the package."""


def cardinal_python() -> Path:
    """Return an interpreter that has the package: the one in CARDINAL_PYTHON, or a new one.

    Raises:
        MissingCardinalError: that names what is missing.
    """
    given = os.environ.get("CARDINAL_PYTHON")
    if given is None:
        return _installed()
    if _output(Path(given), _PACKAGE) != WANTED.partition("==")[2]:
        raise MissingCardinalError(f"CARDINAL_PYTHON={given} has no {WANTED}")
    return Path(given)


def _installed() -> Path:
    python = _ENVIRONMENT / "bin" / "python"
    with (CARDINAL_DRIVER / "driver.py").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _output(python, _PACKAGE) != WANTED.partition("==")[2]:
            base = find_interpreter()
            if base is None:
                raise MissingCardinalError(
                    "no Python 3.12 or newer runs on this machine (a pyenv shim alone does not): "
                    f"{WANTED} cannot be run"
                )
            _make(base, python)
    return python


def _make(base: Path, python: Path) -> None:
    for command in (
        [base, "-m", "venv", "--clear", _ENVIRONMENT],
        [python, "-m", "pip", "install", "-q", "--only-binary=:all:", WANTED],
    ):
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
            env=_clean_environment(),
        )
        if done.returncode:
            last_words = done.stderr.strip().splitlines()[-1:]
            raise MissingCardinalError(f"{WANTED} could not be installed: {last_words}")


def find_interpreter() -> Path | None:
    """Return a Python 3.12 or newer that runs; a name on the PATH proves nothing by itself."""
    for candidate in _candidates():
        version = _output(candidate, _VERSION).split()
        if len(version) == 2 and tuple(map(int, version)) >= OLDEST:
            return candidate
    return None


def _candidates() -> Iterator[Path]:
    for minor in range(OLDEST[1], NEWEST[1]):
        found = shutil.which(f"python3.{minor}")
        if found is not None:
            yield Path(found)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob("versions/3.1[2-9]*/bin/python"))
    if uv := shutil.which("uv"):
        found = _run([uv, "python", "find", "--offline", "--managed-python", ">=3.12"])
        if found:
            yield Path(found)
    if python := shutil.which("python3"):
        yield Path(python)


def _output(python: Path, program: str) -> str:
    """Return what a program prints, or nothing if it can't be run."""
    return _run([str(python), "-c", program])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT,
            check=False,
            env=_clean_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _clean_environment() -> dict[str, str]:
    """Return the environment without what points at the interpreter of these tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
