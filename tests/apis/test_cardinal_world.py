"""The golden world of today's clients, through the public API."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from icure_async import EncryptedPatient, Patient
from icure_async.errors import DecryptionError, PermissionDeniedError
from icure_async.keys import exchange_data
from icure_async.models.flavour import Flavour
from icure_async.models.wire import to_wire
from icure_async.sandbox import Sandbox
from tests.support.cardinal_people import opened, seed_at
from tests.support.cardinal_world import (
    CARDINAL,
    Reader,
    audit,
    fields_of,
    private_keys_of,
)
from tests.support.golden_records import OF_TODAY, matches
from tests.support.request_log import RequestLog

READERS = sorted({(one["stage"], one["reader"]) for one in CARDINAL["expected"]})
ROBB = "4449666c-53f6-583f-9a89-0119613666f0"
NOTE = "Winter is coming"


def owner_of(user: str) -> str:
    owner_id: str = CARDINAL["users"][user]["dataOwnerId"]
    return owner_id


def expected_of(stage: str, reader: str) -> dict[str, Any]:
    return {
        one["patientId"]: one["fields"]
        for one in CARDINAL["expected"]
        if (one["stage"], one["reader"]) == (stage, reader)
    }


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
@pytest.mark.parametrize(("stage", "reader"), READERS)
async def test_all_80_expectations(stage: str, reader: str) -> None:
    wanted = expected_of(stage, reader)
    async with Sandbox(seed=seed_at(stage)) as sandbox, opened(sandbox, reader) as api:
        for patient_id, fields in wanted.items():
            try:
                patient = await api.patient_api.get_patient_and_try_decrypt(patient_id)
            except PermissionDeniedError:
                # Somebody without access, whom the sandbox does not even let see it.
                assert fields is None
                continue
            if fields is None:
                assert isinstance(patient, EncryptedPatient)
            else:
                assert isinstance(patient, Patient)
                assert fields_of(to_wire(patient), fields) == fields


ENTITIES: list[dict[str, Any]] = CARDINAL["expectedEntities"]
READERS_OF_ENTITIES = sorted({(one["stage"], one["reader"]) for one in ENTITIES})


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
@pytest.mark.parametrize(("stage", "reader"), READERS_OF_ENTITIES)
async def test_all_expectations_of_conditions_contacts_and_maintenance_tasks(
    stage: str, reader: str
) -> None:
    async with Sandbox(seed=seed_at(stage)) as sandbox, opened(sandbox, reader) as api:
        for wanted in ENTITIES:
            if (wanted["stage"], wanted["reader"]) != (stage, reader):
                continue
            try:
                read = await OF_TODAY[wanted["kind"]](api, wanted)
            except (DecryptionError, PermissionDeniedError):
                assert wanted["fields"] is None
            else:
                assert wanted["fields"] is not None
                assert matches(read, wanted["fields"])


async def entities_of(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    seed: Any = await sandbox.export()
    entities: dict[str, dict[str, Any]] = seed["entities"]
    return entities


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
@pytest.mark.parametrize(("author", "delegates"), [("doc1", ["doc2", "pat3"]), ("pat1", ["doc1"])])
async def test_reading_creating_and_sharing_is_one_request_each_once_everybody_is_known(
    author: str,
    delegates: list[str],
    client_session: aiohttp.ClientSession,
    requests: RequestLog,
) -> None:
    async with (
        Sandbox(seed=seed_at("2-anonymous")) as sandbox,
        opened(sandbox, author, client_session) as api,
    ):
        for _ in range(2):
            requests.take()
            created = await api.patient_api.create_or_modify_patient(
                Patient(first_name="Robb", note=NOTE)
            )
            creating = requests.take()
            patient = await api.patient_api.get_patient(str(created.id))
            reading = requests.take()
            for name in delegates:
                patient = await api.patient_api.give_access_to(patient, owner_of(name))
            sharing = requests.take()
            assert patient.note == NOTE
        assert creating == ["POST /rest/v2/patient"]
        assert reading == [f"GET /rest/v2/patient/{created.id}"]
        assert sharing == ["PUT /rest/v2/patient/bulkSharedMetadataUpdate"] * len(delegates)
        entities = await entities_of(sandbox)
        found = audit(entities, private_keys_of())
        assert (found.problems, found.lagging) == ([], set())
        for name in (author, *delegates):
            seen = Reader(entities, *private_keys_of(name)).read("patient", str(created.id))
            assert seen is not None
            assert seen["note"] == NOTE
        for name in delegates:
            async with opened(sandbox, name) as other:
                assert (await other.patient_api.get_patient(str(created.id))).note == NOTE


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
async def test_what_another_reads_by_exchange_data_that_it_knows_costs_one_request(
    client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    async with (
        Sandbox(seed=seed_at("1-explicit")) as sandbox,
        opened(sandbox, "doc2", client_session) as api,
    ):
        requests.take()
        await api.patient_api.get_patient(ROBB)
        assert requests.take() == [
            f"GET /rest/v2/patient/{ROBB}",
            "POST /rest/v2/exchangedata/byIds",
        ]
        await api.patient_api.get_patient(ROBB)
        assert requests.take() == [f"GET /rest/v2/patient/{ROBB}"]


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
async def test_what_today_wrote_is_read_and_modified_in_either_flavour(flavour: Flavour) -> None:
    async with Sandbox(seed=seed_at("1-explicit")) as sandbox:
        async with opened(sandbox, "doc2", flavour=flavour) as api:
            patient = await api.patient_api.get_patient(ROBB)
            patient.note = NOTE
            await api.patient_api.create_or_modify_patient(patient)
        stored = await sandbox.stored("patient", ROBB)
        assert stored is not None
        # Encrypted members stay encrypted.
        assert not {"note", "companyName"} & stored.keys()
        async with opened(sandbox, "doc1") as api:
            assert (await api.patient_api.get_patient(ROBB)).note == NOTE


@pytest.mark.usefixtures("keys_made_once", "cheap_hashes")
async def test_a_patient_who_is_logged_in_reads_and_finds_what_it_is_given_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time by a data owner who had given it nothing before."""
    # Lists are as old as they get.
    monkeypatch.setattr(exchange_data, "_FRESH_SECONDS", -1)
    async with (
        Sandbox(seed=seed_at("2-anonymous"), profile="strict") as sandbox,
        opened(sandbox, "pat2") as patient_api,
    ):
        assert await patient_api.patient_api.match_patients() != []
        shared: list[str] = []
        for giver in ("doc2", "doc3", "pat1"):
            async with opened(sandbox, giver) as api:
                record = await api.patient_api.create_or_modify_patient(
                    Patient(first_name="Robb", note=NOTE)
                )
                await api.patient_api.give_access_to(record, owner_of("pat2"))
                shared.append(str(record.id))
            match giver:
                case "doc2":
                    read = await patient_api.patient_api.get_patient(shared[-1])
                    assert read.note == NOTE
                case "doc3":
                    found = await patient_api.patient_api.get_patients(shared)
                    assert [one.note for one in found] == [NOTE] * 2
                case _:
                    ids = await patient_api.patient_api.match_patients()
                    assert set(shared) <= set(ids)
