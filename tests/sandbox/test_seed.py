from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.sandbox import Sandbox
from icure_async.sandbox.database import IN_MEMORY, opened_database
from icure_async.sandbox.links import link_entity
from icure_async.sandbox.seed import export, plant, read_seed
from icure_async.sandbox.store import Transaction
from tests.support.bare_client import Client, World, basic, golden_stage, golden_user, me
from tests.support.sandbox_control import page_of
from tests.support.today import seed_of_people

STAGES = ["1-shared", "2-key-lost", "3-access-given-back"]


async def test_the_golden_world_can_be_used(session: aiohttp.ClientSession) -> None:
    async with Sandbox(seed=golden_stage("1-shared")) as sandbox:
        world = World(sandbox, session)
        assert sandbox.master_hcp.login != "master"
        golden = {name: golden_user(name) for name in ("hcp", "ned", "arya")}
        for user in golden.values():
            client = await world.login(user["login"], user["token"])
            current = await me(client)
            assert current["groupId"] == "test-group"
            assert current["permissions"] == []  # completed: the seed has none
            assert "passwordHash" not in current
            assert user["token"] not in str(current)
        ned = await world.login(golden["ned"]["login"], golden["ned"]["token"])
        own = golden["ned"]["dataOwnerId"]
        patient = (await ned.get(f"/patient/{own}")).body
        assert (patient["gender"], patient["active"], patient["tags"]) == ("unknown", True, [])
        found = await ned.filtered("/patient", {"$type": "PatientByHcPartyFilter"})
        shared = [
            patient_id
            for patient_id, stored in golden_stage("1-shared")["entities"]["patient"].items()
            if own in stored.get("delegations", {})
        ]
        assert found == sorted(shared)
        arya = golden["arya"]["dataOwnerId"]
        assert (await ned.get(f"/patient/{arya}")).status == 403
        keys = (await ned.get(f"/hcparty/{own}/aesExchangeKeys")).body
        assert set(keys) == {golden["hcp"]["dataOwnerId"]}
        answer = await ned.put("/patient", patient)
        assert answer.body["rev"].startswith("6-")


@pytest.mark.parametrize("stage", STAGES)
async def test_a_seed_is_exported_as_it_came_and_accepted_again(
    session: aiohttp.ClientSession, stage: str
) -> None:
    seed = golden_stage(stage)
    async with Sandbox(seed=copy.deepcopy(seed)) as sandbox:
        exported = await sandbox.export()
        ned = await World(sandbox, session).login("+32470218182", golden_user("ned")["token"])
        secret = (await ned.post("/user/token/%2B32470218182/k?tokenValidity=-1")).body
        later = await sandbox.export()
    for kind, entities in seed["entities"].items():
        assert exported["entities"][kind].items() >= entities.items()
    assert exported["tokens"] == seed["tokens"]
    assert secret not in str(later)
    async with Sandbox(seed=json.loads(json.dumps(later))) as again:
        assert await again.export() == later
        assert again.master_hcp == sandbox.master_hcp
        world = World(again, session)
        await world.login("+32470218182", secret)
        await world.master()


