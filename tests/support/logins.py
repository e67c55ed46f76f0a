"""Helpers of the tests of authentication."""

from __future__ import annotations

from typing import Any, TypeAlias

from icure_async import AnonymousMedTechApi, AuthenticationProcess, AuthenticationResult, MedTechApi
from icure_async.models import Patient
from icure_async.sandbox import Sandbox
from icure_async.storage import Storage

PHONE = "+32470123456"
EMAIL = "ned@winterfell.example"
CAPTCHA = "solution-of-the-captcha"
KNOWN_KEYS = "icure.known_keys."

Json: TypeAlias = dict[str, Any]


async def start(
    api: AnonymousMedTechApi | MedTechApi,
    sandbox: Sandbox,
    phone_number: str = PHONE,
    **options: Any,
) -> tuple[AuthenticationProcess, str]:
    """Start the authentication of a patient whom the master invites, and return the code, too."""
    process = await api.authentication_api.start_authentication(
        CAPTCHA,
        phone_number=phone_number,
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        **options,
    )
    return process, await sandbox.wait_for_code(process.login)


async def authenticate(
    api: AnonymousMedTechApi | MedTechApi, sandbox: Sandbox, phone_number: str = PHONE
) -> AuthenticationResult:
    process, code = await start(api, sandbox, phone_number)
    return await api.authentication_api.complete_authentication(process, code)


def another(code: str) -> str:
    """Return a code that is not this one."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


async def user_named(sandbox: Sandbox, login: str) -> Json | None:
    users: list[Json] = list((await sandbox.export())["entities"]["user"].values())
    return next((user for user in users if user.get("login") == login), None)


async def tokens_of(sandbox: Sandbox, login: str = PHONE) -> dict[str, Json]:
    """Return the user's long-lived tokens; those of the codes live for ten minutes."""
    user = await user_named(sandbox, login)
    assert user is not None
    return {
        key: token for key, token in user["authenticationTokens"].items() if token["validity"] > 600
    }


async def owner_of(sandbox: Sandbox, login: str = PHONE) -> Json:
    """Return the data owner of a user, as the backend stores it."""
    user = await user_named(sandbox, login)
    assert user is not None
    kind, member = ("patient", "patientId")
    if member not in user:
        kind, member = ("hcparty", "healthcarePartyId")
    owner = await sandbox.stored(kind, user[member])
    assert owner is not None
    return owner


def public_keys_of(owner: Json) -> set[str]:
    keys = {owner.get("publicKey"), *owner.get("aesExchangeKeys", {})}
    return {key for key in keys if key}


async def assert_can_work(api: MedTechApi) -> Patient:
    """Write a patient, and read it again."""
    written = await api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note="the young wolf")
    )
    assert written.id is not None
    read = await api.patient_api.get_patient(written.id)
    assert read.note == "the young wolf"
    return read


async def left_in(storage: Storage) -> list[str]:
    """The items that logins have left, without what a device remembers of keys for ever."""
    return [name for name in await storage.list_items() if not name.startswith(KNOWN_KEYS)]
