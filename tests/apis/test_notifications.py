"""Notifications: told, read, listed, answered and deleted, by those they are for."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import logging
import time
from typing import Any, cast

import aiohttp
import pytest

from icure_async import (
    CodingReference,
    EncryptedNotification,
    Identifier,
    KeyPair,
    MedTechApi,
    Notification,
    NotificationFilter,
    NotificationsByTypeFilter,
    PatientFilter,
    Property,
    TypedValueObject,
)
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.models.filters import Filter
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.notifications import SECRET, People, other, text_of, words
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, key_pair_of, stage

FILTER = "POST /maintenancetask/filter"
CREATE = "POST /maintenancetask"
MODIFY = "PUT /maintenancetask"


@pytest.fixture
def seed(world: Json) -> Json:
    seed = stage(world)
    add_hcp(seed, "stranger")
    return seed


async def _stored(sandbox: Sandbox, notification: Any) -> Json:
    stored = await sandbox.stored("maintenancetask", notification.id)
    assert stored is not None
    return stored


async def _texts(
    api: MedTechApi, wanted: NotificationFilter | Filter | None = None, **options: Any
) -> list[str | None]:
    return [
        text_of(found)
        async for found in api.notification_api.filter_notifications(wanted, **options)
    ]


# --- Telling and reading ------------------------------------------------------------------------


async def test_a_patient_notifies_a_professional_who_answers(
    people: People, sandbox: Sandbox
) -> None:
    ned, hcp, (told,) = await people.told()
    assert told.id is not None
    assert (told.type, told.status, text_of(told)) == ("OTHER", "pending", SECRET)

    read = await hcp.notification_api.get_notification(told.id)
    assert read == told
    seen = await hcp.notification_api.update_notification_status(read, "ongoing")
    assert (seen.status, text_of(seen)) == ("ongoing", SECRET)
    assert read.status == "pending"

    assert isinstance(seen, Notification)
    seen.status = "completed"
    seen.properties = words("Then light a fire")
    seen.identifiers = [Identifier(system="raven", value="7")]
    await hcp.notification_api.create_or_modify_notification(seen)
    answered = await ned.notification_api.get_notification(told.id)
    assert (answered.status, text_of(answered)) == ("completed", "Then light a fire")
    assert [identifier.value for identifier in answered.identifiers] == ["7"]

    assert await ned.notification_api.delete_notification(told.id) == told.id
    assert await _texts(ned) == await _texts(hcp) == []
    assert (await hcp.notification_api.get_notification(told.id)).deletion_date
    assert (await _stored(sandbox, told))["deletionDate"]


async def test_a_new_notification_says_who_made_it_and_nothing_of_what_it_says(
    people: People, opener: Opener, proxy: Proxy, sandbox: Sandbox, world: Json
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    before = int(time.time() * 1000)
    told = await ned.notification_api.create_or_modify_notification(other(), people.hcp_id)
    (body,) = proxy.sent(CREATE)
    assert body["_type"] == "org.taktik.icure.entities.MaintenanceTask"
    assert body["author"] == world["users"]["ned"]["userId"]
    assert body["responsible"] == people.ned_id
    assert before <= body["created"] == body["modified"] <= int(time.time() * 1000)
    assert (body["taskType"], body["status"]) == ("OTHER", "pending")
    assert body["delegations"].keys() == body["encryptionKeys"].keys()
    assert set(body["delegations"]) == {people.ned_id, people.hcp_id}
    for document in (body, await _stored(sandbox, told)):
        assert not document.get("properties")
        assert SECRET not in json.dumps(document)
        assert SECRET.encode() not in base64.b64decode(document["encryptedSelf"])


async def test_those_whom_the_user_shares_everything_with_read_it_too(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    ids = {name: user["dataOwnerId"] for name, user in world["users"].items()}
    (user,) = (
        user
        for user in seed["entities"]["user"].values()
        if user.get("healthcarePartyId") == ids["hcp"]
    )
    user["autoDelegations"] = {"all": [ids["arya"]], "medicalInformation": ["hcp-other"]}
    seed["entities"]["hcparty"]["hcp-other"] = {
        "id": "hcp-other",
        "lastName": "Snow",
        "publicKey": key_pair_of(world, "nedLost").public_key,
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        hcp = await opener.golden("hcp")
        told = await hcp.notification_api.create_or_modify_notification(other(), ids["ned"])
        assert told.system_meta_data is not None
        assert set(told.system_meta_data.delegations) == {ids["hcp"], ids["ned"], ids["arya"]}
        for reader in ("ned", "arya"):
            api = await opener.golden(reader)
            assert await _texts(api) == [SECRET]
            assert text_of(await api.notification_api.get_notification(str(told.id))) == SECRET


async def test_a_notification_to_oneself_is_for_nobody_else(world: Json, people: People) -> None:
    hcp = await people.opener.golden("hcp")
    told = await hcp.notification_api.create_or_modify_notification(other(), people.hcp_id)
    assert told.system_meta_data is not None
    assert set(told.system_meta_data.delegations) == {people.hcp_id}
    ned = await people.opener.golden("ned")
    with pytest.raises(PermissionDeniedError):
        await ned.notification_api.get_notification(str(told.id))


@pytest.mark.parametrize("delegate", ["hcp-stranger", "unknown"])
async def test_somebody_who_could_never_read_it_is_not_notified(
    delegate: str, people: People, requests: RequestLog
) -> None:
    ned = await people.opener.golden("ned")
    with pytest.raises(CryptoError, match=delegate):
        await ned.notification_api.create_or_modify_notification(other(), delegate)
    assert not any("maintenancetask" in line for line in requests.take())


async def test_a_copy_of_a_notification_is_encrypted_anew(
    people: People, opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    _, hcp, (told,) = await people.told()
    ned = await opener.golden("ned", url=proxy.url)
    copied = told.evolve(id=None, rev=None, status="cancelled")
    copied.unknown_fields = {"securityMetadata": {"of": "another"}, "tags": [{"id": "a|b|1"}]}
    again = await ned.notification_api.create_or_modify_notification(copied, people.hcp_id)
    (body,) = proxy.sent(CREATE)
    assert "securityMetadata" not in body
    assert body["tags"] == [{"id": "a|b|1"}]
    assert body["created"] > 0
    assert again.id != told.id
    assert text_of(await hcp.notification_api.get_notification(str(again.id))) == SECRET
    first, second = await _stored(sandbox, told), await _stored(sandbox, again)
    assert first["encryptionKeys"] != second["encryptionKeys"]
    assert second["status"] == "cancelled"


async def test_a_professional_is_asked_for_access_and_gives_it_back(
    people: People, opener: Opener, world: Json
) -> None:
    user = world["users"]["ned"]
    robb = next(
        expected["patientId"]
        for expected in world["expected"]
        if (expected["stage"], expected["reader"]) == ("1-shared", "ned")
        and expected["fields"].get("firstName") == "Robb"
    )
    ned, hcp = await opener.plain(user["login"], user["token"]), await opener.golden("hcp")
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    (asked,) = await hcp.notification_api.get_pending_notifications_after()
    assert isinstance(asked, Notification)
    assert asked.type == "KEY_PAIR_UPDATE"
    assert asked.key_pair_update is not None
    owner_id, new_key = asked.key_pair_update.data_owner_id, asked.key_pair_update.public_key
    assert (owner_id, new_key) == (people.ned_id, pair.public_key)
    with pytest.raises(DecryptionError):
        await ned.patient_api.get_patient(robb)
    await hcp.data_owner_api.give_access_back_to(owner_id, new_key)
    await hcp.notification_api.update_notification_status(asked, "completed")
    assert (await ned.patient_api.get_patient(robb)).note
    assert await hcp.notification_api.get_pending_notifications_after() == []
    answered = await ned.notification_api.get_notification(str(asked.id))
    assert answered.status == "completed"


# --- Lists --------------------------------------------------------------------------------------


async def test_one_page_is_read_ahead(people: People, requests: RequestLog) -> None:
    texts = [f"words {number}" for number in range(5)]
    _, hcp, _ = await people.told(*texts)
    requests.take()
    found: list[str | None] = []
    pages = 0
    async for notification in hcp.notification_api.filter_notifications(page_size=2):
        found.append(text_of(notification))
        # Time for requests that should not be.
        await asyncio.sleep(0.05)
        pages += sum(line.endswith("/filter") for line in requests.take())
        assert pages == {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}[len(found)]
    assert sorted(map(str, found)) == texts
    assert await _texts(hcp) == found
    assert sum(line.endswith("/filter") for line in requests.take()) == 1


async def test_what_a_page_begins_with_may_vanish_meanwhile(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    texts = {f"words {number}" for number in range(6)}
    ned, _, told = await people.told(*sorted(texts))
    by_text = {text_of(notification): str(notification.id) for notification in told}
    hcp = await opener.golden("hcp", url=proxy.url)

    async def vanish(exchange: Exchange) -> None:
        following = exchange.answer["nextKeyPair"]["startKeyDocId"]
        await ned.notification_api.delete_notification(following)
        texts.discard(next(text for text, known in by_text.items() if known == following) or "")

    proxy.after(FILTER, vanish)
    found = await _texts(hcp, page_size=2)
    assert len(found) == len(set(found)) == 5
    assert set(found) == texts


async def test_a_server_that_pages_in_circles_is_noticed(people: People, proxy: Proxy) -> None:
    _, _, told = await people.told("one", "two")

    async def circle(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = {"startKeyDocId": told[0].id}

    hcp = await people.opener.golden("hcp", url=proxy.url)
    for _ in range(3):
        proxy.after(FILTER, circle)
    with pytest.raises(InvalidResponseError, match="same page"):
        await _texts(hcp)


async def test_a_list_that_never_comes_to_rest_is_given_up(people: People, proxy: Proxy) -> None:
    await people.told("one", "two")

    async def more(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = {"startKeyDocId": "gone"}

    async def nothing(exchange: Exchange) -> None:
        exchange.answer = {"rows": []}

    hcp = await people.opener.golden("hcp", url=proxy.url)
    for _ in range(10):
        proxy.after(FILTER, more)
        proxy.after(FILTER, nothing)
    with pytest.raises(ConflictError, match="while it was read"):
        await _texts(hcp)


@pytest.mark.parametrize("rows", [None, "S3CRET", [1], [{"status": "S3CRET"}]])
async def test_a_list_that_is_none_is_refused(rows: Any, people: People, proxy: Proxy) -> None:
    hcp = await people.opener.golden("hcp", url=proxy.url)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer["rows"] = rows

    proxy.after(FILTER, spoil)
    with pytest.raises(InvalidResponseError) as caught:
        await _texts(hcp)
    assert "S3CRET" not in str(caught.value)


async def test_filters_find_what_they_say(people: People) -> None:
    ned, hcp, _ = await people.told("other")
    hour_ago = int(time.time() * 1000) - 3_600_000
    access = await ned.notification_api.create_or_modify_notification(
        other(
            "access",
            type="NEW_USER_OWN_DATA_ACCESS",
            identifiers=[Identifier(system="s", value="v")],
        ),
        people.hcp_id,
    )
    build = NotificationFilter()
    by_type = NotificationsByTypeFilter(type="NEW_USER_OWN_DATA_ACCESS")
    for wanted, found in (
        (build, {"other", "access"}),
        (build.for_data_owner(people.hcp_id), {"other", "access"}),
        (build.with_type("OTHER"), {"other"}),
        (build.by_ids([str(access.id), "unknown"]), {"access"}),
        (build.by_ids([]), set()),
        (build.after_date(hour_ago), {"other", "access"}),
        (build.after_date(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)), set()),
        (build.after_date(hour_ago).with_type("OTHER"), {"other"}),
        (build.by_identifiers([Identifier(system="s", value="v")]), {"access"}),
        (build.by_identifiers([Identifier(system="s", value="w")]), set()),
        (build.with_type("OTHER").union([by_type]), {"other", "access"}),
        (build.with_type("OTHER").intersection([by_type]), set()),
    ):
        assert set(await _texts(hcp, wanted)) == set(await _texts(hcp, wanted.build())) == found
    # Another's notifications are found by whom the backend lets look for them.
    assert set(await _texts(hcp, build.for_data_owner(people.ned_id).build())) == {
        "other",
        "access",
    }


async def test_pending_notifications_are_those_of_the_last_30_days(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    ned, hcp, told = await people.told("first", "second", "third")
    await ned.notification_api.update_notification_status(told[1], "completed")
    pending = await hcp.notification_api.get_pending_notifications_after()
    assert {text_of(notification) for notification in pending} == {"first", "third"}
    created = [notification.created or 0 for notification in pending]
    assert created == sorted(created, reverse=True)

    through_proxy = (await opener.golden("hcp", url=proxy.url)).notification_api
    month = 30 * 24 * 3600 * 1000
    before = int(time.time() * 1000)
    await through_proxy.get_pending_notifications_after()
    now = dt.datetime.now(dt.UTC)
    later = now + dt.timedelta(hours=1)
    assert await through_proxy.get_pending_notifications_after(later) == []
    assert len(await through_proxy.get_pending_notifications_after(0)) == 2
    default, asked, zero = (body["filter"] for body in proxy.sent(FILTER))
    assert default["$type"] == "MaintenanceTaskAfterDateFilter"
    assert default["healthcarePartyId"] == people.hcp_id
    assert before - month <= default["date"] <= int(time.time() * 1000) - month
    assert asked["date"] == int(later.timestamp() * 1000)
    assert zero["date"] == 0


async def test_only_pending_notifications_are_decrypted_for_that(
    people: People, opener: Opener, requests: RequestLog
) -> None:
    """Completed notifications cost nothing, least of all those that can't be read."""
    ned, _, told = await people.told("first", "second")
    for notification in told:
        await ned.notification_api.update_notification_status(notification, "completed")
    stranger = await opener.plain("stranger")
    await stranger.init_user_crypto()
    await stranger.notification_api.get_pending_notifications_after()
    requests.take()
    assert await stranger.notification_api.get_pending_notifications_after() == []
    assert requests.take() == ["POST /rest/v1/maintenancetask/filter"]


