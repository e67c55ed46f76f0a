"""The JSON of the documentation with the names of the attributes."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import icure_async.models
from icure_async.errors import ValidationError
from icure_async.models import Patient, User
from icure_async.models.base import EntityModel, Model, ValueModel
from icure_async.models.fields import members_of
from icure_async.models.wire import from_document
from tests.support.wire_documents import ANY_JSON, NUMBER, TEXT

MODELS: list[type[Model]] = [
    model
    for model in vars(icure_async.models).values()
    if isinstance(model, type) and issubclass(model, ValueModel | EntityModel)
]
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    float: NUMBER,
    int: st.integers(),
    str: TEXT,
}


def values(kind: Any, *above: Any) -> st.SearchStrategy[Any]:
    """Return values of a type of the models, below models of some classes."""
    if kind is Any:
        return ANY_JSON
    if kind in SCALARS:
        return SCALARS[kind]
    origin: Any = get_origin(kind)
    args: tuple[Any, ...] = get_args(kind)
    if origin is list:
        return st.lists(values(args[0], *above), max_size=2)
    if origin is dict:
        keys = TEXT | st.just("firstName")
        return st.dictionaries(keys, values(args[1], *above), max_size=2)
    if isinstance(kind, type) and issubclass(kind, Model):
        # A model that may hold others of its own class holds one, which is empty.
        return st.builds(kind) if above.count(kind) > 1 else models(kind, *above)
    return st.sampled_from(args)


def models(cls: Any, *above: Any) -> st.SearchStrategy[Any]:
    """Return models with any of their members set."""
    members = {member.name: values(member.kind, *above, cls) for member in members_of(cls)}
    return st.fixed_dictionaries({}, optional=members).map(lambda given: cls(**given))


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_every_model_survives_in_both_cases(cls: Any) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(models(cls))
    def survives(model: Model) -> None:
        before = copy.deepcopy(model)
        snake, camel = model.to_dict(case="snake"), model.to_dict()
        assert camel == model.to_dict(case="camel")
        assert cls.from_dict(snake) == cls.from_dict(camel) == model == before
        assert cls.from_dict(json.loads(json.dumps(snake))).to_dict() == camel
        assert set(snake) <= {member.name for member in members_of(cls)}

    survives()


def test_names_of_members_are_those_of_the_attributes_and_keys_of_maps_stay() -> None:
    user = User.from_dict(
        {
            "healthcarePartyId": "h",
            "sharingDataWith": {"medicalInformation": ["a"]},
            "authenticationTokens": {"myApp": {"creationTime": 1}},
        }
    )
    assert user.to_dict(case="snake") == {
        "healthcare_party_id": "h",
        "properties": [],
        "roles": [],
        "sharing_data_with": {"medicalInformation": ["a"]},
        "authentication_tokens": {"myApp": {"creation_time": 1}},
    }


def test_both_cases_may_be_mixed_but_no_member_may_be_there_twice() -> None:
    mixed = {"firstName": "Ned", "last_name": "Stark", "addresses": [{"postal_code": "1"}]}
    patient = Patient.from_dict(mixed)
    assert (patient.first_name, patient.last_name) == ("Ned", "Stark")
    assert patient.addresses[0].postal_code == "1"
    for twice in (
        {"firstName": "S3CRET", "first_name": "S3CRET"},
        {"firstName": None, "first_name": "S3CRET"},
    ):
        with pytest.raises(
            ValidationError, match=r"^Patient: first_name is given twice, also as firstName\.$"
        ):
            Patient.from_dict(twice)
    with pytest.raises(ValidationError, match=r"addresses\[0\]\.postal_code is given twice"):
        Patient.from_dict({"addresses": [{"postal_code": "1", "postalCode": "2"}]})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"date_of_birth": "S3CRET"}, "date_of_birth is not an integer"),
        ({"dateOfBirth": "S3CRET"}, "dateOfBirth is not an integer"),
        ({"addresses": [{"telecoms": [{"telecom_number": 1}]}]}, r"\.telecom_number is not a text"),
        ({"unknown_fields": {}}, "unknown_fields is not a known member"),
        ({"assumed_fields": {}}, "assumed_fields is not a known member"),
        ({"tags": []}, "tags is not a known member"),
    ],
)
def test_a_wrong_member_is_named_as_it_was_given(document: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Patient.from_dict(document)
    assert "S3CRET" not in str(caught.value)


@given(st.dictionaries(st.sampled_from(["first_name", "firstName", "names", "x"]), ANY_JSON))
def test_any_json_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        patient = from_document(Patient, document)
    except ValidationError:
        return
    assert Patient.from_dict(patient.to_dict(case="snake")) == patient


@pytest.mark.parametrize("case", ["kebab", None, "SNAKE", 5, []])
def test_there_are_two_cases(case: Any) -> None:
    with pytest.raises(ValidationError, match=re.escape("case must be one of: camel, snake.")):
        Patient().to_dict(case=case)
