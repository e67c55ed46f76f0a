"""Patients with further encrypted fields: the reference reads them, and saves them in clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from icure_async import Address, MedTechApi, Patient, Telecom
from tests.support.builders import builder_for
from tests.support.reference_steps import log_in_as_master, stored_patient

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk

pytestmark = pytest.mark.interop

MARK: Final = "SECRET"
FIELDS: Final = (
    *("first_name", "last_name", "maiden_name", "alias", "addresses", "date_of_birth", "gender"),
    *("languages", "parameters", "properties", "partnerships", "picture", "deactivation_reason"),
    *("company_name", "identifiers", "deceased", "personal_status"),
)


async def _api(sandbox: Sandbox) -> MedTechApi:
    hcp = sandbox.master_hcp
    builder = builder_for(sandbox.icure_url, hcp.login, hcp.password).with_in_memory_keys()
    api = await builder.with_encrypted_fields(patient=FIELDS).build()
    await api.init_user_crypto(hcp.key_pair)
    return api


def _patient() -> Patient:
    return Patient(
        first_name=f"{MARK} Zoë",
        last_name=f"{MARK} 🩺",
        alias=MARK,
        addresses=[
            Address(city=MARK, telecoms=[Telecom(telecom_number=MARK, telecom_type="email")])
        ],
        date_of_birth=19820304,
        gender="female",
        deceased=False,
        note=MARK,
    )


async def test_the_reference_reads_them_and_what_it_saves_is_encrypted_again(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    async with await _api(sandbox) as api:
        created = await api.patient_api.create_or_modify_patient(_patient())
        stored = json.dumps(await stored_patient(sandbox, created.id))
        assert MARK not in stored
        assert "19820304" not in stored

        await log_in_as_master(reference, sandbox)
        read = await reference.get_patient(created.id)
        assert (read["firstName"], read["lastName"]) == (f"{MARK} Zoë", f"{MARK} 🩺")
        assert (read["dateOfBirth"], read["gender"], read["deceased"]) == (
            19820304,
            "female",
            False,
        )
        assert read["addresses"][0]["telecoms"][0]["telecomNumber"] == MARK
        assert [name["use"] for name in read["names"]] == ["official", "nickname"]
        assert read["note"] == MARK

        await reference.modify_patient(created.id, firstName=f"{MARK} Arya", note="changed")
        in_clear = await stored_patient(sandbox, created.id)
        assert in_clear["firstName"] == f"{MARK} Arya"
        seen = await api.patient_api.get_patient(created.id)
        assert set(seen.exposed_fields) >= {"first_name", "last_name", "addresses", "names"}
        assert (seen.first_name, seen.note) == (f"{MARK} Arya", "changed")
        assert seen.addresses[0].city == MARK

        saved = await api.patient_api.create_or_modify_patient(seen)
        assert saved.exposed_fields == ()
        assert MARK not in json.dumps(await stored_patient(sandbox, created.id))
        again = await reference.get_patient(created.id)
        assert (again["firstName"], again["note"]) == (f"{MARK} Arya", "changed")


async def test_the_reference_reads_and_saves_one_that_has_few_of_them(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    """The missing ones are encrypted as missing."""
    async with await _api(sandbox) as api:
        created = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
        await log_in_as_master(reference, sandbox)
        read = await reference.get_patient(created.id)
        assert read["lastName"] == "Stark"
        missing: Any = [read.get(name) for name in ("firstName", "dateOfBirth", "picture")]
        assert missing == [None, None, None]
        assert read["addresses"] == read["languages"] == []
        await reference.modify_patient(created.id, note="n")
        seen = await api.patient_api.get_patient(created.id)
        assert (seen.note, seen.first_name, seen.addresses) == ("n", None, [])
        assert set(seen.exposed_fields) == {"last_name", "names"}
