"""icure_async, the published reference and the floor, measured side by side in one run."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.imports import REFERENCE, import_times
from benchmarks.people import KEY_PAIR, NED, NEW_PATIENT, NOTE, patient_id
from benchmarks.report import Measure, Row
from benchmarks.sandbox_process import ROOT, serving
from tests.support.json_lines import JsonLinesProcess
from tests.support.reference_sdk import ReferenceSdk

PATIENTS: Final = 1000
MANY_PATIENTS: Final = 20_000
AT_ONCE: Final = 16
PATIENCE_SECONDS: Final = 300.0
MEGABYTE: Final = 1e6
ONE_BY_ONE_NAME: Final = "Creations, one by one"
ONE_BY_ONE: Final = "The reference has no such method. It creates them one by one."
NO_BATCH: Final = "icure_async has no create_patients() yet, so batch creation was left out."
NO_ITERATOR: Final = "icure_async has no iter_patients() yet: get_patients() with 1,000 ids each."
IMPORT_FLOOR: Final = "The floor is aiohttp alone, both compiled; the reference is icc-x-api."


@attrs.frozen
class Size:
    """The amount of work that is measured.

    Attributes:
        rounds: of every operation.
        single: patients read, and created, one by one in each round.
        batch: patients created at once.
        imports: rounds of the imports.
        many: patients read in pages for their memory; 0 for none.
    """

    rounds: int
    single: int
    batch: int
    imports: int
    many: int


FULL: Final = Size(rounds=9, single=150, batch=500, imports=12, many=MANY_PATIENTS)
QUICK: Final = Size(rounds=3, single=50, batch=200, imports=3, many=0)


@attrs.frozen
class Operation:
    """The work of every client in a round.

    Attributes:
        name: for a reader.
        command: of the client.
        each: its arguments, one time after the other.
        patients: how many patients these are together.
        at_once: how many commands are under way at a time.
    """

    name: str
    command: str
    each: Sequence[Mapping[str, object]]
    patients: int
    at_once: int = 1

    async def run(self, client: JsonLinesProcess) -> Mapping[str, Any]:
        cost: Mapping[str, Any] = await client.call(
            "timed", command=self.command, each=self.each, atOnce=self.at_once
        )
        return cost


def operations(size: Size) -> list[Operation]:
    """Return the operations that all clients have."""
    ids = [patient_id(number) for number in range(PATIENTS)]
    creations = [{"patient": NEW_PATIENT}] * size.single
    reads = [{"id": one} for one in ids[: size.single]]
    return [
        Operation("Single reads", "getPatient", reads, size.single),
        Operation(f"Bulk read, {PATIENTS:,} ids", "getPatients", [{"ids": ids}], PATIENTS),
        Operation(ONE_BY_ONE_NAME, "createPatient", creations, size.single),
        Operation(
            f"Creations, {AT_ONCE} at once", "createPatient", creations, size.single, AT_ONCE
        ),
    ]


def batch_creation(size: Size) -> Operation:
    """Return the operations that the reference does one record at a time."""
    patients = [NEW_PATIENT] * size.batch
    name = f"Batch creation of {size.batch}"
    return Operation(name, "createPatients", [{"patients": patients}], size.batch)


async def compared(
    operation: Operation, clients: Mapping[str, JsonLinesProcess], rounds: int
) -> dict[str, Measure]:
    """Measure an operation in alternating rounds, after one that does not count."""
    costs: dict[str, list[Mapping[str, Any]]] = {side: [] for side in clients}
    for number in range(rounds + 1):
        # Nobody is always the first or the last.
        for side in list(clients)[:: 1 if number % 2 else -1]:
            cost = await operation.run(clients[side])
            if number:
                costs[side].append(cost)
    return {side: _measure(costs[side], operation) for side in clients}


def _measure(costs: Sequence[Mapping[str, Any]], operation: Operation) -> Measure:
    def milliseconds(name: str) -> list[float]:
        return [cost[name] * 1000 / operation.patients for cost in costs]

    requests = costs[0]["requests"] / len(operation.each)
    return Measure(milliseconds("cpu"), milliseconds("wall"), requests or None)


async def speed_rows(size: Size, reference: Path) -> list[Row]:
    """Measure what a patient takes, with one sandbox for all clients."""
    with serving(PATIENTS) as url:
        async with (
            logged_in_ours(url) as ours,
            logged_in_ours(url, counting=True) as counting,
            logged_in_reference(url, reference) as theirs,
            started(JsonLinesProcess.run(*module("floor"), cwd=ROOT)) as floor,
        ):
            await floor.call("prepare", patients=PATIENTS)
            # The reference hands out what it can't open, too.
            for patient in await theirs.call("getPatients", ids=[patient_id(0), patient_id(1)]):
                assert patient["note"] == NOTE

            async def row(operation: Operation, **others: JsonLinesProcess) -> Row:
                found = await compared(operation, {"ours": ours, **others}, size.rounds)
                # In a process of its own: to count takes time.
                counted = (await compared(operation, {"ours": counting}, 1))["ours"].requests
                found["ours"] = attrs.evolve(found["ours"], requests=counted)
                return Row(
                    operation.name, "ms", found["ours"], found.get("reference"), found.get("floor")
                )

            rows = [
                await row(operation, reference=theirs, floor=floor)
                for operation in operations(size)
            ]
            batch = batch_creation(size)
            if "create_patients" not in await ours.call("abilities"):
                return [*rows, Row(batch.name, "ms", None, note=NO_BATCH)]
            (one_by_one,) = [row.reference for row in rows if row.name == ONE_BY_ONE_NAME]
            assert one_by_one is not None
            return [
                *rows,
                attrs.evolve(
                    await row(batch, floor=floor),
                    reference=attrs.evolve(one_by_one, requests=batch.patients),
                    note=ONE_BY_ONE,
                ),
            ]


async def memory_rows(size: Size, reference: Path) -> list[Row]:
    """Measure the most memory of clients that do one thing in their life."""
    ids = [patient_id(number) for number in range(max(PATIENTS, size.many))]
    with serving(len(ids)) as url:

        async def peak(
            starting: AbstractAsyncContextManager[JsonLinesProcess], command: str, count: int
        ) -> Measure:
            async with starting as client:
                if count:
                    each = [{"ids": ids[:count]}]
                    await client.call("timed", command=command, each=each, atOnce=1)
                return Measure([await client.call("peakMemory") / MEGABYTE])

        async def row(name: str, count: int) -> Row:
            ours = await peak(logged_in_ours(url), "getPatients", count)
            theirs = await peak(logged_in_reference(url, reference), "getPatients", count)
            return Row(f"Peak memory, {name}", "MB", ours, theirs)

        rows = [
            await row("logged in", 0),
            await row(f"{PATIENTS:,} patients read at once", PATIENTS),
        ]
        if size.many:
            async with logged_in_ours(url) as client:
                iterates = "iter_patients" in await client.call("abilities")
            measured = await peak(logged_in_ours(url), "readAll", size.many)
            name = f"Peak memory, {size.many:,} patients read in pages"
            rows.append(Row(name, "MB", measured, note="" if iterates else NO_ITERATOR))
        return rows


def import_rows(size: Size, reference: Path) -> list[Row]:
    """Measure what it takes to import each package."""
    measures = {
        name: Measure([cpu * 1000 for cpu, _ in times], [wall * 1000 for _, wall in times])
        for name, times in import_times(size.imports, reference).items()
    }
    return [
        Row(
            f"Import of {name}",
            "ms",
            measures[name],
            measures[REFERENCE],
            measures["aiohttp"],
            IMPORT_FLOOR,
            patients=False,
        )
        for name in ("icure_async", "icure_sync")
    ]


def module(name: str) -> tuple[str, ...]:
    """Return the command that runs a client of the benchmarks."""
    return sys.executable, "-m", f"benchmarks.{name}"


@contextlib.asynccontextmanager
async def started(
    starting: Awaitable[JsonLinesProcess],
) -> AsyncIterator[JsonLinesProcess]:
    client = await starting
    client.patience = PATIENCE_SECONDS
    try:
        yield client
    finally:
        await client.aclose()


@contextlib.asynccontextmanager
async def logged_in_ours(url: str, *, counting: bool = False) -> AsyncIterator[JsonLinesProcess]:
    async with started(JsonLinesProcess.run(*module("ours"), cwd=ROOT)) as client:
        await _log_in(client, url, counting=counting)
        yield client


@contextlib.asynccontextmanager
async def logged_in_reference(url: str, folder: Path) -> AsyncIterator[JsonLinesProcess]:
    async with started(ReferenceSdk.start(folder)) as client:
        await _log_in(client, url)
        yield client


async def _log_in(client: JsonLinesProcess, url: str, **options: object) -> None:
    await client.call("login", url=url, username=NED["login"], password=NED["token"], **options)
    await client.call("useKeyPair", **KEY_PAIR)
