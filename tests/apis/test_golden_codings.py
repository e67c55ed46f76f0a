"""Codings that the reference wrote, and the requests that it makes for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import Coding, CodingFilter, MedTechApi
from icure_async.entities.stored_members import without_empty
from icure_async.errors import ValidationError
from icure_async.sandbox import Sandbox
from tests.support.golden import GOLDEN, WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import stage

Json = dict[str, Any]

STAGE = "14-people"
EXPECTED: list[Json] = [
    entry for entry in WORLD2["expected"] if entry["stage"] == STAGE and entry["type"] == "coding"
]
STORED: Json = WORLD2["stages"][STAGE]["entities"]["code"]
TRANSCRIPT: Json = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))
BUGS: dict[str, Any] = {bug["name"]: bug["observed"] for bug in TRANSCRIPT["bugs"]}
CALLS: dict[tuple[str, str], Json] = {
    (call["method"].removeprefix("CodingApi."), call.get("note", "")): call
    for call in TRANSCRIPT["calls"]
    if call["method"].startswith("CodingApi.")
}
# As they come over the wire: a bar is escaped.
FEVER = "GOLD%7CFEVER%7C1"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=stage(WORLD2, STAGE), jwt=False) as running:
        yield running


@pytest.fixture
def opener(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Opener:
    return Opener(sandbox.icure_url, WORLD2, client_session)


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("hcpA")
    requests.take()
    return opened


@pytest.mark.parametrize("entry", EXPECTED, ids=lambda entry: f"{entry['reader']}-{entry['id']}")
async def test_every_reader_reads_what_is_expected(opener: Opener, entry: Json) -> None:
    reader = await opener.golden(entry["reader"])
    coding = await reader.coding_api.get_coding(entry["id"])
    read = coding.to_dict()
    assert {name: read.get(name) for name in entry["fields"]} == entry["fields"]
    # The reference has stored an empty object instead of a list.
    assert coding.search_terms == {}


async def test_everything_of_the_stage_is_found(api: MedTechApi) -> None:
    assert len(EXPECTED) == 4
    assert {one.id async for one in api.coding_api.filter_coding()} >= set(STORED)
    assert set(await api.coding_api.match_coding()) >= set(STORED)
    by_label = CodingFilter().by_region_language_type_label("fr", "en", "GOLD", "fev")
    assert await api.coding_api.match_coding(by_label) == ["GOLD|EXPLICIT|2"]


async def test_everything_of_the_stage_can_be_written_back(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    for coding_id in STORED:
        before = without_empty(await sandbox.stored("code", coding_id))
        await api.coding_api.create_or_modify_coding(await api.coding_api.get_coding(coding_id))
        after = without_empty(await sandbox.stored("code", coding_id))
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        # The reference loses the last two, which backends fill in.
        assert {"rev"} <= changed <= {"rev", "author", "disabled"}


# --- Calls of the reference -----------------------------------------------------------------------


async def test_the_requests_are_those_of_the_reference(
    opener: Opener, proxy: Proxy, requests: RequestLog
) -> None:
    codings = (await opener.golden("hcpA", url=proxy.url)).coding_api
    proxy.exchanges.clear()
    requests.take()
    fever = Coding(
        type="GOLD", code="FEVER", version="1", regions=["be"], description={"en": "fever"}
    )
    fever = await codings.create_or_modify_coding(fever)
    created = recorded("createOrModifyCoding", "create")
    assert requests.take() == [created["path"]]
    assert proxy.exchanges[-1].body.keys() >= created["body"].keys()
    assert proxy.exchanges[-1].body["id"] == fever.id
    await codings.create_or_modify_coding(fever)
    modified = recorded("createOrModifyCoding", "modify")
    sent = without_empty(proxy.exchanges[-1].body)
    # The reference drops what a backend fills in.
    assert sent.keys() - modified["body"].keys() <= {"author", "disabled"}
    assert {name: sent[name] for name in sent if name in modified["body"]} == without_empty(
        modified["body"]
    ) | {"rev": fever.rev}
    assert requests.take() == [modified["path"]]
    await codings.get_coding(fever.id)
    assert recorded("getCoding", "")["path"] == f"GET /rest/v1/code/{FEVER}"
    assert requests.take() == [f"GET /rest/v1/code/{fever.id}"]
    by_id = CodingFilter().by_ids([fever.id])
    assert [one.id async for one in codings.filter_coding(by_id)] == [fever.id]
    asked = recorded("filterCoding", "")
    assert (proxy.exchanges[-1].body, requests.take()) == (asked["body"], [asked["path"]])
    await codings.match_coding()
    matched = recorded("matchCoding", "")
    assert (proxy.exchanges[-1].body, requests.take()) == (matched["body"], [matched["path"]])


async def test_many_are_saved_with_fewer_requests(api: MedTechApi, requests: RequestLog) -> None:
    assert CALLS["createOrModifyCodings", "3 new: one request each, concurrent"]["cold"] == 3
    three = [Coding(type="GOLD", code=f"N{number}", version="1") for number in range(3)]
    (await api.coding_api.create_or_modify_codings(three)).raise_for_failures()
    assert requests.take() == ["POST /rest/v1/code/batch", "POST /rest/v1/code/filter"]


def recorded(method: str, note: str) -> Json:
    request: Json = CALLS[method, note]["coldRequests"][0]
    return request | {"path": f"{request['method']} {request['path']}"}


# --- Bugs of the reference ------------------------------------------------------------------------


async def test_search_terms_are_sent(api: MedTechApi, sandbox: Sandbox) -> None:
    assert BUGS["coding: search terms sent"] == {"en": {}}
    coding = Coding(type="GOLD", code="T", version="1", search_terms={"en": ["heat"]})
    saved = await api.coding_api.create_or_modify_coding(coding)
    stored = await sandbox.stored("code", saved.id)
    assert stored is not None
    assert stored["searchTerms"] == saved.search_terms == {"en": ["heat"]}


async def test_a_coding_without_a_version_is_refused(api: MedTechApi, requests: RequestLog) -> None:
    assert BUGS["coding without version"].endswith("|undefined")
    with pytest.raises(ValidationError, match="needs a version"):
        await api.coding_api.create_or_modify_coding(Coding(type="GOLD", code="NV"))
    assert requests.take() == []
