# ruff: noqa: INP001, T201
"""A person registers by SMS with today's iCure, writes an encrypted patient, and shares it.

Runs on the sandbox that comes with the SDK: ``python examples/register_today.py``.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from icure_async import (
    AnonymousMedTechApiBuilder,
    CaptchaProgress,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
)
from icure_async.sandbox import Sandbox

PHONE = "+32470123456"


async def show(progress: CaptchaProgress) -> None:
    """Say that the captcha is solved, without anybody clicking."""
    if progress.solved == progress.total:
        print(f"Solved the {progress.total} puzzles of the captcha.")


async def register(sandbox: Sandbox, folder: Path) -> MedTechApi:
    """Register a patient by SMS; return the API in its name."""
    builder = (
        AnonymousMedTechApiBuilder()
        .with_flavour("cardinal")
        .with_icure_base_url(sandbox.icure_url)
        .with_msg_gw_url(sandbox.msg_gw_url)
        .with_msg_gw_spec_id(sandbox.spec_id)
        .with_auth_process_by_sms_id(sandbox.patient_process_by_sms_id)
        .with_storage_directory(folder)
    )
    async with builder.build() as anonymous:
        process = await anonymous.authentication_api.start_authentication(
            phone_number=PHONE,
            first_name="Arya",
            last_name="Stark",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
            progress=show,
        )
        code = await sandbox.wait_for_code(PHONE)
        result = await anonymous.authentication_api.complete_authentication(process, code)
    print(f"Registered {process.login}; its private key is on this device only.")
    return result.med_tech_api


async def main() -> None:
    """Run the story."""
    async with Sandbox() as sandbox:
        with TemporaryDirectory() as folder:
            async with await register(sandbox, Path(folder)) as arya:
                patient = await arya.patient_api.create_or_modify_patient(
                    Patient(first_name="Nymeria", last_name="Stark", note="Runs with wolves")
                )
                print("Wrote an encrypted patient.")
        stored = await sandbox.stored("patient", str(patient.id)) or {}
        name, note = stored["firstName"], stored.get("note")
        print(f"The server has the first name {name}, and no note: {note}")

        # The professional who invited Arya reads what she wrote: new users share with theirs.
        master = sandbox.master_hcp
        hcp_builder = (
            MedTechApiBuilder()
            .with_flavour("cardinal")
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(master.login)
            .with_password(master.password)
        )
        async with hcp_builder.build() as hcp:
            await hcp.init_user_crypto(master.key_pair)
            read = await hcp.patient_api.get_patient(str(patient.id))
            print(f"The professional reads: {read.note}")


if __name__ == "__main__":
    asyncio.run(main())
