"""Conditions, data samples, attachments and codings of the published @icure/api package."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.reference_sdk import JsonObject, ReferenceSdk


class ReferenceClinic:
    """The clinical records of the logged-in user of the reference, in their wire form."""

    def __init__(self, reference: ReferenceSdk) -> None:
        self.sdk: Final = reference

    async def create_conditions(self, patient_id: str, *conditions: JsonObject) -> list[JsonObject]:
        created: list[JsonObject] = await self.sdk.call(
            "createConditions", patientId=patient_id, conditions=conditions
        )
        return created

    async def get_condition(self, condition_id: str) -> JsonObject:
        condition: JsonObject = await self.sdk.call("getCondition", id=condition_id)
        return condition

    async def conditions_of(self, patient_id: str) -> list[JsonObject]:
        found: list[JsonObject] = await self.sdk.call("conditionsOf", patientId=patient_id)
        return found

    async def modify_condition(self, condition_id: str, **changes: object) -> JsonObject:
        modified: JsonObject = await self.sdk.call(
            "modifyCondition", id=condition_id, changes=changes
        )
        return modified

    async def give_condition_access(self, condition_id: str, delegate_id: str) -> JsonObject:
        shared: JsonObject = await self.sdk.call(
            "giveConditionAccess", id=condition_id, delegateId=delegate_id
        )
        return shared

    async def delete_conditions(self, *condition_ids: str) -> None:
        await self.sdk.call("deleteConditions", ids=condition_ids)

    async def create_samples(self, patient_id: str, *samples: JsonObject) -> list[JsonObject]:
        """Create samples in one batch; ``healthElementsIds`` links them."""
        created: list[JsonObject] = await self.sdk.call(
            "createSamples", patientId=patient_id, samples=samples
        )
        return created

    async def get_sample(self, sample_id: str) -> JsonObject:
        sample: JsonObject = await self.sdk.call("getSample", id=sample_id)
        return sample

    async def samples_of(self, patient_id: str) -> list[JsonObject]:
        """Return the newest version of each sample of a patient, tombstones included."""
        found: list[JsonObject] = await self.sdk.call("samplesOf", patientId=patient_id)
        return found

    async def count_samples_of(self, patient_id: str) -> int:
        """Read all samples of a patient, page by page, and return their number."""
        count: int = await self.sdk.call("countSamplesOf", patientId=patient_id)
        return count

    async def modify_sample(
        self, sample_id: str, *, into_new_contact: bool = False, **changes: object
    ) -> JsonObject:
        """Change a sample in its contact, or as MedTech does where that is not cached."""
        modified: JsonObject = await self.sdk.call(
            "modifySample", id=sample_id, changes=changes, intoNewContact=into_new_contact
        )
        return modified

    async def give_sample_access(self, sample_id: str, delegate_id: str) -> JsonObject:
        shared: JsonObject = await self.sdk.call(
            "giveSampleAccess", id=sample_id, delegateId=delegate_id
        )
        return shared

    async def delete_sample(self, patient_id: str, sample_id: str) -> None:
        await self.sdk.call("deleteSample", patientId=patient_id, id=sample_id)

    async def create_document(
        self, name: str, content: bytes, *, encrypted: bool = False
    ) -> JsonObject:
        """Create a document and put its bytes; encrypted ones by the backend, with the key."""
        document: JsonObject = await self.sdk.call(
            "createDocument",
            name=name,
            content=base64.b64encode(content).decode(),
            encrypted=encrypted,
        )
        return document

    async def get_attachment(self, document_id: str, *, ask_backend_to_open: bool = False) -> bytes:
        return base64.b64decode(
            await self.sdk.call(
                "getAttachment", id=document_id, askBackendToOpen=ask_backend_to_open
            )
        )

    async def open_attachment(self, document_id: str) -> bytes:
        """Return the bytes of an encrypted attachment, which the package's crypto opens."""
        return base64.b64decode(await self.sdk.call("openAttachment", id=document_id))

    async def create_code(self, **code: object) -> JsonObject:
        created: JsonObject = await self.sdk.call("createCode", code=code)
        return created

    async def get_code(self, code_id: str) -> JsonObject:
        code: JsonObject = await self.sdk.call("getCode", id=code_id)
        return code

    async def modify_code(self, code_id: str, **changes: object) -> JsonObject:
        modified: JsonObject = await self.sdk.call("modifyCode", id=code_id, changes=changes)
        return modified

    async def find_codes(self, code_filter: JsonObject) -> list[JsonObject]:
        found: list[JsonObject] = await self.sdk.call("findCodes", filter=code_filter)
        return found
