"""Lines that are never broken, JSON, completion, exit codes, and the start of the command."""

from __future__ import annotations

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

import pytest
import typer
from typer.models import CommandInfo

from icure_async.cli import app
from icure_async.cli.output import note, print_members, print_rows, say, transferring, when
from icure_sync.sandbox import Sandbox
from tests.support.command import Command


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("FORCE_COLOR", "1")


class TestTransfers:
    def test_bytes_are_shown_where_a_person_looks_on(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("FORCE_COLOR", "1")
        with transferring("Attaching") as advance:
            advance(0, None)
            advance(1000, 4000)
        said = capsys.readouterr()
        assert "Attaching" in said.err
        assert "1.0/4.0 kB" in said.err
        assert said.out == ""

    def test_nothing_is_shown_elsewhere(self, capsys: pytest.CaptureFixture[str]) -> None:
        with transferring("Attaching") as advance:
            advance(1000, 4000)
        assert capsys.readouterr().err == ""


class TestTables:
    @pytest.mark.usefixtures("narrow")
    def test_ids_stay_whole_however_narrow_the_terminal_is(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [[str(uuid.uuid4()), "x" * 300] for _ in range(3)]
        print_rows(("id", "name"), rows)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split() for line in lines[1:]] == rows
        print_members({"first": rows[0][0], "second": rows[1][1]})
        assert capsys.readouterr().out.splitlines() == [
            f"first   {rows[0][0]}",
            f"second  {rows[1][1]}",
        ]

    def test_a_server_steers_no_terminal_and_adds_no_line(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_rows(("id", "name"), [["1", "\x1b[2J[red]Ned\nadmin  yes\u202e"]])
        assert capsys.readouterr().out.splitlines()[1:] == [
            "1   \\x1b[2J[red]Ned\\nadmin  yes\\u202e"
        ]

    def test_the_name_of_a_member_steers_no_terminal_either(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_members({"na\x1b[2Jme": "value"})
        assert capsys.readouterr().out == "na\\x1b[2Jme  value\n"

    @pytest.mark.usefixtures("narrow")
    def test_nothing_in_a_message_steers_a_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        say("of \x1b[2Jtype\r \u202e\nand [red]more")
        assert capsys.readouterr().out == "of \\x1b[2Jtype\\r \\u202e\nand [red]more\n"
        say("urn:key:7")
        assert capsys.readouterr().out == "urn:key:7\n"
        note("\x1b]0;title\x07", style="red")
        assert "\\x1b]0;title\\x07" in capsys.readouterr().err

    def test_nothing_and_truth_are_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_rows(("a", "b", "c", "d"), [[None, "", True, False]])
        assert capsys.readouterr().out.splitlines()[1].split() == ["—", "—", "yes", "no"]

    def test_a_moment_that_no_calendar_has_is_its_number(self) -> None:
        assert when(None) is None
        assert when(10**30) == str(10**30)


def test_all_commands_that_print_data_print_one_json_document(
    icure: Command, running: Sandbox
) -> None:
    icure.log_in_as_master(running)
    patient = icure.json("patient", "create", "--last-name", "Snow")["id"]
    for command in (
        ["whoami"],
        ["doctor"],
        ["config", "list"],
        ["config", "show"],
        ["keys", "list"],
        ["keys", "doctor"],
        ["token", "list"],
        ["notification", "list"],
        ["notification", "list", "--all"],
        ["patient", "list"],
        ["patient", "list", "--count"],
        ["patient", "get", patient],
    ):
        assert isinstance(json.loads(icure(*command, "--json").stdout), dict | list)


class TestExitCodes:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["whoami", "--no-such-option"],
            ["nonsense"],
            ["patient", "get"],
            ["login", "--days", "0"],
        ],
        ids=str,
    )
    def test_a_command_that_is_not_understood_is_2(
        self, icure: Command, arguments: list[str]
    ) -> None:
        assert "Usage" in icure(*arguments, code=2).stderr

    def test_ctrl_c_at_a_hidden_question_is_130(self, icure: Command) -> None:
        icure("login", "ned", typed="", code=130)

    def test_ctrl_c_in_a_request_is_130_without_a_traceback(self, icure: Command) -> None:
        # A server that takes connections and never answers.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            begun = time.monotonic()
            said = icure("login", "ned", "--password", code=130, ICURE_URL=url, ICURE_PASSWORD="x")
            timer.join()
        # The time limit of a request is 30 s.
        assert time.monotonic() - begun < 20
        assert said.stdout == ""

    def test_they_are_documented(self, icure: Command) -> None:
        shown = " ".join(icure("--help").stdout.split())
        assert "130 Ctrl-C" in shown


@pytest.mark.parametrize(
    "command", ["login", "config delete default", "patient create --note-file -"]
)
def test_a_closed_standard_input_is_no_terminal(icure: Command, command: str) -> None:
    """A service may be started without one: then there is no sys.stdin at all."""
    ended = subprocess.run(
        [sys.executable, "-m", "icure_async", *command.split()],
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "XDG_DATA_HOME": str(icure.home / "data"),
            "XDG_CONFIG_HOME": str(icure.home / "config"),
        },
        preexec_fn=lambda: os.close(0),
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip()


class TestCompletion:
    def test_the_script_is_shown_and_can_be_installed(self, icure: Command) -> None:
        assert "--install-completion" in icure("--help", COLUMNS="100").stdout
        shown = icure("--show-completion", SHELL="/bin/bash")
        assert "_ICURE_COMPLETE" in shown.stdout

    def test_profiles_are_completed(self, icure: Command) -> None:
        for name in ("work", "world", "home"):
            icure("config", "set", name, "--spec-id", "ic")
        words = icure(
            code=0,
            _ICURE_COMPLETE="complete_bash",
            COMP_WORDS="icure whoami --profile wo",
            COMP_CWORD="3",
        ).stdout.split()
        assert words == ["work", "world"]


def test_commands_other_than_the_sandbox_start_without_its_server() -> None:
    program = (
        "import sys; sys.argv = ['icure', '--version']\n"
        "from icure_async.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('icure_async.sandbox', "
        "'aiohttp.web', 'rich.progress', 'keyring', 'phonenumbers'))])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    version, modules = ended.stdout.splitlines()
    assert version.startswith("icure-async ")
    assert modules == "[]"


def test_no_option_takes_a_secret() -> None:
    secrets = {"password", "passphrase", "token", "code", "secret", "note"}

    def options(group: typer.Typer) -> set[str]:
        found = {name for command in group.registered_commands for name in _parameters(command)}
        for inner in group.registered_groups:
            found |= options(inner.typer_instance or typer.Typer())
        return found

    assert {name for name in options(app) if name in secrets} == {"password"}


def _parameters(command: CommandInfo) -> list[str]:
    assert command.callback is not None
    return [
        name
        for name, parameter in inspect.signature(command.callback).parameters.items()
        if parameter.annotation != "bool"
    ]
