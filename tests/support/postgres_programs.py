"""Programs that share a database, each in a process of its own, and are killed at any moment.

Started once, it imports everything. Each line of standard input is a list of jobs, which run at the
same time, each in a fork; it writes one line with the process ids, and one with the outcomes.

A job is that of :mod:`tests.support.killable_program`, done again where the database was away; or
it has ``"counts"``: then the program counts that often, one after the other with the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import traceback
from typing import Any, NoReturn

import psycopg_pool  # noqa: F401 - imported once, for all forks

from icure_async.errors import StorageError
from icure_async.storage import PostgresStorage
from tests.support.killable_program import Job, Program, warm_up

PAUSE_SECONDS = 0.05
COUNTER = "counter"
_ATTEMPTS = 200


class Counting:
    """A program that counts, and says what was acknowledged."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._storage = PostgresStorage(job["database"], max_connections=2, timeout=5)
        self._report: dict[str, Any] = {"numbers": [], "attempts": 0, "failures": 0}

    async def run(self) -> dict[str, Any]:
        while len(self._report["numbers"]) < self._job["counts"]:
            self._report["attempts"] += 1
            try:
                number = await self._count()
            except StorageError:
                self._report["failures"] += 1
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._report["numbers"].append(number)
        with contextlib.suppress(StorageError):
            await self._storage.aclose()
        return self._report

    async def _count(self) -> int:
        async with self._storage.lock(COUNTER):
            number = 1 + int(await self._storage.get_item(COUNTER) or 0)
            # Time for another one to come in between, if it could.
            await asyncio.sleep(0.001)
            await self._storage.set_item(COUNTER, str(number))
            await self._storage.set_item(f"{self._job['name']}.{number}", "acknowledged")
        return number


async def persistent(job: Job) -> dict[str, Any]:
    """Run a program again as long as the database is away."""
    failures = 0
    while True:
        try:
            return {**await Program(job).run(), "failures": failures}
        except StorageError:
            failures += 1
            if failures > _ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def live(job: Job, said: int) -> NoReturn:
    try:
        work = Counting(job).run() if "counts" in job else persistent(job)
        report = asyncio.run(work)
    except BaseException:
        report = {"error": traceback.format_exc()}
    os.write(said, json.dumps(report).encode())
    os._exit(0)


def begin(job: Job) -> tuple[int, int]:
    heard, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(heard)
        live(job, said)
    os.close(said)
    return pid, heard


def end(pid: int, heard: int) -> dict[str, Any]:
    with os.fdopen(heard, "rb") as words:
        report = words.read()
    _, status = os.waitpid(pid, 0)
    return {"killed": os.WIFSIGNALED(status), **(json.loads(report) if report else {})}


def main() -> None:
    warm_up()
    for line in sys.stdin:
        begun = [begin(job) for job in json.loads(line)]
        print(json.dumps([pid for pid, _ in begun]), flush=True)
        print(json.dumps([end(*one) for one in begun]), flush=True)


if __name__ == "__main__":
    main()
