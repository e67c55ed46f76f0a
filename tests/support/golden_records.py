"""Readers of each type of record that the golden worlds expect something of, in one plain form.

A reader takes an API and an expectation, and returns the members as the golden data write them. A
record that nobody's key opens is a DecryptionError, wherever the API says so by its type.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from icure_async import MedTechApi
from icure_async.entities.kinds import CONTACT
from icure_async.errors import DecryptionError
from tests.support.seeds import Json

Read = Callable[[MedTechApi, Json], Awaitable[Json]]


def plain(value: Any) -> Any:
    """Return JSON without members that say nothing, as the SDKs differ in which they write."""
    if isinstance(value, dict):
        return {
            name: content
            for name, item in value.items()
            if (content := plain(item)) not in (None, [], {})
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def matches(read: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether what was read has these members; each is all that it should be."""
    return all(plain(read.get(name)) == plain(value) for name, value in wanted.items())


def _tree(content: Mapping[str, Any]) -> Json:
    """Return a content, with the ids of the labels of all samples in it instead of these."""
    return {language: _branch(value) for language, value in content.items()}


def _branch(content: Mapping[str, Any]) -> Json:
    branch = {name: value for name, value in content.items() if name not in ("ratio", "range")}
    branch["compoundValue"] = [
        {
            "labels": sorted(label["id"] for label in sample.get("labels") or ()),
            "content": _tree(sample.get("content") or {}),
        }
        for sample in content.get("compoundValue") or ()
    ]
    return branch


async def _patient(api: MedTechApi, wanted: Json) -> Json:
    return (await api.patient_api.get_patient(wanted["id"])).to_dict()


async def _notification(api: MedTechApi, wanted: Json) -> Json:
    found = await api.notification_api.get_notification(wanted["id"])
    if found.properties is None:
        raise DecryptionError("closed", entity_type="notification", entity_ids=[wanted["id"]])
    return found.to_dict()


async def _condition(api: MedTechApi, wanted: Json) -> Json:
    return (await api.healthcare_element_api.get_healthcare_element(wanted["id"])).to_dict()


async def _conditions_of(api: MedTechApi, wanted: Json) -> Json:
    found = await api.healthcare_element_api.get_healthcare_elements_for_patient(wanted["id"])
    return {"ids": sorted(str(one.id) for one in found)}


async def _sample(api: MedTechApi, wanted: Json) -> Json:
    found = await api.data_sample_api.get_data_sample(wanted["id"])
    read = found.to_dict() | {"deleted": found.is_deleted}
    read["healthcareElementIds"] = sorted(read.get("healthcareElementIds") or ())
    return read


async def _tree_of(api: MedTechApi, wanted: Json) -> Json:
    return {"tree": _tree((await _sample(api, wanted))["content"])}


async def _samples_of(api: MedTechApi, wanted: Json) -> Json:
    found = await api.data_sample_api.get_data_samples_for_patient(
        wanted["id"], include_deleted=True
    )
    return {
        "ids": sorted(str(one.id) for one in found if not one.is_deleted),
        "deleted": sorted(str(one.id) for one in found if one.is_deleted),
    }


async def _contact(api: MedTechApi, wanted: Json) -> Json:
    """Return a batch of samples, which no API shows."""
    parts = api._parts
    contacts = parts.repository(CONTACT, parts.patients.metadata)
    found = await contacts.get(wanted["id"])
    return {"descr": found.to_dict().get("description") or found.to_dict().get("descr")}


async def _attachment(api: MedTechApi, wanted: Json) -> Json:
    place = (wanted["dataSampleId"], wanted["id"])
    document = await api.data_sample_api.get_data_sample_attachment_document(*place)
    content = await api.data_sample_api.get_data_sample_attachment_content(
        *place, wanted["attachmentId"]
    )
    return {
        "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "size": len(content),
        "name": document.name,
    }


async def _coding(api: MedTechApi, wanted: Json) -> Json:
    read = (await api.coding_api.get_coding(wanted["id"])).to_dict()
    return read | {"regions": sorted(read.get("regions") or ())}


async def _professional(api: MedTechApi, wanted: Json) -> Json:
    found = await api.healthcare_professional_api.get_healthcare_professional(wanted["id"])
    return found.to_dict()


async def _device(api: MedTechApi, wanted: Json) -> Json:
    return (await api.medical_device_api.get_medical_device(wanted["id"])).to_dict()


OF_2023: Final[dict[str, Read]] = {
    "patient": _patient,
    "notification": _notification,
    "healthcareElement": _condition,
    "healthcareElementsForPatient": _conditions_of,
    "dataSample": _sample,
    "dataSampleTree": _tree_of,
    "dataSamplesForPatient": _samples_of,
    "service": _sample,
    "contact": _contact,
    "attachment": _attachment,
    "coding": _coding,
    "healthcareProfessional": _professional,
    "medicalDevice": _device,
}
"""The way to read each type of an expectation of the second world."""


async def _wire_condition(api: MedTechApi, wanted: Json) -> Json:
    read = await _condition(api, wanted)
    return {"descr": read.get("description"), "note": read.get("note")}


OF_TODAY: Final[dict[str, Read]] = {
    "helement": _wire_condition,
    "contact": _contact,
    "maintenancetask": _notification,
}
"""The way to read each kind of an expectation of the world of today's clients."""
