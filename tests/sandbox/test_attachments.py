"""Attachments of documents: stored and answered byte by byte, whole or not at all.

Source: server-behaviour.md §10.9, second-world.md §2.5.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Fault, Sandbox, stored_bytes
from icure_async.sandbox import attachments as endpoints
from icure_async.sandbox.stored_bytes import CHUNK
from tests.support.bare_client import Client, Json, World, basic, me, shared_with
from tests.support.golden import WORLD2

LONG = os.urandom(2 * CHUNK + 17)
BYTES = {"Content-Type": "application/octet-stream"}


async def document(client: Client, document_id: str = "d", **more: Any) -> Json:
    created: Json = await client.created("/document", {"id": document_id, "name": "n", **more})
    return created


async def put(client: Client, content: bytes, document_id: str = "d", query: str = "") -> Any:
    path = f"/document/{document_id}/attachment{query}"
    return await client.put(path, data=io.BytesIO(content), headers=BYTES)


async def fetch(client: Client, path: str) -> tuple[int, bytes, Any]:
    async with client.session.get(client.base + path, headers=client.headers) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.mark.parametrize("content", [b"", b"x", LONG[:CHUNK], LONG], ids=len)
@pytest.mark.parametrize("dialect", [1, 2])
async def test_bytes_come_back_as_they_were_sent(
    world: World, content: bytes, dialect: int
) -> None:
    master = await world.master()
    created = await document(master)
    client = master if dialect == 1 else world.v2(master)
    stored = (await put(client, content, query=f"?rev={created['rev']}")).body
    digest = hashlib.sha256(content).hexdigest()
    assert (stored["attachmentId"], stored["size"]) == (digest, len(content))
    assert stored["rev"].startswith("2-")
    status, got, headers = await fetch(client, f"/document/d/attachment/{digest}")
    assert (status, got == content) == (200, True)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Length"] == str(len(content))
    assert headers["Content-Disposition"] == "attachment"
    assert (await fetch(client, "/document/d/attachment"))[1] == content
    assert (await fetch(client, "/document/d/attachment/unknown"))[0] == 404


async def test_an_unknown_document_and_an_outdated_revision_are_refused(world: World) -> None:
    master = await world.master()
    await document(master)
    assert (await put(master, b"x", "unknown")).status == 404
    assert (await put(master, b"x", query="?rev=1-0")).status == 409
    assert (await fetch(master, "/document/d/attachment"))[0] == 404


async def test_the_key_in_the_query_is_accepted_and_kept_nowhere(
    world: World, fresh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "5a6b7c8d-0000-4000-8000-123456789abc"
    master = await world.master()
    await document(master)
    stored = (await put(master, b"in clear", query=f"?enckeys={key}")).body
    path = f"/document/d/attachment/{stored['attachmentId']}?enckeys={key}&fileName=a.txt"
    _status, got, headers = await fetch(master, path)
    assert got == b"in clear"
    _status, as_stored, _headers = await fetch(master, path.partition("?")[0])
    assert len(as_stored) == 32
    assert b"in clear" not in as_stored
    assert headers["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert key not in caplog.text
    assert key not in repr([request.to_json() for request in world.sandbox.requests()])
    await world.sandbox.aclose()
    with closing(sqlite3.connect(fresh)) as connection:
        assert key not in "".join(connection.iterdump())


async def test_types_that_a_browser_may_show_are_told(world: World) -> None:
    master = await world.master()
    await document(master)
    stored = (await put(master, b"x", query="?utis=com.adobe.pdf,public.data")).body
    assert (stored["mainUti"], stored["otherUtis"]) == ("com.adobe.pdf", ["public.data"])
    assert (await fetch(master, "/document/d/attachment"))[2]["Content-Type"] == "application/pdf"
    await put(master, b"<script>", query="?utis=public.html")
    headers = (await fetch(master, "/document/d/attachment"))[2]
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Security-Policy"].startswith("sandbox")


async def test_a_document_keeps_its_attachment_until_that_is_replaced_or_deleted(
    world: World,
) -> None:
    master = await world.master()
    await document(master)
    first = (await put(master, b"first")).body
    changed = {**first, "attachmentId": "another", "name": "renamed", "size": 0}
    renamed = (await master.put("/document", changed)).body
    assert (renamed["attachmentId"], renamed["size"]) == (first["attachmentId"], 5)
    second = (await put(master, b"second")).body
    assert [one["couchDbAttachmentId"] for one in second["deletedAttachments"]] == [
        first["attachmentId"]
    ]
    gone = await fetch(master, f"/document/d/attachment/{first['attachmentId']}")
    assert gone[0] == 404
    emptied = (await master.delete("/document/d/attachment")).body
    assert "attachmentId" not in emptied
    assert "size" not in emptied
    assert (await master.delete("/document/d/attachment")).status == 404


async def test_only_who_reads_a_document_reads_its_attachment(either: World) -> None:
    master = await either.master()
    patient = await either.register("ned@winterfell.example")
    stranger = await either.register("arya@winterfell.example")
    owner, ned = (await me(master))["healthcarePartyId"], (await me(patient))["patientId"]
    await document(master, **shared_with(owner, ned))
    assert (await put(patient, b"from ned")).status == 200
    assert (await fetch(patient, "/document/d/attachment"))[:2] == (200, b"from ned")
    assert (await fetch(stranger, "/document/d/attachment"))[0] == 403
    assert (await put(stranger, b"from arya")).status == 403
    assert (await stranger.delete("/document/d/attachment")).status == 403
    nobody = either.anonymous
    assert (await fetch(nobody, "/document/d/attachment"))[0] == 401
    assert (await put(nobody, b"x")).status == 401
    assert (await fetch(master, "/document/d/attachment"))[1] == b"from ned"


@pytest.mark.parametrize("kind", ["truncate", "drop-after"])
async def test_a_download_can_be_cut(world: World, kind: Any) -> None:
    master = await world.master()
    await document(master)
    await put(master, LONG)
    received = bytearray()

    async def download() -> None:
        url = master.base + "/document/d/attachment"
        async with master.session.get(url, headers=master.headers) as answer:
            assert answer.headers["Content-Length"] == str(len(LONG))
            async for piece in answer.content.iter_any():
                received.extend(piece)

    with world.sandbox.fault(Fault(kind, path="*/attachment*", times=1)) as fault:
        with pytest.raises(aiohttp.ClientError):
            await download()
        assert fault.struck == 1
    assert received == LONG[: len(received)]
    assert len(received) == (len(LONG) // 2 if kind == "truncate" else 0)
    assert (await fetch(master, "/document/d/attachment"))[1] == LONG


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        (Fault("drop-before", method="PUT", path="*/attachment"), False),
        (Fault("status", status=503, method="PUT", path="*/attachment"), False),
        (Fault("conflict", method="PUT", path="*/attachment"), False),
        (Fault("drop-after", method="PUT", path="*/attachment"), True),
        (Fault("truncate", method="PUT", path="*/attachment"), True),
        (Fault("delay", seconds=0.01, method="PUT", path="*/attachment"), True),
    ],
)
async def test_an_upload_that_fails_leaves_nothing(
    world: World, fresh: Path, fault: Fault, stored: bool
) -> None:
    master = await world.master()
    await document(master)
    with world.sandbox.fault(fault) as injected:
        try:
            answer = await put(master, LONG)
            assert answer.status == {"status": 503, "conflict": 409}.get(fault.kind, 200)
        except (aiohttp.ClientError, ConnectionError, ValueError):
            assert fault.kind in ("drop-before", "drop-after", "truncate")
        assert injected.struck >= 1
    read = await fetch(master, "/document/d/attachment")
    assert read[0] == (200 if stored else 404)
    assert not stored or read[1] == LONG
    await world.sandbox.aclose()
    assert chunks_in(fresh) == (3 if stored else 0)


async def test_an_upload_that_is_cut_by_its_sender_leaves_nothing(
    world: World, fresh: Path
) -> None:
    master = await world.master()
    await document(master)

    async def half() -> AsyncIterator[bytes]:
        yield LONG[: CHUNK + 5]
        await asyncio.sleep(0.05)
        raise OSError("the program died")

    with pytest.raises((aiohttp.ClientError, OSError)):
        await master.put("/document/d/attachment", data=half(), headers=BYTES)
    assert (await fetch(master, "/document/d/attachment"))[0] == 404
    assert (await master.get("/document/d")).body["rev"].startswith("1-")
    await world.sandbox.aclose()
    assert chunks_in(fresh) == 0


async def test_an_upload_that_is_cancelled_after_it_was_attached_keeps_its_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the sandbox's web server ends a request whose last transaction has begun."""
    master = await world.master()
    await document(master)
    loop, cancelled = asyncio.get_running_loop(), threading.Event()
    receive, attach = endpoints._receive, stored_bytes.attach
    handlers: list[asyncio.Task[Any]] = []

    async def receiving(*args: Any) -> Any:
        handlers.extend(filter(None, [asyncio.current_task()]))
        return await receive(*args)

    def cancel() -> None:
        handlers[0].cancel()
        # Once the handler has seen it.
        loop.call_soon(loop.call_soon, cancelled.set)

    def attaching(*args: Any) -> bool:
        attached = attach(*args)
        loop.call_soon_threadsafe(cancel)
        assert cancelled.wait(10)
        return attached

    monkeypatch.setattr(endpoints, "_receive", receiving)
    monkeypatch.setattr(endpoints, "attach", attaching)

    async def once() -> AsyncIterator[bytes]:
        yield LONG

    with suppress(aiohttp.ClientError, ConnectionError):
        await master.put("/document/d/attachment", data=once(), headers=BYTES)
    assert len(handlers) == 1
    assert (await master.get("/document/d")).body["size"] == len(LONG)
    status, got, _ = await fetch(master, "/document/d/attachment")
    assert (status, got == LONG) == (200, True)


