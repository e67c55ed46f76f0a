"""A crowd at one sandbox: ``python -m benchmarks.crowd [--clients 200] [--seconds 60]``.

Each client registers a patient by text message, reads and changes it, and begins again. ``--short``
is a crowd of 40 for three seconds. ``--requests 100000`` goes on with reads and changes, which
leave nothing behind, and prints the memory of the sandbox. ``--database PATH`` keeps everything
in a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[1]
READS = 20
PATIENCE = 120.0


class Crowd:
    """The clients, and what they have seen: times by kind of request, and errors."""

    def __init__(self, session: aiohttp.ClientSession, place: dict[str, str]) -> None:
        self._session = session
        self._place = place
        self._numbers = count(1)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.people: list[tuple[dict[str, str], str]] = []

    @property
    def requests(self) -> int:
        return sum(map(len, self.seconds.values()))

    async def send(
        self,
        kind: str,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        start = time.perf_counter()
        try:
            async with self._session.request(method, url, json=body, headers=headers) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.errors[f"{kind}: {type(error).__name__}"] += 1
            raise
        self.seconds[kind].append(time.perf_counter() - start)
        if answer.status != 200:
            self.errors[f"{kind}: {answer.status}"] += 1
            raise RuntimeError(f"{kind} was answered with {answer.status}")
        is_json = answer.content_type == "application/json"
        return json.loads(content) if is_json else content.decode()

    async def register(self) -> tuple[dict[str, str], str]:
        """Register a patient, and return its headers and its URL."""
        phone = f"+3247{next(self._numbers):07d}"
        url, gateway = self._place["url"], self._place["gateway"]
        request = uuid.uuid4()
        body = {
            "g-recaptcha-response": "solved",
            "mobilePhone": phone,
            "firstName": "Ned",
            "lastName": "Stark",
            "hcpId": self._place["professional"],
        }
        await self.send("start", "POST", f"{gateway}/process/patient-sms/{request}", body=body)
        code = (await self.send("last SMS", "GET", f"{gateway}/lastSMS/{phone}"))["message"]
        await self.send("validate", "GET", f"{gateway}/process/validate/{request}-{code}")
        bearer = await self._log_in(phone, code)
        user = await self.send("read", "GET", f"{url}/user/current", bearer)
        token = await self.send("token", "POST", f"{url}/user/token/{user['id']}/key", bearer)
        bearer = await self._log_in(phone, token)
        return bearer, f"{url}/patient/{user['patientId']}"

    async def _log_in(self, name: str, secret: str) -> dict[str, str]:
        body = {"username": name, "password": secret}
        answer = await self.send("login", "POST", f"{self._place['url']}/auth/login", body=body)
        return {"Authorization": f"Bearer {answer['token']}"}

    async def read_and_change(self, person: tuple[dict[str, str], str]) -> None:
        headers, where = person
        for _ in range(READS):
            patient = await self.send("read", "GET", where, headers)
        await self.send("change", "PUT", f"{self._place['url']}/patient", headers, patient)

    async def register_and_read(self) -> None:
        person = await self.register()
        self.people.append(person)
        await self.read_and_change(person)

    async def read_anybody(self) -> None:
        # Taken out for as long: nobody else changes this patient at the same time.
        person = self.people.pop()
        try:
            await self.read_and_change(person)
        finally:
            self.people.append(person)

    async def run(
        self, clients: int, work: Callable[[], Awaitable[None]], over: Callable[[], bool]
    ) -> None:
        async def client() -> None:
            while not over():
                try:
                    await work()
                except (aiohttp.ClientError, TimeoutError, RuntimeError):
                    await asyncio.sleep(0.1)

        await asyncio.gather(*(client() for _ in range(clients)))


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def report(crowd: Crowd, seconds: float) -> None:
    rows = {
        "all": [value for values in crowd.seconds.values() for value in values],
        **crowd.seconds,
    }
    print(
        f"{crowd.requests} requests in {seconds:.1f} s: {crowd.requests / seconds:.0f} per second"
    )
    print(f"errors: {dict(crowd.errors) or 'none'}")
    print(f"{'':10} {'number':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for kind, values in rows.items():
        p50, p99, most = (1000 * percentile(values, p) for p in (50, 99, 100))
        print(f"{kind:10} {len(values):8} {p50:8.0f} {p99:8.0f} {most:8.0f}")


def measure(options: argparse.Namespace) -> None:
    command = [sys.executable, "-c", SERVER, options.database]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            place = json.loads(server.stdout.readline())
            asyncio.run(_measure(options, place, server.pid))
        finally:
            server.stdin.close()


async def _measure(options: argparse.Namespace, place: dict[str, str], pid: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        crowd = Crowd(session, place)
        print(f"memory at the start: {resident_mib(pid):.0f} MiB")
        start = time.perf_counter()
        await crowd.run(
            options.clients,
            crowd.register_and_read,
            lambda: time.perf_counter() - start > options.seconds,
        )
        report(crowd, time.perf_counter() - start)
        print(f"memory after {len(crowd.people)} registrations: {resident_mib(pid):.0f} MiB")
        while crowd.requests < options.requests:
            until = min(options.requests, crowd.requests + options.requests // 8)
            await crowd.run(options.clients, crowd.read_anybody, lambda: crowd.requests >= until)  # noqa: B023
            print(f"memory after {crowd.requests} requests: {resident_mib(pid):.0f} MiB")
        if crowd.errors:
            raise SystemExit(f"errors: {dict(crowd.errors)}")


SERVER = """
import asyncio, json, sys
from icure_async.sandbox import Sandbox

async def main(database):
    async with Sandbox(database=database or None) as sandbox:
        print(json.dumps({
            "url": sandbox.icure_url,
            "gateway": f"{sandbox.msg_gw_url}/{sandbox.spec_id}",
            "professional": sandbox.master_hcp.data_owner_id,
        }), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(sys.argv[1]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--database", default="")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        options.clients, options.seconds = 40, 3
    measure(options)


if __name__ == "__main__":
    main()
