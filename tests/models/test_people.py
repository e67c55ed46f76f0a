"""Professionals and devices in both forms: as the documentation prints them, and on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from icure_async import (
    Address,
    CodingReference,
    HealthcareProfessional,
    Identifier,
    MedicalDevice,
    Property,
    SystemMetaDataOwner,
)
from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models.wire import from_wire, to_wire
from tests.support.golden import WORLD2

Json = dict[str, Any]


def test_empty_models_print_as_in_the_documentation() -> None:
    assert HealthcareProfessional().to_dict() == {
        "labels": [],
        "codes": [],
        "names": [],
        "addresses": [],
        "properties": [],
    }
    assert MedicalDevice().to_dict() == {
        "identifiers": [],
        "labels": [],
        "codes": [],
        "properties": [],
    }
    assert SystemMetaDataOwner().to_dict() == {}


def test_empty_models_are_written_as_the_reference_writes_them() -> None:
    """The last two of the professional are added when it is saved (transcript2.json)."""
    assert to_wire(HealthcareProfessional(id="i", last_name="y", first_name="x")) == {
        "id": "i",
        "tags": [],
        "codes": [],
        "addresses": [],
        "properties": [],
        "lastName": "y",
        "firstName": "x",
        "names": [],
    }
    assert to_wire(MedicalDevice(id="i", name="dev")) == {
        "id": "i",
        "tags": [],
        "codes": [],
        "properties": [],
        "name": "dev",
        "identifiers": [],
    }


PROFESSIONAL = HealthcareProfessional(
    id="i",
    rev="1-x",
    created=1,
    modified=2,
    labels=[CodingReference(id="a|b|1")],
    name="Clinic",
    parent_id="p",
    addresses=[Address(description="d")],
    picture=b"\xff\xfe",
    speciality_codes=[CodingReference(id="s|t|1")],
    properties=[Property(id="p", deleted=9)],
    system_meta_data=SystemMetaDataOwner(public_key="ab", transfer_keys={"a": {"b": "c"}}),
)
DEVICE = MedicalDevice(
    id="i",
    identifiers=[Identifier(system="s", value="v")],
    author="a",
    responsible="r",
    end_of_life=3,
    external_id="e",
    serial_number="n",
    picture=b"\xff\xfe",
    properties=[Property(id="p", deleted=9)],
    system_meta_data=SystemMetaDataOwner(hc_party_keys={"x": ["a", "b"]}),
)


def test_a_full_professional() -> None:
    assert PROFESSIONAL.to_dict() == {
        "id": "i",
        "rev": "1-x",
        "created": 1,
        "modified": 2,
        "labels": [{"id": "a|b|1"}],
        "codes": [],
        "name": "Clinic",
        "names": [],
        "parentId": "p",
        "addresses": [{"description": "d", "telecoms": []}],
        "picture": "//4=",
        "specialityCodes": [{"id": "s|t|1"}],
        "properties": [{"id": "p", "deleted": 9}],
        "systemMetaData": {"publicKey": "ab", "transferKeys": {"a": {"b": "c"}}},
    }
    wire = to_wire(PROFESSIONAL)
    assert wire["tags"] == [{"id": "a|b|1"}]
    assert wire["addresses"] == [{"descr": "d", "telecoms": []}]
    assert wire["properties"] == [{"id": "p", "deletionDate": 9}]
    assert (wire["publicKey"], wire["transferKeys"]) == ("ab", {"a": {"b": "c"}})
    assert "systemMetaData" not in wire


def test_a_full_device() -> None:
    assert DEVICE.to_dict()["picture"] == "//4="
    wire = to_wire(DEVICE)
    assert wire["identifiers"] == [{"system": "s", "value": "v"}]
    assert wire["properties"] == [{"id": "p", "deletionDate": 9}]
    assert wire["hcPartyKeys"] == {"x": ["a", "b"]}
    assert (wire["serialNumber"], wire["externalId"], wire["endOfLife"]) == ("n", "e", 3)


@pytest.mark.parametrize("record", [PROFESSIONAL, DEVICE], ids=["professional", "device"])
def test_both_forms_go_both_ways(record: HealthcareProfessional | MedicalDevice) -> None:
    cls = type(record)
    assert cls.from_dict(record.to_dict()) == record
    assert from_wire(cls, to_wire(record)) == record


@pytest.mark.parametrize("kind", ["hcparty", "device"])
def test_golden_people_survive(kind: str) -> None:
    cls: type[Any] = HealthcareProfessional if kind == "hcparty" else MedicalDevice
    for stage in WORLD2["stages"].values():
        for stored in stage["entities"].get(kind, {}).values():
            assert to_wire(from_wire(cls, stored)) == stored


def test_members_that_the_reference_loses_are_kept() -> None:
    names = """
        bankAccount bic billingType cbe companyName contactPerson contactPersonHcpId ehp
        invoiceHeader nihii nihiiSpecCode proxyBankAccount proxyBic ssin supervisorId type userId
    """
    lost = dict.fromkeys(names.split(), "x")
    others: Json = {
        "identifier": [{"value": "v"}],
        "convention": 1,
        "statuses": ["trainee"],
        "sendFormats": {"email": "x"},
        "financialInstitutionInformation": [{"name": "n"}],
        "descr": {"en": "x"},
        "options": {"a": "b"},
    }
    stored: Json = {"id": "i", "rev": "1-x", **lost, **others}
    professional = from_wire(HealthcareProfessional, stored)
    assert to_wire(professional) == stored
    assert "nihii" not in professional.to_dict()
    device: Json = {"id": "i", "rev": "1-x", "medicalLocationId": "x", "later": [1]}
    assert to_wire(from_wire(MedicalDevice, device)) == device


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("names", "secret"),
        ("names", [None]),
        ("picture", 5),
        ("aesExchangeKeys", {"a": "secret"}),
        ("parentId", ["secret"]),
        ("created", "secret"),
    ],
)
def test_wrong_types_are_refused_by_name_and_never_by_value(name: str, value: Any) -> None:
    with pytest.raises(InvalidResponseError, match=f"healthcare professional.*{name}") as caught:
        from_wire(HealthcareProfessional, {"id": "i", "rev": "1-x", name: value})
    assert "secret" not in str(caught.value)


def test_misspelt_members_are_refused() -> None:
    with pytest.raises(ValidationError, match="MedicalDevice: nane is not a known member"):
        MedicalDevice.from_dict({"nane": "x"})
    with pytest.raises(TypeError):
        HealthcareProfessional(specialty="x")  # type: ignore[call-arg]
