"""The examples that are scripts, run as their first lines say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.example_services import EXAMPLES

EXPECTED = {
    "a_script.py": """\
Doctor: My left hand hurts
Doctor: a note that I can't read
Arya:   My left hand hurts
Arya:   I run away tonight
Doctor: I run away tonight
Arya:   signed out, True
""",
}


@pytest.mark.parametrize("script", EXPECTED)
def test_the_script_tells_its_story(script: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", f"examples/{script}"],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, EXPECTED[script], "")
