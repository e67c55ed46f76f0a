"""The tables of encrypted members, compared with the kinds and manifests of the code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from icure_async.entities import plain_kinds
from icure_async.entities.kinds import (
    CONTACT,
    DOCUMENT,
    HEALTHCARE_ELEMENT,
    NOTIFICATION,
    PATIENT,
    EntityKind,
    of_today,
)
from icure_async.entities.manifests import (
    CONTACT_MANIFEST,
    HEALTH_ELEMENT_MANIFEST,
    PATIENT_MANIFEST,
    Manifest,
)
from icure_async.entities.plain_kinds import PlainKind
from icure_async.models import Content, DataSample
from icure_async.models.fields import Member, members_of
from tests.support.page_parts import code_in, page, sections_of, tables_of

PAGE = page("what-is-encrypted.md")
SECTIONS = sections_of(PAGE, 2) | sections_of(PAGE, 3)
KINDS: dict[str, EntityKind[Any, Any]] = {
    "Patients": PATIENT,
    "Notifications": NOTIFICATION,
    "Conditions": HEALTHCARE_ELEMENT,
    "Batches of data samples": CONTACT,
    "Attachments": DOCUMENT,
}


def rows_of(title: str) -> Sequence[Sequence[str]]:
    return next(iter(tables_of(SECTIONS[title])))


def members(kind: EntityKind[Any, Any]) -> Sequence[Member]:
    cls: Any = kind.clear
    return members_of(cls)


def state(kind: EntityKind[Any, Any], member: Member) -> str:
    if member.name == "system_meta_data":
        return "keys, encrypted"
    if member.wire in kind.encrypted:
        return "encrypted"
    return "encrypted inside" if member.wire in kind.encrypted_in else "in clear"


def state_in_contact(kind: EntityKind[Any, Any], member: Member) -> str:
    if member.name == "system_meta_data":
        return "keys, encrypted"
    return "encrypted" if member.wire in (kind.encrypted_in["services"] or ()) else "in clear"


def choice(kind: EntityKind[Any, Any], member: Member) -> str:
    if member.name in kind.never_encrypted:
        return "no"
    return "always" if member.wire in kind.encrypted else "yes"


def paths(manifest: Manifest) -> list[str]:
    """Return the paths of a manifest in the form in which other SDKs write them."""
    inside = [
        f"{'[].'.join(place.split('.'))}[].{name}"
        for place, names in manifest.inside.items()
        for name in names or ("*",)
    ]
    return [*manifest.members, *inside]


@pytest.mark.parametrize("title", KINDS)
def test_the_table_says_of_each_member_whether_it_is_encrypted(title: str) -> None:
    kind = KINDS[title]
    today = of_today(kind)
    expected = [
        [member.name, member.wire, state(kind, member), state(today, member)]
        for member in members(kind)
    ]

    assert [[*code_in(row[0]), *code_in(row[1]), *row[2:4]] for row in rows_of(title)] == expected


def test_the_table_of_data_samples_says_what_is_encrypted_of_the_services_of_a_contact() -> None:
    expected = [
        [
            member.name,
            member.wire,
            state_in_contact(CONTACT, member),
            state_in_contact(of_today(CONTACT), member),
        ]
        for member in members_of(DataSample)
    ]
    rows = rows_of("Data samples")

    assert [[*code_in(row[0]), *code_in(row[1]), *row[2:4]] for row in rows] == expected


def test_the_contents_that_the_reference_leaves_in_clear_are_members_of_contents() -> None:
    _, compared, _ = tables_of(SECTIONS["Data samples"])
    named = [name for row in compared for name in code_in(row[0])]

    assert set(named) <= {member.name for member in members_of(Content)}
    assert len(named) == len({*named}) == 5


def test_the_table_of_patients_says_which_members_an_application_may_choose() -> None:
    expected = {member.name: choice(PATIENT, member) for member in members(PATIENT)}

    assert {code_in(row[0])[0]: row[4] for row in rows_of("Patients")} == expected


def test_the_page_names_today_s_members_that_patients_have_no_attribute_for() -> None:
    known = {member.wire for member in members(PATIENT)}
    others = [path for path in paths(PATIENT_MANIFEST) if path.split("[]")[0] not in known]
    sentence = SECTIONS["Patients"].split("Other SDKs of today")[1].split("\n\n")[0]

    assert others
    assert code_in(sentence) == others


@pytest.mark.parametrize(
    ("words", "manifest"),
    [("health elements", HEALTH_ELEMENT_MANIFEST), ("contacts", CONTACT_MANIFEST)],
)
def test_the_page_names_what_today_s_sdks_encrypt_in_other_records(
    words: str, manifest: Manifest
) -> None:
    section = SECTIONS["Members that other SDKs encrypt"]
    line = re.search(rf"^\* in {words}: (.+)$", section, re.MULTILINE)

    assert line is not None
    assert code_in(line[1]) == paths(manifest)


def test_each_kind_of_record_is_on_the_page() -> None:
    plain = [kind for kind in vars(plain_kinds).values() if isinstance(kind, PlainKind)]
    section = SECTIONS["Users, healthcare professionals, medical devices, codings"]

    assert {kind.clear.__name__ for kind in plain} <= set(code_in(section))
    from icure_async.entities import kinds

    encrypted = [kind for kind in vars(kinds).values() if isinstance(kind, EntityKind)]
    assert {kind.noun for kind in encrypted} == {kind.noun for kind in KINDS.values()}, (
        "a new kind needs a section and a row here"
    )
    assert len(encrypted) == len(KINDS)
