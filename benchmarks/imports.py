"""Import times, each in an interpreter of its own, from compiled files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PYTHON = """if True:
    import time
    cpu, wall = time.process_time(), time.perf_counter()
    import {module}
    print(time.process_time() - cpu, time.perf_counter() - wall)"""
NODE = """
const cpu = process.cpuUsage(), wall = performance.now()
require('@icure/api/icc-x-api')
const { user, system } = process.cpuUsage(cpu)
console.log((user + system) / 1e6, (performance.now() - wall) / 1e3)
"""
MODULES = ("aiohttp", "icure_async", "icure_sync")
REFERENCE = "@icure/api"

Times = dict[str, list[tuple[float, float]]]
"""Module → seconds of CPU and by the clock on the wall, of each round."""


def import_times(rounds: int, reference: Path) -> Times:
    """Import each module in turns.

    Args:
        rounds: how often each.
        reference: the folder that the packages of Node are installed in.
    """
    python = {name: [sys.executable, "-c", PYTHON.format(module=name)] for name in MODULES}
    commands = python | {REFERENCE: ["node", "-e", NODE]}
    times: Times = {name: [] for name in commands}
    with TemporaryDirectory() as compiled:
        # As an installation has it: compiled in a first round, which does not count.
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": compiled,
        }
        for number in range(rounds + 1):
            for name, command in commands.items():
                cost = _cost(command, reference, environment)
                if number:
                    times[name].append(cost)
    return times


def _cost(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    done = subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=60, cwd=folder, env=environment
    )
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)
