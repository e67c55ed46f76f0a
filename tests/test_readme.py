"""The README's programs work, and its test command is the one that CI runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from icure_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


async def test_the_program_registers_writes_and_reads(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_ci_runs_the_test_command_of_the_readme() -> None:
    _, test_command = COMMANDS
    assert test_command in (ROOT / ".ci" / "run").read_text("utf-8")
