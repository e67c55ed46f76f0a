"""The sandbox is a backend of today: its published SDK works with it and nothing of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, World, me
from tests.support.cardinal_sdk import CardinalError
from tests.support.notes import MARKER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.bare_client import Json
    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal

pytestmark = pytest.mark.interop

DOC, COLLEAGUE, PHONE = "doc@x.example", "colleague@x.example", "+32588235595"
PROFILES = ["legacy", "strict"]


@attrs.frozen
class Person:
    """Somebody with a user and a data owner, and the package in a process."""

    login: str
    secret: str
    owner_id: str
    client: Client
    cardinal: CardinalSdk
    keys: Path


@attrs.frozen
class Place:
    """A sandbox, and people who work there with the package."""

    world: World
    start_cardinal: StartCardinal
    folder: Path

    @property
    def sandbox(self) -> Sandbox:
        return self.world.sandbox

    async def professional(self, login: str) -> Person:
        return await self.person(login, await self.world.register_hcp(login))

    async def patient(self, phone: str = PHONE) -> Person:
        return await self.person(phone, await self.register_of_today(phone))

    async def register_of_today(self, phone: str) -> Client:
        """Register as today's clients do, and log in."""
        body = {"hcpId": None, "deployment": self.sandbox.backend_url}
        return await self.world.register(phone, **body)

    async def person(self, login: str, client: Client) -> Person:
        user = await me(client)
        answer = await client.post(f"/user/token/{user['id']}/interop?tokenValidity=500")
        owner_id = user.get("healthcarePartyId") or user["patientId"]
        cardinal, keys = await self.start_cardinal(), self.folder / owner_id
        await cardinal.start(self.sandbox.backend_url, login, answer.body, keys)
        return Person(login, answer.body, owner_id, client, cardinal, keys)

    async def stored(self, kind: str, entity_id: str) -> Json:
        return await self.sandbox.stored(kind, entity_id) or {}


@pytest.fixture(params=PROFILES)
async def place(
    request: pytest.FixtureRequest, start_cardinal: StartCardinal, tmp_path: Path
) -> AsyncIterator[Place]:
    async with Sandbox(profile=request.param) as sandbox, aiohttp.ClientSession() as session:
        yield Place(World(sandbox, session), start_cardinal, tmp_path)


@pytest.fixture
async def legacy_place(start_cardinal: StartCardinal, tmp_path: Path) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        yield Place(World(sandbox, session), start_cardinal, tmp_path)


async def test_the_package_is_the_pinned_one(start_cardinal: StartCardinal) -> None:
    assert await (await start_cardinal()).version() == "2.14.0"


async def test_a_start_publishes_one_key_and_the_next_one_uses_it(legacy_place: Place) -> None:
    doc = await legacy_place.professional(DOC)
    keys = (await legacy_place.stored("hcparty", doc.owner_id))["publicKeysForOaepWithSha256"]
    assert len(keys) == 1
    assert (await doc.cardinal.current_user())["login"] == DOC
    again = await legacy_place.start_cardinal()
    url = legacy_place.sandbox.backend_url
    await again.start(url, DOC, doc.secret, doc.keys, new_key="deny", project_id="a-project")
    stored = await legacy_place.stored("hcparty", doc.owner_id)
    assert stored["publicKeysForOaepWithSha256"] == keys
    assert stored["userId"]  # A member that only the older API knows stays.


async def test_a_wrong_password_is_refused(legacy_place: Place) -> None:
    cardinal = await legacy_place.start_cardinal()
    with pytest.raises(CardinalError, match="initial secret"):
        await cardinal.start(legacy_place.sandbox.backend_url, DOC, "no", legacy_place.folder)


