"""The names of professionals: completed like the reference does, and in line after a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.entities.professional_names import complete_professional_names, renamed

Json = dict[str, Any]


def official(last: str | None, *first: str, text: str) -> Json:
    name: Json = {"lastName": last} if last else {}
    return {**name, "firstNames": list(first), "text": text, "use": "official"}


BRIENNE: Json = {
    "lastName": "Tarth",
    "firstName": "Brienne",
    "name": "Tarth Brienne",
    "names": [official("Tarth", "Brienne", text="Tarth Brienne")],
}
CLINIC: Json = {"name": "Clinic", "names": [official(None, text="Clinic")]}


def after(before: Json, **changes: Any) -> Json:
    """The names of a professional whose members the caller has changed."""
    changed = {name: value for name, value in (before | changes).items() if value is not None}
    return complete_professional_names(renamed(before, changed))


@pytest.mark.parametrize(
    ("wire", "completed"),
    [
        ({"lastName": "y", "firstName": "x"}, {
            "lastName": "y", "firstName": "x", "name": "y x",
            "names": [official("y", "x", text="y x")],
        }),
        ({"lastName": "y"}, {
            "lastName": "y", "name": "y", "names": [official("y", text="y")],
        }),
        ({"name": "Clinic"}, CLINIC),
        ({"name": "Clinic", "lastName": "y"}, {
            "name": "Clinic", "lastName": "y", "names": [official("y", text="Clinic")],
        }),
        ({"names": [official("y", "x", "z", text="Dr y")]}, {
            "lastName": "y", "firstName": "x", "name": "Dr y",
            "names": [official("y", "x", "z", text="Dr y")],
        }),
        ({"lastName": "new", "names": [official("old", text="old")]}, {
            "lastName": "new", "name": "new", "names": [official("old", text="old")],
        }),
        ({"nihii": "1"}, {"nihii": "1"}),
    ],
    ids=["person", "last name", "organisation", "both", "official", "stale official", "nothing"],
)  # fmt: skip
def test_names_are_completed(wire: Json, completed: Json) -> None:
    assert complete_professional_names(wire) == completed
    # Once is enough.
    assert complete_professional_names(completed) == completed


def test_the_given_document_stays_as_it_is() -> None:
    wire: Json = {"lastName": "y", "names": []}
    complete_professional_names(wire)
    assert wire == {"lastName": "y", "names": []}


def test_a_new_last_name_changes_the_official_and_the_whole_name() -> None:
    assert after(BRIENNE, lastName="Mormont") == {
        "lastName": "Mormont",
        "firstName": "Brienne",
        "name": "Mormont Brienne",
        "names": [official("Mormont", "Brienne", text="Mormont Brienne")],
    }


def test_a_new_first_name_replaces_the_first_of_the_official_ones() -> None:
    before = BRIENNE | {"names": [official("Tarth", "Brienne", "Selwyn", text="Tarth Brienne")]}
    assert after(before, firstName="Bree") == {
        "lastName": "Tarth",
        "firstName": "Bree",
        "name": "Tarth Bree",
        "names": [official("Tarth", "Bree", "Selwyn", text="Tarth Bree")],
    }


def test_a_first_name_can_be_removed() -> None:
    assert after(BRIENNE, firstName=None) == {
        "lastName": "Tarth",
        "name": "Tarth",
        "names": [official("Tarth", text="Tarth")],
    }


def test_an_organisation_is_renamed() -> None:
    assert after(CLINIC, name="Hospital") == {
        "name": "Hospital",
        "names": [official(None, text="Hospital")],
    }


def test_the_name_of_a_practice_outlives_its_doctor() -> None:
    """It was not made of the names of a person, so it is not made anew."""
    practice = {
        "name": "Clinic",
        "lastName": "Tarth",
        "names": [official("Tarth", text="Clinic")],
    }
    assert after(practice, lastName="Mormont") == {
        "name": "Clinic",
        "lastName": "Mormont",
        "names": [official("Mormont", text="Clinic")],
    }


def test_the_whole_name_of_a_person_can_be_chosen() -> None:
    assert after(BRIENNE, name="Dr Tarth") == BRIENNE | {
        "name": "Dr Tarth",
        "names": [official("Tarth", "Brienne", text="Dr Tarth")],
    }


def test_all_can_be_changed_at_once() -> None:
    names = [official("Lannister", "Jaime", text="Ser Jaime")]
    changes = {"lastName": "Lannister", "firstName": "Jaime", "name": "Ser Jaime", "names": names}
    assert after(BRIENNE, **changes) == changes


def test_a_change_of_the_official_name_changes_the_members() -> None:
    assert after(BRIENNE, names=[official("Mormont", "Bree", text="Mormont Bree")]) == {
        "lastName": "Mormont",
        "firstName": "Bree",
        "name": "Mormont Bree",
        "names": [official("Mormont", "Bree", text="Mormont Bree")],
    }


def test_the_text_of_an_official_name_follows_its_parts() -> None:
    assert after(BRIENNE, names=[official("Mormont", "Brienne", text="Tarth Brienne")]) == {
        "lastName": "Mormont",
        "firstName": "Brienne",
        "name": "Mormont Brienne",
        "names": [official("Mormont", "Brienne", text="Mormont Brienne")],
    }


def test_the_text_of_the_official_name_of_an_organisation_is_its_name() -> None:
    assert after(CLINIC, names=[official(None, text="Hospital")])["name"] == "Hospital"


def test_an_official_name_that_was_removed_is_made_anew() -> None:
    assert after(BRIENNE, lastName="Mormont", names=[]) == {
        "lastName": "Mormont",
        "firstName": "Brienne",
        "name": "Mormont Brienne",
        "names": [official("Mormont", "Brienne", text="Mormont Brienne")],
    }


def test_other_names_stay_as_they_are_and_where_they_are() -> None:
    maiden = {"lastName": "Evenstar", "use": "maiden"}
    nickname = {"firstNames": ["Maid"], "use": "nickname"}
    before = BRIENNE | {"names": [maiden, *BRIENNE["names"], nickname]}
    assert after(before, lastName="Mormont")["names"] == [
        maiden,
        official("Mormont", "Brienne", text="Mormont Brienne"),
        nickname,
    ]


def test_what_else_an_official_name_has_is_kept() -> None:
    name = official("Tarth", "Brienne", text="Tarth Brienne") | {"prefix": ["Dr"], "later": 1}
    changed = after(BRIENNE | {"names": [name]}, lastName="Mormont")
    assert changed["names"] == [name | {"lastName": "Mormont", "text": "Mormont Brienne"}]


STALE: Json = {
    "lastName": "Mormont",
    "firstName": "Brienne",
    "name": "Tarth Brienne",
    "names": [official("Tarth", "Brienne", text="Tarth Brienne")],
}


def test_a_name_that_the_reference_left_behind_stays_until_somebody_renames() -> None:
    assert after(STALE) == STALE
    assert after(STALE, notes="n") == STALE | {"notes": "n"}
    assert after(STALE, lastName="Stark") == {
        "lastName": "Stark",
        "firstName": "Brienne",
        "name": "Stark Brienne",
        "names": [official("Stark", "Brienne", text="Stark Brienne")],
    }


@pytest.mark.parametrize("before", [BRIENNE, CLINIC, STALE, {}])
def test_without_a_change_nothing_changes(before: Json) -> None:
    assert renamed(before, before) == before


NAMES = st.none() | st.text(st.sampled_from("ab é"), min_size=1, max_size=3).map(str.strip)
OFFICIAL = st.builds(
    lambda last, first, text: official(last, *first, text=text),
    NAMES,
    st.lists(st.sampled_from(["x", "y"]), max_size=2),
    st.sampled_from(["", "a x", "Clinic"]),
)
DOCUMENTS = st.builds(
    lambda last, first, name, names: {
        member: value
        for member, value in (
            ("lastName", last),
            ("firstName", first),
            ("name", name),
            ("names", names),
        )
        if value
    },
    NAMES,
    NAMES,
    NAMES,
    st.lists(OFFICIAL, max_size=1),
)


@given(before=DOCUMENTS, last=NAMES, first=NAMES)
def test_after_any_rename_the_official_name_says_the_same(
    before: Json, last: str | None, first: str | None
) -> None:
    last, first = last or "a", first or None
    stored = complete_professional_names(before)
    changed = after(stored, lastName=last, firstName=first)
    assert (changed["lastName"], changed.get("firstName")) == (last, first)
    if (stored.get("lastName"), stored.get("firstName")) != (last, first):
        (name,) = changed["names"]
        assert name["lastName"] == last
        assert first is None or name["firstNames"][0] == first
        assert name["text"] == changed["name"]
    # Saving it again changes nothing more.
    assert after(changed) == changed
