"""The story of people who work with today's iCure: writing, sharing, notifying, losing a key."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from icure_async import (
    MedTechApi,
    Notification,
    Patient,
    Property,
    PropertyType,
    TypedValueObject,
)
from icure_async.errors import (
    CryptoError,
    DecryptionError,
    KeyPairNotFoundError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.sandbox import Sandbox
from tests.support.cardinal_world import audit
from tests.support.people_of_today import Device, Person, Town, town

__all__ = ["town"]

NOTE = "You must keep one's head"
CLOSED = (DecryptionError, PermissionDeniedError)


@pytest.fixture(params=["legacy", "strict"])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """With the rights of 2022-23, and with those of today."""
    async with Sandbox(profile=request.param) as running:
        yield running


async def written(api: MedTechApi, **members: object) -> Patient:
    patient = Patient(**{"first_name": "Robb", "last_name": "Stark", "note": NOTE, **members})  # type: ignore[arg-type]
    return await api.patient_api.create_or_modify_patient(patient)


async def assert_sound(town: Town, *people: Person) -> None:
    """All that was stored keeps the rules of today's clients, as an independent reader sees it."""
    exported = (await town.sandbox.export())["entities"]
    pairs = [person.key_pair.private_key for person in (town.master, *people)]
    found = audit(exported, pairs)
    assert found.problems == []
    assert found.unverified == set()
    assert found.counts["delegator signatures"] == found.counts["shared signatures"] > 1
    assert found.counts["contents"] > 0


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_records_are_written_shared_read_and_changed_by_everybody(
    professional: bool, town: Town
) -> None:
    author, api = await town.registered(professional=professional)
    colleague, colleagues_api = await town.registered(professional=True)
    friend, friends_api = await town.registered()
    _, stranger = await town.registered(professional=True)

    patient = await written(api, company_name="Winterfell")
    stored = await town.sandbox.stored("patient", str(patient.id))
    assert stored is not None
    assert "note" not in stored
    assert "companyName" not in stored
    assert stored["firstName"] == "Robb"
    assert not stored.get("delegations")
    for delegate in (colleague, friend):
        patient = await api.patient_api.give_access_to(patient, delegate.owner_id)

    for reader in (api, colleagues_api, friends_api):
        read = await reader.patient_api.get_patient(str(patient.id))
        assert (read.note, read.company_name) == (NOTE, "Winterfell")
    with pytest.raises(CLOSED):
        await stranger.patient_api.get_patient(str(patient.id))

    read = await friends_api.patient_api.get_patient(str(patient.id))
    read.note = "seen by a friend"
    await friends_api.patient_api.create_or_modify_patient(read)
    read = await colleagues_api.patient_api.get_patient(str(patient.id))
    assert (read.note, read.company_name) == ("seen by a friend", "Winterfell")
    # Somebody who was given access gives it on.
    newcomer, newcomers_api = await town.registered()
    await colleagues_api.patient_api.give_access_to(read, newcomer.owner_id)
    read = await newcomers_api.patient_api.get_patient(str(patient.id))
    assert read.note == "seen by a friend"
    await assert_sound(town, author, colleague, friend, newcomer)


async def test_many_are_created_shared_and_read(town: Town) -> None:
    author, api = await town.registered(professional=True)
    friend, friends_api = await town.registered()
    made = await api.patient_api.create_patients(
        [Patient(first_name=f"P{number}", note=f"n{number}") for number in range(5)]
    )
    made.raise_for_failures()
    patients = made.saved
    shared = await api.patient_api.share_many(patients, [friend.owner_id])
    shared.raise_for_failures()
    read = await friends_api.patient_api.get_patients([str(one.id) for one in patients])
    assert [one.note for one in read] == [f"n{number}" for number in range(5)]
    for one in read:
        one.note = f"{one.note}!"
    (await friends_api.patient_api.modify_patients(read)).raise_for_failures()
    read = await api.patient_api.get_patients([str(one.id) for one in patients])
    assert [one.note for one in read] == [f"n{number}!" for number in range(5)]
    await api.patient_api.delete_patient(str(read[0].id))
    await assert_sound(town, author, friend)


