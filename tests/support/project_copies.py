"""Copies of the project to spoil. The generator imports what it reads: each runs on its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sync_rules import Rules

ROOT = Path(__file__).parents[2]
GENERATED = Path("icure_sync", "_generated")
PROGRAM = """
import json, sys
sys.path.insert(0, "tools")
import gen_sync
from sync_rules import *

action, rules = json.load(sys.stdin)
if rules:
    gen_sync.generate.__defaults__ = (eval(rules),)
print(json.dumps(eval(action)))
"""


class Project:
    """A folder with the generator, and packages for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "tools", root / "tools")
        shutil.copy(ROOT / "pyproject.toml", root)

    @classmethod
    def copied(cls, root: Path) -> Project:
        project = cls(root)
        # With what is compiled already: Python sees which files change.
        shutil.copytree(ROOT / "icure_async", root / "icure_async")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "icure_sync", root / "icure_sync", ignore=ignored)
        return project

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text("utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), "utf-8")

    def add_to_users(self, member: str) -> None:
        """Add a member to the class ``UserApi``."""
        old = '    async def get_user(self, user_id: str) -> User:\n        """'
        indented = "".join(f"    {line}\n" for line in member.splitlines())
        self.edit("icure_async/apis/users.py", old, f"{indented}\n{old}")

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        # The copy is not what coverage is to measure.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        # Sources that change twice in a second have the same date.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, **options
        )

    def evaluate(self, action: str, rules: Rules | None = None) -> Any:
        """Return the value of an expression in the generator, which imports this project."""
        given = json.dumps([action, repr(rules) if rules else ""])
        done = self.run("-c", PROGRAM, input=given)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def check(self) -> list[str]:
        problems: list[str] = self.evaluate("gen_sync.check()")
        return problems

    def problems(self, rules: Rules | None = None) -> list[str]:
        """Return the mistakes other than drift."""
        problems: list[str] = self.evaluate("gen_sync.generate()[1]", rules)
        return problems

    def generate(self, rules: Rules | None = None) -> tuple[dict[str, str], list[str]]:
        """Return the unformatted files by the name of their module, and what is wrong."""
        files, problems = self.evaluate(
            "(lambda files, problems: [{p.stem: t for p, t in files.items()}, problems])"
            "(*gen_sync.generate())",
            rules,
        )
        return files, problems

    def formatted(self, rules: Rules | None = None) -> dict[str, str]:
        """Return the files by the name of their module."""
        files: dict[str, str] = self.evaluate(
            "{p.stem: t for p, t in gen_sync.formatted(gen_sync.generate()[0]).items()}", rules
        )
        return files
