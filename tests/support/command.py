"""The ``icure`` command, run in this process by somebody on a device of its own."""

from __future__ import annotations

import asyncio
import getpass
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pytest

from icure_async import KeyPair
from icure_async.cli import main
from icure_async.storage import FileKeyStorage
from icure_sync.sandbox import Sandbox

Result = subprocess.CompletedProcess[str]

OURS = re.compile(r"ICURE_|AUTH_BY_|SPEC_ID")


class Terminal(io.StringIO):
    """Standard input with a person at it, who types these lines and then Ctrl-C."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        line = super().readline(size)
        if not line:
            raise KeyboardInterrupt
        return line


def _hidden(stdin: TextIO) -> Callable[..., str]:
    """Stand for ``getpass.getpass``, which would ask the developer's own terminal."""

    def ask(prompt: str = "", stream: object = None, **options: object) -> str:
        if not stdin.isatty():
            raise getpass.GetPassWarning("There is no terminal")
        return stdin.readline().rstrip("\n")

    return ask


class Command:
    """Runs ``icure``, and keeps all that it has said.

    Args:
        monkeypatch: of the test.
        capsys: of the test.
        home: folder for the device.
        environment: settings of the shell.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        home: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.home = home
        self.environment = dict(environment)
        self.said = ""

    @property
    def keys(self) -> Path:
        """The folder of the key files, whose name is that of earlier versions."""
        return self.home / "data/icure-sdk/keys"

    @property
    def config_file(self) -> Path:
        return self.home / "config/icure-async/config.json"

    def login_file(self, profile: str = "default") -> Path:
        return self.home / f"data/icure-async/logins/{profile}.json"

    def token(self, profile: str = "default") -> str:
        """The token in the file of a login."""
        return str(json.loads(self.login_file(profile).read_text())["token"])

    def __call__(
        self,
        *arguments: str | Path,
        code: int = 0,
        typed: str | None = None,
        env: Mapping[str, str] | None = None,
        **environment: str,
    ) -> Result:
        """Run the command, and see that it ends with this code.

        Args:
            arguments: of the command.
            code: the expected exit code.
            typed: lines that a person types; None for no terminal.
            env: further variables.
            environment: the same, one by one.
        """
        stdin: TextIO = io.TextIOWrapper(io.BytesIO()) if typed is None else Terminal(typed)
        with self._monkeypatch.context() as patch:
            for name in filter(OURS.match, list(os.environ)):
                patch.delenv(name)
            variables = {
                "XDG_DATA_HOME": str(self.home / "data"),
                "XDG_CONFIG_HOME": str(self.home / "config"),
                **self.environment,
                **(env or {}),
                **environment,
            }
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["icure", *map(str, arguments)])
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(getpass, "getpass", _hidden(stdin))
            with pytest.raises(SystemExit) as ended:
                main()
        said = self._capsys.readouterr()
        self.said += said.out + said.err
        assert "Traceback" not in said.err
        returned = ended.value.code
        result = subprocess.CompletedProcess(
            arguments, returned if isinstance(returned, int) else 0, said.out, said.err
        )
        assert result.returncode == code, f"{arguments}: {said.out}{said.err}"
        return result

    def json(
        self,
        *arguments: str | Path,
        code: int = 0,
        env: Mapping[str, str] | None = None,
        **environment: str,
    ) -> Any:
        """Run the command with ``--json``, and return what it prints."""
        return json.loads(self(*arguments, "--json", code=code, env=env, **environment).stdout)

    def other_device(self, name: str) -> Command:
        """The command of somebody else, or on another device."""
        return Command(self._monkeypatch, self._capsys, self.home.with_name(name), self.environment)

    def store_key(self, owner_id: str, pair: KeyPair) -> None:
        """Put a key pair on the device."""
        asyncio.run(FileKeyStorage(self.keys).store_key_pair(owner_id, pair))

    def start(self, sandbox: Sandbox, phone: str, *options: str, person: str = "patient") -> Result:
        """Have a code sent, to a patient of the sandbox's professional or to a professional."""
        invited = ["--professional", sandbox.master_hcp.data_owner_id]
        return self(
            "register",
            *("--phone", phone, "--as", person, "--captcha", "solved"),
            *(invited if person == "patient" else []),
            *options,
            code=1,
        )

    def register(
        self, sandbox: Sandbox, phone: str, *options: str, person: str = "patient"
    ) -> dict[str, Any]:
        """Register, and return what the command says."""
        self.start(sandbox, phone, *options, person=person)
        return self.enter_code("--store", "file")

    def enter_code(self, *options: str, code: int = 0) -> dict[str, Any]:
        """Finish a registration or login with the code that the sandbox tells."""
        validation_code = self("code").stdout.strip()
        assert re.fullmatch(r"\d{6}", validation_code)
        self.said = self.said.replace(validation_code, "(asked for)")
        result = self(
            "login", "--resume", *options, "--json", code=code, ICURE_CODE=validation_code
        )
        assert validation_code not in result.stdout + result.stderr
        return json.loads(result.stdout) if code == 0 else {}

    def log_in_as_master(self, sandbox: Sandbox) -> None:
        """Log in as the professional of the sandbox, whose key pair is on this device."""
        master = sandbox.master_hcp
        self.store_key(master.data_owner_id, master.key_pair)
        self(
            *("login", master.login, "--password", "--store", "file"),
            ICURE_PASSWORD=master.password,
        )


Make = Callable[..., Command]
