"""``icure condition``: the conditions of a patient, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command

DESCRIPTION = "Hay fever since childhood"
NOTE = "Worse in the godswood"


def test_the_whole_story(icure: Command, running: Sandbox, patient: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text(f"{NOTE}\n")
    added = icure(
        *("condition", "add", patient, "--description", DESCRIPTION, "--note-file", note),
        *("--label", "CLINIC|allergy|1", "--code", "SNOMED|21719001|2024"),
        *("--opened", "2024-05-01", "--closed", "2024-05-02T10:30", "--json"),
    )
    created = json.loads(added.stdout)
    condition = created["id"]
    assert f"--id {condition}" in added.stderr
    assert (created["description"], created["note"]) == (DESCRIPTION, NOTE)
    assert (created["openingDate"], created["closingDate"]) == (20240501, 20240502103000)
    assert [code["code"] for code in created["codes"]] == ["21719001"]
    stored = running.stored("helement", condition)
    assert stored is not None
    assert DESCRIPTION not in json.dumps(stored)
    assert NOTE not in json.dumps(stored)

    (row,) = icure.json("condition", "list", patient)
    assert row == {
        "id": condition,
        "description": DESCRIPTION,
        "opened": 20240501,
        "closed": 20240502103000,
        "labels": ["CLINIC|allergy|1"],
        "codes": ["SNOMED|21719001|2024"],
        "modified": row["modified"],
        "readable": True,
    }
    listed = icure("condition", "list", patient).stdout
    assert f"{condition}  {DESCRIPTION}  20240501" in listed
    assert NOTE not in listed
    shown = icure("condition", "show", condition).stdout
    assert NOTE in shown
    assert "delegations" not in shown
    assert icure.json("condition", "show", condition)["note"] == NOTE

    assert "--yes" in icure("condition", "delete", condition, code=1).stderr
    icure("condition", "delete", condition, typed="n\n", code=1)
    assert len(icure.json("condition", "list", patient)) == 1
    icure("condition", "delete", condition, "--yes")
    assert icure.json("condition", "list", patient) == []


class TestAdd:
    def test_a_repeated_command_with_the_same_id_adds_one(
        self, icure: Command, patient: str
    ) -> None:
        created = icure.json("condition", "add", patient, "--description", "Fever")
        again = icure.json(
            "condition", "add", patient, "--description", "Fever", "--id", created["id"]
        )
        assert again == created
        assert len(icure.json("condition", "list", patient)) == 1

    def test_a_whole_condition_comes_from_a_file(
        self, icure: Command, patient: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "condition.json"
        file.write_text(json.dumps({"description": "Fever", "medicalLocationId": "here"}))
        created = icure.json("condition", "add", patient, "--file", file)
        assert (created["description"], created["medicalLocationId"]) == ("Fever", "here")
        file.write_text(json.dumps(created))
        assert "has a revision" in icure("condition", "add", patient, "--file", file, code=1).stderr

    def test_what_is_secret_need_not_be_an_argument(
        self, icure: Command, patient: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "description"
        file.write_text(f"{DESCRIPTION}\n")
        added = icure("condition", "add", patient, "--description-file", file)
        assert DESCRIPTION in added.stdout
        assert DESCRIPTION not in added.stderr

    @pytest.mark.parametrize(
        "option",
        [
            ("--description-file", "-"),
            ("--label", "allergy"),
            ("--code", "A|B|C|D"),
            ("--code", "A||1"),
            ("--opened", "1.5.2024"),
            ("--opened", "2024-05"),
            ("--closed", "2024-05-01T10:30+02:00"),
        ],
    )
    def test_malformed_options_are_usage_errors(
        self, icure: Command, option: tuple[str, str]
    ) -> None:
        icure("condition", "add", "an-id", "--description", "Fever", *option, code=2)


def test_errors_are_messages(icure: Command, patient: str) -> None:
    unknown = "no-such-id"
    assert "does not exist" in icure("condition", "show", unknown, code=1).stderr
    icure("condition", "delete", unknown, "--yes", code=1)
    icure("condition", "list", unknown, code=1)
    said = icure("condition", "add", unknown, "--description", DESCRIPTION, code=1)
    assert DESCRIPTION not in said.stdout + said.stderr
