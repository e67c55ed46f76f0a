"""Documents of the backend, which survive being read and saved."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from icure_async.errors import InvalidResponseError, UnknownNameError
from icure_async.models import (
    Address,
    CodingReference,
    EncryptedPatient,
    Patient,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    User,
)
from icure_async.models.base import Model
from icure_async.models.wire import from_wire, prepare, to_wire
from tests.support.wire_documents import PATIENT, USER, golden, without_nulls

relaxed = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_models_that_were_read_have_hidden_members_of_their_own() -> None:
    wire: dict[str, Any] = {"addresses": [{"telecoms": []}, {"telecoms": []}]}
    patient = from_wire(Patient, wire)
    for copied in (copy.deepcopy(patient), copy.copy(patient), patient.evolve(), _pickled(patient)):
        assert copied == patient
        assert copied.addresses[0].unknown_fields == copied.addresses[1].assumed_fields == {}
    first, second = patient.addresses
    first.unknown_fields["notes"] = ["a"]
    assert first.unknown_fields == {"notes": ["a"]}
    assert second.unknown_fields == {}
    assert to_wire(patient) == {"addresses": [{"telecoms": [], "notes": ["a"]}, {"telecoms": []}]}


def test_a_misspelt_member_of_a_model_that_was_read_is_explained() -> None:
    address = from_wire(Patient, {"addresses": [{}]}).addresses[0]
    with pytest.raises(UnknownNameError, match="Did you mean 'unknown_fields'"):
        getattr(address, "unknownFields")  # noqa: B009


def _pickled(patient: Patient) -> Patient:
    copied: Patient = pickle.loads(pickle.dumps(patient))
    return copied


@relaxed
@given(PATIENT)
def test_a_patient_survives_reading_and_saving(wire: dict[str, Any]) -> None:
    before = copy.deepcopy(wire)
    assert to_wire(from_wire(Patient, wire)) == without_nulls(wire)
    assert to_wire(from_wire(EncryptedPatient, wire)) == without_nulls(wire)
    assert wire == before


@relaxed
@given(PATIENT)
def test_a_patient_survives_a_change_of_another_member(wire: dict[str, Any]) -> None:
    patient = from_wire(Patient, wire).evolve(company_name="Winterfell")
    assert to_wire(patient) == {**without_nulls(wire), "companyName": "Winterfell"}


@relaxed
@given(PATIENT)
def test_a_patient_survives_the_documentation_json(wire: dict[str, Any]) -> None:
    for decrypted in (True, False):
        patient = from_wire(Patient if decrypted else EncryptedPatient, wire)
        assert type(patient).from_dict(patient.to_dict()) == patient


@relaxed
@given(USER)
def test_a_user_survives_both_forms(wire: dict[str, Any]) -> None:
    user = from_wire(User, wire)
    assert to_wire(user) == without_nulls(wire)
    assert User.from_dict(user.to_dict()) == user


@pytest.mark.parametrize(("where", "stored"), golden("patient"))
def test_golden_patients_survive(where: str, stored: dict[str, Any]) -> None:
    patient = from_wire(Patient, stored)
    assert to_wire(patient) == stored, where
    assert Patient.from_dict(patient.to_dict()) == patient
    assert patient.id == stored["id"]
    assert patient.last_name == stored["lastName"]
    assert patient.system_meta_data is not None
    assert set(patient.system_meta_data.delegations) == set(stored.get("delegations", {}))


@pytest.mark.parametrize(("where", "stored"), golden("user"))
def test_golden_users_survive(where: str, stored: dict[str, Any]) -> None:
    user = from_wire(User, stored)
    assert to_wire(user) == without_nulls(stored), where
    assert user.sharing_data_with == stored.get("autoDelegations", {})


def test_a_new_patient_is_written_as_the_reference_writes_it() -> None:
    assert to_wire(Patient(first_name="R")) == {
        "firstName": "R",
        "identifier": [],
        "tags": [],
        "codes": [],
        "names": [],
        "addresses": [],
        "mergedIds": [],
        "partnerships": [],
        "patientHealthCareParties": [],
        "patientProfessions": [],
        "properties": [],
    }


def test_system_metadata_is_flat_on_the_wire_and_absent_when_there_is_none() -> None:
    patient = Patient(
        first_name="R",
        system_meta_data=SystemMetaDataOwnerEncrypted(public_key="30", hc_party_keys={}),
    )
    wire = to_wire(patient)
    assert wire["publicKey"] == "30"
    assert wire["hcPartyKeys"] == {}
    assert wire["delegations"] == {}
    assert "aesExchangeKeys" not in wire
    assert "systemMetaData" not in wire
    patient.system_meta_data = None
    assert "delegations" not in to_wire(patient)


def test_missing_collections_read_as_empty_and_stay_missing_until_used() -> None:
    patient = from_wire(Patient, {"id": "p", "addresses": [{"city": "Ghent"}]})
    assert patient.labels == []
    assert patient.addresses[0].telecoms == []
    assert patient.languages is None
    patient.labels.append(CodingReference(id="a|b|1"))
    patient.addresses[0].telecoms.append(Telecom(telecom_number="+32"))
    assert to_wire(patient) == {
        "id": "p",
        "tags": [{"id": "a|b|1"}],
        "addresses": [{"city": "Ghent", "telecoms": [{"telecomNumber": "+32"}]}],
    }


def test_emptied_collections_are_written_as_empty() -> None:
    patient = from_wire(Patient, {"tags": [{"id": "a|b|1"}], "mergedIds": ["m"]})
    patient.labels.clear()
    patient.merged_ids = []
    assert to_wire(patient) == {"tags": [], "mergedIds": []}


def test_unset_members_are_removed_from_the_document() -> None:
    patient = from_wire(Patient, {"firstName": "Ned", "alias": "Quiet Wolf"})
    patient.alias = None
    assert to_wire(patient) == {"firstName": "Ned"}


def test_a_code_without_id_shows_one_and_is_saved_without() -> None:
    wire = {"tags": [{"type": "SNOMED", "code": "73211009", "version": "1"}, {"type": "X"}, {}]}
    patient = from_wire(Patient, wire)
    assert [label.id for label in patient.labels] == ["SNOMED|73211009|1", "X|null|null", None]
    assert to_wire(patient) == wire
    patient.labels[0].code = "44054006"
    assert "id" not in to_wire(patient)["tags"][0]
    patient.labels[0].id = "mine"
    assert to_wire(patient)["tags"][0]["id"] == "mine"


def test_unknown_constants_of_a_newer_backend_are_kept() -> None:
    wire = {"gender": "nonbinary", "addresses": [{"addressType": "moon"}]}
    patient = from_wire(Patient, wire)
    assert patient.to_dict()["gender"] == "nonbinary"
    assert to_wire(patient) == wire


def test_unknown_members_belong_to_one_patient_only() -> None:
    wire = {"_type": "Patient", "insurabilities": [{"id": 1}], "addresses": [{"notes": [1]}]}
    patient = from_wire(Patient, wire)
    other = patient.evolve(first_name="R")
    assert patient.unknown_fields == {"_type": "Patient", "insurabilities": [{"id": 1}]}
    assert patient.unknown_fields is not None
    patient.unknown_fields["insurabilities"].append(2)
    patient.addresses[0].unknown_fields["notes"].append(2)
    written = to_wire(patient)
    written["insurabilities"].append(3)
    assert wire["insurabilities"] == [{"id": 1}]
    assert to_wire(patient)["insurabilities"] == [{"id": 1}, 2]
    assert to_wire(other)["insurabilities"] == [{"id": 1}]
    assert to_wire(other)["addresses"] == [{"notes": [1]}]


def test_what_is_written_shares_nothing_with_the_patient() -> None:
    patient = Patient(
        languages=["en"],
        parameters={"k": ["v"]},
        addresses=[Address(telecoms=[Telecom(telecom_number="1")])],
        system_meta_data=SystemMetaDataOwnerEncrypted(
            hc_party_keys={"a": ["b"]}, aes_exchange_keys={"a": {"b": {"c": "d"}}}
        ),
    )
    for write in (to_wire, Patient.to_dict):
        document = write(patient)
        before = copy.deepcopy(document)
        flat = document.get("systemMetaData", document)
        document["languages"].append("fr")
        document["parameters"]["k"].append("w")
        document["addresses"][0]["telecoms"].clear()
        flat["hcPartyKeys"]["a"].clear()
        flat["aesExchangeKeys"]["a"]["b"].clear()
        assert write(patient) == before


def test_whether_a_model_was_read_shows() -> None:
    assert Patient().unknown_fields is None
    assert User().unknown_fields is None
    assert from_wire(Patient, {}).unknown_fields == {}
    assert from_wire(User, {}).unknown_fields == {}


def test_unreadable_patients_are_of_another_class() -> None:
    wire = {"id": "p", "encryptedSelf": "AAAA"}
    unreadable = from_wire(EncryptedPatient, wire)
    assert isinstance(unreadable, EncryptedPatient)
    assert not isinstance(unreadable, Patient)
    readable: object = from_wire(Patient, wire)
    assert unreadable != readable


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("_-8=", b"\xff\xef"),
        ("/+8", b"\xff\xef"),
        ("/+\r\n8=", b"\xff\xef"),
        ("/+9=", b"\xff\xef"),
        ("not base64 at all: é", None),
        ("A", None),
    ],
)
def test_odd_pictures_are_read_if_possible_and_kept_until_replaced(
    text: str, content: bytes | None
) -> None:
    patient = from_wire(Patient, {"picture": text})
    assert patient.picture == content
    assert to_wire(patient) == {"picture": text}
    assert to_wire(patient.evolve(picture=b"abc")) == {"picture": "YWJj"}
    if content is not None:
        assert to_wire(patient.evolve(picture=None)) == {}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"created": "S3CRET"}, "created is not an integer"),
    ({"created": True}, "created is not an integer"),
    ({"created": 1.5}, "created is not an integer"),
    ({"firstName": 5}, "firstName is not a text"),
    ({"gender": ["S3CRET"]}, "gender is not a text"),
    ({"active": 1}, "active is not a boolean"),
    ({"picture": 7}, "picture is not a text"),
    ({"languages": "S3CRET"}, "languages is not a list"),
    ({"languages": [None]}, r"languages\[0\] is not a text"),
    ({"addresses": [{}, {"telecoms": {"S3CRET": 1}}]}, r"addresses\[1\]\.telecoms is not a list"),
    ({"addresses": ["S3CRET"]}, r"addresses\[0\] is not an object"),
    ({"addresses": [{"descr": 1}]}, r"addresses\[0\]\.descr is not a text"),
    ({"identifier": [{"type": {"id": 1}}]}, r"identifier\[0\]\.type\.id is not a text"),
    ({"properties": [{"typedValue": {"doubleValue": "1"}}]}, "doubleValue is not a number"),
    ({"parameters": {"S3CRET": [1]}}, r"parameters\[\*\]\[0\] is not a text"),
    ({"delegations": {"S3CRET": [{"key": 1}]}}, r": delegations\[\*\]\[0\]\.key is not a text"),
    ({"hcPartyKeys": []}, ": hcPartyKeys is not an object"),
]


@pytest.mark.parametrize(("wire", "message"), WRONG)
def test_wrong_types_are_refused_by_name_and_never_by_value(
    wire: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidResponseError, match=message) as caught:
        from_wire(Patient, wire)
    assert "S3CRET" not in str(caught.value)


def test_what_is_no_object_is_refused() -> None:
    not_a_document: Any = ["S3CRET"]
    with pytest.raises(InvalidResponseError, match="the document is not an object"):
        from_wire(User, not_a_document)
    with pytest.raises(InvalidResponseError, match="name is not a text"):
        from_wire(User, {"roles": [], 1: 2})  # type: ignore[dict-item]


def test_everything_can_be_prepared_beforehand_and_again() -> None:
    prepare(Model)
    prepare(Model)
    assert to_wire(from_wire(Patient, {"id": "p"})) == {"id": "p"}
