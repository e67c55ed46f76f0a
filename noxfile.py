"""The sessions of the project: ``nox`` runs all of them, ``nox -s tests`` one."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Callable

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "lint",
    "generate",
    "typecheck",
    "tests",
    "docs",
    "interop",
    "demo",
    "release",
]

PACKAGES = ["icure_async", "icure_sync", "pytest_icure"]
OTHER_PYTHONS = ["3.12", "3.13"]
COVERAGE_PERCENT = 95
# Coverage would slow down tests of many cases, and disturb those that interrupt programs at any
# line.
UNTRACED = [
    "tests/apis/test_hostile_backend.py",
    "tests/apis/test_hostile_backend_today.py",
    "tests/authentication/test_crashes.py",
    "tests/authentication/test_first_login.py",
    "tests/authentication/test_today.py",
    "tests/flows",
    "tests/keys/test_own_account_faults.py",
    "tests/programs",
    "tests/sync",
]
# One browser and one event loop for all of them: they do not run side by side.
IN_THE_BROWSER = ["tests/page", "tests/examples"]
# Samples, of which ``nox -s mutate`` tries all.
EXHAUSTIVE = ["tests/flows/test_mutations.py", "tests/flows/test_fault_matrix.py", "tests/programs"]
OF_THIS_SESSION = "not interop and not typing"
FOR_ICURE_SYNC = ["--package", "sync"]
# Three for two cores: many tests wait for a while. The log names those that take long.
SIDE_BY_SIDE = [
    "--numprocesses=3",
    "--dist=worksteal",
    "--durations=25",
    "--durations-min=2",
]


def _install(session: nox.Session, *groups: str) -> None:
    dependencies = [
        dependency
        for group in groups
        for dependency in nox.project.dependency_groups(PYPROJECT, group)
    ]
    session.install("-e", ".[cli]", *dependencies)


PYPROJECT = nox.project.load_toml("pyproject.toml")


def budget(minutes: float) -> Callable[[Callable[[nox.Session], None]], Callable[..., None]]:
    """Let a session fail that takes far longer than it should on two cores, busy ones included."""

    def limited(session_function: Callable[[nox.Session], None]) -> Callable[..., None]:
        @functools.wraps(session_function)
        def run(session: nox.Session) -> None:
            begun = time.monotonic()
            session_function(session)
            taken = (time.monotonic() - begun) / 60
            session.log(f"{taken:.1f} of {minutes:g} minutes")
            if taken > minutes:
                session.error("This took longer than CI has room for: see budget() in noxfile.py.")

        return run

    return limited


@nox.session
@budget(0.5)
def lint(session: nox.Session) -> None:
    """Style, common mistakes, and formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
@budget(0.8)
def generate(session: nox.Session) -> None:
    """Compare icure_sync with the output of the generator for icure_async."""
    # The generator imports all of the package, PostgreSQL's storages included.
    _install(session, "lint", "test")
    session.run("python", "tools/gen_sync.py", "--check")


@nox.session
@budget(4)
def typecheck(session: nox.Session) -> None:
    """mypy strict over everything, pyright over the packages, and complete public types.

    Both of them over the programs of the README, as those who copy these would.
    """
    _install(session, "test", "bench", "typecheck", "page", "examples", "docs")
    session.run("mypy")
    # Named, since a configuration in a folder above would count for more.
    session.run("pyright", "--project", "pyproject.toml")
    for package in PACKAGES:
        session.run("pyright", "--ignoreexternal", "--verifytypes", package)
    session.run("pytest", "-m", "typing", "tests/test_readme.py")


@nox.session
@budget(40)
def tests(session: nox.Session) -> None:
    """All tests but those of other sessions, with branch coverage; or those that are named.

    The flow tests run twice: as they are for icure_async, and with an option for icure_sync.
    """
    # The tests of the generator need ruff.
    _install(session, "test", "lint", "page", "examples", "notebook", "docs")
    if session.posargs:
        session.run("pytest", "-m", OF_THIS_SESSION, *session.posargs)
        return
    session.run(
        "pytest",
        *SIDE_BY_SIDE,
        "-m",
        OF_THIS_SESSION,
        *(f"--ignore={path}" for path in [*UNTRACED, *IN_THE_BROWSER, "tests/docs"]),
        "--cov",
        "--cov-report=",
    )
    session.run(
        "pytest",
        *SIDE_BY_SIDE,
        *FOR_ICURE_SYNC,
        "--cov",
        "--cov-append",
        "--cov-report=term",
        f"--cov-fail-under={COVERAGE_PERCENT}",
    )
    session.run("pytest", *SIDE_BY_SIDE, *UNTRACED)
    session.run("pytest", *IN_THE_BROWSER)


@nox.session
@budget(7)
def interop(session: nox.Session) -> None:
    """Drive the sandbox with the published SDKs, and read each other's patients.

    The reference of 2023 is @icure/api on Node.js; today's is cardinal-sdk, which the tests install
    in an environment of its own where there is a Python 3.12 or newer. Without one its tests are
    skipped, or fail where REQUIRE_CARDINAL=1.
    """
    _install(session, "test")
    session.run("pytest", *SIDE_BY_SIDE, "-m", "interop", *(session.posargs or ["tests/interop"]))


@nox.session
@budget(1)
def demo(session: nox.Session) -> None:
    """Run the whole story on a fresh sandbox, in both flavours."""
    session.install(".[cli]")
    for flavour in ("medtech", "cardinal"):
        session.run("icure", "demo", "--flavour", flavour)


@nox.session
@budget(6)
def release(session: nox.Session) -> None:
    """Build wheel and sdist, check both, and try the wheel with every Python of the machine."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "release"))
    session.run("python", "tools/release.py", "build")
    session.run("python", "tools/release.py", "try", *session.posargs)


@nox.session
@budget(7)
def docs(session: nox.Session) -> None:
    """Run every program of the documentation, and build it; warnings are errors."""
    _install(session, "test", "docs")
    session.run("pytest", *SIDE_BY_SIDE, "docs", "tests/docs")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-q", "docs", "build/docs")


@nox.session
def mutate(session: nox.Session) -> None:
    """Every answer with any JSON in place of any member, every fault, every moment: for hours."""
    _install(session, "test")
    session.run(
        "pytest",
        *SIDE_BY_SIDE,
        "--timeout=7200",
        *(session.posargs or EXHAUSTIVE),
        env={"ICURE_MUTATIONS": "all", "ICURE_FAULTS": "all", "ICURE_KILLING": "all"},
    )


@nox.session(python=OTHER_PYTHONS)
def other_pythons(session: nox.Session) -> None:
    """All tests on the other Python versions that the classifiers name."""
    _install(session, "test", "lint")
    session.run("pytest", *SIDE_BY_SIDE, "-m", "not interop", *session.posargs)
    if not session.posargs:
        session.run("pytest", *SIDE_BY_SIDE, *FOR_ICURE_SYNC)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and size next to the reference: a table and a picture; and ratios of our own.

    With ``--quick`` the table and the picture only, from few rounds. No test asserts a time.
    """
    _install(session, "test", "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)
    if "--quick" not in session.posargs:
        session.run("pytest", "benchmarks", "--benchmark-columns=median,ops")
