"""The file of a sandbox: what survives, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox, database
from icure_async.sandbox.links import link_entity
from icure_async.sandbox.store import Store
from tests.support.bare_client import Client, World, basic, me
from tests.support.databases import COMMAND, SandboxProcess, files_next_to, pragma, sandbox_on

on_posix = pytest.mark.skipif(os.name != "posix", reason="kills and limits are POSIX")


class Writer:
    """Creates patients, changes them and makes tokens, and notes what was acknowledged."""

    def __init__(self, client: Client, user_id: str) -> None:
        self._client = client
        self._user_id = user_id
        self.revisions: dict[str, str] = {}
        self.tokens: list[str] = []

    async def write(self) -> None:
        while True:
            patient = await self._client.created("/patient", {"firstName": "Robb"})
            self.revisions[patient["id"]] = patient["rev"]
            answer = await self._client.put("/patient", {**patient, "lastName": "Stark"})
            assert answer.status == 200, answer.body
            self.revisions[patient["id"]] = answer.body["rev"]
            key = f"/user/token/{self._user_id}/{uuid.uuid4()}?tokenValidity=-1"
            answer = await self._client.post(key)
            assert answer.status == 200, answer.body
            self.tokens.append(answer.body)


def number(rev: str) -> int:
    return int(rev.partition("-")[0])


async def write_until_it_is_killed(running: SandboxProcess) -> list[Writer]:
    """Kill the sandbox while three clients write, and return what was acknowledged."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(3)]
        clients = [Client(session, running.url, basic(*running.master)) for session in sessions]
        user_id = (await me(clients[0]))["id"]
        writers = [Writer(client, user_id) for client in clients for _ in range(3)]
        tasks = [asyncio.create_task(writer.write()) for writer in writers]
        async with asyncio.timeout(60):
            while sum(len(writer.revisions) for writer in writers) < 60:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await running.kill()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, aiohttp.ClientError) for outcome in outcomes), outcomes
    return writers


@on_posix
async def test_what_was_acknowledged_is_there_after_a_kill(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    writers: list[Writer] = []
    masters = set[tuple[str, str]]()
    for _ in range(2):
        async with sandbox_on(fresh) as running:
            masters.add(running.master)
            writers += await write_until_it_is_killed(running)
    async with Sandbox(database=fresh) as sandbox:
        world = World(sandbox, session)
        assert masters == {(sandbox.master_hcp.login, sandbox.master_hcp.password)}
        await world.master()
        stored = (await sandbox.export())["entities"]["patient"]
        for writer in writers:
            for patient_id, rev in writer.revisions.items():
                assert number(stored[patient_id]["rev"]) >= number(rev)
        tokens = [token for writer in writers for token in writer.tokens]
        assert tokens
        for token in tokens[:3] + tokens[-3:]:
            await world.login(sandbox.master_hcp.login, token)
    assert pragma(fresh, "integrity_check") == "ok"


async def test_a_commit_to_a_file_is_on_the_disk_when_it_is_acknowledged(fresh: Path) -> None:
    store = Store(str(fresh), link_entity)
    await store.open()
    try:
        level = await store.run(lambda tx: tx.select("PRAGMA synchronous", ()))
        journal = await store.run(lambda tx: tx.select("PRAGMA journal_mode", ()))
    finally:
        await store.close()
    assert (level, journal) == ([(2,)], [("wal",)])  # 2 is FULL


def large_patient() -> dict[str, str]:
    return {"id": str(uuid.uuid4()), "firstName": "Robb", "note": "x" * 20_000}


@on_posix
async def test_a_full_disk_acknowledges_nothing_and_breaks_nothing(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    import resource

    async with sandbox_on(fresh) as running:
        client = Client(session, running.url, basic(*running.master))
        kept = await client.created("/patient", {"firstName": "Robb"})
        pid = running.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_of(fresh), unlimited[1]))
        lost, refused = [], None
        for _ in range(200):
            answer = await client.post("/patient", large_patient())
            if answer.status != 200:
                refused = answer
                break
            lost.append(answer.body["id"])
        assert refused is not None
        assert refused.status == 507
        assert "disk" in refused.body["message"]
        assert (await client.get(f"/patient/{kept['id']}")).status == 200
        assert (await client.post("/patient", large_patient())).status == 507
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        later = await client.created("/patient", {"firstName": "Bran"})
        await running.kill()
    async with Sandbox(database=fresh) as sandbox:
        stored = (await sandbox.export())["entities"]["patient"]
    assert set(stored) == {kept["id"], *lost, later["id"]}


