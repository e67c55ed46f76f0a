"""The notebook of the examples: it runs from the top without a warning, and is kept empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.notebooks import notebook_library

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
NEEDED = ("nbclient", "ipykernel", "pandas")
# The client of a kernel leaves sockets and a loop behind: it has a process of its own.
RUNNER = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], nbformat.NO_CONVERT)
nbclient.NotebookClient(notebook, timeout=90, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def notebook_in(file: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return notebook


def texts_of(output: dict[str, Any]) -> str:
    """Return what an output shows, whose texts may be lists of lines."""
    return "\n".join(map(_joined, (output.get("text", ""), *output.get("data", {}).values())))


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


def test_the_notebook_runs_from_the_top_without_a_warning(tmp_path: Path) -> None:
    for library in NEEDED:
        notebook_library(library)
    here = {name: str(tmp_path) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    executed = tmp_path / "executed.ipynb"
    run = subprocess.run(
        [sys.executable, "-c", RUNNER, str(NOTEBOOK), str(executed)],
        cwd=tmp_path,
        env={**os.environ, **here, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr

    cells = notebook_in(executed)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert [texts_of(output) for output in outputs if output.get("name") == "stderr"] == []
    shown = "\n".join(map(texts_of, outputs))
    for expected in ("50 of 50", "Table(50 rows, 5 columns)", "<td", "Patient 39: allergic"):
        assert expected in shown
    for secret in ("PRIVATE KEY", "308204b", "308204a", "token"):
        assert secret not in shown


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = notebook_in(NOTEBOOK)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 9
    assert {cell["execution_count"] for cell in code} == {None}
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    assert [cell["metadata"] for cell in notebook["cells"]] == [{}] * len(notebook["cells"])
