"""``icure register``, ``login``, ``logout`` and ``whoami`` on a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from icure_async.sandbox import Fault
from icure_async.sandbox import Sandbox as AsyncSandbox
from icure_sync import MedTechApiBuilder
from icure_sync.sandbox import Sandbox
from tests.support.command import Command
from tests.support.json_proxy import Exchange, Proxy
from tests.support.keyrings import MemoryKeyring, use_keyring


def _works(running: Sandbox, login: str, token: str) -> bool:
    builder = MedTechApiBuilder().with_icure_base_url(running.icure_url).with_in_memory_keys()
    with builder.with_user_name(login).with_password(token).build() as api:
        try:
            api.identify()
        except Exception:
            return False
    return True


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


class TestByCode:
    def test_without_a_terminal_it_ends_when_the_code_is_sent_and_goes_on_later(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        sent = icure.start(running, phone)
        assert f"A code was sent to {phone}." in sent.stderr
        assert "set ICURE_CODE" in sent.stderr
        assert sent.stdout == ""
        login = icure.enter_code()
        assert login["login"] == phone
        assert login["token_kept_in"] == "file"
        assert icure.json("whoami")["user_id"] == login["user_id"]

    def test_the_login_file_is_for_this_user_alone(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        for file in _files(icure.home):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700, file

    def test_no_output_and_no_repr_has_a_token_or_a_key(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        token = icure.token()
        for command in (
            "whoami",
            "doctor",
            "token list",
            "keys list",
            "keys doctor",
            "config show",
        ):
            icure(*command.split())
            icure.json(*command.split())
        assert token not in icure.said
        (key_file,) = icure.keys.iterdir()
        for value in json.loads(key_file.read_text())["privateKey"].values():
            assert not (isinstance(value, str) and len(value) > 20 and value in icure.said)

    def test_a_wrong_code_is_asked_for_again_on_a_terminal(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        code = icure("code").stdout.strip()
        wrong = "".join("1" if digit == "0" else "0" for digit in code)
        done = icure("login", "--resume", typed=f"{wrong}\nletters\n{code}\n")
        assert "icure keys export" in done.stderr
        assert done.stderr.count("Code from the message") == 3
        assert phone in done.stdout

    def test_a_wrong_code_of_the_environment_is_an_error_and_leaves_the_process(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        code = icure("code").stdout.strip()
        wrong = "".join("1" if digit == "0" else "0" for digit in code)
        said = icure("login", "--resume", code=1, ICURE_CODE=wrong).stderr
        assert "wrong" in said
        assert "icure login --resume" in said
        assert "begin again" not in said
        icure("login", "--resume", ICURE_CODE=code)

    def test_a_process_that_is_closed_is_forgotten(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        code = icure("code").stdout.strip()
        wrong = "".join("1" if digit == "0" else "0" for digit in code)
        for _ in range(5):
            said = icure("login", "--resume", code=1, ICURE_CODE=wrong).stderr
        assert "begin again with 'icure login'" in said
        assert "No code is waited for" in icure("login", "--resume", code=1).stderr

    def test_ctrl_c_at_the_code_ends_it_with_130_and_leaves_the_process(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        started = icure(
            *("register", "--phone", phone, "--as", "patient"),
            *("--professional", running.master_hcp.data_owner_id),
            typed="solved\n",
            code=130,
        )
        assert "Solution of a captcha" in started.stderr
        icure.enter_code()

    def test_the_code_goes_to_the_gateway_that_sent_it(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        code = icure("code").stdout.strip()
        icure.environment |= {
            "ICURE_URL": "http://127.0.0.1:9",
            "ICURE_MSG_GTW_URL": "http://127.0.0.1:9",
        }
        icure("login", "--resume", ICURE_CODE=code)

    def test_a_token_that_cannot_be_kept_is_revoked(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        icure.enter_code("--store", "keyring", code=1)
        icure("login", phone, "--captcha", "solved", code=1)
        icure.enter_code("--store", "file")
        lasting = [item for item in icure.json("token", "list") if (item["validity"] or 0) > 3600]
        assert [item["is_current"] for item in lasting] == [True]

    def test_a_login_that_could_not_be_kept_is_finished_with_the_same_code(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.start(running, phone)
        code = icure("code").stdout.strip()
        icure("login", "--resume", "--store", "keyring", code=1, ICURE_CODE=code)
        icure("login", "--resume", "--store", "file", ICURE_CODE=code)
        icure("whoami")
        assert "No code is waited for" in icure("login", "--resume", code=1).stderr

    def test_who_registers_has_to_be_said_where_there_are_processes_for_both(
        self, icure: Command, phone: str
    ) -> None:
        assert "--as patient" in icure("register", "--phone", phone, code=1).stderr

    def test_everybody_logs_in_by_any_process_that_there_is_for_the_contact(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.register(running, phone)
        del icure.environment["AUTH_BY_SMS_HCP_PROCESS_ID"]
        icure("login", phone, "--captcha", "solved", code=1)
        icure.enter_code("--store", "file")

    def test_a_registration_needs_a_contact(self, icure: Command) -> None:
        assert "--phone" in icure("register", "--as", "patient", code=2).stderr

    def test_a_new_device_publishes_no_key_pair_by_itself(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        owner = icure.register(running, phone)["data_owner_id"]
        published = _published(running, owner)
        device = icure.other_device("new")
        device("login", phone, "--captcha", "solved", code=1)
        code = device("code").stdout.strip()
        refused = device("login", "--resume", code=1, ICURE_CODE=code)
        assert "icure login --new-key" in refused.stderr
        assert "icure keys import" in refused.stderr
        assert _published(running, owner) == published
        assert not device.login_file().exists()
        # The same code finishes the job: with a no, with a yes, and with the option.
        device("login", "--resume", typed=f"{code}\nn\n", code=1)
        assert _published(running, owner) == published
        device("login", "--resume", typed=f"{code}\ny\n")
        assert len(_published(running, owner)) == len(published) + 1


def _published(running: Sandbox, owner: str) -> list[str]:
    document = running.stored("patient", owner)
    assert document is not None
    return sorted({document["publicKey"], *document["aesExchangeKeys"]})


class TestByPassword:
    def test_a_token_is_made_and_kept_and_never_the_password(
        self, icure: Command, running: Sandbox
    ) -> None:
        icure.log_in_as_master(running)
        password = running.master_hcp.password
        assert icure.token() != password
        assert not any(password.encode() in file.read_bytes() for file in _files(icure.home))
        (own,) = [item for item in icure.json("token", "list") if item["is_current"]]
        assert own["name"] == "icure-cli"
        token = icure.token()
        icure("logout")
        assert not _works(running, running.master_hcp.login, token)
        assert not icure.login_file().exists()
        assert password not in icure.said
        assert token not in icure.said

    def test_a_token_that_is_given_is_kept_as_it_is(
        self, icure: Command, running: Sandbox, phone: str, tmp_path: Path
    ) -> None:
        icure.register(running, phone)
        token = icure.token()
        file = tmp_path / "token"
        file.write_text(f"{token}\n")
        device = icure.other_device("new")
        device("login", phone, "--password-file", file, "--store", "file")
        assert device.token() == token

    def test_a_wrong_password_is_a_message_with_the_next_step(
        self, icure: Command, running: Sandbox
    ) -> None:
        refused = icure("login", "somebody", "--password", code=1, ICURE_PASSWORD="hunter2")
        assert "hunter2" not in refused.stderr
        assert "icure login" in refused.stderr
        assert not icure.login_file().exists()

    def test_the_name_and_the_password_are_asked_for(self, icure: Command) -> None:
        assert "set ICURE_LOGIN" in icure("login", code=1).stderr
        assert "set ICURE_PASSWORD" in icure("login", "somebody", code=1).stderr

    def test_an_empty_password_file_is_a_message(self, icure: Command, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.touch()
        said = icure("login", "ned", "--password-file", empty, code=1).stderr
        assert str(empty) in said
        assert "gone" in icure("login", "ned", "--password-file", tmp_path / "gone", code=1).stderr

    def test_a_token_that_cannot_be_kept_is_revoked(self, icure: Command, running: Sandbox) -> None:
        master = running.master_hcp
        credentials = {"ICURE_LOGIN": master.login, "ICURE_PASSWORD": master.password}
        before = icure.json("token", "list", env=credentials)
        icure("login", "--password", "--store", "keyring", code=1, env=credentials)
        assert icure.json("token", "list", env=credentials) == before

    def test_a_login_that_is_kept_is_said_where_the_end_of_its_token_is_not_told(
        self, icure: Command, running: Sandbox
    ) -> None:
        master = running.master_hcp
        # The second look at the user's tokens; the first one finds that it is no token.
        fault = Fault(
            "status", method="GET", path="/rest/v1/user/current", status=500, nth=range(3, 9)
        )
        running.inject_fault(fault)
        try:
            said = icure.json(
                *("login", master.login, "--password", "--store", "file"),
                ICURE_PASSWORD=master.password,
            )
        finally:
            running.clear_faults()
        assert said["token_expires_at"] is None
        icure("whoami")

    def test_ctrl_c_while_the_keyring_waits_for_a_person_leaves_no_token(
        self, icure: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits = threading.Event()

        class Waiting(MemoryKeyring):
            def set_password(self, service: str, username: str, password: str) -> None:
                os.kill(os.getpid(), signal.SIGINT)
                waits.wait(10)
                super().set_password(service, username, password)

        master = running.master_hcp
        credentials = {"ICURE_LOGIN": master.login, "ICURE_PASSWORD": master.password}
        before = icure.json("token", "list", env=credentials)
        use_keyring(monkeypatch, Waiting())
        try:
            icure("login", "--password", code=130, env=credentials)
        finally:
            waits.set()
        assert icure.json("token", "list", env=credentials) == before
        assert not icure.login_file().exists()


class TestKeptLogins:
    def test_the_keyring_has_the_token_where_there_is_one(
        self, icure: Command, running: Sandbox, phone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = MemoryKeyring()
        use_keyring(monkeypatch, backend)
        icure.register(running, phone)
        device = icure.other_device("new")
        device.store_key(*_only_key(icure))
        device("login", phone, "--captcha", "solved", code=1)
        assert device.enter_code()["token_kept_in"] == "keyring"
        assert "token" not in json.loads(device.login_file().read_text())
        assert len(backend.entries) == 1
        device("whoami")
        device("logout")
        assert backend.entries == {}

    def test_the_token_of_one_backend_is_not_found_for_another(
        self, icure: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_keyring(monkeypatch, MemoryKeyring())
        master = running.master_hcp
        icure("login", master.login, "--password", ICURE_PASSWORD=master.password)
        # As if the program had died between the keyring and the file, in a login somewhere else.
        login = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"url": "http://127.0.0.1:9/rest/v1"}))
        icure.environment.clear()
        assert "log in again" in icure("whoami", code=1).stderr

    def test_a_login_in_the_file_removes_the_former_one_from_the_keyring(
        self, icure: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = MemoryKeyring()
        use_keyring(monkeypatch, backend)
        master = running.master_hcp
        icure("login", master.login, "--password", ICURE_PASSWORD=master.password)
        icure.log_in_as_master(running)
        assert backend.entries == {}
        icure("whoami")

    def test_a_token_that_has_gone_from_the_keyring_is_a_message(
        self, icure: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = MemoryKeyring()
        use_keyring(monkeypatch, backend)
        master = running.master_hcp
        icure("login", master.login, "--password", ICURE_PASSWORD=master.password)
        backend.entries.clear()
        assert "log in again with 'icure login'" in icure("whoami", code=1).stderr

    def test_another_login_revokes_the_token_of_the_former_one(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.register(running, phone)
        former = icure.token()
        icure("login", phone, "--captcha", "solved", code=1)
        icure.enter_code("--store", "file")
        assert _works(running, phone, icure.token())
        assert not _works(running, phone, former)

    def test_of_two_logins_at_once_one_is_kept_and_the_other_revoked(
        self, icure: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        master = running.master_hcp
        credentials = {"ICURE_LOGIN": master.login, "ICURE_PASSWORD": master.password}
        before = {item["key"] for item in icure.json("token", "list", env=credentials)}
        others: list[subprocess.Popen[bytes]] = []
        command = [sys.executable, "-m", "icure_async", "login", "--password", "--store", "file"]

        class Slow(MemoryKeyring):
            def set_password(self, service: str, username: str, password: str) -> None:
                # As the command runs in this process, its environment is that of the process.
                others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    others[0].wait(4)
                raise RuntimeError("locked")

        use_keyring(monkeypatch, Slow())
        icure("login", "--password", env=credentials)
        assert others[0].wait(30) == 0
        left = {item["key"] for item in icure.json("token", "list", env=credentials)} - before
        assert len(left) == 1
        icure("whoami")

    def test_a_file_that_others_can_read_is_refused(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        icure.login_file().chmod(0o644)
        refused = icure("whoami", code=1).stderr
        assert f"chmod 600 {icure.login_file()}" in refused
        assert icure.token() not in refused

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"version": 1}'])
    def test_a_damaged_file_is_a_message(self, icure: Command, content: str) -> None:
        icure.login_file().parent.mkdir(parents=True, mode=0o700)
        icure.login_file().write_text(content)
        icure.login_file().chmod(0o600)
        assert "icure login" in icure("whoami", code=1).stderr
        icure("logout", code=1)
        icure("logout", "--forget")
        assert not icure.login_file().exists()

    def test_a_login_that_cannot_be_read_is_replaced_and_its_token_is_not_said_to_be_revoked(
        self, icure: Command, running: Sandbox, person: dict[str, Any]
    ) -> None:
        icure.login_file().chmod(0o644)
        leaked = icure.token()
        master = running.master_hcp
        said = icure(
            *("login", master.login, "--password", "--store", "file"),
            ICURE_PASSWORD=master.password,
        ).stderr
        assert "was not revoked" in said
        assert "icure token revoke" in said
        assert _works(running, person["login"], leaked)

    def test_the_address_of_the_former_login_does_not_matter_for_the_new_one(
        self, icure: Command, running: Sandbox, person: dict[str, Any]
    ) -> None:
        login: dict[str, Any] = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"url": "ftp://elsewhere"}))
        master = running.master_hcp
        said = icure(
            *("login", master.login, "--password", "--store", "file"),
            ICURE_PASSWORD=master.password,
        ).stderr
        assert "was not revoked" in said
        icure("whoami")

    def test_the_token_is_sent_to_no_other_backend(
        self, icure: Command, running: Sandbox, person: dict[str, Any]
    ) -> None:
        refused = icure("whoami", code=1, ICURE_URL="http://127.0.0.1:9").stderr
        assert running.icure_url in refused
        assert "icure login" in refused
        # The same backend, in other words.
        icure("whoami", ICURE_URL=running.icure_url.removesuffix("/rest/v1") + "/")

    def test_the_environment_has_credentials_for_one_command(
        self, icure: Command, running: Sandbox
    ) -> None:
        master = running.master_hcp
        who = icure.json("whoami", ICURE_LOGIN=master.login, ICURE_PASSWORD=master.password)
        assert who["data_owner_id"] == master.data_owner_id
        assert not icure.login_file().exists()


class TestLogout:
    def test_it_is_kept_where_the_backend_cannot_be_reached(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        login: dict[str, Any] = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"url": "http://127.0.0.1:9/rest/v1"}))
        assert "icure doctor" in icure("logout", code=1).stderr
        assert icure.login_file().exists()
        icure("logout", "--forget")
        assert not icure.login_file().exists()

    def test_it_is_forgotten_where_the_backend_fails(
        self, icure: Command, running: Sandbox, person: dict[str, Any]
    ) -> None:
        running.inject_fault(
            Fault("status", method="POST", path="/rest/v1/auth/login", status=500, nth=range(1, 9))
        )
        try:
            assert "HTTP 500" in icure("logout", code=1).stderr
            assert icure.login_file().exists()
            assert "HTTP 500" in icure("logout", "--forget").stderr
        finally:
            running.clear_faults()
        assert not icure.login_file().exists()

    def test_it_is_forgotten_where_its_address_is_damaged(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        login: dict[str, Any] = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"url": "ftp://elsewhere"}))
        icure("logout", code=1)
        icure("logout", "--forget")
        assert not icure.login_file().exists()

    def test_it_is_forgotten_where_the_keyring_has_gone(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        login: dict[str, Any] = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"place": "keyring"}))
        icure("logout", code=1)
        assert "may still be in the keyring" in icure("logout", "--forget").stderr
        assert not icure.login_file().exists()

    def test_a_token_that_has_ended_is_no_error(
        self, icure: Command, person: dict[str, Any]
    ) -> None:
        login: dict[str, Any] = json.loads(icure.login_file().read_text())
        icure.login_file().write_text(json.dumps(login | {"token": "another-one"}))
        assert "ended before" in icure("logout").stderr
        assert not icure.login_file().exists()

    def test_nobody_to_log_out_is_a_message(self, icure: Command) -> None:
        assert "Nobody is logged in" in icure("logout", code=1).stderr

    def test_private_keys_stay(self, icure: Command, running: Sandbox, phone: str) -> None:
        icure.register(running, phone)
        kept = {file.name: file.read_bytes() for file in icure.keys.iterdir()}
        icure("logout")
        assert {file.name: file.read_bytes() for file in icure.keys.iterdir()} == kept


def _only_key(icure: Command) -> tuple[str, Any]:
    (stored,) = icure.json("keys", "list")
    content = json.loads(Path(stored["file"]).read_text())
    from icure_async.storage.jwk import key_pair_from_document

    return stored["data_owner_id"], key_pair_from_document(content)


class TestTokens:
    def test_one_is_revoked_by_its_key(self, icure: Command, running: Sandbox, phone: str) -> None:
        icure.register(running, phone)
        device = icure.other_device("new")
        device.store_key(*_only_key(icure))
        device("login", phone, "--captcha", "solved", code=1)
        device.enter_code("--store", "file")
        (other,) = [item["key"] for item in device.json("token", "list") if item["is_current"]]
        assert f"Revoked {other}" in icure("token", "revoke", other).stderr
        assert not _works(running, phone, device.token())
        assert "There is no token" in icure("token", "revoke", other, code=1).stderr

    def test_those_that_were_revoked_before_a_failure_are_said(
        self, icure: Command, running: Sandbox
    ) -> None:
        icure.log_in_as_master(running)
        master = running.master_hcp
        before = {item["key"] for item in icure.json("token", "list")}
        for name in ("one", "two"):
            icure.other_device(name)(
                *("login", master.login, "--password", "--store", "file"),
                ICURE_PASSWORD=master.password,
            )
        first, second = {item["key"] for item in icure.json("token", "list")} - before
        running.inject_fault(
            Fault("status", method="PUT", path="/rest/v1/user", status=500, nth=range(2, 9))
        )
        try:
            said = icure("token", "revoke", first, second, code=1).stderr
        finally:
            running.clear_faults()
        assert f"Revoked {first}." in said
        assert "HTTP 500" in said
        assert second not in said
        left = {item["key"] for item in icure.json("token", "list")} - before
        assert left == {second}
        icure("token", "revoke", second, second)

    def test_that_of_this_login_is_for_logout(self, icure: Command, person: dict[str, Any]) -> None:
        (own,) = [item["key"] for item in icure.json("token", "list") if item["is_current"]]
        assert "icure logout" in icure("token", "revoke", own, code=1).stderr
        icure("whoami")

    def test_keys_are_never_broken(self, icure: Command, person: dict[str, Any]) -> None:
        keys = [item["key"] for item in icure.json("token", "list")]
        lines = icure("token", "list").stdout.splitlines()
        assert [line.split()[0] for line in lines[1:]] == keys


class TestSecondFactor:
    @pytest.fixture
    async def guarded(self, running: Sandbox) -> AsyncIterator[tuple[str, list[str]]]:
        """The URL of a backend that wants a code with the password, and the codes it was given."""
        codes: list[str] = []

        async def want(exchange: Exchange) -> None:
            password, _, code = exchange.body["password"].partition("|")
            if not code:
                exchange.status, exchange.answer = 417, {"message": "A code is wanted"}
                return
            codes.append(code)
            body = exchange.body | {"password": password}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{running.icure_url}/auth/login", json=body) as answer,
            ):
                exchange.status, exchange.answer = answer.status, await answer.json()

        async with Proxy(cast("AsyncSandbox", running)) as proxy:
            for _ in range(3):
                proxy.after("POST /auth/login", want)
            yield proxy.url, codes

    async def test_its_code_is_asked_for_and_sent_with_the_password(
        self, icure: Command, running: Sandbox, guarded: tuple[str, list[str]]
    ) -> None:
        url, codes = guarded
        master = running.master_hcp
        secrets = {"ICURE_URL": url, "ICURE_PASSWORD": master.password}
        login = partial(icure, "login", master.login, "--password", "--store", "file", env=secrets)
        done = await asyncio.to_thread(login, typed="123 456\n")
        assert "Code of the second factor" in done.stderr
        assert codes == ["123456"]
        assert icure.login_file().exists()

    async def test_without_a_terminal_its_variable_is_named(
        self, icure: Command, running: Sandbox, guarded: tuple[str, list[str]]
    ) -> None:
        url, _ = guarded
        secrets = {"ICURE_URL": url, "ICURE_PASSWORD": running.master_hcp.password}
        login = partial(icure, "login", running.master_hcp.login, "--password", code=1, env=secrets)
        assert "set ICURE_CODE" in (await asyncio.to_thread(login)).stderr
