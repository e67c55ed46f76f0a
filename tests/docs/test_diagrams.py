"""The pictures of the pages: drawn from the code, and up to date."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from diagram_panels import WHO
from diagram_process import process_diagram
from draw_diagrams import DIAGRAMS, FOLDER, differences

from icure_async.authentication import failures
from icure_async.authentication.process import TRANSITIONS, AuthenticationEvent, AuthenticationState
from icure_async.entities.kinds import (
    CONTACT,
    DOCUMENT,
    HEALTHCARE_ELEMENT,
    NOTIFICATION,
    PATIENT,
    EntityKind,
    of_today,
)

SVG = "{http://www.w3.org/2000/svg}"


def test_the_stored_pictures_are_those_that_the_code_draws() -> None:
    assert differences(FOLDER) == []


def test_a_picture_that_was_changed_by_hand_or_is_left_over_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "diagrams"
    shutil.copytree(FOLDER, folder)
    (folder / "chain-of-keys.svg").write_text("<svg/>")
    (folder / "old.svg").write_text("<svg/>")
    (folder / "who-can-open-what.svg").unlink()

    assert differences(folder) == ["chain-of-keys.svg", "old.svg", "who-can-open-what.svg"]


def test_each_state_and_transition_of_the_code_is_in_the_picture_of_the_process() -> None:
    picture = ET.fromstring(process_diagram())
    names = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "name"]
    arrows = [way for way in picture.iter(f"{SVG}path") if way.get("class") == "line"]

    assert sorted(map(str, names)) == sorted(state.value for state in AuthenticationState)
    assert len(arrows) == len(TRANSITIONS)


def test_the_picture_of_the_process_names_the_errors_that_close_one() -> None:
    errors = {failures._FAILURES[event][0].__name__ for event in failures.EVENT_BY_STATE.values()}
    picture = process_diagram()

    assert errors == {"CodeExpiredError", "TooManyAttemptsError", "UnknownProcessError"}
    for error in {*errors, "CaptchaRefusedError", "InvalidCodeError"}:
        assert error in picture


def test_a_transition_without_a_place_in_the_picture_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transitions = dict(TRANSITIONS)
    del transitions[(AuthenticationState.NEW, AuthenticationEvent.CODE_SENT)]
    monkeypatch.setattr("diagram_process.TRANSITIONS", transitions)

    with pytest.raises(ValueError, match="disagree about a transition"):
        process_diagram()


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_picture_says_in_words_what_it_shows_and_loads_nothing(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    picture = ET.fromstring(text)

    assert picture.findtext(f"{SVG}title")
    assert picture.findtext(f"{SVG}desc")
    assert "prefers-color-scheme: dark" in text
    assert text.count("http") == 1, "but for the namespace, nothing of another place is named"


MEMBERS: dict[str, tuple[EntityKind[Any, Any], set[str]]] = {
    "a patient's note": (PATIENT, {"note"}),
    "content of a notification": (NOTIFICATION, {"properties"}),
    "description of a condition": (HEALTHCARE_ELEMENT, {"descr", "note"}),
    "content of a data sample": (CONTACT, {"services"}),
    "an attachment, its size and hash": (DOCUMENT, {"size", "hash"}),
    "codes, labels and dates of these": (
        HEALTHCARE_ELEMENT,
        {"codes", "tags", "openingDate", "valueDate"},
    ),
    "languages, picture, relations, …": (PATIENT, {"languages", "picture", "partnerships"}),
    "a patient's creation and change": (PATIENT, {"created", "modified"}),
    "names, addresses, date of birth": (PATIENT, {"names", "lastName", "addresses", "dateOfBirth"}),
}


@pytest.mark.parametrize("row", MEMBERS)
def test_the_picture_of_readers_says_of_the_backend_what_the_kinds_encrypt(row: str) -> None:
    kind, members = MEMBERS[row]
    for number, written in enumerate((kind, of_today(kind))):
        cells = dict(WHO[number][1])[row]
        encrypted = members & {*written.encrypted, *written.encrypted_in}

        assert encrypted in (set(), members)
        assert cells[-1] == ("closed" if encrypted else "reads")
