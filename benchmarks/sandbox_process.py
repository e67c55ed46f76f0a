"""A sandbox in a process of its own, so that its work does not count as a client's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def serving(patients: int = 0) -> Iterator[str]:
    """Run a sandbox in which the user of the benchmarks has patients, and give its URL."""
    command = [sys.executable, "-m", "benchmarks.sandbox_process", str(patients)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            assert url, "the sandbox did not start"
            yield url
        finally:
            server.stdin.close()


def _serve(patients: int) -> None:
    from benchmarks.people import seed
    from icure_sync.sandbox import Sandbox

    with Sandbox(seed=seed(patients)) as sandbox:
        print(sandbox.icure_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
