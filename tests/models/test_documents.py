"""The JSON the reference documentation prints."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import attrs
import pytest

import icure_async.models
from icure_async.errors import ValidationError
from icure_async.models import (
    Address,
    AuthenticationToken,
    CodingReference,
    Delegation,
    EncryptedPatient,
    Identifier,
    Partnership,
    Patient,
    PatientHealthCareParty,
    PersonName,
    Property,
    PropertyType,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    TypedValueObject,
    User,
)
from icure_async.models.base import EntityModel, Model, ValueModel
from icure_async.models.wire import from_wire
from tests.support.golden import GOLDEN
from tests.support.wire_documents import PATIENT_MEMBERS, USER_MEMBERS

MODELS: list[type[ValueModel | EntityModel]] = [
    model
    for model in vars(icure_async.models).values()
    if isinstance(model, type) and issubclass(model, ValueModel | EntityModel)
]

FULL_ADDRESS = Address(
    address_type="home",
    description="d",
    street="st",
    telecoms=[Telecom(telecom_type="mobile", telecom_number="+32470")],
)
FULL_PROPERTY = Property(
    id="p",
    deleted=9,
    type=PropertyType(identifier="x", type="STRING"),
    typed_value=TypedValueObject(type="STRING", string_value="z"),
)


def test_every_model_is_looked_at() -> None:
    assert {model.__name__ for model in MODELS} == {
        "Address", "AuthenticationToken", "Coding", "CodingReference", "Content", "DataSample",
        "Delegation", "Document", "EncryptedDataSample", "EncryptedDocument",
        "EncryptedHealthcareElement", "EncryptedNotification", "EncryptedPatient",
        "HealthcareElement", "HealthcareProfessional", "Identifier", "Measure", "MedicalDevice",
        "Notification", "Partnership", "Patient", "PatientHealthCareParty", "PersonName",
        "Property", "PropertyType", "SystemMetaDataEncrypted", "SystemMetaDataOwner",
        "SystemMetaDataOwnerEncrypted", "Telecom", "TimeSeries", "TypedValueObject", "User",
    }  # fmt: skip


def test_empty_models_print_as_in_the_documentation() -> None:
    assert Patient().to_dict() == {
        "identifiers": [],
        "labels": [],
        "codes": [],
        "names": [],
        "addresses": [],
        "mergedIds": [],
        "partnerships": [],
        "patientHealthCareParties": [],
        "patientProfessions": [],
        "properties": [],
    }
    assert User().to_dict() == {
        "properties": [],
        "roles": [],
        "sharingDataWith": {},
        "authenticationTokens": {},
    }
    assert SystemMetaDataOwnerEncrypted().to_dict() == {
        "secretForeignKeys": [],
        "cryptedForeignKeys": {},
        "delegations": {},
        "encryptionKeys": {},
    }


def test_nested_models_print_as_in_the_documentation() -> None:
    assert FULL_PROPERTY.to_dict() == {
        "id": "p",
        "deleted": 9,
        "type": {"identifier": "x", "type": "STRING"},
        "typedValue": {"stringValue": "z", "type": "STRING"},
    }
    assert FULL_ADDRESS.to_dict() == {
        "description": "d",
        "street": "st",
        "addressType": "home",
        "telecoms": [{"telecomNumber": "+32470", "telecomType": "mobile"}],
    }
    user = User(
        use2fa=True,
        sharing_data_with={"all": ["h"]},
        authentication_tokens={"app": AuthenticationToken(creation_time=1, validity=2)},
    )
    assert user.to_dict() == {
        "use2fa": True,
        "properties": [],
        "roles": [],
        "sharingDataWith": {"all": ["h"]},
        "authenticationTokens": {"app": {"creationTime": 1, "validity": 2}},
    }


def test_a_patient_read_prints_as_the_reference_prints_it() -> None:
    transcript = json.loads((GOLDEN / "sms-flow-transcript.json").read_text())
    printed = transcript["patient"]
    (stored,) = (
        request["response"]
        for step in transcript["steps"]
        for request in step["requests"]
        if request["method"] == "POST" and request["path"].startswith("/rest/v1/patient?")
    )
    ours = from_wire(Patient, {**stored, "note": printed["note"]}).to_dict()
    assert ours["systemMetaData"]["delegations"] == stored["delegations"]
    assert ours["systemMetaData"]["encryptionKeys"] == stored["encryptionKeys"]
    # The recorder's JSON.stringify printed every JavaScript Set as {}.
    for name in ("labels", "codes", "mergedIds", "properties"):
        assert ours.pop(name) == []
        assert printed.pop(name) == {}
    for name in ("delegations", "encryptionKeys"):
        ours["systemMetaData"][name] = {owner: {} for owner in ours["systemMetaData"][name]}
    assert ours == printed


def test_the_documentation_names_are_those_of_the_wire_but_for_the_known_exceptions() -> None:
    names = set(Patient.from_dict({}).to_dict()) | _names_of(Patient)
    flat = _names_of(SystemMetaDataOwnerEncrypted)
    renamed = {"identifiers": "identifier", "labels": "tags"}
    wire = {renamed.get(name, name) for name in names - {"systemMetaData"}} | flat
    assert wire == set(PATIENT_MEMBERS)
    assert _names_of(User) == set(USER_MEMBERS) - {"autoDelegations"} | {"sharingDataWith"}
    assert _names_of(EncryptedPatient) == _names_of(Patient)


def _names_of(model: type[Model]) -> set[str]:
    """Return the member names a class accepts in the JSON of the documentation."""
    names: set[str] = set()
    for attribute in attrs.fields(model):
        head, *tail = attribute.name.split("_")
        name = head + "".join(part.title() for part in tail)
        try:
            model.from_dict({name: None})
        except ValidationError:
            continue
        names.add(name)
    return names


def test_pictures_print_as_base64() -> None:
    patient = Patient(picture=b"\xff\xef")
    assert patient.to_dict()["picture"] == "/+8="
    assert Patient.from_dict({"picture": "/+8="}) == patient


def test_numbers_and_texts_are_kept_exactly() -> None:
    value = TypedValueObject(integer_value=2**63 - 1, double_value=0.1, string_value="\ud800\x00é")
    assert TypedValueObject.from_dict(value.to_dict()) == value
    assert json.loads(json.dumps(value.to_dict())) == value.to_dict()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"S": 1}, r"^Patient: S is not a known member\.$"),
        ({"firstNme": 1}, r"^Patient: firstNme is not a known member, and firstName is one\.$"),
        ({"addresses": [{"cty": 1}]}, r"addresses\[0\]\.cty is not a known member, and city is"),
        ({"tags": []}, "tags is not a known member"),
        ({"unknownFields": {}}, "unknownFields is not a known member"),
        ({"addresses": [{"descr": "S3CRET"}]}, r"addresses\[0\]\.descr is not a known member"),
        ({"systemMetaData": {"delegations": {"S3CRET": 1}}}, r"systemMetaData\.delegations\[\*\]"),
        ({"picture": "S3CRET!"}, "picture is not base64"),
        ({"dateOfBirth": "S3CRET"}, "dateOfBirth is not an integer"),
        (["S3CRET"], "Patient is not an object"),
    ],
)
def test_wrong_documents_are_refused_by_name_and_never_by_value(
    document: Any, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Patient.from_dict(document)
    assert "S3CRET" not in str(caught.value)


def _filled(model: type[ValueModel | EntityModel]) -> ValueModel | EntityModel:
    """Return a model whose every member holds something that must not be shown."""
    secret: dict[str, Any] = {
        attribute.name: {"S3CRET": "S3CRET"} for attribute in attrs.fields(model)
    }
    if issubclass(model, EntityModel):
        secret |= {"id": "the-id", "rev": "1-a"}
    return model(**secret)


@pytest.mark.parametrize("model", MODELS)
def test_no_repr_shows_content(model: type[ValueModel | EntityModel]) -> None:
    assert "S3CRET" not in repr(_filled(model))
    assert "S3CRET" not in str([_filled(model)])


def test_reprs_say_what_is_there() -> None:
    assert repr(FULL_ADDRESS) == "Address(address_type, description, street, telecoms)"
    assert repr(PersonName()) == "PersonName()"
    assert repr(TypedValueObject(boolean_value=False, integer_value=0)) == (
        "TypedValueObject(boolean_value, integer_value)"
    )
    assert repr(Patient(id="p", rev="1-a", first_name="Ned")) == "Patient(id='p', rev='1-a')"
    assert repr(EncryptedPatient(id="p")) == "EncryptedPatient(id='p', rev=None)"
    assert repr(User(id="u", login="ned")) == "User(id='u', rev=None)"


@pytest.mark.parametrize("model", MODELS)
def test_models_are_mutable_keyword_only_and_closed(model: type[Any]) -> None:
    with pytest.raises(TypeError):
        model("x")
    with pytest.raises(AttributeError):
        model().no_such_member = 1
    instance = model()
    assert instance == model()
    first = next(attribute.name for attribute in attrs.fields(model) if attribute.eq)
    setattr(instance, first, "x")
    assert instance != model()
    assert copy.deepcopy(instance) == instance
    assert pickle.loads(pickle.dumps(instance)) == instance


def test_a_changed_copy_is_of_the_same_class_and_independent() -> None:
    patient = EncryptedPatient(first_name="Ned", addresses=[FULL_ADDRESS.evolve()])
    other = patient.evolve(first_name="Robb")
    assert type(other) is EncryptedPatient
    assert (patient.first_name, other.first_name) == ("Ned", "Robb")
    other.addresses[0].telecoms.clear()
    assert patient.addresses == [FULL_ADDRESS]
    with pytest.raises(TypeError):
        patient.evolve(first="Robb")


def test_defaults_are_not_shared() -> None:
    Patient().labels.append(CodingReference())
    assert Patient().labels == []


def test_a_full_patient_survives_the_documentation_json() -> None:
    patient = Patient(
        identifiers=[Identifier(value="v", type=CodingReference(code="c"))],
        names=[PersonName(first_names=["Ned"], start=19990000)],
        addresses=[FULL_ADDRESS],
        partnerships=[Partnership(type="spouse", status="past", partner_id="c")],
        patient_health_care_parties=[PatientHealthCareParty(type="doctor")],
        properties=[FULL_PROPERTY],
        system_meta_data=SystemMetaDataOwnerEncrypted(
            delegations={"a": [Delegation(owner="a", delegated_to="b", key="k", tags=["all"])]}
        ),
    )
    assert Patient.from_dict(json.loads(json.dumps(patient.to_dict()))) == patient


def test_importing_the_models_does_not_import_the_generator_of_hooks() -> None:
    program = (
        "import sys, icure_async.models, icure_async.models.wire;sys.exit('cattrs' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
