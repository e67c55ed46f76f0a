"""The stages with an invited patient in the second golden world: answered, and lived through."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from icure_async import MedTechApi, MedTechApiBuilder, Notification
from icure_async.errors import DecryptionError, PermissionDeniedError
from icure_async.sandbox import Sandbox
from tests.support.builders import builder_for
from tests.support.golden import GOLDEN
from tests.support.invitations import Clinic, by_email, clinic
from tests.support.seeds import key_pair_of, stage

__all__ = ["clinic"]

Json = dict[str, Any]

ASKED, ANSWERED, SHARED_BACK = "13-invite-asked", "13-invite", "13-invite-shared-back"
READERS = ("hcpA", "hcpB", "hcpC", "arya")


@pytest.fixture(scope="module")
def world2() -> Json:
    content: Json = json.loads((GOLDEN / "world2.json").read_text("utf-8"))
    return content


def expected_of(world2: Json, name: str, kind: str) -> dict[str, Json | None]:
    """Return the members that each reader sees at a stage, of the patient or the notification."""
    found = {
        entry["reader"]: entry["fields"]
        for entry in world2["expected"]
        if (entry["stage"], entry["type"]) == (name, kind)
    }
    assert found
    return found


async def seen(api: MedTechApi, patient_id: str) -> Json | None:
    """Return the patient as somebody sees it, or None where it is closed."""
    try:
        patient = await api.patient_api.get_patient(patient_id)
    except (DecryptionError, PermissionDeniedError):
        return None
    return patient.to_dict()


async def check_seen(
    world2: Json, name: str, people: dict[str, MedTechApi], patient_id: str
) -> None:
    for reader, fields in expected_of(world2, name, "patient").items():
        present = await seen(people[reader], patient_id)
        if fields is None:
            assert present is None, reader
        else:
            assert present is not None, reader
            assert {member: present.get(member) for member in fields} == fields, reader


async def test_we_answer_the_request_of_the_reference(world2: Json) -> None:
    """On what the reference has stored, with the keys that it has made."""
    arya_id = world2["users"]["arya"]["dataOwnerId"]
    async with contextlib.AsyncExitStack() as stack:
        seed = stage(world2, ASKED)
        sandbox = await stack.enter_async_context(Sandbox(seed=seed, jwt=False))
        people: dict[str, MedTechApi] = {}
        for name in READERS:
            user = world2["users"][name]
            builder = builder_for(sandbox.icure_url, user["login"], user["token"])
            people[name] = api = await stack.enter_async_context(builder.build())
            await api.init_user_crypto(key_pair_of(world2, name))
        await check_seen(world2, ASKED, people, arya_id)

        hcp = people["hcpA"]
        (request,) = [
            one
            for one in await hcp.notification_api.get_pending_notifications_after(0)
            if one.type == "NEW_USER_OWN_DATA_ACCESS" and one.responsible == arya_id
        ]
        answer = await hcp.data_owner_api.answer_access_request(request)
        assert answer.access.patient.success
        expected = expected_of(world2, ASKED, "patient")["hcpA"]
        assert expected
        own = await people["arya"].patient_api.get_patient(arya_id)
        assert own.note == expected["note"]
        again = await hcp.data_owner_api.answer_access_request(request)
        assert again.access.patient.shared_before == 1

        after = expected_of(world2, ANSWERED, "patient")["arya"]
        assert after
        own.note = after["note"]
        await people["arya"].patient_api.create_or_modify_patient(own)
        await check_seen(world2, ANSWERED, people, arya_id)
        own = await people["arya"].patient_api.get_patient(arya_id)
        await people["arya"].patient_api.give_access_to(own, world2["users"]["hcpA"]["dataOwnerId"])
        await check_seen(world2, SHARED_BACK, people, arya_id)


async def test_our_own_invitation_leads_to_the_same_stages(
    world2: Json,
    clinic: Clinic,
    client_session: aiohttp.ClientSession,
    builder: Callable[[str, str], MedTechApiBuilder],
) -> None:
    first = expected_of(world2, ASKED, "patient")["hcpA"]
    assert first
    async with (
        clinic.colleague(client_session, "b") as (b, b_id),
        clinic.colleague(client_session, "c") as (c, _),
    ):
        names = {"first_name": first["firstName"], "last_name": first["lastName"]}
        patient = await clinic.patient(note=first["note"], **names)
        patient = await clinic.hcp.patient_api.give_access_to(patient, b_id)
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
        async with clinic.logged_in(await clinic.token()) as result:
            arya = result.med_tech_api
            people = {"hcpA": clinic.hcp, "hcpB": b, "hcpC": c, "arya": arya}
            await check_seen(world2, ASKED, people, patient.id)

            (request,) = await clinic.hcp.notification_api.get_pending_notifications_after()
            await clinic.hcp.data_owner_api.answer_access_request(request)
            own = await arya.patient_api.get_patient(patient.id)
            after = expected_of(world2, ANSWERED, "patient")["arya"]
            assert after
            own.note = after["note"]
            own = await arya.patient_api.create_or_modify_patient(own)
            await check_seen(world2, ANSWERED, people, patient.id)
            notification = await clinic.hcp.notification_api.get_notification(request.id)
            assert isinstance(notification, Notification)
            fields = expected_of(world2, ANSWERED, "notification")["hcpA"]
            assert fields
            ids = {"author": result.user_id, "responsible": patient.id}
            stored = notification.to_dict()
            assert {name: stored.get(name) for name in fields} == fields | ids

            await arya.patient_api.give_access_to(own, clinic.hcp_id)
            await check_seen(world2, SHARED_BACK, people, patient.id)
