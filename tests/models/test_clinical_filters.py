"""Filters for conditions, data samples and codings beyond the forms that were recorded."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pytest

from icure_async.errors import ValidationError
from icure_async.models import (
    CodingFilter,
    DataSampleFilter,
    DataSamplesByLabelCodeDateFilter,
    EncryptedPatient,
    Filter,
    HealthcareElementFilter,
    Identifier,
    Patient,
)
from icure_async.models.filters import PatientsLeaf, refuse_encrypted

PATIENT = Patient(id="p", rev="1-a", last_name="S3CRET")
IDENTIFIER = Identifier(system="s", value="v")
ELEMENTS, SAMPLES = HealthcareElementFilter(), DataSampleFilter()
# To a type checker, this one has any attribute.
ANY_SAMPLES: Any = SAMPLES


def _bounds(**given: Any) -> tuple[int | None, int | None]:
    built = DataSamplesByLabelCodeDateFilter(label_type="LOINC", **given)
    return built.start_value_date, built.end_value_date


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        (None, None, None),
        (dt.date(2022, 2, 3), 20220203000000, 20220203235959),
        (20220203, 20220203000000, 20220203235959),
        (20220200, 20220201000000, 20220231235959),
        (20220000, 20220101000000, 20221231235959),
        (20220203040506, 20220203040506, 20220203040506),
        (dt.datetime(2022, 2, 3, 4, 5, 6, tzinfo=dt.UTC), 20220203040506, 20220203040506),
    ],
)
def test_all_of_a_day_lies_between_two_dates(
    given: Any, first: int | None, last: int | None
) -> None:
    """Backends compare numbers of 14 digits, and know no days."""
    assert _bounds(start_value_date=given) == (first, None)
    assert _bounds(end_value_date=given) == (None, last)
    assert _bounds(start_value_date=given, end_value_date=given) == (first, last)


@pytest.mark.parametrize("wrong", ["S3CRET", 1641092645000, 20221301, 0, True, 1.5])
def test_a_wrong_date_is_refused(wrong: Any) -> None:
    for name in ("start_value_date", "end_value_date"):
        with pytest.raises(ValidationError, match=f"{name} must be a date") as caught:
            _bounds(**{name: wrong})
        assert "S3CRET" not in str(caught.value)


def test_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="must not be later"):
        _bounds(start_value_date=20220203, end_value_date=20220202)


@pytest.mark.parametrize("builder", [ELEMENTS, SAMPLES])
def test_a_filter_for_patients_needs_their_secret_ids_before_it_is_sent(builder: Any) -> None:
    built = builder.for_patients([PATIENT, "q"]).build()
    assert built.patients == (PATIENT, "q")
    with pytest.raises(ValidationError, match="sent with their secret ids"):
        built.to_wire("me")
    known = built.with_secret_ids(["a", "b", "a"])
    assert known.to_wire("me") == {
        "healthcarePartyId": "me",
        "patientSecretForeignKeys": ["a", "b"],
        "$type": built.wire_type,
    }
    # A patient without a secret id has no records.
    assert built.with_secret_ids([]).to_wire("me")["patientSecretForeignKeys"] == []
    assert pickle.loads(pickle.dumps(known)) == known != built
    assert "S3CRET" not in repr(known)
    assert "'a'" not in repr(known)


def test_secret_ids_are_put_in_wherever_a_filter_for_patients_is() -> None:
    mine, others = SAMPLES.for_patients(["p"]), SAMPLES.for_patients(["q"]).for_data_owner("D")
    wanted = (mine | others) & ~SAMPLES.by_ids(["s"])
    leaves = wanted.leaves()
    assert [type(leaf).__name__ for leaf in leaves] == [
        "DataSamplesByPatientsFilter",
        "DataSamplesByPatientsFilter",
        "AllDataSamplesFilter",
        "DataSamplesByIdsFilter",
    ]

    def with_ids(leaf: Filter) -> Filter:
        if isinstance(leaf, PatientsLeaf):
            return leaf.with_secret_ids([f"secret-{patient}" for patient in leaf.patients])
        return leaf

    body = wanted.with_leaves(with_ids).described("why").to_wire("me")
    first, second = body["filters"]
    assert [each["patientSecretForeignKeys"] for each in first["filters"]] == [
        ["secret-p"],
        ["secret-q"],
    ]
    assert [each["healthcarePartyId"] for each in first["filters"]] == ["me", "D"]
    assert second["superSet"] == {"hcpId": "me", "$type": "ServiceByHcPartyFilter"}
    assert body["desc"] == "why"
    # The original is as it was.
    assert [leaf.secret_ids for leaf in leaves if isinstance(leaf, PatientsLeaf)] == [None, None]


@pytest.mark.parametrize(
    ("patients", "message"),
    [
        ([], "patients must not be empty"),
        ("p", "patients must be a list"),
        (PATIENT, "patients must be a list"),
        ([Patient()], "has no id: save it first"),
        ([EncryptedPatient(id="p")], "no key on this device opens this one"),
        ([{"id": "S3CRET"}], "this is something else"),
        (["a/b"], "patient id in the filter must not contain"),
    ],
)
def test_wrong_patients_are_refused(patients: Any, message: str) -> None:
    for builder in (ELEMENTS, SAMPLES):
        with pytest.raises(ValidationError, match=message) as caught:
            builder.for_patients(patients)
        assert "S3CRET" not in str(caught.value)


def test_the_data_owner_goes_along_under_each_of_its_names() -> None:
    """Newer servers require it where the reference leaves it out (data-model.md §8.2)."""
    for built, name in (
        (ELEMENTS, "hcpId"),
        (SAMPLES, "hcpId"),
        (ELEMENTS.by_label_code_filter("T"), "healthcarePartyId"),
        (ELEMENTS.by_identifiers([IDENTIFIER]), "healthcarePartyId"),
        (ELEMENTS.by_identifiers([IDENTIFIER]), "hcPartyId"),
    ):
        assert built.build().to_wire("me")[name] == "me"
        assert built.for_data_owner("D").build().to_wire("me")[name] == "D"
        assert built.for_data_owner("D").build().data_owners() == {"D"}


def test_what_lies_outside_is_looked_for_with_the_same_data_owner() -> None:
    for builder in (ELEMENTS, SAMPLES):
        for leaf in (builder.by_ids(["a"]), builder.for_patients(["p"])):
            body = (~leaf.for_data_owner("D")).super_set.to_wire("me")
            assert body["hcpId"] == "D"
    assert (~CodingFilter().by_ids(["a|b|1"])).super_set.to_wire("me") == {
        "$type": "AllCodesFilter"
    }


def test_ids_of_codings_may_have_blanks() -> None:
    wanted = CodingFilter().by_ids(["ICURE|UNIVERSE THERMAL DEATH|83a913", "a/b|c%|1"]).build()
    assert wanted.to_wire("me")["ids"] == ["ICURE|UNIVERSE THERMAL DEATH|83a913", "a/b|c%|1"]
    for wrong in ("", "\ud800", 1):
        ids: Any = [wrong]
        with pytest.raises(ValidationError, match="id in the filter"):
            CodingFilter().by_ids(ids)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CodingFilter().by_region_language_type_label(), "needs one of them"),
        (lambda: CodingFilter().by_region_language_type_label(""), "region must be a str, and not"),
        (lambda: ELEMENTS.by_label_code_filter(), "needs a label_type or a code_type"),
        (lambda: ELEMENTS.by_label_code_filter(label_code="c"), "label_code needs the label_type"),
        (lambda: SAMPLES.by_label_code_date_filter(code_code="c"), "code_code needs the code_type"),
        (lambda: SAMPLES.by_healthcare_element_ids("e"), "ids must be a list"),
        (lambda: ANY_SAMPLES.byIds(["a"]), "Did you mean 'by_ids'"),
    ],
)
def test_wrong_criteria_are_refused(call: Any, message: str) -> None:
    with pytest.raises((ValidationError, AttributeError, TypeError), match=message):
        call()


def test_a_filter_by_what_is_encrypted_is_refused() -> None:
    wanted = SAMPLES.by_label_code_date_filter("T", start_value_date=20220101).build()
    refuse_encrypted(wanted, {"content"})
    for name in ("value_date", "valueDate", "labels", "tags"):
        with pytest.raises(ValidationError, match="which this SDK encrypts"):
            refuse_encrypted(wanted, {name})
