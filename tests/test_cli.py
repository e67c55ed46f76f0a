"""The ``icure`` command, as a person would run it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from icure_async.cli import main
from tests.support.bare_client import basic

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


@pytest.mark.parametrize("flavour", [None, "medtech", "cardinal"])
def test_the_demo_tells_the_whole_story(run: Run, flavour: str | None) -> None:
    result = run("demo", *(["--flavour", flavour] if flavour else []))
    assert result.returncode == 0, result.stderr
    code = re.search(r"SMS to \+32588235595: (\d{6})", result.stdout)
    assert code
    for line in ("He reads: You must keep one's head", "She reads: You must keep one's head"):
        assert line in result.stdout
    stored, seen = re.findall(r"│ note +│ (.*?) +│ (.*?) +│", result.stdout)[0]
    assert (stored, seen) == ("—", "You must keep one's head")
    metadata = "securityMetadata" if flavour == "cardinal" else "encryptionKeys"
    assert re.search(rf"│ {metadata} +│ one for each of 2 readers", result.stdout)
    versions = set(re.findall(r"/rest/(v[12])/", result.stdout))
    assert versions == ({"v2"} if flavour == "cardinal" else {"v1"})
    sent = [line for line in result.stdout.splitlines() if "/process/validate/" in line]
    assert sent
    assert not any(code[1] in line for line in sent)


def test_the_demo_knows_no_other_flavour(run: Run) -> None:
    result = run("demo", "--flavour", "vanilla")
    assert result.returncode == 1
    assert "medtech or cardinal" in result.stderr


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
        lines = [(await process.stdout.readline()).decode() for _ in range(10)]
        environment = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        assert set(environment) == {
            "ICURE_URL",
            "ICURE_MSG_GTW_URL",
            "SPEC_ID",
            "AUTH_BY_EMAIL_HCP_PROCESS_ID",
            "AUTH_BY_SMS_HCP_PROCESS_ID",
            "AUTH_BY_EMAIL_PATIENT_PROCESS_ID",
            "AUTH_BY_SMS_PATIENT_PROCESS_ID",
            "ICURE_SANDBOX_PROFESSIONAL_ID",
            "ICURE_SANDBOX_LOGIN",
            "ICURE_SANDBOX_PASSWORD",
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


class RunningSandbox:
    """The command ``icure sandbox``, with what it printed until it listened."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    async def begin(self) -> None:
        assert self._process.stdout is not None
        for _ in range(10):
            self.printed += (await self._process.stdout.readline()).decode()

    async def end(self) -> tuple[str, str]:
        """Return all of both outputs."""
        self._process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(self._process.communicate(), timeout=10)
        return self.printed + out.decode(), err.decode()


@asynccontextmanager
async def sandbox_command(*options: str) -> AsyncIterator[RunningSandbox]:
    process = await asyncio.create_subprocess_exec(
        *ICURE, "sandbox", "--port", "0", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    running = RunningSandbox(process)
    try:
        await running.begin()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
async def test_a_script_sources_what_the_sandbox_prints_and_logs_in_with_it(
    tmp_path: Path,
) -> None:
    async with sandbox_command() as running:
        script = tmp_path / "environment.sh"
        script.write_text(running.printed)
        names = "$ICURE_URL $ICURE_SANDBOX_LOGIN $ICURE_SANDBOX_PASSWORD"
        names += " $ICURE_SANDBOX_PROFESSIONAL_ID"
        shell = await asyncio.create_subprocess_exec(
            "sh", "-euc", f". {script}; echo {names}", stdout=subprocess.PIPE
        )
        said, _ = await shell.communicate()
        url, login, password, professional = said.decode().split()
        async with (
            aiohttp.ClientSession(headers=basic(login, password)) as session,
            session.get(f"{url}/hcparty/{professional}") as answer,
        ):
            assert answer.status == 200
            assert (await answer.json())["id"] == professional
        out, err = await running.end()
    assert all(line.startswith("export ") for line in out.splitlines())
    assert password not in err
    assert "lastSMS" in err
    assert "Warning" not in err


async def test_listening_for_other_machines_is_warned_of() -> None:
    async with sandbox_command("--host", "0.0.0.0") as running:
        _, err = await running.end()
    assert "Warning" in err
    assert "0.0.0.0" in err


async def test_origins_host_names_and_lenience_are_options() -> None:
    options = ["--allow-origin", "http://localhost:3000", "--allow-origin", "https://app.example"]
    async with (
        sandbox_command(*options, "--allow-host", "sandbox.internal", "--lenient") as running,
        aiohttp.ClientSession() as session,
    ):
        environment = dict(re.findall(r"export (\w+)=(\S+)", running.printed))
        url = environment["ICURE_URL"] + "/icure/ok"
        for origin, status in (
            ("http://localhost:3000", 200),
            ("https://app.example", 200),
            ("https://evil.example", 403),
        ):
            headers = {"Origin": origin, "Host": "sandbox.internal"}
            async with session.get(url, headers=headers) as answer:
                assert answer.status == status
        process = f"{environment['ICURE_MSG_GTW_URL']}/ic/process/patient-sms/{uuid.uuid4()}"
        body = {"captcha": "solved", "mobilePhone": "+32588235595"}
        async with session.post(process, json=body) as answer:
            assert answer.status == 200
        await running.end()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sandbox", "--port", "0", "--allow-origin", "app.example"], "http://localhost:3000"),
        (["sandbox", "--port", "0", "--allow-host", "http://app.example"], "sandbox.internal"),
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
