"""The first login of an invited patient, and the answer to the request for access, by commands."""

from __future__ import annotations

from icure_async import Patient
from icure_sync import MedTechApiBuilder
from icure_sync.sandbox import Sandbox
from tests.support.command import Command
from tests.support.invitations import address, by_sms, token_in


def _invite(running: Sandbox, phone: str) -> str:
    """Have the sandbox's professional invite a new patient, and return the patient's id."""
    master = running.master_hcp
    builder = (
        MedTechApiBuilder()
        .with_icure_base_url(running.icure_url)
        .with_msg_gw_url(running.msg_gw_url)
        .with_msg_gw_spec_id(running.spec_id)
        .with_in_memory_keys()
    )
    with builder.with_user_name(master.login).with_password(master.password).build() as api:
        api.init_user_crypto(master.key_pair)
        patient = api.patient_api.create_or_modify_patient(
            Patient(last_name="Stark", note="a note", addresses=[address(mobile=phone)])
        )
        api.user_api.create_and_invite_user(patient, by_sms(patient))
        return str(patient.id)


def test_the_patient_logs_in_and_reads_its_record_once_the_professional_has_answered(
    icure: Command, running: Sandbox, phone: str
) -> None:
    professional = icure.other_device("professional")
    professional.log_in_as_master(running)
    patient_id = _invite(running, phone)
    token = token_in({"message": icure("code", phone).stdout.strip()})
    icure.said = ""

    refused = icure("login", phone, "--invited", code=1, ICURE_PASSWORD="not-the-token")
    assert "icure login" in refused.stderr
    asked = icure("login", phone, "--invited", "--store", "file", ICURE_PASSWORD=token)
    assert running.master_hcp.data_owner_id in asked.stderr
    assert icure.json("whoami")["data_owner_id"] == patient_id
    assert icure("patient", "get", patient_id, code=1).stdout == ""

    pending = professional.json("notification", "list")
    (request,) = [row for row in pending if row["from"] == patient_id]
    assert request["type"] == "NEW_USER_OWN_DATA_ACCESS"
    answer = ("notification", "answer", request["id"])
    assert patient_id in professional(*answer, typed="n\n", code=1).stderr
    icure("patient", "get", patient_id, code=1)
    given = professional.json(*answer, "--yes")
    assert given["status"] == "completed"
    assert [row["data"] for row in given["given"]] == ["patient"]
    assert icure.json("patient", "get", patient_id)["note"] == "a note"
    assert token not in icure.said
    assert icure.token() not in icure.said
