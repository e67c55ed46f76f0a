"""The README's programs work, and its test command is the one that CI runs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from icure_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


async def test_the_program_registers_writes_and_reads(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    program = PROGRAMS[0].rpartition("asyncio.run(")[0]
    loop = asyncio.get_running_loop()
    namespace: dict[str, Any] = {}

    def enter_code(prompt: str) -> str:
        code = asyncio.run_coroutine_threadsafe(sandbox.wait_for_code("+32588235595"), loop)
        return code.result(timeout=5)

    namespace["input"] = enter_code
    exec(compile(program, "README.md", "exec"), namespace)
    story = namespace["main"]("captcha", sandbox.master_hcp.data_owner_id)
    # input() blocks: the program gets a thread and a loop of its own, as a user's would.
    await asyncio.to_thread(asyncio.run, story)
    assert capsys.readouterr().out.strip() == "You must keep one's head"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_is_python(program: str) -> None:
    compile(program, "README.md", "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT


COMPLETE = [program for program in PROGRAMS if "async with Sandbox" not in program][:2]
FRAGMENTS = [program for program in PROGRAMS if program not in COMPLETE]
AROUND_FRAGMENTS = """# pyright: reportUnusedVariable=false
from icure_async import (
    AnonymousMedTechApiBuilder,
    CodingReference,
    Content,
    DataSample,
    HealthcareProfessional,
    ICureRegistrationEmail,
    KeyQuestion,
    Measure,
    MedTechApi,
    MedTechApiBuilder,
    Notification,
    Patient,
    PatientFilter,
    PublicKey,
)

_ = (ICureRegistrationEmail, MedTechApiBuilder, Notification, Patient, PatientFilter, PublicKey)
_more = (CodingReference, Content, DataSample, Measure)

colleague_id = "the id of a colleague"
patient = Patient(last_name="Stark")
inviter = HealthcareProfessional(last_name="Luwin")


def owner_confirms(digest: str | None) -> bool:
    return digest == input()


async def confirm_change(question: KeyQuestion) -> bool:
    return owner_confirms(question.digest)


async def fragment(api: MedTechApi, builder: AnonymousMedTechApiBuilder) -> None:
"""


@pytest.mark.typing
def test_every_program_passes_the_type_checkers_as_it_stands(tmp_path: Path) -> None:
    assert all("import" in program for program in COMPLETE)
    for number, program in enumerate(COMPLETE):
        (tmp_path / f"program_{number}.py").write_text(program, "utf-8")
    for number, fragment in enumerate(FRAGMENTS):
        text = AROUND_FRAGMENTS + textwrap.indent(fragment, "    ")
        (tmp_path / f"fragment_{number}.py").write_text(text, "utf-8")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', "utf-8")
    python = sys.executable
    for command in (
        [python, "-m", "mypy", "--strict", "--config-file=", "."],
        [python, "-m", "pyright", "--pythonpath", python],
    ):
        said = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr


def test_the_first_program_keeps_its_keys() -> None:
    assert "with_storage_directory" in PROGRAMS[0]
    assert len(COMPLETE) == 2
    assert len(FRAGMENTS) >= 3


def test_ci_runs_the_test_command_of_the_readme() -> None:
    _, test_command = COMMANDS
    assert test_command in (ROOT / ".ci" / "run").read_text("utf-8")
