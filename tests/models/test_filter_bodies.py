"""The bodies of filters, byte for byte those that the reference sends, where these are right."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icure_async import (
    CodingFilter,
    CodingReference,
    ComplementFilter,
    DataSampleFilter,
    Filter,
    HealthcareElementFilter,
    HealthcareProfessionalFilter,
    Identifier,
    MedicalDeviceFilter,
    NotificationFilter,
    PatientFilter,
    UserFilter,
)
from icure_async.errors import ValidationError
from icure_async.models.filters import Combinable, PatientsLeaf
from tests.support.golden import FILTERS

IDENTIFIER = Identifier(
    id="i1",
    system="sys",
    value="val",
    type=CodingReference(id="IDT|x|1", type="IDT", code="x", version="1"),
)

Body = dict[str, Any]


def _recorded(entity: str, builder: str) -> Body:
    (form,) = [f for f in FILTERS if (f["entity"], f["builder"]) == (entity, builder)]
    dto: Body = form["dto"]
    return dto


def _leaves(body: Body) -> Iterator[Body]:
    """The recorded body, and all those within it."""
    yield body
    for inner in (*body.get("filters", ()), body.get("superSet"), body.get("subSet")):
        if inner is not None:
            yield from _leaves(inner)


def _first(body: Body, name: str) -> list[str]:
    """The first member of this name in a recorded body; nothing where there is none."""
    return next((list(leaf[name]) for leaf in _leaves(body) if name in leaf), [])


def _ids(body: Body) -> list[str]:
    """The ids that a recorded body names."""
    return _first(body, "ids")


def _patient(body: Body) -> str:
    """The patient that a recorded body names."""
    return next(str(leaf["patientId"]) for leaf in _leaves(body) if "patientId" in leaf)


def _mine(body: Body) -> PatientFilter:
    del body
    return PatientFilter().for_data_owner(_owner("Patient"))


def _owner(entity: str) -> str:
    nothing = _recorded(entity, "nothing")
    return str(nothing.get("healthcarePartyId") or nothing["hcpId"])


def _element(body: Body) -> HealthcareElementFilter:
    del body
    return HealthcareElementFilter().for_data_owner(_owner("HealthcareElement"))


def _labelled(body: Body) -> HealthcareElementFilter:
    return _element(body).by_label_code_filter("GOLD", "HE")


def _sample(body: Body) -> DataSampleFilter:
    del body
    return DataSampleFilter().for_data_owner(_owner("DataSample"))


def _elements_named(body: Body) -> list[str]:
    return _first(body, "healthElementIds")


def _with_secret_ids(built: Filter, body: Body) -> Filter:
    """Put in the secret ids that a recorded body names, as the API objects do."""
    secret_ids = _first(body, "patientSecretForeignKeys")

    def change(leaf: Filter) -> Filter:
        return leaf.with_secret_ids(secret_ids) if isinstance(leaf, PatientsLeaf) else leaf

    return built.with_leaves(change)


def _told(body: Body) -> NotificationFilter:
    del body
    return NotificationFilter().for_data_owner(_owner("Notification"))


coding = CodingFilter()
fever = coding.by_region_language_type_label("be", "en", "GOLD", "fev")
user, professional, device = UserFilter(), HealthcareProfessionalFilter(), MedicalDeviceFilter()

FORMS: dict[tuple[str, str], Callable[[Body], Combinable]] = {
    ("User", "nothing"): lambda _: user,
    ("User", "byIds([id])"): lambda b: user.by_ids(_ids(b)),
    ("User", "byPatientId(id)"): lambda b: user.by_patient_id(_patient(b)),
    ("User", "byIds + byPatientId"): lambda b: user.by_patient_id(_patient(b)).by_ids(_ids(b)),
    ("User", "union([byIds, byPatientId])"): lambda b: user.union(
        [user.by_ids(_ids(b)), user.by_patient_id(_patient(b)).build()]
    ),
    ("User", "intersection([nothing, byIds])"): lambda b: user.intersection(
        [user, user.by_ids(_ids(b))]
    ),
    ("User", "union + own criterion"): lambda b: user.by_ids(_ids(b)).union(
        [user.by_patient_id(_patient(b))]
    ),
    ("User", "complement(nothing, byIds)"): lambda b: user.by_ids(_ids(b)).complement(),
    ("User", "description"): lambda b: user.by_ids(_ids(b)).build().described("why"),
    ("Patient", "nothing"): _mine,
    ("Patient", "byIds([id])"): lambda b: _mine(b).by_ids(_ids(b)),
    ("Patient", "byIds([])"): lambda b: _mine(b).by_ids([]),
    ("Patient", "byIdentifiers([i])"): lambda b: _mine(b).by_identifiers([IDENTIFIER]),
    ("Patient", "withSsins([s])"): lambda b: _mine(b).with_ssins(b["ssins"]),
    ("Patient", "dateOfBirthBetween(from,to)"): lambda b: _mine(b).date_of_birth_between(
        dt.date(1980, 1, 1), 19901231
    ),
    ("Patient", "byGenderEducationProfession('male')"): lambda b: _mine(
        b
    ).by_gender_education_profession("male"),
    ("Patient", "byGenderEducationProfession('male','e','p')"): lambda b: _mine(
        b
    ).by_gender_education_profession("male", "e", "p"),
    ("Patient", "containsFuzzy('sno')"): lambda b: _mine(b).contains_fuzzy("sno"),
    ("Patient", "containsFuzzy + byGender (intersection)"): lambda b: (
        _mine(b).contains_fuzzy("sno").by_gender_education_profession("male")
    ),
    ("Patient", "union"): lambda b: _mine(b).by_ids(_ids(b)) | _mine(b).contains_fuzzy("sno"),
    ("Patient", "intersection"): lambda b: _mine(b) & _mine(b).with_ssins(["800203"]),
    ("Patient", "union of intersections"): lambda b: (
        _mine(b).by_ids(_ids(b)).contains_fuzzy("sno") | (_mine(b) & _mine(b).with_ssins(["x"]))
    ),
    ("Patient", "complement"): lambda b: ~_mine(b).by_ids(_ids(b)),
    ("Patient", "description"): lambda b: _mine(b).by_ids(_ids(b)).build().described("why"),
    ("HealthcareProfessional", "nothing"): lambda _: professional,
    ("HealthcareProfessional", "byIds([id])"): lambda b: professional.by_ids(_ids(b)),
    ("HealthcareProfessional", "byMatches('hcp')"): lambda _: professional.by_matches("hcp"),
    ("HealthcareProfessional", "byLabelCodeFilter(lt,lc)"): lambda _: (
        professional.by_label_code_filter("GOLD", "HCP")
    ),
    ("HealthcareProfessional", "byLabelCodeFilter(lt,lc,ct,cc)"): lambda _: (
        professional.by_label_code_filter("GOLD", "HCP", "SPEC", "x")
    ),
    ("HealthcareProfessional", "byIds + byMatches"): lambda b: professional.by_ids(
        _ids(b)
    ).by_matches("hcp"),
    ("HealthcareProfessional", "union"): lambda b: (
        professional.by_ids(_ids(b)) | professional.by_matches("zzz")
    ),
    ("HealthcareProfessional", "intersection"): lambda b: (
        professional & professional.by_ids(_ids(b))
    ),
    ("HealthcareProfessional", "complement"): lambda b: ~professional.by_ids(_ids(b)),
    ("MedicalDevice", "nothing"): lambda _: device,
    ("MedicalDevice", "byIds([id])"): lambda b: device.by_ids(_ids(b)),
    ("MedicalDevice", "union"): lambda b: device.by_ids(_ids(b)) | device,
    ("MedicalDevice", "intersection"): lambda b: device & device.by_ids(_ids(b)),
    ("MedicalDevice", "complement"): lambda b: ~device.by_ids(_ids(b)),
    ("Notification", "nothing"): _told,
    ("Notification", "byIds([id])"): lambda b: _told(b).by_ids(_ids(b)),
    ("Notification", "withType('OTHER')"): lambda b: _told(b).with_type("OTHER"),
    ("Notification", "afterDate(1000)"): lambda b: _told(b).after_date(1000),
    ("Notification", "afterDate(0) ignored"): lambda b: _told(b).after_date(0),
    ("Notification", "withType + afterDate"): lambda b: (
        _told(b).after_date(dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)).with_type("OTHER")
    ),
    ("Notification", "union"): lambda b: (
        _told(b).by_ids(_ids(b)) | _told(b).with_type("KEY_PAIR_UPDATE")
    ),
    ("Notification", "intersection"): lambda b: _told(b) & _told(b).by_ids(_ids(b)),
    ("Notification", "complement"): lambda b: ~_told(b).by_ids(_ids(b)),
    ("HealthcareElement", "nothing"): _element,
    ("HealthcareElement", "byIds([id])"): lambda b: _element(b).by_ids(_ids(b)),
    ("HealthcareElement", "byIdentifiers([i])"): lambda b: _element(b).by_identifiers([IDENTIFIER]),
    ("HealthcareElement", "byLabelCodeFilter(tt,tc)"): _labelled,
    ("HealthcareElement", "byLabelCodeFilter(tt,tc,ct,cc)"): lambda b: _element(
        b
    ).by_label_code_filter("GOLD", "HE", "SNOMED", "1"),
    ("HealthcareElement", "byLabelCodeFilter(undefined,undefined,ct,cc)"): lambda b: _element(
        b
    ).by_label_code_filter(code_type="SNOMED", code_code="1"),
    ("HealthcareElement", "forPatients(crypto,[p])"): lambda b: _element(b).for_patients(["p"]),
    ("HealthcareElement", "forPatients + byLabelCodeFilter"): lambda b: _labelled(b).for_patients(
        ["p"]
    ),
    ("HealthcareElement", "union"): lambda b: (
        _element(b).by_ids(_ids(b)) | _element(b).by_identifiers([IDENTIFIER])
    ),
    ("HealthcareElement", "intersection"): lambda b: _element(b) & _element(b).by_ids(_ids(b)),
    ("HealthcareElement", "complement"): lambda b: ~_element(b).by_ids(_ids(b)),
    ("DataSample", "nothing"): _sample,
    ("DataSample", "byIds([id])"): lambda b: _sample(b).by_ids(_ids(b)),
    ("DataSample", "byIdentifiers([i])"): lambda b: _sample(b).by_identifiers([IDENTIFIER]),
    ("DataSample", "byLabelCodeDateFilter(tt,tc,ct,cc,start,end)"): lambda b: _sample(
        b
    ).by_label_code_date_filter("LOINC", "1", "SNOMED", "2", dt.date(2021, 1, 1), 20230101000000),
    ("DataSample", "byLabelCodeDateFilter(tt,tc)"): lambda b: _sample(b).by_label_code_date_filter(
        "LOINC", "1"
    ),
    ("DataSample", "byHealthElementIds([id])"): lambda b: _sample(b).by_healthcare_element_ids(
        _elements_named(b)
    ),
    ("DataSample", "forPatients(crypto,[p])"): lambda b: _sample(b).for_patients(["p"]),
    ("DataSample", "forPatients + byHealthElementIds"): lambda b: (
        _sample(b).for_patients(["p"]).by_healthcare_element_ids(_elements_named(b))
    ),
    ("DataSample", "union"): lambda b: (
        _sample(b).by_ids(_ids(b)) | _sample(b).by_identifiers([IDENTIFIER])
    ),
    ("DataSample", "intersection"): lambda b: _sample(b) & _sample(b).by_ids(_ids(b)),
    ("DataSample", "complement"): lambda b: ~_sample(b).by_ids(_ids(b)),
    ("Coding", "nothing"): lambda _: coding,
    ("Coding", "byIds([id])"): lambda b: coding.by_ids(_ids(b)),
    ("Coding", "byRegionLanguageTypeLabel('be','en','GOLD','fev')"): lambda _: fever,
    ("Coding", "byRegionLanguageTypeLabel('be')"): lambda _: coding.by_region_language_type_label(
        "be"
    ),
    ("Coding", "union"): lambda b: coding.by_ids(_ids(b)) | fever,
    ("Coding", "intersection"): lambda b: coding & coding.by_ids(_ids(b)),
    ("Coding", "complement"): lambda b: ~coding.by_ids(_ids(b)),
}

MORE = {
    "HealthElementByHcPartyIdentifiersFilter": "hcPartyId",
    "HealthElementByHcPartyTagCodeFilter": "healthcarePartyId",
}
"""The data owner whose data to look at, which the reference leaves out under this name.