async def everything(session: aiohttp.ClientSession, sandbox: Sandbox) -> dict[str, Any]:
    """Fill a sandbox with a bit of everything, and return secrets that have to work on."""
    world = World(sandbox, session)
    ned = await world.register("ned@winterfell.example")
    login = "ned@winterfell.example"
    token = (await ned.post("/user/token/ned%40winterfell.example/k?tokenValidity=-1")).body
    process = await world.start("+32588235595")
    await world.start("arya@winterfell.example")
    south = await sandbox.create_group("south", name="The South")
    master = await world.login(south.login, south.password)
    code = await sandbox.wait_for_code("+32588235595")
    return {
        "logins": [(login, token), (south.login, south.password)],
        "process": (process, code),
        "south": (await me(master))["id"],
    }


async def test_an_export_is_everything(session: aiohttp.ClientSession, fresh: Path) -> None:
    async with Sandbox(database=fresh) as sandbox:
        secrets = await everything(session, sandbox)
        exported = await sandbox.export()
    assert len(exported["processes"]) == 3
    assert exported["groups"]["south"]["name"] == "The South"
    async with Sandbox(seed=json.loads(json.dumps(exported))) as again:
        assert await again.export() == exported
        assert again.master_hcp == sandbox.master_hcp
        world = World(again, session)
        users = [await me(await world.login(login, secret)) for login, secret in secrets["logins"]]
        assert users[1]["id"] == secrets["south"]
        process, code = secrets["process"]
        assert code not in json.dumps(exported)
        assert (await world.validate(process, "000" + code)).status == 401
        assert (await world.validate(process, code)).status == 200


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes() if path.exists() else b""))


def size_of(path: Path) -> int:
    return path.stat().st_size


def make_public(path: Path) -> None:
    path.chmod(0o644)


def mode_of(path: Path) -> int:
    return path.stat().st_mode


async def refused(path: Path) -> str:
    """Try to start on a file, and return what is said; the file has to be as it was."""
    before, mode = files_next_to(path), mode_of(path)
    sandbox = Sandbox(database=path)
    with pytest.raises(OSError, match=path.name) as error:
        await sandbox.start()
    assert "not running" in repr(sandbox)
    assert files_next_to(path) == before
    assert mode_of(path) == mode
    return str(error.value)


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(fresh: Path) -> None:
    execute(fresh, "PRAGMA user_version = 99")
    make_public(fresh)
    assert "newer version" in await refused(fresh)


@on_posix
async def test_a_newer_database_whose_sandbox_was_killed_is_left_alone(fresh: Path) -> None:
    execute(fresh, "PRAGMA user_version = 99")
    rewrite(Path(f"{fresh}-wal"), lambda _: b"what the newer version did not copy yet")
    assert "newer version" in await refused(fresh)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE places (id TEXT)",
        "CREATE TABLE places (id TEXT); PRAGMA user_version = 75",
        "CREATE TABLE entities (id TEXT); PRAGMA application_id = 7",
    ],
)
async def test_a_database_of_another_program_is_left_alone(tmp_path: Path, script: str) -> None:
    path = tmp_path / "places.sqlite"
    execute(path, script)
    assert "another program" in await refused(path)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwrite(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xa5" * 4096 + content[middle + 4096 :]


def blank(content: bytes) -> bytes:
    return content[:100] + bytes(len(content) - 100)


def prose(content: bytes) -> bytes:
    return b"This is no database. " * 100


@pytest.mark.parametrize("spoil", [cut, overwrite, blank, prose, lambda _: b"x"])
async def test_a_damaged_file_is_refused_and_left_alone(
    fresh: Path, spoil: Callable[[bytes], bytes]
) -> None:
    rewrite(fresh, spoil)
    said = await refused(fresh)
    assert "damaged" in said or "not a database" in said


async def test_a_file_that_was_never_filled_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    path.touch()
    async with Sandbox(database=path) as sandbox:
        assert sandbox.master_hcp.login


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0)


async def test_two_sandboxes_on_one_file_are_refused(
    session: aiohttp.ClientSession, fresh: Path, impatient: None
) -> None:
    async with Sandbox(database=fresh) as first:
        for path in (fresh, fresh.parent / ".." / fresh.parent.name / fresh.name):
            with pytest.raises(OSError, match="in use by another sandbox"):
                await Sandbox(database=path).start()
        await World(first, session).register("ned@winterfell.example")
        if os.name == "posix":
            process = await asyncio.create_subprocess_exec(
                *COMMAND, "--database", str(fresh), stderr=subprocess.PIPE
            )
            _, said = await process.communicate()
            assert process.returncode == 1
            assert "in use by another sandbox" in " ".join(said.decode().split())
            assert "no production backend" in said.decode()
        with closing(sqlite3.connect(fresh, timeout=0)) as other:  # noqa: SIM117
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("DELETE FROM entities")
        await World(first, session).register("arya@winterfell.example")
    async with Sandbox(database=fresh):
        pass


