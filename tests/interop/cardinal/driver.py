# mypy: ignore-errors
"""Drives the published cardinal-sdk package for the interoperability tests.

Runs on Python 3.12 in an environment that has that package and nothing of ours. One JSON command
per line on stdin, {"id", "command", "arguments"}; one JSON answer per line on stdout,
{"id", "result"} or {"id", "error": {message, status, url}}. The process keeps one session of the
package, and ends with its stdin. The output of the package goes to stderr.

``get_data_owners_with_access_to`` is never called: it aborts the interpreter.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from importlib.metadata import version

# The package prints by itself, some of it from native code: stdout is for answers alone.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from cardinal_sdk import (  # noqa: E402
    CardinalSdk,
    CryptoStrategies,
    KeyGenerationRequestResultAllow,
    KeyGenerationRequestResultDeny,
)
from cardinal_sdk.authentication import UsernameLongToken, UsernamePassword  # noqa: E402
from cardinal_sdk.CryptoStrategies import KeyGenerationRequestResultUse  # noqa: E402
from cardinal_sdk.model import (  # noqa: E402
    AccessLevel,
    DecryptedPatient,
)
from cardinal_sdk.options.SdkOptions import SdkOptions  # noqa: E402
from cardinal_sdk.storage import FileSystemStorage  # noqa: E402
from clinical import ClinicalCommands  # noqa: E402

STATUS = re.compile(r"(?:status(?: code)?[ :=]+|HttpStatusCode\()(\d{3})", re.IGNORECASE)


class Strategies(CryptoStrategies):
    """Every key of others is right; patients are anonymous; the own key is as the test says."""

    def __init__(self, new_key: str) -> None:
        self._new_key = new_key

    def generate_new_key_for_data_owner(self, self_data_owner: object) -> object:
        if self._new_key == "allow":
            return KeyGenerationRequestResultAllow()
        if self._new_key == "deny":
            return KeyGenerationRequestResultDeny()
        return KeyGenerationRequestResultUse(key_pkcs8=bytearray.fromhex(self._new_key))

    def verify_delegate_public_keys(
        self, delegate: object, public_keys: list[str], group_id: str | None
    ) -> list[str]:
        return public_keys

    def data_owner_requires_anonymous_delegation(
        self, data_owner: object, group_id: str | None
    ) -> bool:
        return data_owner.type.value == "patient"


class Driver(ClinicalCommands):
    """The commands, each a method that takes the arguments of the command."""

    def __init__(self) -> None:
        self._sdk: CardinalSdk | None = None

    @property
    def sdk(self) -> CardinalSdk:
        if self._sdk is None:
            raise RuntimeError("The command start comes first")
        return self._sdk

    def version(self) -> str:
        return version("cardinal-sdk")

    def start(
        self,
        *,
        url: str,
        username: str,
        secret: str,
        directory: str,
        project_id: str | None = None,
        new_key: str = "allow",
        long_token: bool = False,
    ) -> dict:
        """Log in and get the keys ready; ``new_key`` is allow, deny, or a private key in hex."""
        proof = (UsernameLongToken if long_token else UsernamePassword)(username, secret)
        self._sdk = CardinalSdk(
            project_id=project_id,
            baseurl=url,
            authentication_method=proof,
            storage_facade=FileSystemStorage(directory),
            options=SdkOptions(crypto_strategies=Strategies(new_key)),
        )
        owner = self._sdk.data_owner.get_current_data_owner_blocking()
        return owner.__serialize__() | {"type": type(owner).__name__}

    def current_user(self) -> dict:
        return self.sdk.user.get_current_user_blocking().__serialize__()

    def reload(self) -> None:
        self.sdk.crypto.force_reload_blocking()

    def create_patient(
        self, *, patient: dict, delegates: dict[str, str] | None = None, as_user: bool = False
    ) -> dict:
        """Prepare and create; delegates are Read or Write, by the id of a data owner."""
        user = self.sdk.user.get_current_user_blocking() if as_user else None
        prepared = self.sdk.patient.with_encryption_metadata_blocking(
            _patient({"id": str(uuid.uuid4()), **patient}),
            user=user,
            delegates={owner: AccessLevel[level] for owner, level in (delegates or {}).items()},
        )
        return self.sdk.patient.create_patient_blocking(prepared).__serialize__()

    def get_patient(self, *, patient_id: str) -> dict | None:
        patient = self.sdk.patient.get_patient_blocking(patient_id)
        return None if patient is None else patient.__serialize__()

    def get_patients(self, *, ids: list[str]) -> list[dict]:
        return [one.__serialize__() for one in self.sdk.patient.get_patients_blocking(ids)]

    def modify_patient(self, *, patient_id: str, changes: dict) -> dict:
        current = self.sdk.patient.get_patient_blocking(patient_id)
        changed = _patient(current.__serialize__() | changes)
        return self.sdk.patient.modify_patient_blocking(changed).__serialize__()

    def share_patient(self, *, patient_id: str, delegate_id: str) -> dict:
        patient = self.sdk.patient.get_patient_blocking(patient_id)
        return self.sdk.patient.share_with_blocking(delegate_id, patient).__serialize__()

    def delete_patient(self, *, patient_id: str) -> None:
        patient = self.sdk.patient.get_patient_blocking(patient_id)
        self.sdk.patient.delete_patient_blocking(patient)

    def share_own_record(self, *, delegates: dict[str, str]) -> dict:
        """Give the patient's own record its first metadata."""
        levels = {owner: AccessLevel[level] for owner, level in delegates.items()}
        patient = self.sdk.patient.ensure_encryption_metadata_for_self_is_initialized_blocking(
            levels
        )
        return patient.__serialize__()


def _patient(members: dict) -> DecryptedPatient:
    empty = DecryptedPatient(id=members["id"]).__serialize__()
    return DecryptedPatient._deserialize(empty | members)


def _error(error: BaseException) -> dict:
    # Below are addresses of native code, in which any number may turn up.
    message = str(error).partition("\n    at ")[0]
    status = STATUS.search(message)
    return {"message": message, "status": int(status[1]) if status else None, "url": None}


def main() -> None:
    driver = Driver()
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request["id"]}
        try:
            answer["result"] = getattr(driver, request["command"])(**request["arguments"])
        except Exception as error:
            answer["error"] = _error(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    # Native threads of the package would keep the interpreter from ending.
    sys.stderr.flush()
    os._exit(0)


main()
