"""The published @icure/api package, installed next to its driver."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

DRIVER = Path(__file__).parents[1] / "interop"
NPM_TIMEOUT = 300


class MissingProgramError(Exception):
    """This machine can't run the package."""


def install_reference() -> Path:
    """Install the pinned packages unless that has been done; return the folder of the driver."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        message = f"{' and '.join(missing)} not on PATH: @icure/api cannot be run"
        raise MissingProgramError(message)
    modules = DRIVER / "node_modules"
    modules.mkdir(exist_ok=True)
    wanted = hashlib.sha256((DRIVER / "package-lock.json").read_bytes()).hexdigest()
    with (DRIVER / ".npmrc").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = modules / ".installed"
        if not marker.exists() or marker.read_text() != wanted:
            installation = subprocess.run(
                ["npm", "ci"],
                cwd=DRIVER,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT,
                check=False,
            )
            assert installation.returncode == 0, f"npm ci failed:\n{installation.stderr}"
            marker.write_text(wanted)
    return DRIVER
