"""``icure sample``: what was measured of a patient, and files, from the shell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from icure_async import Content, DataSample, Measure
from icure_async.cli.sample_values import in_words
from icure_sync.sandbox import Sandbox
from tests.support.command import Command

TEXT = "Slept badly, dreamt of wolves"
LABEL = "LOINC|8310-5|2.77"


def add(icure: Command, patient: str, *options: str | Path) -> dict[str, Any]:
    added: dict[str, Any] = icure.json("sample", "add", patient, *options)
    return added


def test_the_whole_story(icure: Command, running: Sandbox, patient: str) -> None:
    condition = icure.json("condition", "add", patient, "--description", "Fever")["id"]
    added = icure(
        *("sample", "add", patient, "--label", LABEL, "--number", "36.6", "--unit", "°C"),
        *("--date", "2024-05-01T10:30", "--condition", condition, "--json"),
    )
    created = json.loads(added.stdout)
    sample = created["id"]
    assert f"--id {sample}" in added.stderr
    assert "36.6" not in added.stderr
    measure = created["content"]["en"]["measureValue"]
    assert (measure["value"], measure["unit"]) == (36.6, "°C")
    assert created["healthcareElementIds"] == [condition]
    contact = running.stored("contact", created["batchId"])
    assert contact is not None
    assert "36.6" not in json.dumps(contact)

    (row,) = icure.json("sample", "list", patient)
    assert (row["id"], row["value"], row["date"]) == (sample, "36.6 °C", 20240501103000)
    assert (row["labels"], row["conditions"], row["readable"]) == ([LABEL], [condition], True)
    listed = icure("sample", "list", patient).stdout
    assert f"{sample}  20240501103000  {LABEL}  36.6 °C  yes" in listed
    shown = icure("sample", "show", sample).stdout
    assert "36.6" in shown
    assert "delegations" not in shown
    assert icure.json("sample", "show", sample)["content"] == created["content"]

    assert "--yes" in icure("sample", "delete", sample, code=1).stderr
    icure("sample", "delete", sample, typed="n\n", code=1)
    icure("sample", "delete", sample, "--yes")
    assert icure.json("sample", "list", patient) == []


class TestAdd:
    def test_texts_and_numbers(self, icure: Command, patient: str, tmp_path: Path) -> None:
        file = tmp_path / "text"
        file.write_text(f"{TEXT}\n")
        said = icure("sample", "add", patient, "--text-file", file, "--language", "fr")
        assert TEXT in said.stdout
        assert TEXT not in said.stderr
        add(icure, patient, "--text", "fine", "--comment", "by phone")
        add(icure, patient, "--number", "0")
        # As long as it was measured, not rounded.
        add(icure, patient, "--number", "61.45678912")
        values = {row["value"] for row in icure.json("sample", "list", patient)}
        assert values == {TEXT, "fine", "0", "61.45678912"}

    def test_a_whole_sample_comes_from_a_file(
        self, icure: Command, patient: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "sample.json"
        members = {"content": {"en": {"booleanValue": True}}, "valueDate": 20240501}
        file.write_text(json.dumps(members))
        created = add(icure, patient, "--file", file)
        assert created["content"]["en"]["booleanValue"] is True
        assert created["valueDate"] == 20240501
        (row,) = icure.json("sample", "list", patient)
        assert row["value"] == "yes"
        file.write_text(json.dumps(created))
        assert "has a batch" in icure("sample", "add", patient, "--file", file, code=1).stderr

    def test_the_command_that_is_told_adds_no_second_one(
        self, icure: Command, patient: str
    ) -> None:
        first = icure("sample", "add", patient, "--text", TEXT)
        told = first.stderr.partition("the command with ")[2].partition(".\n")[0].split()
        assert told[::2] == ["--id", "--date"]
        icure("sample", "add", patient, "--text", TEXT, *told)
        assert len(icure.json("sample", "list", patient)) == 1

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--text", "a", "--number", "1"),
            ("--text", "a", "--text-file", "-"),
            ("--text", "a", "--unit", "C"),
            ("--number", "warm"),
            ("--text", "a", "--date", "yesterday"),
            ("--text", "a", "--label", "x"),
        ],
    )
    def test_what_makes_no_sense_is_a_usage_error(
        self, icure: Command, options: tuple[str, ...]
    ) -> None:
        icure("sample", "add", "an-id", *options, code=2)


def test_numbers_of_any_size_have_a_place_in_a_line() -> None:
    huge = 10**400
    measures = [Measure(value=huge), Measure(value=0.1 + 0.2, unit="kg"), Measure()]
    sample = DataSample(content={"en": Content(range=measures)})
    assert in_words(sample) == f"{huge} … 0.3 kg … ?"


class TestAttachments:
    @pytest.fixture
    def sample(self, icure: Command, patient: str) -> str:
        added: str = add(icure, patient, "--empty", "--label", "CLINIC|scan|1")["id"]
        return added

    def test_a_file_there_and_back(
        self, icure: Command, running: Sandbox, sample: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "scan.bin"
        file.write_bytes(os.urandom(200_000))
        document = icure.json("sample", "attach", sample, file)
        assert document["name"] == "scan.bin"
        stored = running.stored("document", document["id"])
        assert stored is not None
        copy = tmp_path / "copy.bin"
        icure("sample", "save-attachment", sample, copy)
        assert copy.read_bytes() == file.read_bytes()
        # Nothing is replaced unless that is asked for.
        copy.write_bytes(b"mine")
        assert "--overwrite" in icure("sample", "save-attachment", sample, copy, code=1).stderr
        assert copy.read_bytes() == b"mine"
        named = ("--document", document["id"], "--overwrite")
        icure("sample", "save-attachment", sample, copy, *named)
        assert copy.read_bytes() == file.read_bytes()
        # A second one in another language: which one is meant has to be said.
        other = icure("sample", "attach", sample, file, "--language", "nl").stdout.strip()
        said = icure("sample", "save-attachment", sample, tmp_path / "third", code=1).stderr
        assert document["id"] in said
        assert other in said

    def test_in_clear_is_readable_on_the_backend(
        self, icure: Command, sample: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "scan.txt"
        file.write_bytes(b"in clear")
        icure("sample", "attach", sample, file, "--in-clear", "--name", "other.txt")
        copy = tmp_path / "copy.txt"
        icure("sample", "save-attachment", sample, copy)
        assert copy.read_bytes() == b"in clear"

    def test_errors_are_messages(
        self, icure: Command, patient: str, sample: str, tmp_path: Path
    ) -> None:
        for no_file in (tmp_path / "missing", tmp_path):
            icure("sample", "attach", sample, no_file, code=2)
        icure("sample", "attach", "no-such-id", __file__, code=1)
        nothing = icure("sample", "save-attachment", sample, tmp_path / "copy", code=1).stderr
        assert "Nothing is attached" in nothing
        nowhere = icure("sample", "save-attachment", sample, tmp_path / "a" / "b", code=1).stderr
        assert "is not a folder" in nowhere
        assert list(tmp_path.iterdir()) == [tmp_path / "device"]


def test_errors_are_messages(icure: Command, patient: str) -> None:
    unknown = "no-such-id"
    icure("sample", "show", unknown, code=1)
    icure("sample", "delete", unknown, "--yes", code=1)
    icure("sample", "list", unknown, code=1)
    said = icure("sample", "add", unknown, "--text", TEXT, code=1)
    assert TEXT not in said.stdout + said.stderr