async def test_a_file_that_another_program_writes_is_refused(fresh: Path, impatient: None) -> None:
    with closing(sqlite3.connect(fresh, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="open in another program"):
            await Sandbox(database=fresh).start()
    async with Sandbox(database=fresh):
        pass


async def test_a_database_without_a_version_is_taken_over(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    """Version 0.1 wrote this schema."""
    async with Sandbox(database=fresh) as sandbox:
        await everything(session, sandbox)
        before = await sandbox.export()
    old = fresh.with_name("old.sqlite")
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA_OF_0_1)
        connection.execute("ATTACH ? AS new", (str(fresh),))
        for table in _TABLES:
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM new.{table}")
        connection.commit()
        connection.execute("DETACH new")
        # As a kill leaves it: what was committed last is in the log only.
        killed = fresh.with_name("killed.sqlite")
        for suffix in ("", "-wal"):
            shutil.copy(f"{old}{suffix}", f"{killed}{suffix}")
    assert pragma(old, "user_version") == 0
    for path in (old, killed):
        for _ in range(2):
            async with Sandbox(database=path) as sandbox:
                assert await sandbox.export() == before
        assert pragma(path, "user_version") == database.SCHEMA_VERSION


_TABLES = ("meta", "further_groups", "entities", "links", "seeded_tokens", "processes")
_SCHEMA_OF_0_1 = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS further_groups (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    grp TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (grp, kind, id)
);
CREATE TABLE IF NOT EXISTS links (
    grp TEXT NOT NULL, kind TEXT NOT NULL, relation TEXT NOT NULL, target TEXT NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (grp, kind, relation, target, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_of_entity ON links (grp, kind, id);
CREATE TABLE IF NOT EXISTS seeded_tokens (
    grp TEXT NOT NULL, user_id TEXT NOT NULL, position INTEGER NOT NULL, token TEXT NOT NULL,
    PRIMARY KEY (grp, user_id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS processes (
    request_id TEXT PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
"""


@pytest.fixture(scope="module")
def exported(template: Path) -> dict[str, Any]:
    async def export() -> dict[str, Any]:
        async with Sandbox(database=template) as sandbox, aiohttp.ClientSession() as session:
            await World(sandbox, session).start("+32588235595")
            return await sandbox.export()

    return asyncio.run(export())


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda seed: seed.update(processes=[]), "processes"),
        (lambda seed: seed["processes"].update(a=[]), "process a"),
        (lambda seed: one_process(seed).update(code=None), "process"),
        (lambda seed: one_process(seed).update(process=[]), "process"),
        (lambda seed: one_process(seed).update(attempts="1"), "process"),
        (lambda seed: seed["entities"]["patient"].update(p={1: 2}), "no JSON"),
        (lambda seed: seed["entities"]["patient"].update(p=object()), "no JSON"),
        (
            lambda seed: seed["entities"]["patient"].update(
                p={"id": "p", "delegations": {"x": None}}
            ),
            "patient p",
        ),
    ],
)
async def test_a_corrupt_seed_changes_nothing(
    exported: dict[str, Any], fresh: Path, spoil: Callable[[Any], object], complaint: str
) -> None:
    seed = copy.deepcopy(exported)
    spoil(seed)
    before = fresh.with_name("new.sqlite")
    with pytest.raises(ValueError, match=complaint):
        await Sandbox(database=before, seed=seed).start()
    async with Sandbox(database=before, seed=exported) as sandbox:
        assert await sandbox.export() == exported


def one_process(seed: Any) -> Any:
    return next(iter(seed["processes"].values()))


async def test_an_export_replaces_what_a_running_sandbox_contains(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh) as sandbox:
        await everything(session, sandbox)
        exported = await sandbox.export()
    async with Sandbox() as other:
        await World(other, session).register("jon@winterfell.example")
        await other.create_group("north")
        before = await other.export()
        for corrupt in ({}, {**exported, "processes": {"x": {}}}):
            with pytest.raises(ValueError, match=r"entities|process"):
                await other.load(corrupt)
            assert await other.export() == before
        await other.load(exported)
        assert await other.export() == exported
        await other.reset()
        assert "north" not in (await other.export()).get("groups", {})
