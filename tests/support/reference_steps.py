"""Steps that several of the tests take with the reference."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.notes import MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from icure_async.sandbox import Sandbox

    from .reference_sdk import JsonObject, ReferenceKeyPair, ReferenceSdk

CODE_TIMEOUT = 5.0

may_meet_valid_padding = pytest.mark.flaky(reruns=2)
"""If one delegator has two exchange keys to a delegate, the reference takes the first one that
passes the padding check, which a wrong one does once in 256 times (cryptography.md §1.5): measured,
it could not read 1 patient of 200. Such a test of the reference is run again."""


@dataclass(frozen=True, slots=True)
class ReferenceUser:
    """Somebody who registered with the reference."""

    login: str
    token: str
    user_id: str
    data_owner_id: str
    key_pair: ReferenceKeyPair


async def log_in_as_master(reference: ReferenceSdk, sandbox: Sandbox) -> None:
    """As the healthcare professional everybody registers with, with the key pair."""
    hcp = sandbox.master_hcp
    await reference.login(sandbox.icure_url, hcp.login, hcp.password)
    await reference.use_key_pair(hcp.key_pair)


async def start_with_reference(
    reference: ReferenceSdk,
    sandbox: Sandbox,
    contact: str,
    *,
    first_name: str = "Ned",
    last_name: str = "Stark",
    professional: bool = False,
) -> str:
    """Start a process at the message gateway; return its request id."""
    by_email = "@" in contact
    if professional:
        by_sms_id, by_email_id = sandbox.hcp_process_by_sms_id, sandbox.hcp_process_by_email_id
    else:
        by_sms_id = sandbox.patient_process_by_sms_id
        by_email_id = sandbox.patient_process_by_email_id
    process_id = by_email_id if by_email else by_sms_id
    body: JsonObject = {
        "g-recaptcha-response": "captcha",
        "firstName": first_name,
        "lastName": last_name,
        "from": contact,
        "email" if by_email else "mobilePhone": contact,
        "hcpId": sandbox.master_hcp.data_owner_id,
    }
    return await reference.start_process(sandbox.msg_gw_url, sandbox.spec_id, process_id, body)


async def register_with_reference(
    reference: ReferenceSdk,
    sandbox: Sandbox,
    contact: str,
    *,
    first_name: str = "Ned",
    last_name: str = "Stark",
    professional: bool = False,
    storage_directory: Path | None = None,
) -> ReferenceUser:
    """Register as the reference does; the process stays logged in as the new user."""
    request_id = await start_with_reference(
        reference,
        sandbox,
        contact,
        first_name=first_name,
        last_name=last_name,
        professional=professional,
    )
    code = await sandbox.wait_for_code(contact, timeout=CODE_TIMEOUT)
    await reference.validate(sandbox.msg_gw_url, sandbox.spec_id, request_id, code)
    await reference.login(sandbox.icure_url, contact, code)
    token = await reference.create_token()
    user = await reference.login(
        sandbox.icure_url, contact, token, storage_directory=storage_directory
    )
    key_pair = await reference.register_key_pair(store=storage_directory is not None)
    return ReferenceUser(
        login=contact,
        token=token,
        user_id=user["id"],
        data_owner_id=user["healthcarePartyId" if professional else "patientId"],
        key_pair=key_pair,
    )


async def stored_patient(sandbox: Sandbox, patient_id: str) -> JsonObject:
    """The patient as the backend has it."""
    stored = await sandbox.stored("patient", patient_id)
    assert stored is not None
    return stored


def assert_encrypted(stored: JsonObject) -> None:
    """The backend must have nothing of a note that holds the marker."""
    assert "note" not in stored
    assert MARKER not in str(stored)
    ciphertext = b64decode(stored["encryptedSelf"], validate=True)
    assert len(ciphertext) > len(MARKER)
    assert MARKER.encode() not in ciphertext