async def test_no_call_makes_more_requests_than_the_reference(
    people: People, requests: RequestLog
) -> None:
    """With everything cached: wire-protocol.md §6.14, where each begins with the current user."""
    ned, hcp, (told,) = await people.told()
    api = hcp.notification_api
    await api.get_notification(str(told.id))
    task = f"/rest/v1/maintenancetask/{told.id}"
    requests.take()

    await ned.notification_api.create_or_modify_notification(other(), people.hcp_id)
    assert requests.take() == ["POST /rest/v1/maintenancetask"]
    await api.get_pending_notifications_after()
    assert requests.take() == ["POST /rest/v1/maintenancetask/filter"]
    told = await api.get_notification(str(told.id))
    assert requests.take() == [f"GET {task}"]
    await api.update_notification_status(told, "ongoing")
    assert requests.take() == [f"GET {task}", "PUT /rest/v1/maintenancetask"]
    told = await api.get_notification(str(told.id))
    requests.take()
    await api.create_or_modify_notification(told.evolve(properties=words("answer")))
    assert requests.take() == [f"GET {task}", "PUT /rest/v1/maintenancetask"]
    await api.delete_notification(str(told.id))
    assert requests.take() == [f"GET {task}", f"DELETE {task}"]


# --- What can't be decrypted --------------------------------------------------------------------