async def test_professionals_and_an_anonymous_patient_work_on_a_record(place: Place) -> None:
    doc, colleague = await place.professional(DOC), await place.professional(COLLEAGUE)
    pat = await place.patient()
    created = await doc.cardinal.create_patient(
        firstName="Robb",
        lastName="Stark",
        note=MARKER,
        delegates={pat.owner_id: "Write"},
        as_user=True,
    )
    patient_id = created["id"]
    stored = await place.stored("patient", patient_id)
    assert MARKER not in str(stored)
    # The patient stays anonymous.
    assert pat.owner_id not in str(stored)
    await pat.cardinal.reload()
    assert await note_of(pat, patient_id) == MARKER
    await pat.cardinal.modify_patient(patient_id, note="changed by the patient")
    assert await note_of(doc, patient_id) == "changed by the patient"
    await doc.cardinal.share_patient(patient_id, colleague.owner_id)
    assert await note_of(colleague, patient_id) == "changed by the patient"
    await colleague.cardinal.modify_patient(patient_id, note="changed by the colleague")
    assert await note_of(pat, patient_id) == "changed by the colleague"


async def test_a_patient_shares_what_it_wrote_and_its_own_record(place: Place) -> None:
    doc, pat = await place.professional(DOC), await place.patient()
    created = await pat.cardinal.create_patient(
        firstName="Arya", note=MARKER, delegates={doc.owner_id: "Read"}
    )
    assert await note_of(doc, created["id"]) == MARKER
    await pat.cardinal.share_own_record({doc.owner_id: "Write"})
    own = await doc.cardinal.get_patient(pat.owner_id)
    assert own is not None
    assert own["firstName"] == "Ned"
    await doc.cardinal.modify_patient(pat.owner_id, note="seen by the doctor")
    assert await note_of(pat, pat.owner_id) == "seen by the doctor"


async def test_strangers_read_nothing(place: Place) -> None:
    doc, stranger = await place.professional(DOC), await place.professional(COLLEAGUE)
    created = await doc.cardinal.create_patient(firstName="Robb", note=MARKER)
    with pytest.raises(CardinalError) as caught:
        await stranger.cardinal.get_patient(created["id"])
    assert MARKER not in str(caught.value)


async def test_an_outdated_change_is_a_conflict_and_a_deleted_record_stays(
    legacy_place: Place,
) -> None:
    doc = await legacy_place.professional(DOC)
    created = await doc.cardinal.create_patient(firstName="Robb", note=MARKER)
    await doc.cardinal.modify_patient(created["id"], note="second")
    with pytest.raises(CardinalError, match="RevisionConflict"):
        await doc.cardinal.modify_patient(created["id"], note="third", rev=created["rev"])
    await doc.cardinal.delete_patient(created["id"])
    assert (await legacy_place.stored("patient", created["id"]))["deletionDate"]
    assert await doc.cardinal.get_patient("unknown") is None


async def test_what_today_s_model_lacks_is_not_sent_to_it(legacy_place: Place) -> None:
    doc = await legacy_place.professional(DOC)
    created = await doc.cardinal.create_patient(firstName="Robb", note=MARKER)
    older = (await doc.client.get(f"/patient/{created['id']}")).body
    of_v1 = {"externalId": "x-1", "socialStatus": {"type": "T", "code": "c", "label": {"en": "l"}}}
    answer = await doc.client.put("/patient", {**older, **of_v1})
    assert answer.status == 200, answer.body
    assert await note_of(doc, created["id"]) == MARKER
    # And it stays where the client could not send it back.
    await doc.cardinal.modify_patient(created["id"], note="second")
    assert (await legacy_place.stored("patient", created["id"]))["externalId"] == "x-1"


async def test_one_of_several_groups_is_chosen_by_nobody(
    start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        world = World(sandbox, session)
        there = await sandbox.create_group("south")
        secret = "needle-needle-1"
        master = await world.master()
        await master.created("/user", user_of(sandbox.master_hcp.data_owner_id, secret))
        other = await world.login_v2(there.login, there.password)
        await other.created("/user", user_of(there.data_owner_id, secret))
        cardinal = await start_cardinal()
        with pytest.raises(CardinalError, match=r"[Gg]roup"):
            await cardinal.start(sandbox.backend_url, "arya", secret, tmp_path)


def user_of(hcp_id: str, secret: str) -> dict[str, Any]:
    return {"login": "arya", "passwordHash": secret, "healthcarePartyId": hcp_id}


async def note_of(person: Person, patient_id: str) -> object:
    patient = await person.cardinal.get_patient(patient_id)
    assert patient is not None
    return patient["note"]
