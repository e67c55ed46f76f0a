"""Patients shared with other data owners: golden people produce it, and read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import MedTechApi, Patient
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    NotFoundError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Backend, Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, stage

STAGE = "10-shared-by-hand"
IDS = {name: user["dataOwnerId"] for name, user in WORLD2["users"].items()}
ENTRIES = ("delegations", "encryptionKeys", "cryptedForeignKeys")


@pytest.fixture
def world() -> dict[str, Any]:
    return WORLD2


@pytest.fixture
def seed() -> dict[str, Any]:
    seed = stage(WORLD2, STAGE)
    add_hcp(seed, "keyless")
    return seed


class People:
    """Golden people with their keys in use, opened when they are needed."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._open: dict[str, MedTechApi] = {}

    async def __call__(self, name: str) -> MedTechApi:
        if name not in self._open:
            self._open[name] = await self._opener.golden(name)
        return self._open[name]

    async def note(self, name: str, patient_id: str) -> str | None:
        return (await (await self(name)).patient_api.get_patient(patient_id)).note


@pytest.fixture
async def golden(opener: Opener) -> AsyncIterator[People]:
    yield People(opener)


async def created(api: MedTechApi, note: str = "confidential") -> Patient:
    return await api.patient_api.create_or_modify_patient(
        Patient(first_name="Arya", last_name="Stark", note=note)
    )


def without_entries(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in (*ENTRIES, "rev")}


@pytest.mark.parametrize(
    ("owner", "delegate"),
    [("hcpA", "hcpB"), ("hcpA", "ned"), ("hcpB", "hcpC"), ("ned", "hcpB")],
)
async def test_a_delegate_reads_what_was_shared_and_nothing_else_of_it_changes(
    golden: People, backend: Backend, requests: RequestLog, owner: str, delegate: str
) -> None:
    api = await golden(owner)
    patient = await created(api)
    before = await backend.patient(patient.id)
    shared = await api.patient_api.give_access_to(patient, IDS[delegate])
    after = await backend.patient(patient.id)
    assert await golden.note(delegate, patient.id) == "confidential"
    assert shared.rev == after["rev"] != before["rev"]
    assert without_entries(after) == without_entries(before)
    for name in ("delegations", "encryptionKeys"):
        assert before[name].items() <= after[name].items()
    assert shared == await api.patient_api.get_patient(patient.id)

    requests.take()
    for again in (shared, patient):
        assert await api.patient_api.give_access_to(again, IDS[delegate]) == shared
    # The second one is an old revision, and what is stored had to be read.
    assert [line for line in requests.take() if not line.startswith("GET")] == []
    assert await backend.patient(patient.id) == after
