"""The command with today's iCure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command


def _kept_flavour(icure: Command) -> str:
    return str(json.loads(icure.login_file().read_text())["flavour"])


def registered(icure: Command, running: Sandbox, phone: str, *options: str) -> None:
    """Register without a captcha: the command solves one."""
    professional = running.master_hcp.data_owner_id
    icure(
        *("register", "--phone", phone, "--as", "patient", "--professional", professional),
        *options,
        code=1,
    )
    icure("login", "--resume", ICURE_CODE=running.wait_for_code(phone))


def test_somebody_registers_works_and_logs_out(
    icure: Command, running: Sandbox, phone: str, tmp_path: Path
) -> None:
    registered(icure, running, phone, "--flavour", "cardinal")
    note = tmp_path / "note"
    note.write_text("wolf")
    assert _kept_flavour(icure) == "cardinal"
    # The login knows it from here on.
    patient = icure.json("patient", "create", "--last-name", "Stark", "--note-file", note)
    assert patient["id"] in [one["id"] for one in icure.json("patient", "list")]
    assert icure.json("patient", "get", patient["id"])["note"] == "wolf"
    stored = running.stored("patient", patient["id"])
    assert stored is not None
    assert "securityMetadata" in stored
    assert not stored.get("delegations")
    report = icure.json("doctor")
    assert report["ok"] is True
    (flavour,) = [check for check in report["checks"] if check["name"] == "Flavour"]
    assert flavour["found"].startswith("cardinal")
    assert icure.json("whoami")["login"] == phone
    icure("logout")


def test_a_patient_keeps_conditions_samples_and_files(
    icure: Command, running: Sandbox, phone: str, tmp_path: Path
) -> None:
    registered(icure, running, phone, "--flavour", "cardinal")
    patient = icure.json("whoami")["data_owner_id"]
    condition = icure.json("condition", "add", patient, "--description", "Hay fever")["id"]
    given = ("--number", "36.6", "--unit", "C", "--condition", condition)
    sample = icure.json("sample", "add", patient, *given)["id"]
    for kind, text in (("condition", "Hay fever"), ("sample", "36.6")):
        (row,) = icure.json(kind, "list", patient)
        assert row["readable"] is True
        assert text in icure(kind, "show", row["id"]).stdout
    file = tmp_path / "scan"
    file.write_bytes(b"wolf")
    icure("sample", "attach", sample, file, "--language", "fr")
    icure("sample", "save-attachment", sample, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"wolf"
    icure("sample", "delete", sample, "--yes")
    icure("condition", "delete", condition, "--yes")
    assert icure.json("sample", "list", patient) == icure.json("condition", "list", patient) == []


def test_a_patient_deletes_a_record_of_its_own(
    icure: Command, running: Sandbox, phone: str, tmp_path: Path
) -> None:
    """It is named nowhere in the record: its keys show that it may."""
    registered(icure, running, phone, "--flavour", "cardinal")
    patient = icure.json("patient", "create", "--last-name", "Stark")
    missing = tmp_path / "no keys"
    icure("patient", "delete", patient["id"], "--yes", code=1, ICURE_KEYS=str(missing))
    icure("patient", "delete", patient["id"], "--yes")
    stored = running.stored("patient", patient["id"])
    assert stored is not None
    assert stored["deletionDate"]


def test_the_profile_or_the_environment_say_it_once_for_all(
    icure: Command, running: Sandbox, phone: str
) -> None:
    icure("config", "set", "today", "--from-env", "--flavour", "Cardinal", env=running.environment)
    assert icure.json("config", "show", "today")["settings"]["flavour"] == "cardinal"
    registered(icure, running, phone, "--profile", "today")
    assert json.loads(icure.login_file("today").read_text())["flavour"] == "cardinal"


def test_a_login_is_not_used_in_the_other_flavour(
    icure: Command, running: Sandbox, phone: str
) -> None:
    registered(icure, running, phone, "--flavour", "cardinal")
    refused = icure("patient", "list", code=1, ICURE_FLAVOUR="medtech")
    assert "icure login --flavour medtech" in refused.stderr
    assert icure("patient", "list", ICURE_FLAVOUR="cardinal").returncode == 0


def test_a_process_goes_on_in_the_flavour_that_it_was_started_in(
    icure: Command, running: Sandbox, phone: str
) -> None:
    professional = running.master_hcp.data_owner_id
    icure(
        *("register", "--phone", phone, "--as", "patient", "--professional", professional),
        code=1,
        ICURE_FLAVOUR="cardinal",
    )
    icure("login", "--resume", ICURE_CODE=running.wait_for_code(phone), ICURE_FLAVOUR="medtech")
    assert _kept_flavour(icure) == "cardinal"


def test_a_login_of_an_earlier_version_is_one_of_2023(
    icure: Command, running: Sandbox, phone: str
) -> None:
    icure.register(running, phone)
    login = json.loads(icure.login_file().read_text())
    assert login.pop("flavour") == "medtech"
    icure.login_file().write_text(json.dumps(login))
    assert icure.json("whoami")["login"] == phone
    icure.login_file().write_text(json.dumps(login | {"flavour": "vanilla"}))
    assert "damaged" in icure("whoami", code=1).stderr


@pytest.mark.parametrize("flavour", ["vanilla", "v2"])
def test_another_flavour_is_a_mistake(icure: Command, flavour: str) -> None:
    refused = icure("login", "+32470123456", "--flavour", flavour, code=1)
    assert "medtech or cardinal" in refused.stderr