async def test_notifications_reach_those_they_are_for(town: Town) -> None:
    patient, ned = await town.registered()
    hcp = await town.opened(town.master)
    sent = await ned.notification_api.create_or_modify_notification(
        Notification(
            type="OTHER",
            properties=[
                Property(
                    id="question",
                    type=PropertyType(type="STRING"),
                    typed_value=TypedValueObject(type="STRING", string_value="May I eat oranges?"),
                )
            ],
        ),
        town.master.owner_id,
    )
    (found,) = await hcp.notification_api.get_pending_notifications_after()
    assert isinstance(found, Notification)
    assert found.id == sent.id
    asked = [one.typed_value for one in found.properties or []]
    assert [one.string_value for one in asked if one is not None] == ["May I eat oranges?"]
    await hcp.notification_api.update_notification_status(found, "completed")
    read = await ned.notification_api.get_notification(str(sent.id))
    assert read.status == "completed"
    # And the other way round, to somebody whose API was open before there was anything to see.
    answer = await hcp.notification_api.create_or_modify_notification(
        Notification(type="OTHER"), patient.owner_id
    )
    assert (await ned.notification_api.get_notification(str(answer.id))).id == answer.id
    await assert_sound(town, patient)


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_a_lost_key_is_told_and_access_given_back(professional: bool, town: Town) -> None:
    person, api = await town.registered(professional=professional)
    patient = await written(api)
    if professional:
        patient = await api.patient_api.give_access_to(patient, town.master.owner_id)
    alone = None
    if professional:
        alone = await written(api, first_name="Nobody else's")
    hcp = await town.opened(town.master)
    of_hers = await written(hcp, first_name="Jon")
    of_hers = await hcp.patient_api.give_access_to(of_hers, person.owner_id)

    new_device = Device()
    lost = Person(
        login=person.login,
        secret=person.secret,
        owner_id=person.owner_id,
        key_pair=person.key_pair,
        device=new_device,
    )
    other = await town.opened(lost, keys=False)
    with pytest.raises(KeyPairNotFoundError):
        await other.init_user_crypto()
    (new_pair,) = await other.init_user_crypto(missing_key="allow")
    delivered = {notice.recipient_id: notice.delivered for notice in other.key_notices}
    assert delivered[town.master.owner_id] is True
    for one in (patient, of_hers):
        with pytest.raises(CLOSED):
            await other.patient_api.get_patient(str(one.id))
    # New records work at once.
    made = await written(other, first_name="Rickon")
    assert (await other.patient_api.get_patient(str(made.id))).note == NOTE

    found = await hcp.notification_api.get_pending_notifications_after()
    (told,) = [one for one in found if one.type == "KEY_PAIR_UPDATE"]
    assert isinstance(told, Notification)
    assert told.key_pair_update is not None
    assert told.key_pair_update.data_owner_id == person.owner_id
    assert told.key_pair_update.public_key == new_pair.public_key
    given = await hcp.data_owner_api.give_access_back_to(
        told.key_pair_update.data_owner_id, told.key_pair_update.public_key
    )
    assert given is not None
    for one in (patient, of_hers):
        assert (await other.patient_api.get_patient(str(one.id))).note == NOTE
    if alone is not None:
        # Shared with nobody: its exchange data opens with the lost key only.
        with pytest.raises(CLOSED):
            await other.patient_api.get_patient(str(alone.id))
    lost.key_pair = new_pair
    await assert_sound(town, person, lost)


async def test_sharing_with_somebody_without_a_key_is_an_error(town: Town) -> None:
    hcp = await town.opened(town.master)
    patient = await written(hcp)
    keyless = await written(hcp, first_name="Keyless")
    with pytest.raises((CryptoError, NotFoundError)) as caught:
        await hcp.patient_api.give_access_to(patient, str(keyless.id))
    assert str(keyless.id) in str(caught.value)
    assert (await hcp.patient_api.get_patient(str(patient.id))).note == NOTE
