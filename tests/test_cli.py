"""The ``icure`` command, as a person would run it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from icure_async.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]

ICURE = [sys.executable, "-c", "from icure_async.cli import main; main()"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, on a terminal 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["icure", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return subprocess.CompletedProcess(
            arguments, code if isinstance(code, int) else 0, said.out, said.err
        )

    return command


def test_the_demo_tells_the_whole_story(run: Run) -> None:
    result = run("demo")
    assert result.returncode == 0, result.stderr
    code = re.search(r"SMS to \+32588235595: (\d{6})", result.stdout)
    assert code
    for line in ("He reads: You must keep one's head", "She reads: You must keep one's head"):
        assert line in result.stdout
    stored, seen = re.findall(r"│ note +│ (.*?) +│ (.*?) +│", result.stdout)[0]
    assert (stored, seen) == ("—", "You must keep one's head")
    sent = [line for line in result.stdout.splitlines() if "/process/validate/" in line]
    assert sent
    assert not any(code[1] in line for line in sent)


@pytest.mark.parametrize("command", [[], ["keys"], ["keys", "list"], ["sandbox"]], ids=str)
def test_h_is_short_for_help(run: Run, command: list[str]) -> None:
    short, long = run(*command, "-h"), run(*command, "--help")
    assert short.returncode == 0
    assert "Usage:" in short.stdout
    assert short.stdout == long.stdout


@pytest.mark.parametrize(
    ("in_file", "end"),
    [(False, signal.SIGINT), (True, signal.SIGTERM)],
    ids=["in memory, until SIGINT", "in a file, until SIGTERM"],
)
async def test_the_sandbox_prints_the_environment_and_answers(
    tmp_path: Path, in_file: bool, end: signal.Signals
) -> None:
    database = tmp_path / "sandbox.sqlite"
    options = ["--database", str(database)] if in_file else []
    process = await asyncio.create_subprocess_exec(
        *ICURE,
        "sandbox",
        "--port",
        "0",
        *options,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode() for _ in range(7)]
        environment = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        assert set(environment) == {
            "ICURE_URL",
            "ICURE_MSG_GTW_URL",
            "SPEC_ID",
            "AUTH_BY_EMAIL_HCP_PROCESS_ID",
            "AUTH_BY_SMS_HCP_PROCESS_ID",
            "AUTH_BY_EMAIL_PATIENT_PROCESS_ID",
            "AUTH_BY_SMS_PATIENT_PROCESS_ID",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.get(environment["ICURE_URL"] + "/user/current") as answer,
        ):
            assert answer.status == 401
    finally:
        process.send_signal(end)
        await asyncio.wait_for(process.communicate(), timeout=10)
    assert process.returncode == 0
    assert database.exists() == in_file
    if in_file:
        assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sandbox", "--port", "0", "--seed", "nowhere.json"], "nowhere.json"),
        (["sandbox", "--port", "0", "--host", "256.1.1.1"], "256.1.1.1"),
        (["sandbox", "--port", "0", "--database", "/nowhere/x.sqlite"], "/nowhere/x.sqlite"),
        (["sandbox", "--port", "0", "--database", "pyproject.toml"], "pyproject.toml"),
    ],
)
def test_what_goes_wrong_is_a_message_and_not_a_traceback(
    run: Run, arguments: list[str], said: str
) -> None:
    result = run(*arguments)
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_the_sdk_does_without_what_the_command_needs() -> None:
    program = "import sys; sys.modules['typer'] = None; import icure_async.cli"
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.strip().endswith("pip install 'icure-async[cli]'")
