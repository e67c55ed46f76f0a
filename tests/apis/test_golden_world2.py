"""Everything that the reference wrote in its second world is read by whom it is meant for only.

A type of record is one more entry of ``_READ``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi
from icure_async.errors import DecryptionError, PermissionDeniedError
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.seeds import Json, stage

_STAGES: Final = (
    "10-shared-by-hand",
    "13-invite-asked",
    "13-invite",
    "13-invite-shared-back",
    "14-people",
)


async def _patient(api: MedTechApi, record_id: str) -> Json:
    return (await api.patient_api.get_patient(record_id)).to_dict()


async def _notification(api: MedTechApi, record_id: str) -> Json:
    found = await api.notification_api.get_notification(record_id)
    if found.properties is None:
        raise DecryptionError("closed", entity_type="notification", entity_ids=[record_id])
    return found.to_dict()


_READ: Final[dict[str, Callable[[MedTechApi, str], Awaitable[Json]]]] = {
    "patient": _patient,
    "notification": _notification,
}


def _expected(stage_name: str, reader: str) -> list[Json]:
    return [
        entry
        for entry in WORLD2["expected"]
        if (entry["stage"], entry["reader"]) == (stage_name, reader) and entry["type"] in _READ
    ]


_READERS: Final = [
    (stage_name, reader)
    for stage_name in _STAGES
    for reader in WORLD2["users"]
    if _expected(stage_name, reader)
]


async def golden(sandbox: Sandbox, session: aiohttp.ClientSession, reader: str) -> MedTechApi:
    """The API of a user of the second world, with all of its key pairs."""
    api = await Opener(sandbox.icure_url, WORLD2, session).golden(reader)
    for pair in WORLD2["users"][reader].get("extraKeyPairs", []):
        await api.add_key_pair(pair["dataOwnerId"], KeyPair(pair["publicKey"], pair["privateKey"]))
    return api


def _matches(read: Any, wanted: Any) -> bool:
    """Return whether what was read has at least these members."""
    if isinstance(wanted, dict):
        return isinstance(read, dict) and all(
            _matches(read.get(name), value) for name, value in wanted.items()
        )
    return bool(read == wanted)


@pytest.mark.parametrize(("stage_name", "reader"), _READERS)
async def test_every_reader_of_the_second_world_reads_what_it_must_and_nothing_else(
    client_session: aiohttp.ClientSession, stage_name: str, reader: str
) -> None:
    async with Sandbox(seed=stage(WORLD2, stage_name), jwt=False) as sandbox:
        api = await golden(sandbox, client_session, reader)
        wrong: list[tuple[str, str]] = []
        for entry in _expected(stage_name, reader):
            name, read = (entry["type"], entry["id"]), _READ[entry["type"]]
            try:
                found = await read(api, entry["id"])
            except (DecryptionError, PermissionDeniedError):
                if entry["fields"] is not None:
                    wrong.append(name)
            else:
                if entry["fields"] is None or not _matches(found, entry["fields"]):
                    wrong.append(name)
        assert wrong == []


def test_every_expectation_of_the_types_is_checked() -> None:
    checked = [entry for reader in _READERS for entry in _expected(*reader)]
    meant = [entry for entry in WORLD2["expected"] if entry["type"] in _READ]
    assert len(checked) == len(meant)
