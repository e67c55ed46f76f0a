"""Services in contacts: the latest version counts, siblings and links stay as they are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from icure_async.entities.contact_services import (
    Links,
    latest_versions,
    links_of,
    period_of,
    row_of,
    tombstone,
    with_links,
    with_services,
)

HE, HE2, FORM = "he", "he2", "form"


def contact(*sub_contacts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c", "modified": 5, "subContacts": list(sub_contacts)}


def linked(*services: str, **members: str) -> dict[str, Any]:
    return {**members, "services": [{"serviceId": one} for one in services]}


def test_the_latest_version_counts_whatever_the_order() -> None:
    versions = [
        {"id": "s", "created": 1, "modified": 3, "contactId": "a"},
        {"id": "s", "created": 9, "contactId": "b"},
        {"id": "s", "created": 1, "modified": 2, "endOfLife": 4, "contactId": "c"},
    ]
    for order in itertools.permutations(versions):
        assert latest_versions(order)["s"]["contactId"] == "b"


def test_of_two_versions_of_one_moment_the_tombstone_counts() -> None:
    alive, dead = {"id": "s", "modified": 4}, {"id": "s", "modified": 4, "endOfLife": 4}
    assert latest_versions([alive, dead])["s"] is dead
    assert latest_versions([dead, alive])["s"] is dead


def test_a_tombstone_is_later_than_what_it_deletes_even_where_clocks_differ() -> None:
    service = {"id": "s", "created": 10, "modified": 2000, "content": {"en": {}}, "tags": []}
    assert tombstone(service, 1000) == {
        "id": "s",
        "created": 10,
        "modified": 2001,
        "endOfLife": 2001,
    }
    assert tombstone(service, 3000)["endOfLife"] == 3000


def test_siblings_of_a_changed_service_stay_the_very_same() -> None:
    one, two = {"id": "1", "encryptedSelf": "x"}, {"id": "2", "content": {"en": {"range": [1]}}}
    stored = {"id": "c", "modified": 5, "services": [one, two]}
    changed = with_services(stored, {"1": {"id": "1", "new": True}}, 9)
    assert changed["services"][0] == {"id": "1", "new": True}
    assert changed["services"][1] is two
    assert changed["modified"] == 9
    assert with_services(stored, {}, 3)["modified"] == 6
    assert stored["modified"] == 5


def test_a_contact_whose_date_is_encrypted_gets_none_in_clear() -> None:
    assert "modified" not in with_services({"id": "c", "encryptedSelf": "x"}, {}, 9)


def test_links_are_read_from_sub_contacts() -> None:
    stored = contact(linked("s", healthElementId=HE), linked("s", "t", formId=FORM))
    assert links_of(stored, "s") == Links((HE,), (FORM,))
    assert links_of(stored, "t") == Links((), (FORM,))
    row = row_of(stored, {"id": "s"})
    assert (row["healthElementsIds"], row["formIds"], row["contactId"]) == ([HE], [FORM], "c")


def test_links_that_stay_leave_the_contact_as_it_is() -> None:
    stored = contact(linked("s", healthElementId=HE, formId=FORM))
    assert with_links(stored, "s", Links((HE,), (FORM,))) is stored


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Links((HE2,)), [linked("t", healthElementId=HE), linked("u", "s", healthElementId=HE2)]),
        (Links(), [linked("t", healthElementId=HE), linked("u", healthElementId=HE2)]),
        (
            Links((HE,), (FORM,)),
            [
                linked("s", "t", healthElementId=HE),
                linked("u", healthElementId=HE2),
                linked("s", formId=FORM),
            ],
        ),
    ],
    ids=["another condition", "none", "a form, too"],
)
def test_changing_the_links_of_one_service_keeps_those_of_the_others(
    wanted: Links, expected: list[dict[str, Any]]
) -> None:
    stored = contact(linked("s", "t", healthElementId=HE), linked("u", healthElementId=HE2))
    changed = with_links(stored, "s", wanted)
    assert changed["subContacts"] == expected
    assert links_of(changed, "s") == wanted


def test_a_link_in_a_sub_contact_of_both_survives_the_end_of_the_other() -> None:
    stored = contact(linked("s", healthElementId=HE, formId=FORM))
    changed = with_links(stored, "s", Links((), (FORM,)))
    assert changed["subContacts"] == [linked("s", formId=FORM)]


def test_malformed_sub_contacts_stay_as_they_are() -> None:
    odd: list[Any] = [None, 7, {"services": [None, 3]}, {"services": "x"}]
    changed = with_links({"id": "c", "subContacts": odd}, "s", Links((HE,)))
    assert changed["subContacts"] == [*odd, linked("s", healthElementId=HE)]


def test_the_period_of_a_contact_spans_its_services() -> None:
    services = [
        {"valueDate": 20220301},
        {"openingDate": 20220201120000, "closingDate": 20220401},
        {},
    ]
    assert period_of(services) == (20220201120000, 20220401)
    assert period_of([{}]) == (None, None)
    # 2022-03-01 as epoch milliseconds lies between these.
    mixed = [{"valueDate": 1646092800000}, {"valueDate": 20220201}, {"valueDate": 20220401}]
    assert period_of(mixed) == (20220201, 20220401)
    assert period_of(mixed[:1]) == (1646092800000, 1646092800000)
