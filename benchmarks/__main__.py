"""Measure everything, and write the table and the picture: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

from benchmarks.comparison import FULL, QUICK, import_rows, memory_rows, speed_rows
from benchmarks.picture import draw
from benchmarks.report import as_json, markdown
from benchmarks.sandbox_process import ROOT
from tests.support.reference_package import install_reference

RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    size = QUICK if "--quick" in sys.argv[1:] else FULL
    reference = install_reference()
    facts = _facts()
    # First, while this process is small: a child begins with the memory of the one that starts it.
    rows = asyncio.run(memory_rows(size, reference))
    rows = [*asyncio.run(speed_rows(size, reference)), *rows, *import_rows(size, reference)]
    RESULTS.mkdir(exist_ok=True)
    text = markdown(rows, facts)
    (RESULTS / "speed.md").write_text(text, "utf-8")
    (RESULTS / "speed.json").write_text(json.dumps(as_json(rows, facts), indent=1) + "\n", "utf-8")
    draw(rows, RESULTS)
    print(text)


def _facts() -> dict[str, str]:
    """Return the facts that the numbers depend on."""
    node = subprocess.run(["node", "--version"], capture_output=True, check=True, text=True)
    lock = json.loads((ROOT / "tests/interop/package-lock.json").read_text("utf-8"))
    return {
        "Python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "cryptography": version("cryptography"),
        "Node": node.stdout.strip().removeprefix("v"),
        "@icure/api": lock["packages"]["node_modules/@icure/api"]["version"],
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "on": time.strftime("%Y-%m-%d", time.gmtime()),
    }


if __name__ == "__main__":
    main()
