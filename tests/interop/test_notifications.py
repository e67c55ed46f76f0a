"""Notifications written with one SDK, read, changed and deleted with the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import (
    Identifier,
    KeyPair,
    Notification,
    NotificationFilter,
    Property,
    PropertyType,
    TypedValueObject,
)
from icure_async.errors import PermissionDeniedError
from tests.support.notes import MARKER, NOTES
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import log_in_as_master, register_with_reference

if TYPE_CHECKING:
    from icure_async import MedTechApi
    from icure_async.models.filters import Filter
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import JsonObject, ReferenceSdk

pytestmark = pytest.mark.interop

PHONE = "+32588235595"


def on_wire(text: str) -> list[JsonObject]:
    """Properties that say something, as the reference writes them."""
    return [
        {
            "id": "words",
            "type": {"type": "STRING", "identifier": "words"},
            "typedValue": {"type": "STRING", "stringValue": text},
        }
    ]


def said(text: str) -> list[Property]:
    """The same, as we write them."""
    return [
        Property(
            id="words",
            type=PropertyType(type="STRING", identifier="words"),
            typed_value=TypedValueObject(type="STRING", string_value=text),
        )
    ]


async def use_master_key(api: MedTechApi, sandbox: Sandbox) -> str:
    """Be the professional everybody registers with; return the id of her data owner."""
    master = sandbox.master_hcp
    await api.init_user_crypto(KeyPair(master.key_pair.public_key, master.key_pair.private_key))
    return master.data_owner_id


async def test_we_read_change_and_delete_notifications_of_the_reference(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    user = await register_with_reference(reference, sandbox, PHONE)
    created = {}
    for text in NOTES.values():
        task = await reference.create_task(
            sandbox.master_hcp.data_owner_id,
            taskType="NEW_USER_OWN_DATA_ACCESS",
            status="pending",
            identifier=[{"system": "s", "value": "v"}],
            properties=on_wire(text),
        )
        created[task["id"]] = text
    master = sandbox.master_hcp
    async with sdk(sandbox, master.login, master.password) as hcp:
        await use_master_key(hcp, sandbox)
        api = hcp.notification_api
        pending = await api.get_pending_notifications_after()
        listed = [found async for found in api.filter_notifications(page_size=2)]
        assert {found.id for found in listed} == {found.id for found in pending} == created.keys()
        for found in listed:
            assert isinstance(found, Notification)
            assert found == await api.get_notification(str(found.id))
            assert found.properties == said(created[str(found.id)])
            assert (found.type, found.status) == ("NEW_USER_OWN_DATA_ACCESS", "pending")
            assert found.responsible == user.data_owner_id
            assert found.author == user.user_id

        one, two, three, *_ = listed
        await api.update_notification_status(one, "ongoing")
        changed = Notification.from_dict(two.to_dict()).evolve(properties=said(MARKER))
        await api.create_or_modify_notification(changed)
        await api.delete_notification(str(three.id))
    after = await reference.get_task(str(one.id))
    assert (after["status"], after["properties"]) == ("ongoing", on_wire(created[str(one.id)]))
    after = await reference.get_task(str(two.id))
    assert (after["status"], after["properties"]) == ("pending", on_wire(MARKER))
    everything = NotificationFilter().build().to_wire(user.data_owner_id)
    rows, _ = await reference.filter_tasks(everything)
    assert {row["id"] for row in rows} == created.keys() - {three.id}


async def test_the_reference_reads_changes_and_deletes_ours(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    hcp_id = sandbox.master_hcp.data_owner_id
    async with result.med_tech_api as ned:
        api = ned.notification_api
        created = {}
        for text in NOTES.values():
            notification = await api.create_or_modify_notification(
                Notification(
                    type="OTHER",
                    identifiers=[Identifier(system="s", value="v")],
                    properties=said(text),
                ),
                hcp_id,
            )
            created[str(notification.id)] = text
        await log_in_as_master(reference, sandbox)
        for task_id, text in created.items():
            task = await reference.get_task(task_id)
            assert task["properties"] == on_wire(text)
            assert (task["taskType"], task["status"]) == ("OTHER", "pending")
        one, two, *_ = created
        await reference.modify_task(one, status="completed", properties=on_wire(MARKER))
        await reference.delete_task(two)
        answered = await api.get_notification(one)
        assert (answered.status, answered.properties) == ("completed", said(MARKER))
        assert {found.id async for found in api.filter_notifications()} == created.keys() - {two}


async def test_both_find_the_same_page_by_page(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    hcp_id = sandbox.master_hcp.data_owner_id
    async with result.med_tech_api as ned:
        for number in range(5):
            await ned.notification_api.create_or_modify_notification(
                Notification(
                    type="OTHER" if number % 2 else "NEW_USER_OWN_DATA_ACCESS",
                    identifiers=[Identifier(system="s", value=str(number % 2))],
                    properties=said(str(number)),
                ),
                hcp_id,
            )
    await log_in_as_master(reference, sandbox)
    build = NotificationFilter()
    master = sandbox.master_hcp
    async with sdk(sandbox, master.login, master.password) as hcp:
        await use_master_key(hcp, sandbox)
        everything = [found async for found in hcp.notification_api.filter_notifications()]
        ids = [str(found.id) for found in everything]
        for builder, count in (
            (build, 5),
            (build.with_type("OTHER"), 2),
            (build.by_identifiers([Identifier(system="s", value="0")]), 3),
            (build.by_ids(ids[:4]), 4),
            (build.after_date(everything[2].created or 0), None),
        ):
            wanted: Filter = builder.build()
            ours = [
                (found.id, found.properties)
                async for found in hcp.notification_api.filter_notifications(wanted, page_size=2)
            ]
            theirs: list[JsonObject] = []
            start_id = None
            while True:
                rows, start_id = await reference.filter_tasks(
                    wanted.to_wire(hcp_id), start_id=start_id, limit=2
                )
                theirs += rows
                if start_id is None:
                    break
            assert [found_id for found_id, _ in ours] == [row["id"] for row in theirs]
            for (_, properties), row in zip(ours, theirs, strict=True):
                assert properties is not None
                assert [item.to_dict() for item in properties] == row["properties"]
            assert count is None or len(ours) == count


async def test_who_is_not_concerned_is_kept_out_by_both(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as ned:
        told = await ned.notification_api.create_or_modify_notification(
            Notification(type="OTHER", properties=said(MARKER)), sandbox.master_hcp.data_owner_id
        )
    stranger = await register_with_reference(
        reference, sandbox, "stranger@winterfell.example", professional=True
    )
    # The backend shows it to every professional; the reference leaves the properties out.
    assert not (await reference.get_task(str(told.id))).get("properties")
    with pytest.raises(ReferenceSdkError, match="does not have a delegation"):
        await reference.delete_task(str(told.id))
    async with sdk(sandbox, stranger.login, stranger.token) as api:
        with pytest.raises(PermissionDeniedError, match=str(told.id)):
            await api.notification_api.delete_notification(str(told.id))