async def test_a_notification_that_no_key_opens(
    people: People, opener: Opener, sandbox: Sandbox
) -> None:
    """The backend lets any professional see it; one without a key learns nothing by that."""
    _, hcp, (told,) = await people.told()
    before = await _stored(sandbox, told)
    stranger = (await opener.plain("stranger")).notification_api
    with pytest.raises(DecryptionError) as caught:
        await stranger.get_notification(str(told.id))
    assert (caught.value.entity_type, caught.value.entity_ids) == ("notification", (told.id,))
    (listed,) = [
        found
        async for found in stranger.filter_notifications(
            NotificationFilter().for_data_owner(people.hcp_id).build()
        )
    ]
    assert isinstance(listed, EncryptedNotification)
    assert listed == await stranger.get_notification_and_try_decrypt(str(told.id))
    assert (listed.properties, listed.type, listed.status) == (None, "OTHER", "pending")

    updated = await stranger.update_notification_status(listed, "ongoing")
    assert isinstance(updated, EncryptedNotification)
    assert (listed.status, updated.status) == ("pending", "ongoing")
    after = await _stored(sandbox, told)
    changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
    assert changed <= {"rev", "status", "modified"}
    assert after["encryptedSelf"] == before["encryptedSelf"]
    assert text_of(await hcp.notification_api.get_notification(str(told.id))) == SECRET

    as_unreadable = cast("Notification", updated)
    with pytest.raises(ValidationError, match="update_notification_status"):
        await stranger.create_or_modify_notification(as_unreadable)
    for properties in (None, [], words()):
        forged = Notification(
            id=updated.id, rev=updated.rev, status="completed", properties=properties
        )
        with pytest.raises(DecryptionError):
            await stranger.create_or_modify_notification(forged)
    assert await _stored(sandbox, told) == after


