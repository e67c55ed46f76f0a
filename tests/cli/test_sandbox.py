"""``icure sandbox`` for programs: ready files, JSON, fixed codes, ports that are in use."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.bare_client import basic
from tests.support.command import Command

PHONE = "+32470000001"
ICURE = [sys.executable, "-c", "from icure_async.cli import main; main()"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_a_program_waits_for_the_ready_file_and_uses_the_sandbox(
    tmp_path: Path, end: signal.Signals
) -> None:
    ready = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        *ICURE, "sandbox", "--port", "0", "--json", "--ready-file", str(ready),
        "--code", f"{PHONE}=123456", "--random-seed", "7",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while not ready.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        # The file appears as a whole, and the sandbox may be ended at once.
        described = json.loads(ready.read_text())
        assert ready.stat().st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path) == ["ready.json"]  # noqa: PTH208
        assert described["pid"] == process.pid
        master = described["master"]
        assert described["environment"]["ICURE_SANDBOX_LOGIN"] == master["login"]
        async with aiohttp.ClientSession() as session:
            for headers in (
                {"Authorization": f"Sandbox {described['controlToken']}"},
                basic(master["login"], master["password"]),
            ):
                url = described["controlUrl"] + "/codes"
                async with session.get(url, headers=headers) as answer:
                    assert await answer.json() == {PHONE: "123456"}
    finally:
        process.send_signal(end)
        out, err = await asyncio.wait_for(process.communicate(), timeout=60)
    assert process.returncode == 0
    assert not ready.exists()
    (line,) = out.decode().splitlines()
    assert json.loads(line) == described
    assert described["pageUrl"] in err.decode()
    assert "can be guessed" in err.decode()
    assert master["password"] not in err.decode()
    assert "123456" not in err.decode()


def test_a_port_in_use_is_named_with_the_way_to_a_free_one(icure: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = icure("sandbox", "--port", str(port), code=1).stderr
    assert f"Port {port} of 127.0.0.1 is in use" in said
    assert "--port 0" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--code", "987654"], "PHONE=CODE"),
        (["--code", "nobody=987654"], "nobody"),
        (["--code", f"{PHONE}=98x654"], PHONE),
        (["--ready-file", f"{os.sep}nowhere{os.sep}ready.json"], "ready.json"),
    ],
    ids=str,
)
def test_a_mistake_is_a_message_without_a_code(
    icure: Command, options: list[str], said: str
) -> None:
    told = icure("sandbox", "--port", "0", *options, code=1).stderr
    assert said in told
    assert "987654" not in told
    assert "98x654" not in told