Newer servers require it (data-model.md §8.2).
"""

BETTER = {
    ("User", "union + intersection (union wins)"),
    ("Patient", "ofAge(40)"),
    ("Patient", "containsFuzzy('') ignored"),
    ("Patient", "without forDataOwner"),
}
"""Forms of which the reference makes something wrong; each has a test below."""


def test_every_recorded_form_is_here() -> None:
    recorded = {(f["entity"], f["builder"]) for f in FILTERS}
    assert recorded == FORMS.keys() | BETTER
    assert not FORMS.keys() & BETTER


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_a_recorded_form_gives_the_recorded_body(form: tuple[str, str]) -> None:
    recorded = _recorded(*form)
    built = _with_secret_ids(FORMS[form](recorded).build(), recorded)
    ours = built.to_wire("somebody else")
    for leaf in _leaves(ours):
        if leaf["$type"] in MORE:
            assert leaf.pop(MORE[leaf["$type"]]) == _owner(form[0])
    assert json.dumps(ours) == json.dumps(recorded)


def test_a_complement_can_be_written_out() -> None:
    recorded = _recorded("Patient", "complement")
    mine = _mine(recorded)
    by_ids = mine.by_ids(_ids(recorded))
    written = ComplementFilter(super_set=mine.build(), sub_set=by_ids.build())
    assert written == by_ids.complement() == by_ids.complement(within=mine) == ~by_ids
    assert ~by_ids.build() == ComplementFilter(super_set=PatientFilter().build(), sub_set=by_ids)


def test_a_union_does_not_silently_beat_an_intersection() -> None:
    recorded = _recorded("User", "union + intersection (union wins)")
    assert recorded["$type"] == "UnionFilter"
    both = user.union([user.by_patient_id(_patient(recorded))]).intersection([user])
    with pytest.raises(ValidationError, match=r"union\(\) and intersection\(\) exclude"):
        both.build()


def test_an_empty_text_does_not_find_everybody() -> None:
    recorded = _recorded("Patient", "containsFuzzy('') ignored")
    assert recorded["$type"] == "PatientByHcPartyFilter"
    for text in ("", " ", "-'-", "\N{COMBINING ACUTE ACCENT}"):
        with pytest.raises(ValidationError, match="text to search for"):
            PatientFilter().contains_fuzzy(text)
        with pytest.raises(ValidationError, match="text to search for"):
            professional.by_matches(text)


def test_without_a_data_owner_a_filter_is_for_the_current_one() -> None:
    (form,) = [f for f in FILTERS if f["builder"] == "without forDataOwner"]
    assert "Data Owner must be set" in form["error"]
    assert PatientFilter().build().to_wire("me") == {
        "healthcarePartyId": "me",
        "$type": "PatientByHcPartyFilter",
    }


def test_the_days_of_an_age_are_not_days_of_the_week() -> None:
    """The reference writes the day of the week as the day of the month."""
    recorded = _recorded("Patient", "ofAge(40)")
    assert max(recorded["minDateOfBirth"] % 100, recorded["maxDateOfBirth"] % 100) <= 7
    filtered = _mine(recorded).of_age(40, today=dt.date(2026, 11, 26)).build()
    assert filtered.to_wire("me") == {
        **recorded,
        "minDateOfBirth": 19851127,
        "maxDateOfBirth": 19861126,
    }
