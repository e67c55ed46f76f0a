"""Values that are refused before anything is sent, and the words of the refusal."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.errors import ValidationError
from icure_async.models import (
    Address,
    CodingReference,
    Delegation,
    EncryptedPatient,
    Identifier,
    Notification,
    Patient,
    PersonName,
    Property,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    TypedValueObject,
    User,
)
from icure_async.models.validation import validate_id, validate_patient_for_saving
from icure_async.models.wire import from_wire
from tests.support.wire_documents import golden


def stark(**members: Any) -> Patient:
    return Patient(first_name="Ned", last_name="Stark").evolve(**members)


@pytest.mark.parametrize(("where", "stored"), golden("patient"))
def test_golden_patients_may_be_saved(where: str, stored: dict[str, Any]) -> None:
    for creating in (True, False):
        validate_patient_for_saving(from_wire(Patient, stored), creating=creating)


@pytest.mark.parametrize("value", ["a", "9a0d1fdc-1111", "ü", "a:b", "legacy_id", "\ud800"])
def test_ids_that_backends_take_are_returned(value: str) -> None:
    assert validate_id(value, "patient id") == value


@pytest.mark.parametrize(
    "value", ["a/b", "a\\b", "a?", "a#", "a%20", "a b", "a\n", "\x00", "a\x7f"]
)
def test_ids_that_would_break_a_path_are_refused_without_showing_them(value: str) -> None:
    with pytest.raises(ValidationError, match="The patient id must not contain") as caught:
        validate_id(value, "patient id")
    assert repr(value) not in str(caught.value)


@pytest.mark.parametrize(("value", "message"), [("", "not be empty"), (None, "str"), (5, "str")])
def test_what_is_no_id_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=f"The id must (not )?.*{message}"):
        validate_id(value)


@pytest.mark.parametrize("date", [20240229, 19990000, 19991200, 10101, 99991231, None])
def test_dates_may_be_partly_unknown(date: int | None) -> None:
    validate_patient_for_saving(stark(date_of_birth=date, date_of_death=date), creating=True)


@pytest.mark.parametrize("name", ["date_of_birth", "date_of_death"])
@pytest.mark.parametrize(
    "date",
    [20230229, 19991301, 19990012, 19991232, 0, -19990101, 1999, 100000101, 199901011200, 2**62],
)
def test_dates_that_do_not_exist_are_refused(name: str, date: int) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be a date") as caught:
        validate_patient_for_saving(stark(**{name: date}), creating=False)
    assert str(date) not in str(caught.value).replace("00", "")


@pytest.mark.parametrize("members", [{}, {"first_name": "", "last_name": ""}, {"alias": "Wolf"}])
def test_a_new_patient_needs_a_name(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="first_name or a last_name"):
        validate_patient_for_saving(Patient(**members), creating=True)
    validate_patient_for_saving(Patient(**members, id="p", rev="1-a"), creating=False)


@pytest.mark.parametrize("members", [{"first_name": "R"}, {"last_name": "S"}])
def test_one_name_is_enough(members: dict[str, Any]) -> None:
    validate_patient_for_saving(Patient(**members), creating=True)


@pytest.mark.parametrize(
    ("members", "path", "constant"),
    [
        ({"gender": "S3CRET"}, "gender", "changedToMale"),
        ({"personal_status": "S3CRET"}, "personal_status", "in_couple"),
        ({"addresses": [Address(address_type="S3CRET")]}, r"addresses\[0\]\.address_type", "home"),  # type: ignore[arg-type]
        ({"names": [PersonName(use="S3CRET")]}, r"names\[0\]\.use", "official"),  # type: ignore[arg-type]
    ],
)
def test_constants_are_checked_on_creation_only(
    members: dict[str, Any], path: str, constant: str
) -> None:
    with pytest.raises(ValidationError, match=f"^{path} must be one of: .*{constant}") as caught:
        validate_patient_for_saving(stark(**members), creating=True)
    assert "S3CRET" not in str(caught.value)
    validate_patient_for_saving(stark(**members, id="p", rev="1-a"), creating=False)


def wrong(model: Any, **members: Any) -> Any:
    for name, value in members.items():
        setattr(model, name, value)
    return model


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": 7}, "The patient id must be a str"),
    ({"rev": 7}, "rev must be a str"),
    ({"first_name": 7}, "first_name must be a str"),
    ({"gender": 7}, "gender must be a str"),
    ({"created": "S3CRET"}, "created must be a datetime, or an int"),
    ({"created": True}, "created must be a datetime, or an int"),
    ({"created": 2**63}, "created must fit in 64 bits"),
    ({"date_of_birth": 1.5}, "date_of_birth must be a datetime.date, or an int"),
    ({"active": 1}, "active must be a bool"),
    ({"picture": "S3CRET"}, "picture must be bytes"),
    ({"labels": None}, "labels must be a list"),
    ({"labels": {CodingReference.__name__}}, "labels must be a list"),
    ({"languages": "S3CRET"}, "languages must be a list"),
    ({"languages": ["en", None]}, r"languages\[1\] must be a str"),
    ({"addresses": [{"city": "S3CRET"}]}, r"addresses\[0\] must be a Address"),
    (
        {"addresses": [Address(telecoms=[wrong(Telecom(), telecom_number=32)])]},
        r"addresses\[0\]\.telecoms\[0\]\.telecom_number must be a str",
    ),
    (
        {"identifiers": [Identifier(type=wrong(CodingReference(), code=1))]},
        r"identifiers\[0\]\.type\.code must be a str",
    ),
    ({"parameters": {"S3CRET": [1]}}, r"parameters\[\*\]\[0\] must be a str"),
    ({"parameters": {1: []}}, "key of parameters must be a str"),
    ({"parameters": []}, "parameters must be a dict"),
    (
        {"properties": [Property(typed_value=TypedValueObject(double_value=float("nan")))]},
        r"properties\[0\]\.typed_value\.double_value must be finite",
    ),
    (
        {"properties": [Property(typed_value=TypedValueObject(double_value=10**400))]},
        "double_value must be finite",
    ),
    (
        {
            "system_meta_data": SystemMetaDataOwnerEncrypted(
                delegations={"S3CRET": [wrong(Delegation(), key=b"S3CRET")]}
            )
        },
        r"system_meta_data\.delegations\[\*\]\[0\]\.key must be a str",
    ),
]


@pytest.mark.parametrize("creating", [True, False])
@pytest.mark.parametrize(("members", "message"), WRONG)
def test_wrong_types_are_refused_by_name_and_never_by_value(
    members: dict[str, Any], message: str, creating: bool
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        validate_patient_for_saving(stark(**members), creating=creating)
    assert "S3CRET" not in str(caught.value)


def test_what_is_no_patient_is_refused() -> None:
    document: Any = {"first_name": "Ned"}
    made = {"firstName": "Ned"}
    with pytest.raises(
        ValidationError, match=r"must be a Patient: Patient.from_dict\(\) makes one"
    ):
        validate_patient_for_saving(made, creating=True)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="must be a Patient"):
        validate_patient_for_saving(document, creating=False)


@pytest.mark.parametrize("kind", [Patient, EncryptedPatient])
@pytest.mark.parametrize("members", [{"id": "p"}, {"rev": "1-a"}, {}])
def test_a_modified_patient_needs_its_id_and_rev(
    kind: type[Patient | EncryptedPatient], members: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="needs its id and its rev"):
        validate_patient_for_saving(kind(**members), creating=False)
    validate_patient_for_saving(kind(id="p", rev="1-a"), creating=False)


@given(st.text(st.characters()))
def test_any_text_may_be_a_note(note: str) -> None:
    validate_patient_for_saving(stark(note=note, administrative_note="\ud800"), creating=True)


@given(st.integers())
def test_any_integer_as_a_date_is_taken_or_refused_cleanly(date: int) -> None:
    with contextlib.suppress(ValidationError):
        validate_patient_for_saving(stark(date_of_birth=date), creating=True)


def test_a_record_that_was_never_saved_has_neither_id_nor_revision() -> None:
    for record in (Patient(), Notification(), User()):
        members: list[object] = [record.id, record.rev]
        assert members == [None, None]
        assert record.to_dict().keys().isdisjoint({"id", "rev"})


def test_a_record_in_place_of_its_id_is_named_and_shown_no_further() -> None:
    with pytest.raises(ValidationError) as caught:
        validate_id(Patient(id="ned", first_name="S3CRET"), "patient id")
    assert str(caught.value) == "The patient id must be a str, and this is a Patient: pass its id."
