"""The examples run, and print what happens."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"

SAID = [
    "Invited patient *, who logs in as arya@winterfell.example.",
    "Email to arya@winterfell.example: You have been invited to use Maester",
    "The patient logged in, and asked 1 data owner.",
    "Gave patient * access to its own data.",
    "The patient reads in its record: Allergic to wine",
]

MEASURED = [
    "Doctor: wrote down Atrial fibrillation",
    "Arya:   saved 3 measurements",
    "Server: reads in them [{}, {}, {}]",
    "Arya:   attached 1024000 bytes",
    "Doctor: 20261125080000 72 /min",
    "Doctor: 20261126080000 118 /min",
    "Doctor: 20261127080000 75 /min",
    "Doctor: got the recording, True",
]

REGISTERED = [
    "Solved the 10 puzzles of the captcha.",
    "Registered +32470123456; its private key is on this device only.",
    "Wrote an encrypted patient.",
    "The server has the first name Nymeria, and no note: None",
    "The professional reads: Runs with wolves",
]


async def _run(name: str) -> str:
    """Run an example; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(FOLDER / name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


@pytest.mark.parametrize("name", ["invite_a_patient.py", "invite_a_patient_sync.py"])
async def test_a_patient_is_invited(name: str) -> None:
    said = await _run(name)
    (patient_id,) = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", said))
    assert said.replace(patient_id, "*").splitlines() == SAID


@pytest.mark.parametrize("name", ["measurements.py", "measurements_sync.py"])
async def test_a_patient_measures_and_a_doctor_reads(name: str) -> None:
    assert (await _run(name)).splitlines() == MEASURED


async def test_a_person_registers_with_todays_icure() -> None:
    assert (await _run("register_today.py")).splitlines() == REGISTERED
