# ruff: noqa: INP001, T201
"""Two people sign in by SMS; one of them writes notes and shares them, the other one reads.

Runs on the sandbox that comes with the SDK: ``python examples/a_script.py``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from icure_sync import AnonymousMedTechApiBuilder, AuthenticationResult, MedTechApiBuilder, Patient
from icure_sync.errors import DecryptionError
from icure_sync.sandbox import Sandbox


class Device:
    """A phone, with an app that keeps the keys of its owner in a folder.

    Args:
        sandbox: the backend.
        folder: of the app.
        phone_number: of the owner.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, phone_number: str) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.phone_number = phone_number

    def sign_in(
        self, process_id: str, *, first_name: str, last_name: str, doctor_id: str | None = None
    ) -> AuthenticationResult:
        """Register or log in with the code of a text message."""
        builder = (
            AnonymousMedTechApiBuilder()
            .with_icure_base_url(self.sandbox.icure_url)
            .with_msg_gw_url(self.sandbox.msg_gw_url)
            .with_msg_gw_spec_id(self.sandbox.spec_id)
            .with_auth_process_by_sms_id(process_id)
            .with_storage_directory(self.folder)
        )
        with builder.build() as anonymous:
            process = anonymous.authentication_api.start_authentication(
                "the solution of a captcha",
                phone_number=self.phone_number,
                first_name=first_name,
                last_name=last_name,
                healthcare_professional_id=doctor_id,
            )
            # In a real app, the person types it.
            code = self.sandbox.wait_for_code(self.phone_number)
            return anonymous.authentication_api.complete_authentication(process, code)

    def builder(self, token: str) -> MedTechApiBuilder:
        """Return a builder for the next day: no code is needed, but the token and the keys."""
        return (
            MedTechApiBuilder()
            .with_icure_base_url(self.sandbox.icure_url)
            .with_user_name(self.phone_number)
            .with_password(token)
            .with_storage_directory(self.folder)
        )


def note(text: str) -> Patient:
    """Return a new note. Of a patient, the note is encrypted, and the names are not."""
    return Patient(last_name="Note", note=text)


def tell(sandbox: Sandbox, folder: Path) -> None:
    """Run the story."""
    doctors_device = Device(sandbox, folder / "doctor", "+32470000001")
    aryas_device = Device(sandbox, folder / "arya", "+32470000002")

    luwin = doctors_device.sign_in(
        sandbox.hcp_process_by_sms_id, first_name="Maester", last_name="Luwin"
    )
    arya = aryas_device.sign_in(
        sandbox.patient_process_by_sms_id,
        first_name="Arya",
        last_name="Stark",
        doctor_id=luwin.data_owner_id,
    )
    with luwin.med_tech_api as doctor:
        # Everything that Arya writes is shared with the doctor who has invited her.
        with arya.med_tech_api as api:
            shared = api.patient_api.create_or_modify_patient(note("My left hand hurts"))
            print(f"Doctor: {doctor.patient_api.get_patient(shared.id).note}")

            api.user_api.stop_sharing_data_with([luwin.data_owner_id])
            secret = api.patient_api.create_or_modify_patient(note("I run away tonight"))
            try:
                doctor.patient_api.get_patient(secret.id)
            except DecryptionError:
                print("Doctor: a note that I can't read")

        with aryas_device.builder(arya.token).build() as api:
            api.init_user_crypto()
            for each in api.patient_api.get_patients([shared.id, secret.id]):
                print(f"Arya:   {each.note}")
            api.patient_api.give_access_to(
                api.patient_api.get_patient(secret.id), luwin.data_owner_id
            )
            print(f"Doctor: {doctor.patient_api.get_patient(secret.id).note}")
            print(f"Arya:   signed out, {api.logout().token_revoked}")


def main() -> None:
    """Run the story on a sandbox of its own, with folders that are gone at the end."""
    with Sandbox() as sandbox, TemporaryDirectory() as folder:
        tell(sandbox, Path(folder))


if __name__ == "__main__":
    main()
