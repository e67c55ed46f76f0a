"""The Dockerfile, held against the command, the packages and a running sandbox."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from icure_async.cli.command import app
from icure_async.sandbox import Fault, Sandbox

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))


def lines(instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", TEXT, re.MULTILINE)


def entrypoint() -> list[str]:
    command: list[str] = json.loads(lines("ENTRYPOINT")[0])
    return command


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the options as the command ``icure sandbox`` reads them."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands["sandbox"].make_context("sandbox", arguments).params)


def test_it_runs_the_command_with_options_that_the_command_has() -> None:
    name, command, *options = entrypoint()
    assert [name, command] == ["icure", "sandbox"]
    read = parsed(options)
    assert read["host"] == "0.0.0.0"
    assert [str(read["port"])] == lines("EXPOSE")
    Sandbox(host=read["host"], allow_hosts=read["allow_host"])


def test_an_option_that_the_command_has_not_would_be_found() -> None:
    with pytest.raises(Exception, match="nowhere"):
        parsed([*entrypoint()[2:], "--nowhere"])


def test_it_does_not_run_as_root() -> None:
    (user,) = lines("USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home --uid 10001 {user}" in TEXT
    assert TEXT.index(f"USER {user}") < TEXT.index("ENTRYPOINT")


def test_it_copies_what_the_wheel_is_built_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {
        source
        for line in lines("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == {*packages, "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / source).exists() for source in copied)
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert kept[0] == "*"
    assert {line[1:] for line in kept if line.startswith("!")} == copied


async def test_its_health_is_that_of_the_sandbox() -> None:
    python, option, program = json.loads(lines("HEALTHCHECK")[0].partition("CMD ")[2])
    assert (python, option) == ("python", "-c")
    assert f":{lines('EXPOSE')[0]}/" in program

    async def exit_code(port: str) -> int:
        checked = program.replace(lines("EXPOSE")[0], port)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", checked, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    async with Sandbox(jwt=False) as sandbox:
        port = sandbox.backend_url.rpartition(":")[2]
        fault = sandbox.inject_fault(Fault("status", status=503, times=1))
        assert await exit_code(port) == 0
        assert (fault.matched, sandbox.requests()) == (0, [])
    assert await exit_code(port) != 0
