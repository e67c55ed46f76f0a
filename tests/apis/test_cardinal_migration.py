"""Records of 2023 in today's flavour: read, written, and migrated at the first share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest

from icure_async.errors import CryptoError, ValidationError
from icure_async.models.relations import Partnership
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

ZOE: Final = "25127947-bfc8-4e56-b3e4-580d75f5eee4"
LONG: Final = "f03c3a51-ec6f-4673-85b7-2a2826c94be1"
ROBB: Final = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
"""Migrated by one of its readers."""
MODERN: Final = "c0ffee00-0000-5000-8000-000000000003"
LEGACY_MAPS: Final = ("delegations", "encryptionKeys", "cryptedForeignKeys")
SHARE: Final = "PUT /rest/v2/patient/bulkSharedMetadataUpdate"


@pytest.fixture
def seed() -> Json:
    return of_stage("legacy-2-cardinal")


@pytest.fixture
async def sandbox(seed: Json) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed) as running:
        yield running


@pytest.fixture
def today(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> TodayWorld:
    return TodayWorld(sandbox, client_session)


def legacy_of(document: Json) -> Json:
    return {name: document[name] for name in LEGACY_MAPS if document.get(name)}


async def test_the_first_share_migrates_a_record_and_leaves_what_there_was(
    today: TodayWorld, requests: RequestLog
) -> None:
    hcp = await today.user("hcp")
    zoe = await hcp.patient_api.get_patient(ZOE)
    before = await today.stored(ZOE)
    requests.take()
    shared = await hcp.patient_api.give_access_to(zoe, owner_of("newdoc"))
    assert requests.take().count(SHARE) == 1
    stored = await today.stored(ZOE)
    assert legacy_of(stored) == legacy_of(before)
    assert stored["encryptedSelf"] == before["encryptedSelf"]
    first, second = stored["securityMetadata"]["secureDelegations"].values()
    assert (first["delegate"], "parentDelegations" in first) == (owner_of("hcp"), False)
    assert (second["delegate"], len(second["parentDelegations"])) == (owner_of("newdoc"), 1)
    assert shared == zoe.evolve(rev=shared.rev)
    for name in ("hcp", "ned", "newdoc"):
        read = await today.read_by(name, ZOE)
        assert read is not None
        assert read["note"] == zoe.note
    assert (await today.audit()).problems == []
    # It is the secret id that there was: what belongs to the patient is found by it.
    of_2023 = await hcp._parts.patients.metadata.secret_ids_of(before)
    newdoc = await today.user("newdoc")
    assert await newdoc._parts.patients.metadata.secret_ids_of(stored) == of_2023
    assert await hcp.patient_api.give_access_to(shared, owner_of("newdoc")) is shared


async def test_one_with_access_of_2023_costs_no_request(
    today: TodayWorld, requests: RequestLog
) -> None:
    hcp = await today.user("hcp")
    for patient_id in (ZOE, LONG, ROBB):
        patient = await hcp.patient_api.get_patient(patient_id)
        requests.take()
        assert await hcp.patient_api.give_access_to(patient, owner_of("ned")) is patient
        assert requests.take() == []


async def test_one_who_has_no_delegation_of_today_shares_what_somebody_else_migrated(
    today: TodayWorld,
) -> None:
    hcp = await today.user("hcp")
    robb = await hcp.patient_api.get_patient(ROBB)
    before = (await today.stored(ROBB))["securityMetadata"]["secureDelegations"]
    await hcp.patient_api.give_access_to(robb, owner_of("newdoc"))
    delegations = (await today.stored(ROBB))["securityMetadata"]["secureDelegations"]
    assert len(delegations) == len(before) + 2
    assert before.items() <= delegations.items()
    read = await today.read_by("newdoc", ROBB)
    assert read is not None
    assert read["note"] == robb.note


@pytest.mark.parametrize("reader", ["medtech", "cardinal"])
async def test_a_record_of_2023_is_modified_in_todays_flavour_and_read_in_both(
    today: TodayWorld, reader: str
) -> None:
    """Today's clients can't before it is migrated."""
    hcp = await today.user("hcp")
    zoe = await hcp.patient_api.get_patient(ZOE)
    before = await today.stored(ZOE)
    zoe.note, zoe.company_name = "SECRET note", "SECRET firm"
    saved = await hcp.patient_api.create_or_modify_patient(zoe)
    stored = await today.stored(ZOE)
    assert "SECRET" not in json.dumps(stored)
    # They are encrypted now, as of any record of today.
    assert not {"created", "modified", "companyName"} & stored.keys()
    assert legacy_of(stored) == legacy_of(before)
    ned = await today.user("ned", reader)
    read = await ned.patient_api.get_patient(ZOE)
    assert read == saved
    assert read.modified is not None
    # The flavour of 2023 keeps encrypted what it would not encrypt itself.
    read.note = "by ned"
    await ned.patient_api.create_or_modify_patient(read)
    stored = await today.stored(ZOE)
    assert "SECRET" not in json.dumps(stored)
    assert "companyName" not in stored
    again = await hcp.patient_api.get_patient(ZOE)
    assert (again.note, again.company_name) == ("by ned", "SECRET firm")
    assert (again.modified or 0) >= (saved.modified or 0)


async def test_the_flavour_of_2023_reads_a_record_of_today_and_does_not_share_it(
    today: TodayWorld, requests: RequestLog
) -> None:
    newdoc = await today.user("newdoc", "medtech")
    modern = await newdoc.patient_api.get_patient(MODERN)
    assert modern.note == "cardinal only"
    requests.take()
    with pytest.raises(CryptoError, match="with_flavour"):
        await newdoc.patient_api.give_access_to(modern, owner_of("hcp"))
    assert [line for line in requests.take() if "patient" in line] == []


async def test_a_migrated_record_is_shared_in_the_flavour_of_2023_as_ever(
    today: TodayWorld,
) -> None:
    hcp = await today.user("hcp", "medtech")
    robb = await hcp.patient_api.get_patient(ROBB)
    before = await today.stored(ROBB)
    shared = await hcp.patient_api.give_access_to(robb, owner_of("arya"))
    assert shared.note == robb.note
    stored = await today.stored(ROBB)
    assert stored["securityMetadata"] == before["securityMetadata"]
    assert owner_of("arya") in stored["delegations"]
    arya = await today.user("arya", "medtech")
    assert (await arya.patient_api.get_patient(ROBB)).note == robb.note


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("civility", "SECRET"), ("partnerships", [Partnership(partner_id="SECRET")])],
)
async def test_a_change_that_was_not_saved_does_not_get_into_clear_with_a_share(
    today: TodayWorld, flavour: str, name: str, value: object
) -> None:
    hcp = await today.user("hcp", flavour)
    robb = await hcp.patient_api.get_patient(ROBB)
    setattr(robb, name, value)
    before = await today.stored(ROBB)
    delegate = owner_of("arya" if flavour == "medtech" else "newdoc")
    with contextlib.suppress(ValidationError):
        await hcp.patient_api.give_access_to(robb, delegate)
    stored = await today.stored(ROBB)
    assert "SECRET" not in json.dumps(stored)
    assert stored["encryptedSelf"] == before["encryptedSelf"]
