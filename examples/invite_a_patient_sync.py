# ruff: noqa: INP001, T201
"""An invited patient gets access to its record: the blocking form of ``invite_a_patient.py``.

Runs on the sandbox that comes with the SDK: ``python examples/invite_a_patient_sync.py``.
"""

from icure_sync import (
    Address,
    AnonymousMedTechApiBuilder,
    ICureRegistrationEmail,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
    Telecom,
)
from icure_sync.sandbox import Sandbox

EMAIL = "arya@winterfell.example"


def home_with(email: str) -> Address:
    """Return an address with an email address."""
    telecom = Telecom(telecom_type="email", telecom_number=email)
    return Address(address_type="home", telecoms=[telecom])


def invite(hcp: MedTechApi) -> str:
    """Create a patient, and send it a token by email; return the id of the patient."""
    patient = hcp.patient_api.create_or_modify_patient(
        Patient(
            first_name="Arya",
            last_name="Stark",
            note="Allergic to wine",
            addresses=[home_with(EMAIL)],
        )
    )
    # In whose name the email is sent: a HealthcareProfessional has these members, too.
    inviter = Patient(last_name="Luwin", addresses=[home_with("luwin@clinic.example")])
    factory = ICureRegistrationEmail(inviter, "https://app.example/login", "Maester", patient)
    user = hcp.user_api.create_and_invite_user(patient, factory)
    print(f"Invited patient {patient.id}, who logs in as {user.login}.")
    return patient.id


def answer_requests(hcp: MedTechApi) -> None:
    """Give access to all patients who ask for their own data."""
    for notification in hcp.notification_api.get_pending_notifications_after():
        if notification.type == "NEW_USER_OWN_DATA_ACCESS":
            answer = hcp.data_owner_api.answer_access_request(notification)
            print(f"Gave patient {answer.access.patient_id} access to its own data.")


def main() -> None:
    """Run the story."""
    with Sandbox() as sandbox:
        master = sandbox.master_hcp
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(sandbox.icure_url)
            .with_msg_gw_url(sandbox.msg_gw_url)
            .with_msg_gw_spec_id(sandbox.spec_id)
            .with_user_name(master.login)
            .with_password(master.password)
        )
        with builder.build() as hcp:
            hcp.init_user_crypto(master.key_pair)
            patient_id = invite(hcp)

            email = sandbox.wait_for_message(EMAIL)
            print(f"Email to {EMAIL}: {email['subject']}")
            token = email["html"].rpartition(" & ")[2]

            # The app of the patient. A real one keeps the keys with with_storage_directory().
            anonymous_builder = (
                AnonymousMedTechApiBuilder()
                .with_icure_base_url(sandbox.icure_url)
                .with_msg_gw_url(sandbox.msg_gw_url)
                .with_msg_gw_spec_id(sandbox.spec_id)
                .with_auth_process_by_email_id(sandbox.patient_process_by_email_id)
                .with_in_memory_keys()
            )
            with anonymous_builder.build() as anonymous:
                api = anonymous.authentication_api
                result = api.authenticate_and_ask_access_to_its_existing_data(EMAIL, token)
            print(f"The patient logged in, and asked {len(result.access_requests)} data owner.")

            with result.med_tech_api as patient_api:
                answer_requests(hcp)
                own = patient_api.patient_api.get_patient(patient_id)
                print(f"The patient reads in its record: {own.note}")


if __name__ == "__main__":
    main()
