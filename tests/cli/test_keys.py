"""``icure keys delete``, ``split``, ``share`` and ``recover``, and access that is given back."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command

PASSPHRASE = "four words are hard to guess"


def _only(icure: Command) -> tuple[str, Path]:
    (stored,) = icure.json("keys", "list")
    return stored["fingerprint"], Path(stored["file"])


class TestDelete:
    @pytest.fixture(autouse=True)
    def _key(self, icure: Command, running: Sandbox) -> None:
        master = running.master_hcp
        icure.store_key(master.data_owner_id, master.key_pair)

    def test_nothing_is_deleted_without_a_yes(self, icure: Command) -> None:
        fingerprint, file = _only(icure)
        assert "--yes" in icure("keys", "delete", fingerprint, code=1).stderr
        asked = icure("keys", "delete", fingerprint, typed="n\n", code=1).stderr
        assert "WITHOUT a backup" in asked
        icure("keys", "delete", fingerprint, typed="", code=130)
        assert file.exists()
        icure("keys", "delete", fingerprint, typed="y\n")
        assert not file.exists()

    def test_a_backup_is_made_first_and_brings_the_key_back(
        self, icure: Command, tmp_path: Path
    ) -> None:
        fingerprint, file = _only(icure)
        backup = tmp_path / "my.backup"
        delete = ("keys", "delete", fingerprint, "--backup", backup)
        icure(*delete, "--yes", ICURE_PASSPHRASE=PASSPHRASE)
        assert not file.exists()
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        icure("keys", "import", backup, ICURE_PASSPHRASE=PASSPHRASE)
        assert file.exists()
        assert "exists" in icure(*delete, "--yes", code=1, ICURE_PASSPHRASE=PASSPHRASE).stderr
        assert file.exists()
        assert PASSPHRASE not in icure.said

    def test_a_backup_that_cannot_be_made_leaves_the_key(
        self, icure: Command, tmp_path: Path
    ) -> None:
        fingerprint, file = _only(icure)
        delete = ("keys", "delete", fingerprint, "--yes", "--backup")
        icure(*delete, tmp_path / "missing/my.backup", code=1, ICURE_PASSPHRASE=PASSPHRASE)
        icure(*delete, tmp_path / "my.backup", code=1, ICURE_PASSPHRASE="short")
        assert "ICURE_PASSPHRASE" in icure(*delete, tmp_path / "my.backup", code=1).stderr
        assert file.exists()

    @pytest.mark.parametrize("given", ["short", "0" * 32])
    def test_another_fingerprint_is_a_message(self, icure: Command, given: str) -> None:
        assert "Nothing was deleted" in icure("keys", "delete", given, "--yes", code=1).stderr

    def test_one_of_several_owners_has_to_be_named(self, icure: Command, running: Sandbox) -> None:
        fingerprint, file = _only(icure)
        icure.store_key("another-owner", running.master_hcp.key_pair)
        said = icure("keys", "delete", fingerprint, "--yes", code=1).stderr
        assert "--owner" in said
        assert "another-owner" in said
        icure("keys", "delete", fingerprint, "--yes", "--owner", "another-owner")
        assert _only(icure) == (fingerprint, file)


def test_a_lost_key_comes_back_from_the_shares_of_notaries(
    icure: Command, running: Sandbox, phone: str, tmp_path: Path
) -> None:
    notary = icure.other_device("notary")
    notary.log_in_as_master(running)
    owner = icure.register(running, phone)["data_owner_id"]
    patient = icure.json("patient", "create", "--last-name", "Snow")["id"]
    done = icure.json("keys", "split", running.master_hcp.data_owner_id)
    fingerprint, file = _only(icure)
    assert done["fingerprint"] == fingerprint
    file.unlink()
    assert "icure keys recover" in icure("patient", "get", patient, code=1).stderr

    share = tmp_path / "share.json"
    notary("keys", "share", owner, share)
    assert stat.S_IMODE(share.stat().st_mode) == 0o600
    assert "exists" in notary("keys", "share", owner, share, code=1).stderr
    icure("keys", "recover", share)
    assert _only(icure) == (fingerprint, file)
    icure("patient", "get", patient)
    for content in json.loads(share.read_text())["contents"]:
        assert content not in icure.said + notary.said


def test_shares_that_are_none_are_messages(icure: Command, tmp_path: Path) -> None:
    file = tmp_path / "share.json"
    for content in ("", "{}", '{"version": 9}'):
        file.write_text(content)
        assert str(file) in icure("keys", "recover", file, code=1).stderr


def test_without_a_terminal_each_question_names_its_variable(
    icure: Command, running: Sandbox, tmp_path: Path
) -> None:
    master = running.master_hcp
    icure.store_key(master.data_owner_id, master.key_pair)
    (tmp_path / "backup").write_text("{}")
    for arguments, variable in (
        (("export", tmp_path / "file"), "ICURE_PASSPHRASE"),
        (("import", tmp_path / "backup"), "ICURE_PASSPHRASE"),
        (("doctor",), "ICURE_LOGIN"),
        (("doctor", "--login", "ned"), "ICURE_PASSWORD"),
    ):
        said = icure("keys", *arguments, code=1)
        assert said.stdout == ""
        assert said.stderr.endswith(f"There is no terminal to ask for it: set {variable}.\n")
    assert not (tmp_path / "file").exists()


def test_the_keys_of_another_user_than_the_one_who_is_logged_in_are_examined(
    icure: Command, running: Sandbox, person: dict[str, Any]
) -> None:
    assert icure.json("keys", "doctor")["data_owner_id"] == person["data_owner_id"]
    master = running.master_hcp
    other = icure.json(
        *("keys", "doctor", "--login", master.login), code=1, ICURE_PASSWORD=master.password
    )
    assert other["data_owner_id"] == master.data_owner_id


class TestAccessBack:
    @pytest.fixture
    def asked(self, icure: Command, running: Sandbox, phone: str) -> tuple[Command, str]:
        """Somebody who has lost a key and logged in with a new one; and a patient of theirs."""
        icure.log_in_as_master(running)
        person = icure.other_device("person")
        person.register(running, phone)
        patient = person.json("patient", "create", "--last-name", "Snow")["id"]
        _only(person)[1].unlink()
        person("login", phone, "--captcha", "solved", code=1)
        person.enter_code("--new-key", "--store", "file")
        person("patient", "get", patient, code=1)
        return person, patient

    def test_it_is_listed_and_given_after_a_confirmation(
        self, icure: Command, asked: tuple[Command, str]
    ) -> None:
        person, patient = asked
        who = person.json("whoami")["data_owner_id"]
        (pending,) = [row for row in icure.json("notification", "list") if row["from"] == who]
        assert pending["type"] == "KEY_PAIR_UPDATE"
        lines = icure("notification", "list").stdout.splitlines()
        assert pending["id"] in [line.split()[0] for line in lines]
        answer = ("notification", "answer", pending["id"])
        question = icure(*answer, typed="n\n", code=1).stderr
        assert who in question
        assert pending["digest"] in question
        person("patient", "get", patient, code=1)
        assert "--yes" in icure(*answer, code=1).stderr
        given = icure.json(*answer, "--yes")
        assert given["status"] == "completed"
        assert given["given"]["given"] > 0
        person("patient", "get", patient)
        assert pending["id"] not in icure("notification", "list").stdout
        assert pending["id"] in icure("notification", "list", "--all").stdout

    def test_it_is_refused(self, icure: Command, asked: tuple[Command, str]) -> None:
        person, patient = asked
        who = person.json("whoami")["data_owner_id"]
        (pending,) = [row for row in icure.json("notification", "list") if row["from"] == who]
        icure("notification", "answer", pending["id"], "--refuse", "--done", code=2)
        assert "cancelled" in icure("notification", "answer", pending["id"], "--refuse").stderr
        person("patient", "get", patient, code=1)
