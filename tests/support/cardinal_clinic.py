"""Conditions, data samples, attachments and codings of the published cardinal-sdk package."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.cardinal_sdk import Access, CardinalSdk, JsonObject


class CardinalClinic:
    """The clinical records of the logged-in user of today's SDK, in their wire form."""

    def __init__(self, cardinal: CardinalSdk) -> None:
        self.sdk: Final = cardinal

    async def create_condition(
        self, patient_id: str, *, delegates: Mapping[str, Access] | None = None, **fields: object
    ) -> JsonObject:
        created: JsonObject = await self.sdk.call(
            "create_condition",
            patient_id=patient_id,
            condition=fields,
            delegates=delegates or {},
        )
        return created

    async def get_condition(self, condition_id: str) -> JsonObject | None:
        condition: JsonObject | None = await self.sdk.call(
            "get_condition", condition_id=condition_id
        )
        return condition

    async def conditions_of(self, patient_id: str) -> list[JsonObject]:
        found: list[JsonObject] = await self.sdk.call("conditions_of", patient_id=patient_id)
        return found

    async def modify_condition(self, condition_id: str, **changes: object) -> JsonObject:
        modified: JsonObject = await self.sdk.call(
            "modify_condition", condition_id=condition_id, changes=changes
        )
        return modified

    async def share_condition(self, condition_id: str, delegate_id: str) -> JsonObject:
        shared: JsonObject = await self.sdk.call(
            "share_condition", condition_id=condition_id, delegate_id=delegate_id
        )
        return shared

    async def delete_condition(self, condition_id: str) -> None:
        await self.sdk.call("delete_condition", condition_id=condition_id)

    async def create_samples(
        self,
        patient_id: str,
        *samples: JsonObject,
        delegates: Mapping[str, Access] | None = None,
    ) -> JsonObject:
        """Create a contact with samples in it, and return it."""
        contact: JsonObject = await self.sdk.call(
            "create_samples", patient_id=patient_id, samples=samples, delegates=delegates or {}
        )
        return contact

    async def get_sample(self, sample_id: str) -> JsonObject | None:
        sample: JsonObject | None = await self.sdk.call("get_sample", sample_id=sample_id)
        return sample

    async def samples_of(self, patient_id: str) -> list[JsonObject]:
        found: list[JsonObject] = await self.sdk.call("samples_of", patient_id=patient_id)
        return found

    async def get_contact(self, contact_id: str) -> JsonObject | None:
        contact: JsonObject | None = await self.sdk.call("get_contact", contact_id=contact_id)
        return contact

    async def modify_sample(self, contact_id: str, sample_id: str, **changes: object) -> JsonObject:
        contact: JsonObject = await self.sdk.call(
            "modify_sample", contact_id=contact_id, sample_id=sample_id, changes=changes
        )
        return contact

    async def share_contact(self, contact_id: str, delegate_id: str) -> JsonObject:
        contact: JsonObject = await self.sdk.call(
            "share_contact", contact_id=contact_id, delegate_id=delegate_id
        )
        return contact

    async def create_attachment(
        self,
        patient_id: str,
        name: str,
        content: bytes,
        *,
        delegates: Mapping[str, Access] | None = None,
        encrypted: bool = True,
    ) -> JsonObject:
        """Create a document with a key, as a child of the patient, and set its bytes."""
        document: JsonObject = await self.sdk.call(
            "create_attachment",
            patient_id=patient_id,
            name=name,
            content=base64.b64encode(content).decode(),
            delegates=delegates or {},
            encrypted=encrypted,
        )
        return document

    async def get_document(self, document_id: str) -> JsonObject | None:
        document: JsonObject | None = await self.sdk.call("get_document", document_id=document_id)
        return document

    async def get_attachment(self, document_id: str) -> bytes:
        """Return the bytes that the keys of the document open."""
        return base64.b64decode(await self.sdk.call("get_attachment", document_id=document_id))

    async def get_raw_attachment(self, document_id: str) -> bytes:
        return base64.b64decode(await self.sdk.call("get_raw_attachment", document_id=document_id))

    async def create_code(self, **code: object) -> JsonObject:
        created: JsonObject = await self.sdk.call("create_code", code=code)
        return created

    async def get_code(self, code_id: str) -> JsonObject | None:
        code: JsonObject | None = await self.sdk.call("get_code", code_id=code_id)
        return code

    async def modify_code(self, code_id: str, **changes: object) -> JsonObject:
        modified: JsonObject = await self.sdk.call("modify_code", code_id=code_id, changes=changes)
        return modified
