"""The names the reference SDK adds on saving (data-model.md §3.3)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from icure_async.entities.patient_names import complete_patient_names
from tests.support.wire_documents import golden


def name(last: str, use: str, *first: str) -> dict[str, Any]:
    return {
        "lastName": last,
        "firstNames": list(first),
        "text": f"{last} {' '.join(first)}",
        "use": use,
    }


@pytest.mark.parametrize(
    ("wire", "names"),
    [
        ({"firstName": "Robb", "lastName": "Stark"}, [name("Stark", "official", "Robb")]),
        ({"lastName": "Stark"}, [{**name("Stark", "official"), "text": "Stark "}]),
        (
            {"firstName": "Cat", "lastName": "Stark", "maidenName": "Tully", "alias": "Lady"},
            [
                name("Stark", "official", "Cat"),
                name("Tully", "maiden", "Cat"),
                name("Lady", "nickname", "Cat"),
            ],
        ),
        (
            {"firstName": "Robb", "lastName": "Stark", "names": [name("King", "nickname")]},
            [name("King", "nickname"), name("Stark", "official", "Robb")],
        ),
        (
            {"firstName": "Sansa", "lastName": "Bolton", "names": [name("Stark", "official")]},
            [name("Stark", "official")],
        ),
        ({"lastName": "Stark", "names": None}, [name("Stark", "official")]),
    ],
    ids=["official", "no first name", "all three", "appended", "stale kept", "null"],
)
def test_missing_names_are_added(wire: dict[str, Any], names: list[dict[str, Any]]) -> None:
    assert complete_patient_names(wire)["names"] == names


def test_names_provide_what_is_missing() -> None:
    names = [
        name("Stark", "official", "Robb", "Eddard"),
        name("Tully", "maiden", "X"),
        name("Wolf", "nickname"),
    ]
    assert complete_patient_names({"names": names}) == {
        "names": names,
        "lastName": "Stark",
        "firstName": "Robb",
        "maidenName": "Tully",
        "alias": "Wolf",
    }


def test_the_official_name_gives_the_first_name_where_the_last_name_is_missing() -> None:
    wire = {"firstName": "Bob", "names": [name("Stark", "official", "Robb")]}
    assert complete_patient_names(wire)["firstName"] == "Robb"


def test_an_official_name_without_first_names_erases_none() -> None:
    wire = {"firstName": "Robb", "names": [{"lastName": "Stark", "use": "official"}]}
    assert complete_patient_names(wire) == {**wire, "lastName": "Stark"}


@pytest.mark.parametrize("wire", [{"firstName": "Robb"}, {"firstName": "Robb", "names": []}, {}])
def test_a_first_name_alone_adds_nothing(wire: dict[str, Any]) -> None:
    assert complete_patient_names(wire) == wire


def test_it_works_on_a_copy_and_only_once() -> None:
    wire = {"firstName": "Robb", "lastName": "Stark", "names": [], "_type": "P"}
    before = copy.deepcopy(wire)
    completed = complete_patient_names(wire)
    assert wire == before
    assert completed["_type"] == "P"
    assert complete_patient_names(completed) == completed


@pytest.mark.parametrize(("where", "stored"), golden("patient"))
def test_golden_patients_were_completed_this_way(where: str, stored: dict[str, Any]) -> None:
    assert complete_patient_names(stored) == stored, where
    bare = {key: value for key, value in stored.items() if key != "names"}
    assert complete_patient_names(bare)["names"] == stored["names"]
