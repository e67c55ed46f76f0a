"""The filters of records, in the form in which cardinal-sdk 2.14.0 sends them."""

from __future__ import annotations

import pytest

from tests.support.bare_client import Json
from tests.support.today import Today, delegation, keys_header, metadata

IDENTIFIER = {"system": "s", "value": "v"}
CODED = {"tags": [{"type": "t", "code": "a"}], "codes": [{"type": "c", "code": "b"}]}
RECORDS: dict[str, dict[str, Json]] = {
    "helement": {
        "early": {"openingDate": 20200101, "secretForeignKeys": ["x"], "identifiers": [IDENTIFIER]},
        "late": {"openingDate": 20240101, "secretForeignKeys": ["x"], **CODED},
        "undated": {"secretForeignKeys": ["y"], "tags": [{"type": "t", "code": "other"}]},
    },
    "contact": {
        "early": {
            "openingDate": 20200101,
            "secretForeignKeys": ["x"],
            "identifier": [IDENTIFIER],
            "services": [{"id": "service", **CODED}],
        },
        "late": {
            "openingDate": 20240101,
            "secretForeignKeys": ["x"],
            "subContacts": [{"formId": "form"}],
            **CODED,
        },
        "undated": {"secretForeignKeys": ["y"], "tags": [{"type": "t", "code": "other"}]},
    },
}
FIND: list[tuple[str, Json, str]] = [
    ("helement", {"$type": "HealthElementByHcPartyFilter", "hcpId": "doc"}, "early late undated"),
    ("helement", {"$type": "HealthElementByHcPartyFilter", "hcpId": "colleague"}, ""),
    ("helement", {"$type": "HealthElementByIdsFilter", "ids": ["helement-late", "none"]}, "late"),
    (
        "helement",
        {
            "$type": "HealthElementByHcPartyIdentifiersFilter",
            "hcPartyId": "doc",
            "identifiers": [IDENTIFIER],
        },
        "early",
    ),
    (
        "helement",
        {
            "$type": "HealthElementByHcPartyTagCodeFilter",
            "healthcarePartyId": "doc",
            "tagType": "t",
            "tagCode": "a",
        },
        "late",
    ),
    (
        "helement",
        {
            "$type": "HealthElementByHcPartyTagCodeFilter",
            "healthcarePartyId": "doc",
            "tagType": "t",
        },
        "late undated",
    ),
    (
        "helement",
        {
            "$type": "HealthElementByHcPartyTagCodeFilter",
            "healthcarePartyId": "doc",
            "tagType": "t",
            "codeType": "c",
            "codeCode": "none",
        },
        "",
    ),
    (
        "helement",
        {
            "$type": "HealthElementByDataOwnerPatientOpeningDate",
            "healthcarePartyId": "doc",
            "patientSecretForeignKeys": ["x", "y"],
            "descending": True,
        },
        "late early undated",
    ),
    (
        "helement",
        {
            "$type": "HealthElementByDataOwnerPatientOpeningDate",
            "healthcarePartyId": "doc",
            "patientSecretForeignKeys": ["x", "y"],
            "startDate": 20190101,
            "endDate": 20210101,
        },
        "early",
    ),
    ("contact", {"$type": "ContactByHcPartyFilter", "hcpId": "doc"}, "early late undated"),
    ("contact", {"$type": "ContactByServiceIdsFilter", "ids": ["service"]}, "early"),
    (
        "contact",
        {
            "$type": "ContactByHcPartyIdentifiersFilter",
            "healthcarePartyId": "doc",
            "identifiers": [IDENTIFIER],
        },
        "early",
    ),
    (
        "contact",
        {"$type": "ContactByDataOwnerFormIdsFilter", "dataOwnerId": "doc", "formIds": ["form"]},
        "late",
    ),
    (
        "contact",
        {
            "$type": "ContactByDataOwnerPatientOpeningDateFilter",
            "dataOwnerId": "doc",
            "secretForeignKeys": ["x"],
            "descending": True,
        },
        "late early",
    ),
    (
        "contact",
        {
            "$type": "ContactByDataOwnerOpeningDateFilter",
            "dataOwnerId": "doc",
            "startDate": 20230101,
            "descending": False,
        },
        "late",
    ),
    (
        "contact",
        {
            "$type": "ContactByDataOwnerServiceTagFilter",
            "dataOwnerId": "doc",
            "tagType": "t",
            "tagCode": None,
        },
        "early",
    ),
    (
        "contact",
        {
            "$type": "ContactByDataOwnerServiceCodeFilter",
            "dataOwnerId": "doc",
            "codeType": "c",
            "codeCode": "none",
        },
        "",
    ),
    (
        "contact",
        {
            "$type": "ContactByHcPartyTagCodeDateFilter",
            "healthcarePartyId": "doc",
            "codeType": "c",
            "codeCode": "b",
            "startOfContactOpeningDate": 20230101,
        },
        "late",
    ),
    (
        "contact",
        {
            "$type": "ContactByHcPartyPatientTagCodeDateFilter",
            "healthcarePartyId": "doc",
            "patientSecretForeignKeys": ["y"],
        },
        "undated",
    ),
    (
        "contact",
        {
            "$type": "ContactByHcPartyPatientTagCodeDateFilter",
            "healthcarePartyId": "doc",
            "patientSecretForeignKey": "x",
            "tagType": "t",
            "endOfContactOpeningDate": 20210101,
        },
        "",
    ),
]


@pytest.fixture
async def filled(guarded: Today) -> Today:
    hidden = metadata(root=delegation("doc", "doc"), mine=delegation(None, None))
    for kind, records in RECORDS.items():
        for entity_id, members in records.items():
            body = {"id": f"{kind}-{entity_id}", **members, **hidden}
            assert (await guarded["doc"].post(f"/{kind}", body)).status == 200
    return guarded


def ids(kind: str, names: str) -> list[str]:
    return [f"{kind}-{name}" for name in names.split()]


async def test_records_are_found_as_todays_clients_ask_for_them(filled: Today) -> None:
    for kind, wanted, expected in FIND:
        found = await filled["doc"].post(f"/{kind}/match", wanted)
        assert found.status == 200, (wanted, found.body)
        assert found.body == ids(kind, expected), wanted
        page = await filled["doc"].post(f"/{kind}/filter", {"filter": wanted})
        assert [row["id"] for row in page.body["rows"]] == found.body
        union = {"$type": "UnionFilter", "filters": [wanted], "desc": None}
        assert (await filled["doc"].post(f"/{kind}/match", union)).body == found.body


async def test_a_hidden_member_finds_what_its_key_opens(filled: Today) -> None:
    mine = keys_header("mine")
    for kind, wanted, expected in FIND:
        own = {name: "pat" if value == "doc" else value for name, value in wanted.items()}
        assert (await filled["pat"].post(f"/{kind}/match", own)).body == []
        found = await filled["pat"].post(f"/{kind}/match", own, headers=mine)
        assert found.body == ids(kind, expected), own


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("helement", {"$type": "HealthElementByNobodyFilter"}),
        ("helement", {"$type": "HealthElementByDataOwnerPatientOpeningDate", "startDate": "x"}),
        ("contact", {"$type": "ContactByServiceIdsFilter", "ids": []}),
        ("contact", {"$type": "ContactByDataOwnerServiceTagFilter"}),
        ("contact", {"$type": "ContactByDataOwnerFormIdsFilter", "formIds": "f"}),
    ],
)
async def test_malformed_filters_of_records_are_refused(
    guarded: Today, kind: str, wanted: Json
) -> None:
    assert (await guarded["doc"].post(f"/{kind}/match", wanted)).status == 400
