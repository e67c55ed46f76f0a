"""Today's SDK reads the golden world from the sandbox as it read it from where it was written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from icure_async.sandbox import Sandbox
from tests.support.cardinal_sdk import CardinalError, write_device_key
from tests.support.cardinal_world import CARDINAL
from tests.support.golden import WORLD
from tests.support.seeds import stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal

pytestmark = pytest.mark.interop

Json = dict[str, Any]

STAGES: Final = (
    "1-explicit",
    "2-anonymous",
    "r2-cardinal-on-top",
    "k3-access-given-back",
    "legacy-2-cardinal",
)
"""One of each sort; the others differ from these in what they have less."""

EMPTY: Final[tuple[object, ...]] = (None, [], {})


class Place:
    """A sandbox with a golden world, whose people get the package and their keys."""

    def __init__(self, world: Json, sandbox: Sandbox, start: StartCardinal, folder: Path) -> None:
        self._world = world
        self._sandbox = sandbox
        self._start = start
        self._folder = folder

    async def differences(self, expected: list[Json]) -> list[str]:
        """Return what is read in another way than expected."""
        readers = dict.fromkeys(one["reader"] for one in expected)
        found = await asyncio.gather(
            *(
                self._differences_of(name, [one for one in expected if one["reader"] == name])
                for name in readers
            )
        )
        return [difference for of_reader in found for difference in of_reader]

    async def _differences_of(self, name: str, expected: list[Json]) -> list[str]:
        cardinal = await self._open(name)
        found: list[str] = []
        for one in expected:
            difference = await difference_in(cardinal, one)
            if difference:
                found.append(f"{name} {one['patientId']}: {difference}")
        return found

    async def _open(self, name: str) -> CardinalSdk:
        user, keys = self._world["users"][name], self._folder / name
        for pair in user["keyPairs"]:
            write_device_key(keys, user["dataOwnerId"], pair["publicKey"], pair["privateKey"])
        cardinal = await self._start()
        url = self._sandbox.backend_url
        await cardinal.start(url, user["login"], user["token"], keys, new_key="deny")
        return cardinal


async def difference_in(cardinal: CardinalSdk, expected: Json) -> str:
    """Return what is wrong with a patient, or an empty text."""
    fields = expected["fields"]
    try:
        read = await cardinal.get_patient(expected["patientId"])
    except CardinalError as error:
        return "" if fields is None else error.message[:200]
    if read is None or fields is None:
        return "it is not there" if read is None else "it could be read"
    wrong = [
        name for name, value in fields.items() if value not in EMPTY and read.get(name) != value
    ]
    return f"wrong are {wrong}" if wrong else ""


@pytest.mark.parametrize("stage_name", STAGES)
async def test_everybody_reads_what_is_expected(
    stage_name: str, start_cardinal: StartCardinal, tmp_path: Path
) -> None:
    expected = [one for one in CARDINAL["expected"] if one["stage"] == stage_name]
    async with Sandbox(seed=stage(CARDINAL, stage_name), profile="strict") as sandbox:
        place = Place(CARDINAL, sandbox, start_cardinal, tmp_path)
        before = await sandbox.export()
        assert await place.differences(expected) == []
        assert expected
        after = await sandbox.export()
        for kind in ("patient", "exchangedata", "exchangedatamap"):
            assert after["entities"][kind] == before["entities"][kind]


async def test_records_of_2023_are_read_too(start_cardinal: StartCardinal, tmp_path: Path) -> None:
    expected = [one for one in WORLD["expected"] if one["stage"] == "1-shared"]
    async with Sandbox(seed=stage(WORLD)) as sandbox:
        place = Place(WORLD, sandbox, start_cardinal, tmp_path)
        assert expected
        assert await place.differences(expected) == []
