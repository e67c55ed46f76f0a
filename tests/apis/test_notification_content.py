"""Notifications written by others, sealed by hand for these tests."""

from __future__ import annotations

import copy
import json
import logging

import pytest

from icure_async import EncryptedNotification, Notification, Patient
from icure_async.errors import ConflictError, CryptoError, DecryptionError, ValidationError
from icure_async.sandbox import Sandbox
from tests.support.notifications import SECRET, People, other, text_of, words
from tests.support.seeds import Json, add_hcp, key_pair_of


async def test_a_list_is_refused_when_it_is_asked_for(people: People) -> None:
    """Not at its first step, which may be far away; icure_sync has to wait for that."""
    ned = await people.opener.golden("ned")
    with pytest.raises(ValidationError, match="page_size"):
        ned.notification_api.filter_notifications(page_size=0)


async def test_one_that_holds_nonsense_does_not_block_the_others(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """One sender could otherwise make all notifications of a data owner unreadable."""
    ned, hcp, (told, spoilt) = await people.told("fine", "spoilt")
    notifications = ned.notification_api._notifications
    entities, tasks = notifications._entities, notifications.resource
    stored = await tasks.get(str(spoilt.id))
    opened = await entities.open(stored)
    assert opened is not None
    assert opened.key is not None
    nonsense = opened.document | {"properties": "S3CRET nonsense"}
    await tasks.modify(await entities.seal_again(nonsense, ["properties"], opened.key))
    with caplog.at_level(logging.WARNING):
        found = [found async for found in hcp.notification_api.filter_notifications()]
    assert {(type(item), item.id) for item in found} == {
        (Notification, told.id),
        (EncryptedNotification, spoilt.id),
    }
    assert str(spoilt.id) in caplog.text
    assert "S3CRET" not in caplog.text
    with pytest.raises(DecryptionError):
        await hcp.notification_api.get_notification(str(spoilt.id))
    await hcp.notification_api.delete_notification(str(spoilt.id))


async def test_members_of_a_newer_backend_survive(people: People) -> None:
    ned, hcp, (told,) = await people.told()
    tasks, entities = (
        ned.notification_api._notifications.resource,
        ned.notification_api._notifications._entities,
    )
    opened = await entities.open(await tasks.get(str(told.id)))
    assert opened is not None
    assert opened.key is not None
    newer = copy.deepcopy(opened.document) | {"tags": [{"id": "a|b|1"}], "medicalLocationId": "m"}
    newer["properties"][0]["newer"] = {"a": [1]}
    newer["properties"].append({"id": "second", "newer": 2})
    await tasks.modify(await entities.seal_again(newer, ["properties"], opened.key))

    read = await hcp.notification_api.get_notification(str(told.id))
    read.status = "ongoing"
    read = await hcp.notification_api.create_or_modify_notification(read)
    await hcp.notification_api.update_notification_status(read, "completed")
    # Built by hand, and through the JSON of the documentation.
    current = await hcp.notification_api.get_notification(str(told.id))
    by_hand = Notification(id=current.id, rev=current.rev, status="cancelled")
    current = await hcp.notification_api.create_or_modify_notification(by_hand)
    printed = Notification.from_dict(json.loads(json.dumps(current.to_dict())))
    printed.status = "ongoing"
    await hcp.notification_api.create_or_modify_notification(printed)

    document = await tasks.get(str(told.id))
    assert (document["status"], document["medicalLocationId"]) == ("ongoing", "m")
    assert [tag["id"] for tag in document["tags"]] == ["a|b|1"]
    opened = await entities.open(document)
    assert opened is not None
    assert opened.document["properties"] == newer["properties"]


async def test_one_with_the_id_of_a_data_owner_is_not_taken_for_its_document(
    people: People,
) -> None:
    """Others, who may write to a data owner, choose the ids of such records."""
    ned, hcp = await people.opener.golden("ned"), await people.opener.golden("hcp")
    told = other(id=people.hcp_id)
    await ned.notification_api.create_or_modify_notification(told, people.hcp_id)
    await hcp.notification_api.get_notification(people.hcp_id)
    patient = await hcp.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert patient.note == "n"


async def test_one_with_the_id_of_a_data_owner_gets_its_first_key_like_others(
    seed: Json, people: People, sandbox: Sandbox
) -> None:
    ned = await people.opener.golden("ned")
    notification = Notification(id=people.ned_id, rev="1-a", properties=words())
    saved = await ned.notification_api.create_or_modify_notification(notification)
    assert text_of(saved) == SECRET
    stored = await sandbox.stored("maintenancetask", people.ned_id)
    assert stored is not None
    assert not stored["properties"]
    assert not stored.get("aesExchangeKeys")


async def test_one_is_not_called_created_for_somebody_who_was_not_notified(people: People) -> None:
    ned = await people.opener.golden("ned")
    told = other()
    created = await ned.notification_api.create_or_modify_notification(told, people.hcp_id)
    again = await ned.notification_api.create_or_modify_notification(told, people.hcp_id)
    assert again == created
    with pytest.raises(ConflictError, match=told.id):
        await ned.notification_api.create_or_modify_notification(told, "hcp-friend")


async def test_a_property_that_is_no_json_is_refused(people: People) -> None:
    ned = await people.opener.golden("ned")
    for value in ({1, 2}, float("nan")):
        told = other()
        assert told.properties
        told.properties[0].unknown_fields["newer"] = value
        with pytest.raises(CryptoError, match="JSON"):
            await ned.notification_api.create_or_modify_notification(told, people.hcp_id)


@pytest.fixture
def seed(seed: Json, world: Json) -> Json:
    ned_id = world["users"]["ned"]["dataOwnerId"]
    seed["entities"].setdefault("maintenancetask", {})[ned_id] = {
        "id": ned_id,
        "rev": "1-a",
        "taskType": "OTHER",
        "delegations": {ned_id: []},
    }
    friend = add_hcp(seed, "friend")
    seed["entities"]["hcparty"][friend]["publicKey"] = key_pair_of(world, "arya").public_key
    return seed