def chunks_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])


async def test_what_a_killed_sandbox_had_of_an_upload_is_gone_after_the_next_start(
    fresh: Path,
) -> None:
    async with Sandbox(database=fresh):
        pass
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        connection.execute("INSERT INTO chunks VALUES ('left', 0, x'00')")
    async with Sandbox(database=fresh):
        pass
    assert chunks_in(fresh) == 0


async def test_attachments_are_exported_and_imported(
    world: World, session: aiohttp.ClientSession, fresh: Path
) -> None:
    master = await world.master()
    await document(master)
    stored = (await put(master, LONG)).body
    exported = await world.sandbox.export()
    in_base64 = base64.b64encode(LONG).decode()
    assert exported["attachments"] == {"d": {stored["attachmentId"]: in_base64}}
    async with Sandbox(seed=exported) as again:
        copy = World(again, session)
        assert (await fetch(await copy.master(), "/document/d/attachment"))[1] == LONG
        assert await again.export() == exported
        await put(await copy.master(), b"changed")
        await again.reset()
        assert (await fetch(await copy.master(), "/document/d/attachment"))[1] == LONG
        await again.load(exported)
        assert (await fetch(await copy.master(), "/document/d/attachment"))[1] == LONG
    await world.sandbox.aclose()
    async with Sandbox(database=fresh) as restarted:
        client = await World(restarted, session).master()
        assert (await fetch(client, "/document/d/attachment"))[1] == LONG


