"""The names of Cardinal on our page, looked up in the published package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cardinal_package import CARDINAL_DRIVER
from tests.support.cardinal_rows import cardinal_rows

pytestmark = pytest.mark.interop

NO_NAME = "patient.no_such_call"


def test_cardinal_has_each_name_that_the_page_says_it_has(python_with_cardinal: Path) -> None:
    names = [NO_NAME, *(row.theirs for row in cardinal_rows())]

    done = subprocess.run(
        [python_with_cardinal, CARDINAL_DRIVER / "names.py"],
        input="\n".join(names),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == [NO_NAME]