async def test_damaged_content_is_never_overwritten(
    people: People, world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world, "2-key-lost")
    task_id, task = next(iter(seed["entities"]["maintenancetask"].items()))
    damaged = bytearray(base64.b64decode(task["encryptedSelf"]))
    damaged[20] ^= 1
    task["encryptedSelf"] = base64.b64encode(damaged).decode()
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        hcp = await Opener(sandbox.icure_url, world, client_session).golden("hcp")
        tried = await hcp.notification_api.get_notification_and_try_decrypt(task_id)
        assert isinstance(tried, EncryptedNotification)
        forged = Notification.from_dict(tried.to_dict() | {"properties": []})
        with pytest.raises(DecryptionError):
            await hcp.notification_api.create_or_modify_notification(forged)
        await hcp.notification_api.update_notification_status(tried, "completed")
        stored = await _stored(sandbox, tried)
        assert (stored["status"], stored["encryptedSelf"]) == ("completed", task["encryptedSelf"])


async def test_one_that_was_stored_in_clear_is_read_and_encrypted_when_it_is_changed(
    people: People, world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    hcp_id, ned_id = people.hcp_id, people.ned_id
    properties = [{"id": "words", "typedValue": {"type": "STRING", "stringValue": SECRET}}]
    seed["entities"]["maintenancetask"]["clear"] = {
        "id": "clear",
        "rev": f"1-{'0' * 32}",
        "taskType": "OTHER",
        "status": "pending",
        "properties": properties,
        "delegations": {
            ned_id: [{"owner": hcp_id, "delegatedTo": ned_id, "key": "00"}],
            hcp_id: [],
        },
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        hcp, ned = await opener.golden("hcp"), await opener.golden("ned")
        read = await hcp.notification_api.get_notification("clear")
        assert text_of(read) == SECRET
        read.status = "ongoing"
        read = await hcp.notification_api.create_or_modify_notification(read)
        # Nothing of what is encrypted was touched, and nothing of it is lost.
        assert (await _stored(sandbox, read))["properties"][0]["id"] == "words"
        read.properties = words("changed")
        saved = await hcp.notification_api.create_or_modify_notification(read)
        assert text_of(saved) == "changed"
        stored = await _stored(sandbox, saved)
        assert "changed" not in json.dumps(stored)
        assert not stored.get("properties")
        assert text_of(await ned.notification_api.get_notification("clear")) == "changed"


async def test_a_task_whose_keys_are_not_ours_gets_no_other_content(
    people: People, world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    entry = {"owner": people.ned_id, "delegatedTo": people.hcp_id, "key": "00" * 96}
    seed["entities"]["maintenancetask"]["keyed"] = {
        "id": "keyed",
        "rev": f"1-{'0' * 32}",
        "taskType": "OTHER",
        "status": "pending",
        "delegations": {people.hcp_id: [entry]},
        "encryptionKeys": {people.hcp_id: [entry]},
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        hcp = await Opener(sandbox.icure_url, world, client_session).golden("hcp")
        read = await hcp.notification_api.get_notification("keyed")
        for changed in (read.evolve(properties=words()), read.evolve(status="completed")):
            with pytest.raises(DecryptionError):
                await hcp.notification_api.create_or_modify_notification(changed)
        saved = await hcp.notification_api.update_notification_status(read, "completed")
        assert saved.status == "completed"


# --- Modifying ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("type", "KEY_PAIR_UPDATE"),
        ("created", 1),
        ("created", None),
        ("modified", 1),
        ("end_of_life", 1),
        ("deletion_date", 1),
        ("author", "somebody"),
        ("responsible", "somebody"),
        ("system_meta_data", None),
    ],
)
async def test_other_members_can_not_be_changed(
    member: str, value: Any, people: People, requests: RequestLog
) -> None:
    ned, _, (told,) = await people.told()
    requests.take()
    with pytest.raises(ValidationError, match=member):
        await ned.notification_api.create_or_modify_notification(told.evolve(**{member: value}))
    assert not any(line.startswith("PUT") for line in requests.take())


async def test_delegates_can_not_be_changed(people: People) -> None:
    ned, _, (told,) = await people.told()
    with pytest.raises(ValidationError, match="delegates"):
        await ned.notification_api.create_or_modify_notification(told, people.arya_id)
    told.status = "ongoing"
    saved = await ned.notification_api.create_or_modify_notification(told, people.hcp_id)
    assert saved.status == "ongoing"


async def test_properties_are_only_removed_on_purpose(people: People) -> None:
    ned, _, (told,) = await people.told()
    kept = await ned.notification_api.create_or_modify_notification(told.evolve(properties=None))
    assert text_of(kept) == SECRET
    emptied = await ned.notification_api.create_or_modify_notification(kept.evolve(properties=[]))
    assert emptied.properties == []


async def test_modifying_sets_the_time_and_not_the_author(
    people: People, world: Json, sandbox: Sandbox
) -> None:
    _, hcp, (told,) = await people.told()
    await asyncio.sleep(0.002)
    saved = await hcp.notification_api.create_or_modify_notification(told.evolve(status="ongoing"))
    assert (saved.modified or 0) > (told.modified or 0)
    assert saved.created == told.created
    assert saved.author == world["users"]["ned"]["userId"]
    assert saved.responsible == people.ned_id


async def test_what_does_not_exist_can_not_be_modified(people: People) -> None:
    ned = (await people.opener.golden("ned")).notification_api
    ghost = other(id="ghost", rev="1-a")
    for call in (
        ned.create_or_modify_notification(ghost),
        ned.get_notification("ghost"),
        ned.update_notification_status(ghost, "completed"),
        ned.delete_notification("ghost"),
    ):
        with pytest.raises(NotFoundError):
            await call


# --- Several at once, and answers that got lost --------------------------------------------------


async def test_the_second_of_two_writers_is_told(people: People) -> None:
    ned, hcp, (told,) = await people.told()
    await ned.notification_api.create_or_modify_notification(told.evolve(properties=words("ned")))
    with pytest.raises(ConflictError, match=str(told.id)) as caught:
        await hcp.notification_api.create_or_modify_notification(
            told.evolve(properties=words("hcp"))
        )
    assert caught.value.status == 409
    assert text_of(await hcp.notification_api.get_notification(str(told.id))) == "ned"


async def test_a_conflict_between_reading_and_writing_is_told(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    _, hcp, (told,) = await people.told()
    ned = await opener.golden("ned", url=proxy.url)

    async def meanwhile(_: Exchange) -> None:
        await hcp.notification_api.create_or_modify_notification(
            told.evolve(properties=words("hcp"))
        )

    proxy.before(MODIFY, meanwhile)
    with pytest.raises(ConflictError) as caught:
        await ned.notification_api.create_or_modify_notification(told.evolve(status="ongoing"))
    assert caught.value.status == 409
    assert text_of(await hcp.notification_api.get_notification(str(told.id))) == "hcp"


async def test_a_status_is_set_whatever_others_change_meanwhile(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    _, hcp, (told,) = await people.told()
    ned = await opener.golden("ned", url=proxy.url)

    async def meanwhile(_: Exchange) -> None:
        current = await hcp.notification_api.get_notification(str(told.id))
        current.properties = words("hcp")
        await hcp.notification_api.create_or_modify_notification(current)

    proxy.before(MODIFY, meanwhile)
    updated = await ned.notification_api.update_notification_status(told, "completed")
    assert (updated.status, text_of(updated)) == ("completed", "hcp")
    again = await hcp.notification_api.get_notification(str(told.id))
    assert (again.status, text_of(again)) == ("completed", "hcp")
    assert len(proxy.sent(MODIFY)) == 2


async def test_a_status_that_never_comes_through_is_an_error(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    _, hcp, (told,) = await people.told()
    ned = await opener.golden("ned", url=proxy.url)

    async def meanwhile(_: Exchange) -> None:
        proxy.before(MODIFY, meanwhile)
        current = await hcp.notification_api.get_notification(str(told.id))
        await hcp.notification_api.create_or_modify_notification(current)

    proxy.before(MODIFY, meanwhile)
    with pytest.raises(ConflictError, match="times in a row") as caught:
        await ned.notification_api.update_notification_status(told, "completed")
    assert caught.value.retryable


async def test_a_status_that_is_set_already_is_not_written_again(
    people: People, requests: RequestLog
) -> None:
    ned, hcp, (told,) = await people.told()
    await asyncio.sleep(0.002)
    updated = await ned.notification_api.update_notification_status(told, "completed")
    assert (updated.modified or 0) > (told.modified or 0)
    requests.take()
    again = await hcp.notification_api.update_notification_status(told, "completed")
    assert again == updated
    assert not any(line.startswith("PUT") for line in requests.take())


async def test_a_creation_whose_answer_got_lost_is_repeated_with_the_same_object(
    people: People, opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    notification = other(
        identifiers=[Identifier(value="v", type=CodingReference(type="T", code="c"))]
    )
    proxy.lose(CREATE)
    with pytest.raises(NetworkError):
        await ned.notification_api.create_or_modify_notification(notification, people.hcp_id)
    assert notification.id is not None
    created = await ned.notification_api.create_or_modify_notification(notification, people.hcp_id)
    assert (created.id, text_of(created)) == (notification.id, SECRET)
    exported = await sandbox.export()
    assert exported["entities"]["maintenancetask"].keys() == {notification.id}

    for changed in (
        notification.evolve(properties=words("something else")),
        notification.evolve(type="KEY_PAIR_UPDATE"),
        notification.evolve(status="cancelled"),
        notification.evolve(identifiers=[]),
        notification.evolve(end_of_life=1),
    ):
        with pytest.raises(ConflictError):
            await ned.notification_api.create_or_modify_notification(changed, people.hcp_id)
    stored = await ned.notification_api.get_notification(notification.id)
    assert text_of(stored) == SECRET


async def test_an_id_of_somebody_else_is_a_conflict(people: People, opener: Opener) -> None:
    hcp = await opener.golden("hcp")
    taken = await hcp.notification_api.create_or_modify_notification(other(), people.hcp_id)
    ned = await opener.golden("ned")
    with pytest.raises(ConflictError):
        await ned.notification_api.create_or_modify_notification(other(id=taken.id), people.hcp_id)


async def test_modifications_whose_answers_got_lost_are_repeated(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    _, _, (told,) = await people.told()
    ned = (await opener.golden("ned", url=proxy.url)).notification_api
    changed = told.evolve(status="ongoing", properties=words("changed"))
    proxy.lose(MODIFY)
    with pytest.raises(NetworkError):
        await ned.create_or_modify_notification(changed)
    saved = await ned.create_or_modify_notification(changed)
    assert (saved.status, text_of(saved)) == ("ongoing", "changed")
    proxy.lose(MODIFY)
    with pytest.raises(NetworkError):
        await ned.update_notification_status(saved, "completed")
    assert (await ned.update_notification_status(saved, "completed")).status == "completed"
    assert len(proxy.sent(MODIFY)) == 2


# --- Deleting -----------------------------------------------------------------------------------


async def test_deleting_is_for_those_it_is_shared_with(
    people: People, opener: Opener, sandbox: Sandbox, requests: RequestLog
) -> None:
    _, _, (told,) = await people.told()
    stranger = (await opener.plain("stranger")).notification_api
    requests.take()
    with pytest.raises(PermissionDeniedError, match=str(told.id)):
        await stranger.delete_notification(str(told.id))
    assert not any(line.startswith("DELETE") for line in requests.take())
    assert "deletionDate" not in await _stored(sandbox, told)


async def test_a_child_deletes_what_is_shared_with_its_parent(
    people: People, world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    child = add_hcp(seed, "child")
    seed["entities"]["hcparty"][child]["parentId"] = people.hcp_id
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned = await opener.golden("ned")
        told = await ned.notification_api.create_or_modify_notification(other(), people.hcp_id)
        api = await opener.plain("child")
        await api.notification_api.delete_notification(str(told.id))
        assert (await _stored(sandbox, told))["deletionDate"]


async def test_deleting_twice_is_deleting_once(
    people: People, opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    _, hcp, (told,) = await people.told()
    await hcp.notification_api.delete_notification(str(told.id))
    stored = await _stored(sandbox, told)
    await hcp.notification_api.delete_notification(str(told.id))
    assert await _stored(sandbox, told) == stored


# --- Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notification", "delegate", "message"),
    [
        (other(), None, "No delegate provided"),
        (other(), "", "delegate"),
        (other(), "a/b", "delegate"),
        (other(), 7, "delegate"),
        (None, "hcp", "must be a Notification"),
        ({"type": "OTHER"}, "hcp", "must be a Notification"),
        (Notification(properties=words()), "hcp", "needs a type"),
        (other(type="MINE"), "hcp", "type must be one of"),
        (other(status="done"), "hcp", "status must be one of"),
        (other(id="a b"), "hcp", "notification id"),
        (other(id=7), "hcp", "notification id"),
        (other(identifiers=None), "hcp", "identifiers must be a list"),
        (other(properties=[{"id": "S3CRET"}]), "hcp", r"properties\[0\] must be a Property"),
        (
            other(properties=[Property(typed_value=TypedValueObject(double_value=float("nan")))]),
            "hcp",
            "double_value must be finite",
        ),
        (other(created="S3CRET"), "hcp", "created must be a datetime, or an int"),
        (other(rev="1-a"), None, "needs its id and its rev"),
        (other(rev=7, id="x"), None, "rev must be a str"),
        (EncryptedNotification(id="x", rev="1-a"), None, "EncryptedNotification"),
    ],
)
async def test_bad_notifications_are_refused_before_anything_is_sent(
    people: People, requests: RequestLog, notification: Any, delegate: Any, message: str
) -> None:
    ned = await people.opener.golden("ned")
    requests.take()
    with pytest.raises(ValidationError, match=message) as caught:
        await ned.notification_api.create_or_modify_notification(notification, delegate)
    assert "S3CRET" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert requests.take() == []


async def test_other_bad_arguments_are_refused_before_anything_is_sent(
    people: People, requests: RequestLog
) -> None:
    api = (await people.opener.golden("ned")).notification_api
    requests.take()
    fine = other(id="x", rev="1-a")
    bad: Any
    for bad in ("", "a b", "a/b", None, 7):
        for call in (
            api.get_notification(bad),
            api.get_notification_and_try_decrypt(bad),
            api.delete_notification(bad),
            api.update_notification_status(fine.evolve(id=bad), "completed"),
        ):
            with pytest.raises(ValidationError, match="notification id"):
                await call
    with pytest.raises(ValidationError, match="comma"):
        await api.delete_notification("a,b")
    for bad in (None, "done", 7, ["pending"]):
        with pytest.raises(ValidationError, match="status"):
            await api.update_notification_status(fine, bad)
    for bad in (None, "x", {"id": "x"}):
        with pytest.raises(ValidationError, match="must be a Notification"):
            await api.update_notification_status(bad, "completed")
    for bad in ("yesterday", True, 1.5, dt.date(2026, 1, 1), 2**63):
        with pytest.raises(ValidationError, match="from_date"):
            await api.get_pending_notifications_after(bad)
    for bad in (0, -1, True, "2", None):
        with pytest.raises(ValidationError, match="page_size"):
            await anext(api.filter_notifications(page_size=bad))
    for bad in (NotificationFilter, {"$type": "UnionFilter"}, "all"):
        with pytest.raises(ValidationError, match="must be a Filter"):
            api.filter_notifications(bad)
    for bad in (PatientFilter(), ~PatientFilter()):
        with pytest.raises(ValidationError, match="must be one for notifications"):
            api.filter_notifications(bad)
    assert requests.take() == []


async def test_an_answer_about_something_else_is_refused(people: People, proxy: Proxy) -> None:
    _, _, (told,) = await people.told()
    ned = (await people.opener.golden("ned", url=proxy.url)).notification_api

    async def another(exchange: Exchange) -> None:
        exchange.answer = {**exchange.answer, "id": "another"}

    proxy.after(f"GET /maintenancetask/{told.id}", another)
    with pytest.raises(InvalidResponseError, match=str(told.id)):
        await ned.get_notification(str(told.id))
    proxy.after(MODIFY, another)
    with pytest.raises(InvalidResponseError, match=str(told.id)):
        await ned.create_or_modify_notification(told.evolve(status="ongoing"))
    proxy.after(CREATE, another)
    with pytest.raises(InvalidResponseError):
        await ned.create_or_modify_notification(other(), people.hcp_id)


async def test_nothing_shows_what_a_notification_says(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ned, hcp, (told,) = await people.told()
        await hcp.notification_api.update_notification_status(told, "completed")
        with pytest.raises(ConflictError) as caught:
            await ned.notification_api.create_or_modify_notification(
                told.evolve(properties=words(SECRET * 2))
            )
    shown = [repr(told), str(told), str(caught.value), repr(caught.value), caplog.text]
    shown += [repr(told.properties), repr(told.system_meta_data)]
    assert not any(SECRET in text for text in shown)


# --- The golden world ---------------------------------------------------------------------------


def _golden_tasks() -> list[tuple[str, str]]:
    return [
        (stage_name, task_id)
        for stage_name, content in WORLD["stages"].items()
        for task_id in content["entities"]["maintenancetask"]
    ]


def test_the_golden_notifications_are_all_there() -> None:
    assert len(_golden_tasks()) == 4


@pytest.mark.parametrize(("stage_name", "task_id"), _golden_tasks())
async def test_golden_notifications_are_read_by_their_recipients_and_nobody_else(
    world: Json, client_session: aiohttp.ClientSession, stage_name: str, task_id: str
) -> None:
    seed = stage(world, stage_name)
    add_hcp(seed, "stranger")
    task = seed["entities"]["maintenancetask"][task_id]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        readers = 0
        for name in ("hcp", "arya", "nedLost"):
            api = await opener.golden(name)
            listed = {
                found.id: found async for found in api.notification_api.filter_notifications()
            }
            if world["users"][name]["dataOwnerId"] not in task["delegations"]:
                assert task_id not in listed
                with pytest.raises(PermissionDeniedError):
                    await api.notification_api.get_notification(task_id)
                continue
            readers += 1
            read = await api.notification_api.get_notification(task_id)
            assert listed[task_id] == read
            assert (read.type, read.status) == ("KEY_PAIR_UPDATE", "pending")
            said = {
                str(item.id): item.typed_value and item.typed_value.string_value
                for item in read.properties or []
            }
            assert said == {
                "dataOwnerConcernedId": world["users"]["nedLost"]["dataOwnerId"],
                "dataOwnerConcernedPubKey": key_pair_of(world, "nedLost").public_key,
            }
            (pending,) = [
                found
                for found in await api.notification_api.get_pending_notifications_after(
                    task["created"]
                )
                if found.id == task_id
            ]
            assert pending == read
        assert readers == len(task["delegations"])
        stranger = await opener.plain("stranger")
        await stranger.init_user_crypto()
        with pytest.raises(DecryptionError):
            await stranger.notification_api.get_notification(task_id)


async def test_the_first_device_reads_what_the_new_one_told_the_others(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    async with Sandbox(seed=stage(world, "2-key-lost"), jwt=False) as sandbox:
        user, (pair,) = world["users"]["nedLost"], world["users"]["ned"]["keyPairs"]
        api = await Opener(sandbox.icure_url, world, client_session).plain(
            user["login"], user["token"]
        )
        await api.init_user_crypto(KeyPair(pair["publicKey"], pair["privateKey"]))
        found = [found async for found in api.notification_api.filter_notifications()]
        assert [type(item) for item in found] == [Notification, Notification]