async def test_a_seed_may_be_a_file(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_text(json.dumps(golden_stage("1-shared")), encoding="utf-8")
    async with Sandbox(seed=path) as sandbox:
        hcp = golden_user("hcp")
        await World(sandbox, session).login(hcp["login"], hcp["token"])


@pytest.mark.parametrize(
    ("seed", "complaint"),
    [
        ({}, "entities"),
        ([], "object"),
        ({"stages": {}}, "stages"),
        ({"entities": {}, "users": {}}, "users"),
        ({"entities": {"dragon": {}}}, "dragon"),
        ({"entities": {"patient": []}}, "patient"),
        ({"entities": {"patient": {"a": {"id": "b"}}}}, "patient a"),
        ({"entities": {"patient": {"a": "b"}}}, "patient a"),
        ({"entities": {"patient": {"a": {"id": "a", "rev": 1}}}}, "rev"),
        ({"entities": {"patient": {"a": {"id": "a", "delegations": ["x"]}}}}, "patient a"),
        ({"entities": {}, "tokens": {"nobody": ["x"]}}, "nobody"),
        ({"entities": {"user": {"u": {"id": "u"}}}, "tokens": {"u": "x"}}, "tokens"),
        ({"entities": {"sandbox": {"master": {}}}}, "master"),
        ("no-such-file.json", "can't be read"),
        (__file__, "no JSON"),
    ],
)
async def test_a_bad_seed_says_what_is_wrong(seed: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        await Sandbox(seed=seed).start()


async def test_a_user_of_a_seed_with_a_token_that_is_null_is_shown_and_logs_in(
    session: aiohttp.ClientSession,
) -> None:
    user = {"id": "u", "login": "ned", "authenticationTokens": {"gone": None}}
    seed = {"entities": {"user": {"u": user}}, "tokens": {"u": ["winter-is-coming"]}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        world = World(sandbox, session)
        answer = await page_of(world).get("/records?kind=user")
        assert answer.status == 200
        client = Client(session, sandbox.icure_url, basic("ned", "winter-is-coming"))
        assert (await client.get("/user/current")).status == 200
        wrong = Client(session, sandbox.icure_url, basic("ned", "something else"))
        assert (await wrong.get("/user/current")).status == 401


async def test_a_file_is_the_same_sandbox_when_it_is_opened_again(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    path = tmp_path / "sandbox.sqlite"
    async with Sandbox(database=path, seed=golden_stage("1-shared")) as sandbox:
        first = World(sandbox, session)
        ned = await first.register("ned@winterfell.example")
        process = await first.start("+32588235595")
        code = await sandbox.wait_for_code("+32588235595")
        user = await me(ned)
        exported = await sandbox.export()
    async with Sandbox(database=path, seed=golden_stage("2-key-lost")) as sandbox:
        second = World(sandbox, session)
        assert sandbox.master_hcp == first.sandbox.master_hcp
        assert await sandbox.export() == exported
        assert await me(second.with_headers(ned.headers)) == user  # the same key signs
        assert (await second.validate(process, code)).status == 200
        await second.master()


async def test_what_is_stored_can_be_looked_at(world: World) -> None:
    master = await world.master()
    patient = await master.created("/patient", {"firstName": "R", "encryptedSelf": "00"})
    stored = await world.sandbox.stored("patient", patient["id"])
    assert stored is not None
    assert stored["encryptedSelf"] == "00"
    assert await world.sandbox.stored("patient", "unknown") is None
    with pytest.raises(ValueError, match="dragon"):
        await world.sandbox.stored("dragon", "x")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("This is no database. " * 100, encoding="utf-8")
    sandbox = Sandbox(database=path)
    with pytest.raises(OSError, match="not a database"):
        await sandbox.start()
    assert "not running" in repr(sandbox)


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.glob("sandbox.*")}


on_posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")


@pytest.fixture
def exposed(fresh: Path) -> Path:
    """A fresh database that others can read."""
    fresh.chmod(0o644)
    return fresh


@on_posix
async def test_a_database_that_others_can_read_is_made_private(
    exposed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox(database=exposed) as sandbox:
        assert await sandbox.stored("user", sandbox.master_hcp.user_id)
        assert set(modes_in(exposed.parent).values()) == {0o600}
    assert "0600" in caplog.text
    assert str(exposed) in caplog.text
    caplog.clear()
    async with Sandbox(database=exposed):
        assert "0600" not in caplog.text


@on_posix
async def test_a_database_whose_mode_can_not_be_changed_is_refused(
    exposed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    sandbox = Sandbox(database=exposed)
    with pytest.raises(OSError, match="Others can read") as refused:
        await sandbox.start()
    assert "0600" in str(refused.value)
    assert "not running" in repr(sandbox)


@on_posix
def test_the_mode_of_a_file_that_is_no_database_stays(exposed: Path) -> None:
    exposed.write_text("This is no database. " * 100, encoding="utf-8")
    with pytest.raises(OSError, match="not a database"):
        asyncio.run(Sandbox(database=exposed).start())
    assert modes_in(exposed.parent) == {exposed.name: 0o644}


async def test_closing_leaves_nothing_behind(session: aiohttp.ClientSession, fresh: Path) -> None:
    tasks, threads = asyncio.all_tasks(), {t for t in threading.enumerate() if "sandbox" in t.name}
    for _ in range(3):
        sandbox = Sandbox(database=fresh)
        async with sandbox:
            world = World(sandbox, session)
            await world.register("ned@winterfell.example")
            url = sandbox.icure_url
        await sandbox.aclose()  # a second time does nothing
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{url}/icure/ok")
    gc.collect()
    assert asyncio.all_tasks() == tasks
    # One of an earlier test may have been about to end.
    assert {t for t in threading.enumerate() if "sandbox" in t.name} <= threads


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(
    world: World, tmp_path: Path
) -> None:
    port = int(world.sandbox.icure_url.split(":")[2].split("/")[0])
    other = Sandbox(port=port)
    with pytest.raises(OSError, match=str(port)):
        await other.start()
    assert "not running" in repr(other)


async def test_a_sandbox_runs_once_at_a_time(fresh: Path) -> None:
    async with Sandbox(database=fresh) as sandbox:
        with pytest.raises(RuntimeError, match="already"):
            await sandbox.start()
        master = sandbox.master_hcp
    async with sandbox:
        assert sandbox.master_hcp == master


async def test_a_program_that_forgets_to_close_still_exits(fresh: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from icure_async.sandbox import Sandbox\n"
        "async def main():\n"
        "    sandbox = Sandbox(database=sys.argv[1])\n"
        "    await sandbox.start()\n"
        "    print('started')\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(fresh), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), timeout=20)
    assert (out.strip(), process.returncode) == (b"started", 0)


def test_the_clock_moves_forward_only() -> None:
    with pytest.raises(ValueError, match="forward"):
        Sandbox().advance_clock(-1)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="lenient"):
        Sandbox(profile="lenient")  # type: ignore[arg-type]


async def test_the_master_gives_way_to_a_seeded_login(session: aiohttp.ClientSession) -> None:
    seed = {
        "entities": {"user": {"u": {"id": "u", "login": "sandbox-master"}}},
        "tokens": {"u": ["seeded-token"]},
    }
    async with Sandbox(seed=seed) as sandbox:
        world = World(sandbox, session)
        assert sandbox.master_hcp.login == "sandbox-master-2"
        assert (await me(await world.login("sandbox-master", "seeded-token")))["id"] == "u"
        assert (await me(await world.master()))["id"] == sandbox.master_hcp.user_id


async def test_without_joserfc_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, fresh: Path
) -> None:
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ImportError, match=r"icure-async\[sandbox\]"):
        await Sandbox(database=fresh).start()
    async with Sandbox(database=fresh, jwt=False) as sandbox:
        assert sandbox.master_hcp.login


_SEEDS = [golden_stage("1-shared"), seed_of_people()]
_VALUES = [None, 0, -1, 2**70, 1.5, True, "", "x", [], ["x"], [None], {}, {"x": None}, [{"x": 1}]]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for step, member in members:
        yield (*path, step)
        if isinstance(member, dict | list):
            yield from _places(member, (*path, step))


@given(st.data())
def test_a_seed_is_refused_or_planted_whatever_it_contains(data: st.DataObject) -> None:
    seed = copy.deepcopy(data.draw(st.sampled_from(_SEEDS), label="seed"))
    *path, last = data.draw(st.sampled_from(list(_places(seed))), label="place")
    around: Any = seed
    for step in path:
        around = around[step]
    around[last] = data.draw(st.sampled_from(_VALUES), label="value")
    with opened_database(IN_MEMORY) as connection:
        tx = Transaction(connection, link_entity)
        try:
            plant(tx, read_seed(seed))
        except ValueError as error:
            assert str(error)  # noqa: PT017 - either may happen
            return
        assert read_seed(export(tx)).entities.keys() >= seed["entities"].keys() - {"sandbox"}
