"""Everything that today's clients wrote is read through the public API, and nothing is made up."""

from __future__ import annotations

import copy
from typing import Any

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi, MedTechApiBuilder, Notification
from icure_async.errors import DecryptionError, KeyPairNotFoundError, PermissionDeniedError
from icure_async.sandbox import Sandbox
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL, STAGES

Json = dict[str, Any]

# A reader whom the backend keeps out learns no more than one whose keys don't open a record.
CLOSED = (DecryptionError, PermissionDeniedError)

READERS = sorted({(entry["stage"], entry["reader"]) for entry in CARDINAL["expected"]})
OF_NOTIFICATIONS = [e for e in CARDINAL["expectedEntities"] if e["kind"] == "maintenancetask"]


def seed_of(stage: str) -> Json:
    seed: Json = copy.deepcopy(CARDINAL["stages"][stage])
    return seed


def key_pairs_of(reader: str) -> list[KeyPair]:
    pairs = CARDINAL["users"][reader]["keyPairs"]
    return [KeyPair(pair["publicKey"], pair["privateKey"]) for pair in pairs]


def builder_of(
    sandbox: Sandbox, reader: str, client_session: aiohttp.ClientSession
) -> MedTechApiBuilder:
    user = CARDINAL["users"][reader]
    return (
        builder_for(sandbox.icure_url, user["login"], user["token"])
        .with_flavour("cardinal")
        .with_client_session(client_session)
    )


async def opened(
    sandbox: Sandbox, reader: str, client_session: aiohttp.ClientSession
) -> MedTechApi:
    """A user of the world, with the key pairs that the world says."""
    api = await builder_of(sandbox, reader, client_session).build()
    first, *others = key_pairs_of(reader)
    await api.init_user_crypto(first)
    for pair in others:
        await api.add_key_pair(CARDINAL["users"][reader]["dataOwnerId"], pair)
    return api


def test_there_are_eighty_expectations_for_patients() -> None:
    assert len(CARDINAL["expected"]) == 80
    assert {stage for stage, _ in READERS} | {"k4-recovery"} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
async def test_each_stage_is_a_seed_that_comes_out_as_it_went_in(stage: str) -> None:
    async with Sandbox(seed=seed_of(stage)) as sandbox:
        exported = (await sandbox.export())["entities"]
    for kind, documents in CARDINAL["stages"][stage]["entities"].items():
        for document_id, document in documents.items():
            stored = exported[kind][document_id]
            for name in ("securityMetadata", "encryptedSelf", "exchangeKey", "sharedSignature"):
                assert stored.get(name) == document.get(name), (kind, document_id)


@pytest.mark.parametrize(("stage", "reader"), READERS)
async def test_every_reader_reads_what_is_expected(
    stage: str, reader: str, client_session: aiohttp.ClientSession
) -> None:
    expected = {
        entry["patientId"]: entry["fields"]
        for entry in CARDINAL["expected"]
        if (entry["stage"], entry["reader"]) == (stage, reader)
    }
    readable = [patient_id for patient_id, fields in expected.items() if fields is not None]
    async with (
        Sandbox(seed=seed_of(stage)) as sandbox,
        await opened(sandbox, reader, client_session) as api,
    ):
        before = await sandbox.export()
        for patient_id, fields in expected.items():
            if fields is None:
                with pytest.raises(CLOSED):
                    await api.patient_api.get_patient(patient_id)
                continue
            read = (await api.patient_api.get_patient(patient_id)).to_dict()
            assert {name: read.get(name) for name in fields} == fields
        many = await api.patient_api.get_patients(readable)
        assert [patient.id for patient in many] == readable
        for patient in many:
            fields, read = expected[patient.id], patient.to_dict()
            assert {name: read.get(name) for name in fields} == fields
        # Reading writes nothing, least of all exchange data.
        assert (await sandbox.export())["entities"] == before["entities"]


@pytest.mark.parametrize(
    ("stage", "reader"), sorted({(entry["stage"], entry["reader"]) for entry in OF_NOTIFICATIONS})
)
async def test_every_reader_reads_the_notifications_that_are_expected(
    stage: str, reader: str, client_session: aiohttp.ClientSession
) -> None:
    expected = {
        entry["id"]: entry["fields"]
        for entry in OF_NOTIFICATIONS
        if (entry["stage"], entry["reader"]) == (stage, reader)
    }
    async with (
        Sandbox(seed=seed_of(stage)) as sandbox,
        await opened(sandbox, reader, client_session) as api,
    ):
        for task_id, fields in expected.items():
            if fields is None:
                with pytest.raises(CLOSED):
                    await api.notification_api.get_notification(task_id)
                continue
            read = await api.notification_api.get_notification(task_id)
            assert isinstance(read, Notification)
            wanted = [(one["id"], one["typedValue"]["stringValue"]) for one in fields["properties"]]
            assert [
                (one.id, one.typed_value.string_value)
                for one in read.properties or []
                if one.typed_value is not None
            ] == wanted


async def test_the_recovery_key_opens_everything_again(
    client_session: aiohttp.ClientSession,
) -> None:
    expected = {
        entry["patientId"]: entry["fields"]
        for entry in CARDINAL["expected"]
        if (entry["stage"], entry["reader"]) == ("k1-before-loss", "k-doc1")
    }
    assert expected
    async with Sandbox(seed=seed_of("k4-recovery")) as sandbox:
        builder = builder_of(sandbox, "k-doc1", client_session)
        async with builder.build() as api:
            with pytest.raises(KeyPairNotFoundError):
                await api.init_user_crypto()
            await api.init_user_crypto(recovery_key=CARDINAL["meta"]["recoveryKey"]["hex"])
            for patient_id, fields in expected.items():
                read = (await api.patient_api.get_patient(patient_id)).to_dict()
                assert {name: read.get(name) for name in fields} == fields
