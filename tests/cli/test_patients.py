"""``icure patient``, and the whole story of a patient from registration to another login."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command

NOTE = "You must keep one's head"


def test_the_whole_story(icure: Command, running: Sandbox, phone: str, tmp_path: Path) -> None:
    master = running.master_hcp
    professional = icure.other_device("professional")
    professional.log_in_as_master(running)

    # register, whoami
    login = icure.register(running, phone, "--first-name", "Ned", "--last-name", "Stark")
    who = icure("whoami").stdout
    assert login["user_id"] in who
    assert login["data_owner_id"] in who
    assert icure.json("doctor")["ok"] is True

    # patient create, list, get
    note = tmp_path / "note"
    note.write_text(f"{NOTE}\n")
    created = icure.json(
        *("patient", "create", "--first-name", "Robb", "--last-name", f"Stark {phone}"),
        *("--born", "1990-02-01", "--gender", "male", "--note-file", note),
    )
    robb = created["id"]
    assert created["note"] == NOTE
    assert created["dateOfBirth"] == 19900201
    stored = running.stored("patient", robb)
    assert stored is not None
    assert stored.get("note") is None
    lines = icure("patient", "list", "--name", f"Stark {phone}").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [robb]
    assert icure.json("patient", "list", "--name", "Nobody of this name") == []
    assert icure.json("patient", "list", "--born", "1990-02-01", "--count") == {"count": 1}
    assert icure("patient", "list", "--count").stdout.split() == ["2"]
    assert len(icure.json("patient", "list", "--limit", "1")) == 1
    shown = icure("patient", "get", robb).stdout
    assert robb in shown
    assert NOTE in shown
    assert "delegations" not in shown

    # patient share
    friend = icure.other_device("friend")
    other = friend.register(running, f"{phone}1", "--last-name", "Reed", person="hcp")[
        "data_owner_id"
    ]
    assert friend("patient", "get", robb, code=1).stdout == ""
    question = icure("patient", "share", robb, other, typed="n\n", code=1).stderr
    assert f"{other}  hcparty  Reed" in question
    friend("patient", "get", robb, code=1)
    (outcome,) = icure.json("patient", "share", robb, other, "--yes")
    assert outcome["outcome"] == "shared"
    assert friend.json("patient", "get", robb)["note"] == NOTE
    assert "shared before" in icure("patient", "share", robb, other, typed="y\n").stdout
    assert professional.json("patient", "get", robb)["note"] == NOTE

    # patient delete
    assert "--yes" in icure("patient", "delete", robb, code=1).stderr
    icure("patient", "delete", robb, "--yes")
    assert icure.json("patient", "list", "--name", f"Stark {phone}") == []
    assert "deletionDate" in icure.json("patient", "get", robb)

    # logout, login
    first = icure.token()
    icure("logout")
    assert "icure login" in icure("patient", "list", code=1).stderr
    icure("login", phone, "--captcha", "solved", code=1)
    assert icure.enter_code("--store", "file")["data_owner_id"] == login["data_owner_id"]
    assert icure.json("patient", "get", robb)["note"] == NOTE

    for secret in (first, icure.token(), friend.token(), master.password, professional.token()):
        assert secret not in icure.said + friend.said + professional.said


class TestCreate:
    @pytest.fixture(autouse=True)
    def _login(self, icure: Command, running: Sandbox) -> None:
        icure.log_in_as_master(running)

    def test_a_repeated_command_with_the_same_id_creates_one(self, icure: Command) -> None:
        first = icure("patient", "create", "--last-name", "Snow", "--json")
        created = json.loads(first.stdout)
        assert f"--id {created['id']}" in first.stderr
        again = icure.json("patient", "create", "--last-name", "Snow", "--id", created["id"])
        assert again == created

    def test_a_whole_patient_comes_from_a_file(self, icure: Command, tmp_path: Path) -> None:
        file = tmp_path / "patient.json"
        file.write_text(json.dumps({"lastName": "Tully", "companyName": "Riverrun", "note": NOTE}))
        created = icure.json("patient", "create", "--file", file, "--first-name", "Catelyn")
        assert (created["lastName"], created["firstName"]) == ("Tully", "Catelyn")
        file.write_text(json.dumps(created))
        assert "has a revision" in icure("patient", "create", "--file", file, code=1).stderr

    @pytest.mark.parametrize("content", ["", "[]", '{"lastName": 1}', '{"unheardOf": "x"}'])
    def test_a_malformed_file_is_a_message(
        self, icure: Command, tmp_path: Path, content: str
    ) -> None:
        file = tmp_path / "patient.json"
        file.write_text(content)
        assert icure("patient", "create", "--file", file, code=1).stdout == ""

    def test_files_that_cannot_be_read_are_messages(self, icure: Command, tmp_path: Path) -> None:
        binary = tmp_path / "binary"
        binary.write_bytes(b"\xff\xfe secret")
        for file in (tmp_path / "missing", tmp_path, binary):
            said = icure("patient", "create", "--note-file", file, code=1).stderr
            assert str(file) in said
            assert "secret" not in said

    def test_a_malformed_date_is_a_usage_error(self, icure: Command) -> None:
        icure("patient", "create", "--born", "1.2.1990", code=2)


class TestErrors:
    def test_an_unknown_patient_is_a_message(self, icure: Command, running: Sandbox) -> None:
        icure.log_in_as_master(running)
        assert "does not exist" in icure("patient", "get", "no-such-id", code=1).stderr
        assert icure("patient", "delete", "no-such-id", "--yes", code=1).stderr
        assert icure("patient", "share", "no-such-id", "nobody", "--yes", code=1).stderr

    def test_an_unknown_delegate_keeps_no_other_from_it(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.log_in_as_master(running)
        other = icure.other_device("other").register(running, phone)["data_owner_id"]
        patient = icure.json("patient", "create", "--last-name", "Snow")["id"]
        rows = icure.json("patient", "share", patient, "nobody", other, "--yes", code=1)
        assert {row["delegate"]: row["outcome"] for row in rows} == {
            "nobody": "not shared",
            other: "shared",
        }
        assert all(bool(row["error"]) == (row["delegate"] == "nobody") for row in rows)

    def test_all_data_says_what_is_covered(
        self, icure: Command, running: Sandbox, phone: str
    ) -> None:
        icure.log_in_as_master(running)
        other = icure.other_device("other")
        other_id = other.register(running, phone)["data_owner_id"]
        patient = icure.json("patient", "create", "--last-name", "Snow")["id"]
        rows = icure.json("patient", "share", patient, other_id, "--all-data", "--yes")
        assert [(row["data"], row["outcome"]) for row in rows] == [("patient", "1 shared")]
        other("patient", "get", patient)

    def test_without_a_key_the_ways_back_are_told(self, icure: Command, running: Sandbox) -> None:
        master = running.master_hcp
        credentials = {"ICURE_LOGIN": master.login, "ICURE_PASSWORD": master.password}
        said = icure("patient", "list", code=1, env=credentials).stderr
        assert "icure keys import" in said
