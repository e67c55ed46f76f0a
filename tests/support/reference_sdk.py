"""The published @icure/api package in a Node.js process, spoken to in JSON lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from tests.support.json_lines import CommandError as ReferenceSdkError
from tests.support.json_lines import JsonLinesProcess

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Exchange",
    "HexKeyPair",
    "JsonObject",
    "KeyUpdateRequest",
    "ReferenceKeyPair",
    "ReferenceSdk",
    "ReferenceSdkError",
    "StartReference",
]

JsonObject: TypeAlias = dict[str, Any]

TEN_YEARS = 315_360_000


class HexKeyPair(Protocol):
    """A key pair as both SDKs hand it out: SPKI and PKCS#8 in hex."""

    @property
    def public_key(self) -> str: ...

    @property
    def private_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ReferenceKeyPair:
    public_key: str
    private_key: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return self.public_key[-32:]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange made by the reference."""

    method: str
    path: str
    authorization: str | None
    status: int
    content_type: str | None


@dataclass(frozen=True, slots=True)
class KeyUpdateRequest:
    """A notification: somebody has a new key pair and asks for access to the old data."""

    task_id: str
    status: str
    concerned_owner_id: str
    new_public_key: str


class ReferenceSdk(JsonLinesProcess):
    """One process, holding at most one logged-in session of the reference."""

    @classmethod
    async def start(cls, directory: Path) -> Self:
        return await cls.run("node", "--experimental-websocket", "reference.mjs", cwd=directory)

    async def version(self) -> str:
        version: str = await self.call("version")
        return version

    async def login(
        self,
        url: str,
        username: str,
        password: str,
        *,
        basic_only: bool = False,
        storage_directory: Path | None = None,
    ) -> JsonObject:
        user: JsonObject = await self.call(
            "login",
            url=url,
            username=username,
            password=password,
            basicOnly=basic_only,
            storageDirectory=None if storage_directory is None else str(storage_directory),
        )
        return user

    async def login_with_refresh_token(self, url: str, refresh_token: str) -> JsonObject:
        user: JsonObject = await self.call(
            "loginWithRefreshToken", url=url, refreshToken=refresh_token
        )
        return user

    async def issue_tokens(self, username: str, password: str) -> JsonObject:
        tokens: JsonObject = await self.call("issueTokens", username=username, password=password)
        return tokens

    async def get_user(self, user_id: str | None = None) -> JsonObject:
        user: JsonObject = await self.call("getUser", id=user_id)
        return user

    async def create_token(self, *, validity: int = TEN_YEARS) -> str:
        token: str = await self.call("createToken", validity=validity)
        return token

    async def register_key_pair(self, *, store: bool = False) -> ReferenceKeyPair:
        pair = await self.call("registerKeyPair", store=store)
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def use_key_pair(self, pair: HexKeyPair) -> None:
        await self.call("useKeyPair", publicKey=pair.public_key, privateKey=pair.private_key)

    async def load_stored_key_pair(self, fingerprint: str) -> ReferenceKeyPair:
        pair = await self.call("loadStoredKeyPair", fingerprint=fingerprint)
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def write_key_file(self, directory: Path, name: str, pair: HexKeyPair) -> None:
        await self.call(
            "writeKeyFile",
            directory=str(directory),
            name=name,
            publicKey=pair.public_key,
            privateKey=pair.private_key,
        )

    async def generate_full_key_file(self, directory: Path, name: str) -> ReferenceKeyPair:
        """Write a new pair; ``{fingerprint}`` in the name is replaced by that of the pair."""
        pair = await self.call("generateFullKeyFile", directory=str(directory), name=name)
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def use_key_file(self, directory: Path, name: str) -> ReferenceKeyPair:
        """Import a key file, encrypt and decrypt with it, and return what WebCrypto exports."""
        pair = await self.call("useKeyFile", directory=str(directory), name=name)
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def create_patient(self, **fields: object) -> JsonObject:
        patient: JsonObject = await self.call("createPatient", patient=fields)
        return patient

    async def filter_patients(
        self, patient_filter: JsonObject, *, start_id: str | None = None, limit: int = 100
    ) -> tuple[list[JsonObject], str | None]:
        """Return a page of patients, and the id the next one begins with."""
        page = await self.call(
            "filterPatients", filter=patient_filter, startId=start_id, limit=limit
        )
        return page["rows"], page["nextId"]

    async def match_patients(self, patient_filter: JsonObject) -> list[str]:
        ids: list[str] = await self.call("matchPatients", filter=patient_filter)
        return ids

    async def get_patient(self, patient_id: str) -> JsonObject:
        patient: JsonObject = await self.call("getPatient", id=patient_id)
        return patient

    async def modify_patient(self, patient_id: str, **changes: object) -> JsonObject:
        patient: JsonObject = await self.call("modifyPatient", id=patient_id, changes=changes)
        return patient

    async def give_patient_access(self, patient_id: str, delegate_id: str) -> JsonObject:
        patient: JsonObject = await self.call(
            "givePatientAccess", id=patient_id, delegateId=delegate_id
        )
        return patient

    async def add_key_pair(self) -> ReferenceKeyPair:
        """Add a key pair to the data owner, as on a device that lost the first one."""
        pair = await self.call("addKeyPair")
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def key_update_requests(self) -> list[KeyUpdateRequest]:
        """Return the questions that other data owners asked after they got a new key pair."""
        return [
            KeyUpdateRequest(
                task_id=request["id"],
                status=request["status"],
                concerned_owner_id=request["concernedOwnerId"],
                new_public_key=request["newPublicKey"],
            )
            for request in await self.call("keyUpdateRequests")
        ]

    async def create_task(self, delegate_id: str, **fields: object) -> JsonObject:
        """Create a maintenance task, which is what carries a notification."""
        task: JsonObject = await self.call("createTask", task=fields, delegateId=delegate_id)
        return task

    async def get_task(self, task_id: str) -> JsonObject:
        """Return a task, without ``properties`` where it can't be decrypted."""
        task: JsonObject = await self.call("getTask", id=task_id)
        return task

    async def modify_task(self, task_id: str, **changes: object) -> JsonObject:
        task: JsonObject = await self.call("modifyTask", id=task_id, changes=changes)
        return task

    async def filter_tasks(
        self, task_filter: JsonObject, *, start_id: str | None = None, limit: int = 100
    ) -> tuple[list[JsonObject], str | None]:
        """Return a page of tasks, and the id the next one begins with."""
        page = await self.call("filterTasks", filter=task_filter, startId=start_id, limit=limit)
        return page["rows"], page["nextId"]

    async def subscribe_to_patients(self, event_types: list[str]) -> None:
        """Hear of patients from now on."""
        await self.call("subscribeToPatients", eventTypes=event_types)

    async def wait_for_connection(self, number: int) -> None:
        """Wait until the subscription has been connected so often."""
        await self.call("waitForConnection", number=number)

    async def heard_of(self, count: int) -> list[JsonObject]:
        """Wait until so many patients were heard of, and return them, decrypted."""
        patients: list[JsonObject] = await self.call("heardOf", count=count)
        return patients

    async def delete_task(self, task_id: str) -> None:
        await self.call("deleteTask", id=task_id)

    async def give_access_back(self, request: KeyUpdateRequest) -> None:
        await self.call(
            "giveAccessBack",
            concernedOwnerId=request.concerned_owner_id,
            newPublicKey=request.new_public_key,
        )

    async def split_private_key(
        self, pair: HexKeyPair, notary_ids: list[str], *, threshold: int | None = None
    ) -> None:
        """Split the data owner's key, and store the shares on its document."""
        await self.call(
            "splitPrivateKey",
            keyPair={"publicKey": pair.public_key, "privateKey": pair.private_key},
            notaryIds=notary_ids,
            threshold=threshold,
        )

    async def recover_private_key(self, notaries: dict[str, HexKeyPair]) -> ReferenceKeyPair:
        """Put the data owner's key together, with the key pairs of these notaries."""
        pair = await self.call(
            "recoverPrivateKey",
            notaryIds=list(notaries),
            notaryKeyPairs=[
                {"publicKey": notary.public_key, "privateKey": notary.private_key}
                for notary in notaries.values()
            ],
        )
        return ReferenceKeyPair(pair["publicKey"], pair["privateKey"])

    async def create_professional(self, **fields: object) -> JsonObject:
        created: JsonObject = await self.call("createProfessional", professional=fields)
        return created

    async def get_professional(self, professional_id: str) -> JsonObject:
        professional: JsonObject = await self.call("getProfessional", id=professional_id)
        return professional

    async def modify_professional(self, professional_id: str, **changes: object) -> JsonObject:
        modified: JsonObject = await self.call(
            "modifyProfessional", id=professional_id, changes=changes
        )
        return modified

    async def find_professionals(self, **professional_filter: object) -> list[str]:
        """Return the ids of the professionals that a filter finds."""
        ids: list[str] = await self.call("findProfessionals", filter=professional_filter)
        return ids

    async def create_devices(self, *devices: JsonObject) -> list[JsonObject]:
        created: list[JsonObject] = await self.call("createDevices", devices=devices)
        return created

    async def get_device(self, device_id: str) -> JsonObject:
        device: JsonObject = await self.call("getDevice", id=device_id)
        return device

    async def modify_device(self, device_id: str, **changes: object) -> JsonObject:
        device: JsonObject = await self.call("modifyDevice", id=device_id, changes=changes)
        return device

    async def start_process(
        self, url: str, spec_id: str, process_id: str, body: JsonObject, *, code_length: int = 6
    ) -> str:
        request_id: str = await self.call(
            "startProcess",
            url=url,
            specId=spec_id,
            processId=process_id,
            body=body,
            codeLength=code_length,
        )
        return request_id

    async def invite_user(
        self, url: str, spec_id: str, username: str, password: str, user: JsonObject
    ) -> JsonObject:
        """Create a user with a token for two days, and send both by email."""
        created: JsonObject = await self.call(
            "inviteUser",
            url=url,
            specId=spec_id,
            username=username,
            password=password,
            user=user,
            validity=172_800,
        )
        return created

    async def validate(self, url: str, spec_id: str, request_id: str, code: str) -> int:
        status: int = await self.call(
            "validate", url=url, specId=spec_id, requestId=request_id, code=code
        )
        return status

    async def take_exchanges(self) -> list[Exchange]:
        """Return the HTTP exchanges since the last call of this method."""
        return [
            Exchange(
                method=exchange["method"],
                path=exchange["path"],
                authorization=exchange["authorization"],
                status=exchange["status"],
                content_type=exchange["contentType"],
            )
            for exchange in await self.call("requests")
        ]


StartReference: TypeAlias = Callable[[], Awaitable[ReferenceSdk]]
