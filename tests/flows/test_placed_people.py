"""People whom the sandbox has placed: they log in, write, read and share like anybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icure_async import MedTechApi, MedTechApiBuilder, Patient
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox, SandboxPerson

NOTE = "You must keep one's head"

LogIn = Callable[[SandboxPerson], "MedTechApi"]
Builder = Callable[[str, str], MedTechApiBuilder]


@pytest.fixture(params=["medtech", "cardinal"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    chosen: Flavour = request.param
    return chosen


async def logged_in(builder: Builder, person: SandboxPerson, flavour: Flavour) -> MedTechApi:
    api = await builder(person.login, person.token).with_flavour(flavour).build()
    await api.init_user_crypto(person.key_pair)
    return api


async def test_a_patient_writes_and_reads_and_shares_automatically(
    sandbox: Sandbox, builder: Builder, flavour: Flavour
) -> None:
    doctor = await sandbox.register("professional", flavour=flavour)
    ned = await sandbox.register("patient", flavour=flavour, shares_with=[doctor])
    api = await logged_in(builder, ned, flavour)
    written = await api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=NOTE)
    )
    assert (await api.patient_api.get_patient(str(written.id))).note == NOTE
    hers = await logged_in(builder, doctor, flavour)
    assert (await hers.patient_api.get_patient(str(written.id))).note == NOTE


async def test_the_record_of_a_patient_is_open_to_it_and_to_the_professional_who_invites(
    sandbox: Sandbox, builder: Builder, flavour: Flavour
) -> None:
    ned = await sandbox.register("patient", flavour=flavour, first_name="Ned", last_name="Stark")
    api = await logged_in(builder, ned, flavour)
    own = await api.patient_api.get_patient(ned.data_owner_id)
    assert (own.first_name, own.last_name) == ("Ned", "Stark")
    own.note = NOTE
    await api.patient_api.create_or_modify_patient(own)
    master = sandbox.master_hcp
    hers = await builder(master.login, master.password).with_flavour(flavour).build()
    await hers.init_user_crypto(master.key_pair)
    assert (await hers.patient_api.get_patient(ned.data_owner_id)).note == NOTE


async def test_a_placed_patient_gives_a_placed_professional_access(
    sandbox: Sandbox, builder: Builder, flavour: Flavour
) -> None:
    ned = await sandbox.register("patient", flavour=flavour, shares_with=())
    doctor = await sandbox.register("professional", flavour=flavour)
    api = await logged_in(builder, ned, flavour)
    written = await api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=NOTE)
    )
    await api.patient_api.give_access_to(written, doctor.data_owner_id)
    hers = await logged_in(builder, doctor, flavour)
    assert (await hers.patient_api.get_patient(str(written.id))).note == NOTE


async def test_a_login_changes_nothing_of_a_placed_person(
    sandbox: Sandbox, builder: Builder, flavour: Flavour
) -> None:
    """Everything that a first login would do has been done."""
    people = [
        await sandbox.register("patient", flavour=flavour),
        await sandbox.register("professional", flavour=flavour),
        await sandbox.register("device", flavour=flavour),
    ]
    before = await sandbox.export()
    for person in people:
        api = await logged_in(builder, person, flavour)
        user = await api.user_api.get_logged_user()
        assert user.id == person.user_id
    assert await sandbox.export() == before
