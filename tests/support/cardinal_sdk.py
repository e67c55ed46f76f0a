"""The published cardinal-sdk package in a process of its own, spoken to in JSON lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from tests.support.json_lines import CommandError as CardinalError
from tests.support.json_lines import JsonLinesProcess

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Access",
    "CardinalError",
    "CardinalSdk",
    "JsonObject",
    "StartCardinal",
    "write_device_key",
]

JsonObject: TypeAlias = dict[str, Any]
Access: TypeAlias = Literal["Read", "Write"]


class CardinalSdk(JsonLinesProcess):
    """One process, holding at most one logged-in session of the package."""

    # Native code on a busy machine: a start makes a key pair and up to fifteen requests.
    patience = 60.0

    @classmethod
    async def run_driver(cls, python: Path, directory: Path) -> Self:
        return await cls.run(str(python), "-u", "driver.py", cwd=directory)

    async def version(self) -> str:
        version: str = await self.call("version")
        return version

    async def start(
        self,
        url: str,
        username: str,
        secret: str,
        storage_directory: Path,
        *,
        project_id: str | None = None,
        new_key: str = "allow",
        long_token: bool = False,
    ) -> JsonObject:
        """Log in and get the keys ready; return the data owner.

        Args:
            url: of the backend, without the path of an API.
            username: any name of the user.
            secret: its password, or a token.
            storage_directory: where the package keeps its keys.
            project_id: that the login names, if any.
            new_key: "allow", "deny", or a private key to use, as PKCS#8 in hex.
            long_token: whether the secret is a long-lived token.
        """
        owner: JsonObject = await self.call(
            "start",
            url=url,
            username=username,
            secret=secret,
            directory=str(storage_directory),
            project_id=project_id,
            new_key=new_key,
            long_token=long_token,
        )
        return owner

    async def current_user(self) -> JsonObject:
        user: JsonObject = await self.call("current_user")
        return user

    async def reload(self) -> None:
        """Forget cached exchange data, and read those of an anonymous owner again."""
        await self.call("reload")

    async def create_patient(
        self, *, delegates: Mapping[str, Access] | None = None, as_user: bool = False, **fields: Any
    ) -> JsonObject:
        """Create a patient, shared with some; ``as_user`` names the author and responsible."""
        patient: JsonObject = await self.call(
            "create_patient", patient=fields, delegates=delegates or {}, as_user=as_user
        )
        return patient

    async def get_patient(self, patient_id: str) -> JsonObject | None:
        patient: JsonObject | None = await self.call("get_patient", patient_id=patient_id)
        return patient

    async def get_patients(self, ids: list[str]) -> list[JsonObject]:
        patients: list[JsonObject] = await self.call("get_patients", ids=ids)
        return patients

    async def modify_patient(self, patient_id: str, **changes: Any) -> JsonObject:
        patient: JsonObject = await self.call(
            "modify_patient", patient_id=patient_id, changes=changes
        )
        return patient

    async def share_patient(self, patient_id: str, delegate_id: str) -> JsonObject:
        patient: JsonObject = await self.call(
            "share_patient", patient_id=patient_id, delegate_id=delegate_id
        )
        return patient

    async def delete_patient(self, patient_id: str) -> None:
        await self.call("delete_patient", patient_id=patient_id)

    async def share_own_record(self, delegates: Mapping[str, Access]) -> JsonObject:
        """Give the patient's own record its first metadata, shared with some."""
        patient: JsonObject = await self.call("share_own_record", delegates=delegates)
        return patient


StartCardinal: TypeAlias = Callable[[], Awaitable[CardinalSdk]]


def write_device_key(directory: Path, owner_id: str, public_key: str, private_key: str) -> None:
    """Write a key pair as the package stores one of its own; keys are in hex."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"org.taktik.icure.rsa.device.{owner_id}.{public_key[-32:]}"
    encoded = base64.b64encode(bytes.fromhex(private_key)).decode()
    (directory / name).write_text(json.dumps({"privateKey": encoded}))
