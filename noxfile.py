"""What the project does: ``nox`` runs all of it, ``nox -s tests`` one session."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "generate", "typecheck", "tests", "interop", "demo"]

PACKAGES = ["icure_async", "icure_sync"]
COVERAGE_PERCENT = 95
# Coverage would slow down what tries many cases, and disturb what interrupts programs at any line.
UNTRACED = ["tests/flows/test_fault_matrix.py", "tests/programs", "tests/sync"]
NEEDS_PYTHON_ONLY = "not interop and not typing"
SIDE_BY_SIDE = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]


def _install(session: nox.Session, *groups: str) -> None:
    dependencies = [
        dependency
        for group in groups
        for dependency in nox.project.dependency_groups(PYPROJECT, group)
    ]
    session.install("-e", ".[cli]", *dependencies)


PYPROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, common mistakes, and formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def generate(session: nox.Session) -> None:
    """Whether icure_sync is what the generator makes of icure_async."""
    _install(session, "lint")
    session.run("python", "-m", "icure_sync._generate", "--check")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy strict over everything, pyright over the packages, and complete public types.

    Both of them over the programs of the README, as those who copy these would.
    """
    _install(session, "test", "bench", "typecheck")
    session.run("mypy")
    session.run("pyright")
    for package in PACKAGES:
        session.run("pyright", "--ignoreexternal", "--verifytypes", package)
    session.run("pytest", "-m", "typing", "tests/test_readme.py")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests that need nothing but Python, with branch coverage; or those that are named."""
    # The tests of the generator need ruff.
    _install(session, "test", "lint")
    if session.posargs:
        session.run("pytest", "-m", NEEDS_PYTHON_ONLY, *session.posargs)
        return
    session.run(
        "pytest",
        *SIDE_BY_SIDE,
        "-m",
        NEEDS_PYTHON_ONLY,
        *(f"--ignore={path}" for path in UNTRACED),
        "--cov",
        "--cov-report=term",
        f"--cov-fail-under={COVERAGE_PERCENT}",
    )
    session.run("pytest", *SIDE_BY_SIDE, *UNTRACED)


@nox.session
def interop(session: nox.Session) -> None:
    """Drive the sandbox with the published @icure/api package, and read each other's patients."""
    _install(session, "test")
    session.run("pytest", "-m", "interop", *(session.posargs or ["tests/interop"]))


@nox.session
def demo(session: nox.Session) -> None:
    """Run the whole story on a fresh sandbox."""
    session.install(".[cli]")
    session.run("icure", "demo")


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios, side by side in one run. No test asserts a time."""
    _install(session, "test", "bench")
    session.run("pytest", "benchmarks", "--benchmark-columns=median,ops", *session.posargs)