@pytest.mark.parametrize(
    "attachments", [[], {"d": []}, {"d": {"a": "?"}}, {"d": {"a": 1}}, {"d": {"a": "", "b": ""}}]
)
async def test_attachments_of_a_seed_that_make_no_sense_are_refused(attachments: Any) -> None:
    seed = {"entities": {"document": {"d": {"id": "d"}}}, "tokens": {}, "attachments": attachments}
    with pytest.raises(ValueError, match="attachment"):
        await Sandbox(seed=seed).start()


async def test_every_attachment_of_the_second_world_is_served(
    session: aiohttp.ClientSession,
) -> None:
    served = 0
    for stage in WORLD2["stages"].values():
        seed = {**stage, "attachments": WORLD2["attachments"]}
        async with Sandbox(seed=seed, jwt=False) as sandbox:
            user = WORLD2["users"]["hcpA"]
            client = Client(session, sandbox.icure_url, basic(user["login"], user["token"]))
            for document_id in stage["entities"].get("document", {}):
                for key, content in WORLD2["attachments"][document_id].items():
                    read = await fetch(client, f"/document/{document_id}/attachment/{key}")
                    assert read[:2] == (200, base64.b64decode(content))
                    served += 1
    assert served >= sum(map(len, WORLD2["attachments"].values()))


async def test_a_document_of_2023_that_belongs_to_nobody_is_read_by_patients_of_legacy_backends(
    world: World,
) -> None:
    """As an invited patient reads the file that it attached itself (second-world.md §2.5)."""
    master = await world.master()
    created = await document(master)
    await put(master, b"x", query=f"?rev={created['rev']}")
    patient = await world.register("+32470111222")
    digest = hashlib.sha256(b"x").hexdigest()
    status, got, _ = await fetch(patient, f"/document/d/attachment/{digest}")
    assert (status, got) == (200, b"x")
    owned = await document(master, "owned", **shared_with("somebody"))
    assert owned["delegations"]
    status, _, _ = await fetch(patient, "/document/owned")
    assert status == 403


async def test_a_caller_who_may_not_write_is_told_so_before_the_bytes_are_stored(
    world: World, fresh: Path
) -> None:
    master = await world.master()
    await document(master, **shared_with("somebody"))
    stranger = await world.register("arya@winterfell.example")
    refused = await put(stranger, LONG)
    assert refused.status == 403
    assert "not allowed" in refused.body["message"]
    await world.sandbox.aclose()
    assert chunks_in(fresh) == 0


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_compressed_bytes_are_refused(world: World, encoding: str) -> None:
    master = await world.master()
    await document(master)
    answer = await master.put(
        "/document/d/attachment",
        data=io.BytesIO(b"x"),
        headers={**BYTES, "Content-Encoding": encoding},
    )
    assert answer.status == 400
    assert (await fetch(master, "/document/d/attachment"))[0] == 404
