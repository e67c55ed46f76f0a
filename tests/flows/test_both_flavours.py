"""People of 2023 and of today who work on the same records of one backend."""

from __future__ import annotations

import asyncio

import pytest

from icure_async import EncryptedPatient, MedTechApi, Patient
from icure_async.errors import (
    CryptoError,
    DecryptionError,
    KeyPairNotFoundError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Fault
from tests.support.cardinal_world import audit
from tests.support.people_of_today import Device, Town, town
from tests.support.request_log import RequestLog

__all__ = ["town"]

NOTE = "Winter is coming"
LEGACY = ("delegations", "encryptionKeys", "cryptedForeignKeys")
CLOSED = (DecryptionError, PermissionDeniedError)


async def written(api: MedTechApi, note: str = NOTE, **members: object) -> Patient:
    patient = Patient(**{"first_name": "Robb", "last_name": "Stark", "note": note, **members})  # type: ignore[arg-type]
    return await api.patient_api.create_or_modify_patient(patient)


async def stored(town: Town, patient: Patient) -> dict[str, object]:
    found = await town.sandbox.stored("patient", str(patient.id))
    assert found is not None
    return found


async def note_of(api: MedTechApi, patient: Patient) -> str | None:
    return (await api.patient_api.get_patient(str(patient.id))).note


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_somebody_of_2023_goes_on_in_todays_flavour_with_the_same_key(
    professional: bool, town: Town
) -> None:
    person, old = await town.registered(professional=professional, flavour="medtech")
    record = await written(old)
    owner = await town.sandbox.stored("hcparty" if professional else "patient", person.owner_id)
    new = await town.opened(person)
    assert await note_of(new, record) == NOTE
    # At the start nothing is written for a data owner of 2023 (today.md §11).
    assert owner == await town.sandbox.stored(
        "hcparty" if professional else "patient", person.owner_id
    )
    of_today = await written(new, "of today")
    assert await note_of(new, of_today) == "of today"
    found = await stored(town, of_today)
    assert "securityMetadata" in found
    assert not any(found.get(name) for name in LEGACY)
    # A professional is named in it, so that the flavour of 2023 may read it, too.
    if professional:
        assert await note_of(old, of_today) == "of today"
    read = await new.patient_api.get_patient(str(record.id))
    read.note = "changed today"
    await new.patient_api.create_or_modify_patient(read)
    assert await note_of(old, record) == "changed today"


async def test_the_first_share_of_today_migrates_a_record_and_nobody_loses_it(town: Town) -> None:
    author, old = await town.registered(professional=True, flavour="medtech")
    colleague, old_colleague = await town.registered(professional=True, flavour="medtech")
    of_today, cardinal = await town.registered(professional=True)
    record = await written(old)
    record = await old.patient_api.give_access_to(record, colleague.owner_id)
    before = await stored(town, record)

    new = await town.opened(author)
    read = await new.patient_api.get_patient(str(record.id))
    await new.patient_api.give_access_to(read, of_today.owner_id)
    after = await stored(town, record)
    assert "securityMetadata" in after
    for name in ("delegations", "encryptionKeys"):
        assert after[name] == before[name]

    # Everybody reads and changes it, whichever flavour writes.
    editors = {"cardinal": cardinal, "colleague": old_colleague, "author": old, "author today": new}
    for name, api in editors.items():
        read = await api.patient_api.get_patient(str(record.id))
        read.note = f"changed by {name}"
        await api.patient_api.create_or_modify_patient(read)
        for reader in editors.values():
            assert await note_of(reader, record) == f"changed by {name}"
        now = await stored(town, record)
        assert "note" not in now
        assert now["securityMetadata"] == after["securityMetadata"]
    # The colleague, who has no delegation of today, migrates nothing anew, and shares on.
    friend, friends_api = await town.registered()
    colleague_today = await town.opened(colleague)
    read = await colleague_today.patient_api.get_patient(str(record.id))
    await colleague_today.patient_api.give_access_to(read, friend.owner_id)
    assert await note_of(friends_api, record) == "changed by author today"
    exported = (await town.sandbox.export())["entities"]
    pairs = [one.key_pair.private_key for one in (author, colleague, of_today, friend)]
    assert audit(exported, pairs).problems == []


async def test_what_today_encrypts_is_not_written_in_clear_by_the_flavour_of_2023(
    town: Town,
) -> None:
    """The reference does (today.md §11)."""
    _, cardinal = await town.registered(professional=True)
    colleague, old = await town.registered(professional=True, flavour="medtech")
    record = await written(cardinal, company_name="Winterfell", profession="King")
    record = await cardinal.patient_api.give_access_to(record, colleague.owner_id)
    read = await old.patient_api.get_patient(str(record.id))
    assert (read.note, read.company_name) == (NOTE, "Winterfell")
    read.note = "changed in 2023"
    read.first_name = "Bran"
    await old.patient_api.create_or_modify_patient(read)
    now = await stored(town, record)
    assert now["firstName"] == "Bran"
    assert "Winterfell" not in str(now)
    assert "changed in 2023" not in str(now)
    again = await cardinal.patient_api.get_patient(str(record.id))
    assert (again.note, again.company_name, again.first_name) == (
        "changed in 2023",
        "Winterfell",
        "Bran",
    )


async def test_a_record_of_today_is_not_shared_in_the_flavour_of_2023_and_the_error_says_how(
    town: Town, requests: RequestLog
) -> None:
    _, cardinal = await town.registered(professional=True)
    colleague, old = await town.registered(professional=True, flavour="medtech")
    other, _ = await town.registered(professional=True, flavour="medtech")
    record = await written(cardinal)
    await cardinal.patient_api.give_access_to(record, colleague.owner_id)
    read = await old.patient_api.get_patient(str(record.id))
    before = await stored(town, record)
    requests.take()
    with pytest.raises(CryptoError, match="with_flavour"):
        await old.patient_api.give_access_to(read, other.owner_id)
    assert not [line for line in requests.take() if line.startswith("PUT")]
    assert await stored(town, record) == before


async def test_in_the_flavour_of_2023_nobody_shares_with_somebody_of_today(town: Town) -> None:
    _, old = await town.registered(professional=True, flavour="medtech")
    of_today, cardinal = await town.registered(professional=True)
    record = await written(old)
    with pytest.raises(CryptoError, match="with_flavour") as caught:
        await old.patient_api.give_access_to(record, of_today.owner_id)
    assert of_today.owner_id in str(caught.value)
    with pytest.raises(CLOSED):
        await cardinal.patient_api.get_patient(str(record.id))


@pytest.mark.parametrize("on_device", [True, False], ids=["on this device", "given"])
async def test_somebody_of_today_goes_on_in_the_flavour_of_2023_with_a_key_for_each(
    on_device: bool, town: Town
) -> None:
    person, cardinal = await town.registered(professional=True)
    record = await written(cardinal)
    if not on_device:
        person.device = Device()
    api = await town.opened(person, flavour="medtech")
    assert await note_of(api, record) == NOTE
    owner = await town.sandbox.stored("hcparty", person.owner_id)
    assert owner is not None
    # Nobody can tell how to encrypt for a key that is published in both forms.
    assert owner["publicKeysForOaepWithSha256"] == [person.key_pair.public_key]
    assert owner["publicKey"] != person.key_pair.public_key
    stored_pairs = await person.device.keys.list_key_pairs(person.owner_id)
    assert {pair.public_key for pair in stored_pairs} == {
        person.key_pair.public_key,
        owner["publicKey"],
    }
    again = await town.opened(person)
    assert await note_of(again, record) == NOTE
    assert await note_of(again, await written(api, "of 2023")) == "of 2023"


async def test_without_its_key_somebody_of_today_gets_no_second_one_unasked(town: Town) -> None:
    """Records that only the lost key opens would seem to be nobody's."""
    person, _ = await town.registered(professional=True)
    before = await town.sandbox.stored("hcparty", person.owner_id)
    person.device = Device()
    api = await town.opened(person, flavour="medtech", keys=False)
    with pytest.raises(KeyPairNotFoundError):
        await api.init_user_crypto()
    assert await town.sandbox.stored("hcparty", person.owner_id) == before
    assert await person.device.keys.list_key_pairs(person.owner_id) == []


async def test_the_flavour_of_2023_asks_rest_v2_for_nothing_that_it_does_not_need(
    town: Town, requests: RequestLog
) -> None:
    person, api = await town.registered(flavour="medtech")
    record = await written(api)
    again = await town.opened(person, flavour="medtech")
    assert await note_of(again, record) == NOTE
    hcp = await town.opened(town.master, flavour="medtech")
    assert await note_of(hcp, record) == NOTE
    assert not [line for line in requests.take() if "/rest/v2/" in line]


async def test_a_backend_without_rest_v2_is_no_error(town: Town) -> None:
    author, old = await town.registered(professional=True, flavour="medtech")
    of_today, _ = await town.registered(professional=True)
    migrated, plain = await written(old), await written(old, "plain")
    new = await town.opened(author)
    await new.patient_api.give_access_to(
        await new.patient_api.get_patient(str(migrated.id)), of_today.owner_id
    )
    only_today = await written(new, "today")
    for method in ("GET", "POST", "PUT"):
        town.sandbox.inject_fault(
            Fault("status", method=method, path="/rest/v2/*", status=404, nth=range(1, 1000))
        )
    fresh = await town.opened(author, flavour="medtech")
    assert await note_of(fresh, migrated) == NOTE
    assert await note_of(fresh, plain) == "plain"
    with pytest.raises(DecryptionError):
        await fresh.patient_api.get_patient(str(only_today.id))
    tried = await fresh.patient_api.get_patient_and_try_decrypt(str(only_today.id))
    assert isinstance(tried, EncryptedPatient)
    read = await fresh.patient_api.get_patient(str(migrated.id))
    read.note = "changed"
    await fresh.patient_api.create_or_modify_patient(read)
    assert await note_of(fresh, migrated) == "changed"


async def test_the_flavour_of_2023_gives_back_what_was_shared_today_too(town: Town) -> None:
    """Otherwise the helper takes half of it for all."""
    helper, old = await town.registered(professional=True, flavour="medtech")
    loser, _ = await town.registered(professional=True, flavour="medtech")
    of_2023 = await old.patient_api.give_access_to(await written(old), loser.owner_id)
    new = await town.opened(helper)
    of_today = await new.patient_api.give_access_to(await written(new), loser.owner_id)
    loser.device = Device()
    again = await town.opened(loser, flavour="medtech", keys=False)
    (pair, *_) = await again.init_user_crypto(missing_key="allow")
    given = await old.data_owner_api.give_access_back_to(loser.owner_id, pair.public_key)
    assert (given.given, given.closed) == (2, 0)
    assert await note_of(again, of_2023) == NOTE
    assert await note_of(again, of_today) == NOTE
    repeated = await old.data_owner_api.give_access_back_to(loser.owner_id, pair.public_key)
    assert repeated.given == 0
    exported = (await town.sandbox.export())["entities"]
    pairs = [pair.private_key, helper.key_pair.private_key, loser.key_pair.private_key]
    assert audit(exported, pairs).problems == []


async def test_access_is_given_back_where_there_is_no_rest_v2(town: Town) -> None:
    _, old = await town.registered(professional=True, flavour="medtech")
    loser, _ = await town.registered(professional=True, flavour="medtech")
    record = await old.patient_api.give_access_to(await written(old), loser.owner_id)
    for method in ("GET", "POST", "PUT"):
        town.sandbox.inject_fault(
            Fault("status", method=method, path="/rest/v2/*", status=404, nth=range(1, 1000))
        )
    loser.device = Device()
    again = await town.opened(loser, flavour="medtech", keys=False)
    (pair, *_) = await again.init_user_crypto(missing_key="allow")
    assert [notice.delivered for notice in again.key_notices] == [True, True]
    given = await old.data_owner_api.give_access_back_to(loser.owner_id, pair.public_key)
    assert given.given == 1
    assert await note_of(again, record) == NOTE


@pytest.mark.parametrize("flavour", ["medtech", "cardinal"])
async def test_those_who_share_today_are_told_of_a_new_key_of_2023(
    flavour: Flavour, town: Town
) -> None:
    """One who shares today only is told of it, or the user that it can't be."""
    loser, cardinal = await town.registered(professional=True)
    helper, _ = await town.registered(professional=True, flavour=flavour)
    record = await cardinal.patient_api.give_access_to(await written(cardinal), helper.owner_id)
    loser.device = Device()
    again = await town.opened(loser, flavour="medtech", keys=False)
    (pair, *_) = await again.init_user_crypto(missing_key="allow")
    delivered = {notice.recipient_id: notice.delivered for notice in again.key_notices}
    assert delivered[helper.owner_id] is (flavour == "medtech")
    helpers_api = await town.opened(helper)
    await helpers_api.data_owner_api.give_access_back_to(loser.owner_id, pair.public_key)
    assert await note_of(again, record) == NOTE


async def test_a_second_key_of_somebody_who_has_the_first_is_told_to_nobody(town: Town) -> None:
    person, cardinal = await town.registered(professional=True)
    colleague, _ = await town.registered(professional=True)
    await cardinal.patient_api.give_access_to(await written(cardinal), colleague.owner_id)
    api = await town.opened(person, flavour="medtech")
    assert list(api.key_notices) == []


async def test_one_person_works_in_both_flavours_at_once(town: Town) -> None:
    """The first API object was open before the second one made its key."""
    person, cardinal = await town.registered(professional=True)
    medtech = await town.opened(person, flavour="medtech")
    record = await written(medtech)
    assert await note_of(cardinal, record) == NOTE
    of_today = await written(cardinal, "today")
    assert await note_of(medtech, of_today) == "today"


async def test_a_record_of_2023_is_shared_by_two_calls_at_once(town: Town) -> None:
    """Both ask for the first delegation of the author, and one of them is late."""
    author, old = await town.registered(professional=True, flavour="medtech")
    readers = [await town.registered(professional=True) for _ in range(2)]
    record = await written(old)
    new = await town.opened(author)
    read = await new.patient_api.get_patient(str(record.id))
    await asyncio.gather(
        *(new.patient_api.give_access_to(read, reader.owner_id) for reader, _ in readers)
    )
    assert [await note_of(api, record) for _, api in readers] == [NOTE, NOTE]


@pytest.mark.parametrize(
    ("flavour", "advice"),
    [
        ("cardinal", r"the backend has /rest/v2: .* leave with_flavour\('cardinal'\) out"),
        ("medtech", r"the backend has /rest/v1: .* call with_flavour\('cardinal'\)"),
    ],
)
async def test_a_backend_that_lacks_the_version_of_a_flavour_is_told(
    flavour: Flavour, advice: str, town: Town
) -> None:
    person, _ = await town.registered(professional=True, flavour=flavour)
    version = "v2" if flavour == "cardinal" else "v1"
    for method in ("GET", "POST"):
        town.sandbox.inject_fault(
            Fault("status", method=method, path=f"/rest/{version}/*", status=404, nth=range(1, 99))
        )
    with pytest.raises(NotFoundError, match=advice):
        await town.opened(person, flavour=flavour)
