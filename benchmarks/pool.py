"""A service with many users in its pool: ``python -m benchmarks.pool [--users 1000] [--short]``.

The sandbox is a process of its own, so that the memory is that of the service alone. ``--short`` is
a service with 30 users.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from icure_async import KeyPair, MedTechApiBuilder
from icure_async.services import ApiPool, UserCredentials
from icure_async.storage import MemoryStorage

ROOT = Path(__file__).parents[1]
AT_ONCE = 8
KEY_PAIRS = 8


class Keys:
    """A key storage that takes its keys as they are: they were validated when they were made."""

    def __init__(self, place: dict[str, Any]) -> None:
        self._pairs = {
            person["data_owner_id"]: KeyPair(
                public_key=person["public"], private_key=person["private"]
            )
            for person in place["people"]
        }

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        del fingerprint
        return self._pairs.get(data_owner_id)

    async def list_key_pairs(self, data_owner_id: str) -> list[KeyPair]:
        return [self._pairs[data_owner_id]]

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        self._pairs[data_owner_id] = key_pair

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        raise AssertionError(f"nothing removes {fingerprint} of {data_owner_id}")


async def _serve(users: int) -> None:
    """Run a sandbox with so many patients, and print where it is and who they are."""
    from icure_async.sandbox import Sandbox

    async with Sandbox() as sandbox:
        pairs = [(await sandbox.register("patient")).key_pair for _ in range(KEY_PAIRS)]
        people = [
            await sandbox.register("patient", key_pair=pairs[number % KEY_PAIRS])
            for number in range(users)
        ]
        members = ("user_id", "login", "token", "data_owner_id")
        facts = [
            {name: getattr(person, name) for name in members}
            | {"public": person.key_pair.public_key, "private": person.key_pair.private_key}
            for person in people
        ]
        print(json.dumps({"url": sandbox.icure_url, "people": facts}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def memory() -> float:
    """Return the MiB that this process has in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def sockets() -> int:
    """Return how many sockets this process has open."""
    links = Path("/proc/self/fd").iterdir()
    return sum(1 for link in links if link.is_symlink() and "socket:" in str(link.readlink()))


async def timed(
    users: list[UserCredentials], work: Callable[[UserCredentials], Awaitable[object]]
) -> list[float]:
    """Do something for each user, a few at once, and return the milliseconds of each."""
    door = asyncio.Semaphore(AT_ONCE)

    async def one(user: UserCredentials) -> float:
        async with door:
            begun = time.perf_counter()
            await work(user)
            return (time.perf_counter() - begun) * 1000

    return await asyncio.gather(*map(one, users))


def row(name: str, milliseconds: list[float], more: str = "") -> str:
    """Return a row of the table."""
    cuts = statistics.quantiles(milliseconds, n=100)
    return f"| {name} | {cuts[49]:.2f} ms | {cuts[98]:.2f} ms | {more} |"


async def measure(place: dict[str, Any]) -> list[str]:
    """Return the rows of the table."""
    people = [
        UserCredentials(**{m: p[m] for m in ("user_id", "login", "token", "data_owner_id")})
        for p in place["people"]
    ]
    builder = MedTechApiBuilder().with_icure_base_url(place["url"])
    builder.with_storage(MemoryStorage()).with_key_storage(Keys(place))

    def pool_of(max_apis: int) -> ApiPool:
        return ApiPool(builder, max_apis=max_apis, idle_seconds=3600, wait_seconds=60)

    async def enter(pool: ApiPool, user: UserCredentials) -> None:
        async with pool.use(user):
            pass

    async def read(pool: ApiPool, user: UserCredentials) -> None:
        async with pool.use(user) as api:
            await api.patient_api.get_patient(user.data_owner_id or "")

    rows = ["| | median | 99 % | |", "|---|---|---|---|"]
    async with pool_of(1) as first:
        # The imports and caches of the SDK are no matter of the pool.
        await read(first, people[0])
    before = memory()
    async with pool_of(len(people)) as pool:
        built = await timed(people, lambda user: enter(pool, user))
        after = memory()
        each = (after - before) / len(people) * 1024
        rows.append(row("first use: login and keys", built, f"{AT_ONCE} at once"))
        entered = await timed(people, lambda user: enter(pool, user))
        rows.append(row("later use: of the pool alone", entered, ""))
        reads = await timed(people, lambda user: read(pool, user))
        rows.append(row("later use: read a patient", reads, f"{AT_ONCE} at once"))
        rows.append(f"| memory before | {before:.0f} MiB | | |")
        rows.append(
            f"| memory with {len(people):,} users | {after:.0f} MiB | | {each:.0f} KiB a user |"
        )
        rows.append(f"| sockets | {sockets()} | | |")
    small = max(2, len(people) // 20)
    async with pool_of(small) as pool:
        seen: list[float] = []
        for _ in range(3):
            await timed(people, lambda user: enter(pool, user))
            seen.append(memory())
        evicted = pool.statistics.evicted
    told = ", ".join(f"{value:.0f}" for value in seen)
    rows.append(f"| memory over {evicted:,} evictions | {told} MiB | | {small} at once |")
    return rows


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    users = 30 if options.short else options.users
    if options.serve:
        asyncio.run(_serve(users))
        return
    command = [sys.executable, "-m", "benchmarks.pool", "--serve", "--users", str(users)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        try:
            print("\n".join(asyncio.run(measure(json.loads(sandbox.stdout.readline())))))
        finally:
            sandbox.stdin.close()


if __name__ == "__main__":
    main()
