"""Keys that are lost and found with today's published SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Patient
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from icure_async.storage.cardinal_keys import read_cardinal_folder, write_cardinal_folder
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL
from tests.support.seeds import PASSWORD, add_hcp, stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from icure_async import KeyPair, MedTechApi
    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal

pytestmark = pytest.mark.interop

DOCTOR, COLLEAGUE = "hcp-maester", "hcp-samwell"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    seed = stage(CARDINAL, "1-explicit")
    for login in ("maester", "samwell"):
        add_hcp(seed, login)
    async with Sandbox(seed=seed) as running:
        yield running


async def ours(sandbox: Sandbox, login: str, *pairs: KeyPair, may_make: bool = False) -> MedTechApi:
    storage = MemoryKeyStorage()
    for pair in pairs:
        await storage.store_key_pair(f"hcp-{login}", pair)
    api = await (
        builder_for(sandbox.icure_url, login, PASSWORD)
        .with_flavour("cardinal")
        .with_key_storage(storage)
        .with_in_memory_keys()
        .build()
    )
    await api.init_user_crypto(missing_key="allow" if may_make else "refuse")
    return api


async def exchange_data_in(sandbox: Sandbox) -> set[str]:
    return set((await sandbox.export())["entities"]["exchangedata"])


async def started(
    start: StartCardinal, sandbox: Sandbox, folder: Path, new_key: str
) -> CardinalSdk:
    cardinal = await start()
    await cardinal.start(sandbox.backend_url, "maester", PASSWORD, folder, new_key=new_key)
    return cardinal


async def test_cardinal_finds_a_key_pair_by_our_transfer_keys(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    first = await ours(sandbox, "maester")
    (old,) = await first.init_user_crypto()
    second = await ours(sandbox, "maester", may_make=True)
    (new,) = await second.init_user_crypto()
    alone = await first.patient_api.create_or_modify_patient(
        Patient(first_name="A", note="with the old key")
    )
    both = await ours(sandbox, "maester", old, new)
    assert {pair.fingerprint for pair in await both.init_user_crypto()} == {
        old.fingerprint, new.fingerprint,
    }  # fmt: skip

    await write_cardinal_folder(tmp_path, DOCTOR, [new])
    cardinal = await started(start_cardinal, sandbox, tmp_path, "deny")
    read = await cardinal.get_patient(str(alone.id))
    assert read is not None
    assert read["note"] == "with the old key"
    for api in (first, second, both):
        await api.aclose()


async def test_we_find_a_key_pair_by_the_transfer_keys_of_cardinal(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    first = await ours(sandbox, "maester")
    (old,) = await first.init_user_crypto()
    second = await ours(sandbox, "maester", may_make=True)
    (new,) = await second.init_user_crypto()
    alone = await first.patient_api.create_or_modify_patient(
        Patient(first_name="A", note="with the old key")
    )
    await write_cardinal_folder(tmp_path, DOCTOR, [old, new])
    cardinal = await started(start_cardinal, sandbox, tmp_path, "deny")
    assert await cardinal.get_patient(str(alone.id))
    stored = await sandbox.stored("hcparty", DOCTOR)
    assert stored is not None
    assert stored["transferKeys"]

    device = await ours(sandbox, "maester", new)
    assert {pair.fingerprint for pair in await device.init_user_crypto()} == {
        old.fingerprint, new.fingerprint,
    }  # fmt: skip
    assert (await device.patient_api.get_patient(str(alone.id))).note == "with the old key"
    for api in (first, second, device):
        await api.aclose()


async def test_cardinal_reads_again_what_we_give_back_and_believes_its_own_data(
    sandbox: Sandbox, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    first = await started(start_cardinal, sandbox, tmp_path / "first", "allow")
    colleague = await ours(sandbox, "samwell")
    written = await first.create_patient(
        firstName="C", note="by Cardinal", delegates={COLLEAGUE: "Write"}
    )
    # Its other device makes a key of its own, and can't read what the first has written.
    second = await started(start_cardinal, sandbox, tmp_path / "second", "allow")
    found = await read_cardinal_folder(tmp_path / "second")
    (new,) = found.key_pairs[DOCTOR]
    given = await colleague.data_owner_api.give_access_back_to(DOCTOR, new.public_key)
    assert given.given == 1
    await second.reload()
    read = await second.get_patient(written["id"])
    assert read is not None
    assert read["note"] == "by Cardinal"
    # The first device still writes with exchange data to which we have added a key.
    before = await exchange_data_in(sandbox)
    await first.reload()
    again = await first.create_patient(
        firstName="C", note="still by Cardinal", delegates={COLLEAGUE: "Write"}
    )
    assert await exchange_data_in(sandbox) == before
    assert (await colleague.patient_api.get_patient(again["id"])).note == "still by Cardinal"
    await colleague.aclose()
