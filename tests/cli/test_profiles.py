"""``icure config``, and the profiles that other commands run with."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from icure_async.cli.profiles import SETTINGS
from icure_sync.sandbox import Sandbox
from tests.support.command import Command


def _write(icure: Command, content: object) -> None:
    icure.config_file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    icure.config_file.write_text(text)
    icure.config_file.chmod(0o600)


@pytest.fixture
def icure(icure: Command) -> Command:
    icure.environment.clear()
    return icure


class TestCommands:
    def test_the_environment_becomes_a_profile_that_serves_without_it(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure("config", "set", "sandbox", "--from-env", env=running.environment)
        shown = icure.json("config", "show")
        assert shown["profile"] == "sandbox"
        assert shown["settings"]["url"] == running.icure_url
        assert len(shown["settings"]) == 7
        assert stat.S_IMODE(icure.config_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(icure.config_file.parent.stat().st_mode) == 0o700
        icure.register(running, phone)
        assert icure.json("whoami")["profile"] == "sandbox"

    def test_one_is_named_before_or_after_the_command_or_in_the_environment(
        self, icure: Command
    ) -> None:
        for name in ("first", "second"):
            icure("config", "set", name, "--url", f"https://{name}.example")
        assert "'first'" in icure("whoami", code=1).stderr
        for arguments, environment in (
            (["--profile", "second", "whoami"], {}),
            (["whoami", "--profile", "second"], {}),
            (["whoami"], {"ICURE_PROFILE": "second"}),
            (["--profile", "second", "whoami"], {"ICURE_PROFILE": "first"}),
            (["--profile", "first", "whoami", "--profile", "second"], {}),
        ):
            assert "'second'" in icure(*arguments, code=1, env=environment).stderr
        icure("config", "use", "second")
        assert "'second'" in icure("whoami", code=1).stderr

    def test_settings_are_changed_and_unset_one_by_one(self, icure: Command) -> None:
        icure("config", "set", "work", "--url", "https://a.example", "--spec-id", "ic")
        icure("config", "set", "work", "--url", "https://b.example")
        assert icure.json("config", "show", "work")["settings"] == {
            "url": "https://b.example",
            "spec_id": "ic",
        }
        icure("config", "set", "work", "--spec-id", "")
        assert icure.json("config", "show")["settings"] == {"url": "https://b.example"}

    def test_they_are_listed_in_lines_that_are_never_broken(self, icure: Command) -> None:
        url = f"https://{'very-' * 20}long.example"
        icure("config", "set", "work", "--url", url, "--user-name", "ned@winterfell.example")
        (line,) = icure("config", "list").stdout.splitlines()[1:]
        assert line.split() == ["work", "yes", url, "ned@winterfell.example", "no"]
        (row,) = icure.json("config", "list")
        assert row["in_use"] is True

    def test_the_environment_has_precedence_and_show_says_so(self, icure: Command) -> None:
        icure("config", "set", "work", "--url", "https://a.example")
        shown = icure("config", "show", ICURE_URL="https://b.example")
        assert "ICURE_URL" in shown.stderr
        assert "https://a.example" in shown.stdout

    def test_one_that_is_logged_in_is_not_deleted(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure("config", "set", "work", "--from-env", env=running.environment)
        icure.register(running, phone)
        assert "icure logout" in icure("config", "delete", "work", "--yes", code=1).stderr
        icure("logout")
        assert "--yes" in icure("config", "delete", "work", code=1).stderr
        icure("config", "delete", "work", typed="n\n", code=1)
        icure("config", "delete", "work", typed="y\n")
        assert "There is no profile" in icure("config", "show", "work", code=1).stderr

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--url", "not a url"),
            ("--url", "https://name:secret@icure.example"),
            ("--gateway-url", "ftp://gateway.example"),
            ("--spec-id", ".."),
            ("--patient-sms-process-id", " "),
            ("--user-name", " ned"),
            ("--storage", "~nobody-of-this-name/keys"),
        ],
    )
    def test_a_malformed_value_is_a_message_and_changes_nothing(
        self, icure: Command, option: str, value: str
    ) -> None:
        assert option in icure("config", "set", "work", option, value, code=1).stderr
        assert not icure.config_file.exists()

    def test_a_malformed_variable_is_named(self, icure: Command) -> None:
        assert "ICURE_URL" in icure("whoami", code=1, ICURE_URL="not a url").stderr

    @pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 65])
    def test_a_profile_has_a_name_that_a_file_can_have(self, icure: Command, name: str) -> None:
        assert icure("config", "set", "--", name, code=1).stderr

    def test_an_unknown_one_is_a_message_with_those_there_are(self, icure: Command) -> None:
        icure("config", "set", "work", "--url", "https://a.example")
        assert "known: work" in icure("whoami", "--profile", "home", code=1).stderr
        assert "known: work" in icure("config", "use", "home", code=1).stderr

    def test_a_missing_setting_is_named_with_its_variable_and_its_option(
        self, icure: Command
    ) -> None:
        said = icure("login", "ned", "--password", code=1, ICURE_PASSWORD="secret-word").stderr
        assert "ICURE_URL" in said
        assert "icure config set default --url" in said
        said = icure(
            *("register", "--phone", "+32470123456", "--captcha", "x"),
            code=1,
            ICURE_URL="https://a.example",
        ).stderr
        assert "SPEC_ID" in said

    def test_the_keys_of_a_profile_are_in_its_folder(
        self, icure: Command, running: Sandbox, phone: str, tmp_path: Path
    ) -> None:
        folder = tmp_path / "elsewhere/keys"
        icure("config", "set", "work", "--from-env", "--storage", folder, env=running.environment)
        login = icure.register(running, phone)
        (stored,) = icure.json("keys", "list")
        assert stored["data_owner_id"] == login["data_owner_id"]
        assert Path(stored["file"]).parent == folder
        assert not icure.keys.exists()


class TestBrokenFile:
    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "{}",
            {"version": 2, "profiles": {}},
            {"version": True, "profiles": {}},
            {"version": 1},
            {"version": 1, "profiles": []},
            {"version": 1, "profiles": {"work": []}},
            {"version": 1, "profiles": {"../work": {}}},
            {"version": 1, "profiles": {"work": {"url": 1}}},
            {"version": 1, "profiles": {}, "current": 1},
        ],
        ids=str,
    )
    def test_it_is_named_with_what_to_do_and_left_alone(
        self, icure: Command, content: object
    ) -> None:
        _write(icure, content)
        before = icure.config_file.read_text()
        for command in (["config", "list"], ["config", "set", "x", "--spec-id", "ic"], ["whoami"]):
            said = icure(*command, code=1).stderr
            assert str(icure.config_file) in said
        assert "✗ Settings" in icure("doctor", code=1).stdout
        assert icure.config_file.read_text() == before

    def test_one_that_others_can_write_is_refused(self, icure: Command) -> None:
        _write(icure, {"version": 1, "profiles": {"work": {"url": "https://a.example"}}})
        icure.config_file.chmod(0o666)
        assert f"chmod 600 {icure.config_file}" in icure("config", "list", code=1).stderr

    def test_the_advice_is_right_for_a_folder_with_a_blank_in_its_name(
        self, icure: Command, tmp_path: Path
    ) -> None:
        icure.home = tmp_path / "Application Support"
        _write(icure, {"version": 1, "profiles": {}})
        icure.config_file.chmod(0o666)
        said = icure("config", "list", code=1).stderr
        assert f"chmod 600 {shlex.quote(str(icure.config_file))}" in said
        icure.config_file.chmod(0o600)
        icure.config_file.parent.chmod(0o755)
        said = icure("doctor", code=1).stdout
        assert f"chmod 700 {shlex.quote(str(icure.config_file.parent))}" in said

    def test_members_of_a_newer_version_survive(self, icure: Command) -> None:
        content = {
            "version": 1,
            "current": "work",
            "profiles": {"work": {"url": "https://a.example", "tenant": {"id": 1}}},
            "theme": "dark",
        }
        _write(icure, content)
        icure("config", "set", "work", "--spec-id", "ic")
        content["profiles"]["work"]["spec_id"] = "ic"  # type: ignore[index]
        assert json.loads(icure.config_file.read_text()) == content


def test_every_setting_is_an_option_of_config_set(icure: Command) -> None:
    shown = icure("config", "set", "--help", COLUMNS="200").stdout
    assert all(setting.option in shown for setting in SETTINGS.values())
