"""Key files go between the SDK and today's published one, in both directions."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from icure_async import Patient
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from icure_async.storage.cardinal_keys import read_cardinal_folder, write_cardinal_folder
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL
from tests.support.seeds import PASSWORD, add_hcp, add_patient, stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from icure_async import KeyPair, MedTechApi
    from icure_async.storage import KeyStorage
    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal

pytestmark = pytest.mark.interop

DOCTOR, PATIENT = "hcp-maester", "patient-bran"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    seed = stage(CARDINAL, "1-explicit")
    add_hcp(seed, "maester")
    add_patient(seed, "bran", {"note": "seen by a crow"}, autoDelegations={"all": [DOCTOR]})
    async with Sandbox(seed=seed) as running:
        yield running


async def ours(sandbox: Sandbox, login: str, key_storage: KeyStorage) -> MedTechApi:
    return await (
        builder_for(sandbox.icure_url, login, PASSWORD)
        .with_flavour("cardinal")
        .with_key_storage(key_storage)
        .with_in_memory_keys()
        .build()
    )


async def started(
    start: StartCardinal, sandbox: Sandbox, login: str, folder: Path, new_key: str = "deny"
) -> CardinalSdk:
    cardinal = await start()
    await cardinal.start(sandbox.backend_url, login, PASSWORD, folder, new_key=new_key)
    return cardinal


async def test_cardinal_goes_on_with_our_keys_and_makes_none(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    published: dict[str, KeyPair] = {}
    apis: dict[str, MedTechApi] = {}
    for login, owner_id in (("maester", DOCTOR), ("bran", PATIENT)):
        key_storage = MemoryKeyStorage()
        apis[login] = await ours(sandbox, login, key_storage)
        (published[owner_id],) = await apis[login].init_user_crypto()
        pairs = await key_storage.list_key_pairs(owner_id)
        await write_cardinal_folder(tmp_path / login, owner_id, pairs)

    for login in ("maester", "bran"):
        cardinal = await started(start_cardinal, sandbox, login, tmp_path / login)
        read = await cardinal.get_patient(PATIENT)
        assert read is not None
        assert read["note"] == "seen by a crow"
        created = await cardinal.create_patient(
            firstName="C", note="by Cardinal", delegates={DOCTOR: "Write", PATIENT: "Write"}
        )
        for api in apis.values():
            await api.init_user_crypto()
        assert (await apis[login].patient_api.get_patient(created["id"])).note == "by Cardinal"

    for kind, owner_id in (("hcparty", DOCTOR), ("patient", PATIENT)):
        stored = await sandbox.stored(kind, owner_id)
        assert stored is not None
        assert stored["publicKeysForOaepWithSha256"] == [published[owner_id].public_key]
    for path in (tmp_path / "maester").iterdir():
        if ".device." in path.name:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for api in apis.values():
        await api.aclose()


async def test_we_go_on_with_the_keys_of_cardinal_and_make_none(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    cardinal = await started(start_cardinal, sandbox, "maester", tmp_path, "allow")
    created = await cardinal.create_patient(firstName="C", note="by Cardinal")
    found = await read_cardinal_folder(tmp_path)
    (pair,) = found.key_pairs[DOCTOR]
    assert found.unverified == {}
    # Cardinal leaves them open to everybody.
    assert found.exposed
    key_storage = MemoryKeyStorage()
    await key_storage.store_key_pair(DOCTOR, pair)
    api = await ours(sandbox, "maester", key_storage)
    assert await api.init_user_crypto() == [pair]
    assert (await api.patient_api.get_patient(created["id"])).note == "by Cardinal"
    ours_too = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="by us"))
    read = await cardinal.get_patient(str(ours_too.id))
    assert read is not None
    assert read["note"] == "by us"
    await api.aclose()


async def test_the_files_are_the_same_byte_for_byte(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    await started(start_cardinal, sandbox, "maester", tmp_path / "theirs", "allow")
    found = await read_cardinal_folder(tmp_path / "theirs")
    (path,) = await write_cardinal_folder(tmp_path / "ours", DOCTOR, found.key_pairs[DOCTOR])
    assert path.read_bytes() == (tmp_path / "theirs" / path.name).read_bytes()
