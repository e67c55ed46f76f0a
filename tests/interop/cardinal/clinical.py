# mypy: ignore-errors
"""The commands of the driver about conditions, data samples, attachments and codings."""

from __future__ import annotations

import base64
import uuid

from cardinal_sdk.filters.HealthElementFilters import HealthElementFilters
from cardinal_sdk.filters.ServiceFilters import ServiceFilters
from cardinal_sdk.model import (
    AccessLevel,
    Code,
    DecryptedContact,
    DecryptedDocument,
    DecryptedHealthElement,
    DecryptedService,
)

PAGE = 1000


class ClinicalCommands:
    """Commands, each a method that takes the arguments of the command; ``sdk`` is the driver's."""

    def create_condition(
        self, *, patient_id: str, condition: dict, delegates: dict[str, str] | None = None
    ) -> dict:
        prepared = self.sdk.health_element.with_encryption_metadata_blocking(
            _filled(DecryptedHealthElement, condition),
            self.sdk.patient.get_patient_blocking(patient_id),
            delegates=_levels(delegates),
        )
        return self.sdk.health_element.create_health_element_blocking(prepared).__serialize__()

    def get_condition(self, *, condition_id: str) -> dict | None:
        return _json(self.sdk.health_element.get_health_element_blocking(condition_id))

    def conditions_of(self, *, patient_id: str) -> list[dict]:
        patient = self.sdk.patient.get_patient_blocking(patient_id)
        found = self.sdk.health_element.filter_health_elements_by_blocking(
            HealthElementFilters.by_patients_for_self([patient])
        )
        return _all(found)

    def modify_condition(self, *, condition_id: str, changes: dict) -> dict:
        current = self.sdk.health_element.get_health_element_blocking(condition_id)
        changed = DecryptedHealthElement._deserialize(current.__serialize__() | changes)
        return self.sdk.health_element.modify_health_element_blocking(changed).__serialize__()

    def share_condition(self, *, condition_id: str, delegate_id: str) -> dict:
        current = self.sdk.health_element.get_health_element_blocking(condition_id)
        shared = self.sdk.health_element.share_with_blocking(delegate_id, current)
        return shared.__serialize__()

    def delete_condition(self, *, condition_id: str) -> None:
        current = self.sdk.health_element.get_health_element_blocking(condition_id)
        self.sdk.health_element.delete_health_element_blocking(current)

    def create_samples(
        self, *, patient_id: str, samples: list[dict], delegates: dict[str, str] | None = None
    ) -> dict:
        """Create one contact with samples in it."""
        contact = _filled(DecryptedContact, {})
        contact.services = [_service(sample) for sample in samples]
        prepared = self.sdk.contact.with_encryption_metadata_blocking(
            contact,
            self.sdk.patient.get_patient_blocking(patient_id),
            delegates=_levels(delegates),
        )
        return self.sdk.contact.create_contact_blocking(prepared).__serialize__()

    def get_sample(self, *, sample_id: str) -> dict | None:
        return _json(self.sdk.contact.get_service_blocking(sample_id))

    def samples_of(self, *, patient_id: str) -> list[dict]:
        patient = self.sdk.patient.get_patient_blocking(patient_id)
        return _all(
            self.sdk.contact.filter_services_by_blocking(
                ServiceFilters.by_patients_for_self([patient])
            )
        )

    def get_contact(self, *, contact_id: str) -> dict | None:
        return _json(self.sdk.contact.get_contact_blocking(contact_id))

    def modify_sample(self, *, contact_id: str, sample_id: str, changes: dict) -> dict:
        contact = self.sdk.contact.get_contact_blocking(contact_id)
        contact.services = [
            _service(service.__serialize__() | changes) if service.id == sample_id else service
            for service in contact.services
        ]
        return self.sdk.contact.modify_contact_blocking(contact).__serialize__()

    def share_contact(self, *, contact_id: str, delegate_id: str) -> dict:
        contact = self.sdk.contact.get_contact_blocking(contact_id)
        return self.sdk.contact.share_with_blocking(delegate_id, contact).__serialize__()

    def create_attachment(
        self,
        *,
        patient_id: str,
        name: str,
        content: str,
        delegates: dict[str, str] | None = None,
        encrypted: bool = True,
    ) -> dict:
        """Create a document with a key, as a child of the patient, and set its bytes."""
        prepared = self.sdk.document.with_encryption_metadata_linked_to_patient_blocking(
            _filled(DecryptedDocument, {"name": name}),
            self.sdk.patient.get_patient_blocking(patient_id),
            delegates=_levels(delegates),
        )
        created = self.sdk.document.create_document_blocking(prepared)
        body = bytearray(base64.b64decode(content))
        if encrypted:
            stored = self.sdk.document.encrypt_and_set_main_attachment_blocking(created, None, body)
        else:
            stored = self.sdk.document.set_raw_main_attachment_blocking(
                created.id, created.rev, None, body, False
            )
        return stored.__serialize__()

    def get_document(self, *, document_id: str) -> dict | None:
        return _json(self.sdk.document.get_document_blocking(document_id))

    def get_attachment(self, *, document_id: str) -> str:
        """Return the bytes that the keys of the document open."""
        document = self.sdk.document.get_document_blocking(document_id)
        content = self.sdk.document.get_and_decrypt_main_attachment_blocking(document)
        return base64.b64encode(content).decode()

    def get_raw_attachment(self, *, document_id: str) -> str:
        content = self.sdk.document.get_raw_main_attachment_blocking(document_id)
        return base64.b64encode(content).decode()

    def create_code(self, *, code: dict) -> dict:
        return self.sdk.code.create_code_blocking(_filled(Code, code)).__serialize__()

    def get_code(self, *, code_id: str) -> dict | None:
        return _json(self.sdk.code.get_code_blocking(code_id))

    def modify_code(self, *, code_id: str, changes: dict) -> dict:
        current = self.sdk.code.get_code_blocking(code_id)
        changed = Code._deserialize(current.__serialize__() | changes)
        return self.sdk.code.modify_code_blocking(changed).__serialize__()


def _json(record: object) -> dict | None:
    return None if record is None else record.__serialize__()


def _all(pages: object) -> list[dict]:
    found = []
    while pages.has_next_blocking():
        found += [one.__serialize__() for one in pages.next_blocking(PAGE)]
    return found


def _levels(delegates: dict[str, str] | None) -> dict[str, AccessLevel]:
    return {owner: AccessLevel[level] for owner, level in (delegates or {}).items()}


def _filled(model: type, members: dict) -> object:
    """Return a record with these members; the others as a new one of the package has them."""
    record_id = members.get("id") or str(uuid.uuid4())
    empty = model(id=record_id).__serialize__()
    return model._deserialize(empty | members)


def _service(members: dict) -> DecryptedService:
    content = {language: _content(one) for language, one in (members.get("content") or {}).items()}
    return _filled(DecryptedService, members | {"content": content})


def _content(content: dict) -> dict:
    """Return a content in which measures and nested samples have all their members."""
    filled = dict(content)
    for name in ("ratio", "range"):
        if content.get(name) is not None:
            filled[name] = [_measure(one) for one in content[name]]
    if content.get("measureValue") is not None:
        filled["measureValue"] = _measure(content["measureValue"])
    if content.get("compoundValue") is not None:
        filled["compoundValue"] = [
            _service(one).__serialize__() for one in content["compoundValue"]
        ]
    return filled


def _measure(measure: dict) -> dict:
    return {"referenceRanges": [], **measure}
