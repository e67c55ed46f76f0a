"""Codings: created, read, found and modified, one by one and many at once, in both dialects."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from itertools import product
from typing import Any, Final, cast

import aiohttp
import pytest

from icure_async import (
    BatchProgress,
    BatchResult,
    Coding,
    CodingFilter,
    MedicalDeviceFilter,
    MedTechApi,
    Patient,
)
from icure_async.errors import (
    BadRequestError,
    BatchError,
    ConflictError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.builders import builder_for
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog

# Each of them could end or change a path, or end an id.
ODD_CODES: Final = (
    "UNIVERSE THERMAL DEATH",
    "mg/dL",
    "a,b",
    "50%",
    "%2F",
    "a;b=c",
    "a\\b",
    "what?#",
    "..",
    "é∑🩺",
    "+&=",
    "'\"<>",
)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """One with tokens, without which today's dialect is not spoken, and without other records."""
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def api(opener: Opener, sandbox: Sandbox, requests: RequestLog) -> MedTechApi:
    """The master of the sandbox, without keys, which codings need not."""
    opened = await opener.plain(sandbox.master_hcp.login, sandbox.master_hcp.password)
    await opened.identify()
    requests.take()
    return opened


@pytest.fixture
async def proxied(opener: Opener, sandbox: Sandbox, proxy: Proxy) -> MedTechApi:
    master = sandbox.master_hcp
    opened = await opener.plain(master.login, master.password, url=proxy.url)
    await opened.identify()
    proxy.exchanges.clear()
    return opened


@pytest.fixture(params=["medtech", "cardinal"])
async def either(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    client_session: aiohttp.ClientSession,
    requests: RequestLog,
) -> MedTechApi:
    """The master of the sandbox, in the dialect of 2023 and in today's."""
    flavour: Flavour = request.param
    master = sandbox.master_hcp
    builder = builder_for(sandbox.icure_url, master.login, master.password).with_flavour(flavour)
    opened = await builder.with_client_session(client_session).build()
    await opened.identify()
    requests.take()
    return opened


def fever(**members: Any) -> Coding:
    given: dict[str, Any] = {
        "type": "SNOMED",
        "code": "386661006",
        "version": "2024",
        "regions": ["be", "fr"],
        "description": {"en": "Fever", "fr": "Fièvre"},
        "search_terms": {"en": ["pyrexia", "hot"], "fr": ["chaud"]},
        "qualified_links": {"narrower": ["SNOMED|1|2024"]},
    }
    return Coding(**(given | members))


def numbered(*numbers: int | str, **members: Any) -> list[Coding]:
    return [Coding(type="N", code=str(number), version="1", **members) for number in numbers]


async def save(api: MedTechApi, coding: Coding) -> Coding:
    return await api.coding_api.create_or_modify_coding(coding)


async def save_all(api: MedTechApi, *codings: Coding) -> BatchResult[Coding]:
    return await api.coding_api.create_or_modify_codings(codings)


async def stored(sandbox: Sandbox, coding_id: str) -> dict[str, Any]:
    document = await sandbox.stored("code", coding_id)
    assert document is not None
    return document


def refuse(proxy: Proxy, line: str) -> None:
    """Answer a request like this once as one that is malformed."""

    async def trick(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 400, {"message": "refused"}

    proxy.before(line, trick)


def last_parts(lines: list[str]) -> list[str]:
    return [f"{line.split()[0]} {line.rpartition('/')[2]}" for line in lines]


# --- One ------------------------------------------------------------------------------------------


async def test_create_read_and_modify(
    either: MedTechApi, requests: RequestLog, sandbox: Sandbox
) -> None:
    new = fever()
    created = await save(either, new)
    assert last_parts(requests.take()) == ["POST code"]
    assert created.id == new.id == "SNOMED|386661006|2024"
    read = await either.coding_api.get_coding(created.id)
    assert read == created
    assert last_parts(requests.take()) == ["GET SNOMED|386661006|2024"]
    modified = await save(either, read.evolve(description={"en": "High temperature"}))
    assert last_parts(requests.take()) == ["PUT code"]
    assert modified.rev[:2] == "2-"
    assert modified == await either.coding_api.get_coding(created.id)
    assert (await stored(sandbox, created.id))["label"] == {"en": "High temperature"}


async def test_search_terms_are_saved(either: MedTechApi, sandbox: Sandbox) -> None:
    """The reference sends an empty object for each language (data-model.md §7)."""
    created = await save(either, fever())
    document = await stored(sandbox, created.id)
    assert {name: sorted(terms) for name, terms in document["searchTerms"].items()} == {
        "en": ["hot", "pyrexia"],
        "fr": ["chaud"],
    }
    assert {name: sorted(terms) for name, terms in created.search_terms.items()} == {
        "en": ["hot", "pyrexia"],
        "fr": ["chaud"],
    }
    # A search finds the coding by one of them.
    find = CodingFilter().by_region_language_type_label(
        "be", language="en", type="SNOMED", label="pyr"
    )
    assert await either.coding_api.match_coding(find) == [created.id]


async def test_members_of_a_newer_backend_survive(api: MedTechApi, sandbox: Sandbox) -> None:
    created = await save(api, fever())
    before = await stored(sandbox, created.id)
    await save(api, created.evolve(regions=["be"]))
    after = await stored(sandbox, created.id)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {
        "rev",
        "regions",
    }


async def test_a_coding_built_by_hand_replaces_the_stored_one(api: MedTechApi) -> None:
    created = await save(api, fever())
    built = fever(id=created.id, rev=created.rev, description={"en": "built"})
    assert (await save(api, built)).description == {"en": "built"}


async def test_ids_hold_whatever_code_and_version_hold(
    either: MedTechApi, requests: RequestLog
) -> None:
    created = [
        await save(either, Coding(type="ICURE", code=code, version="1 b")) for code in ODD_CODES
    ]
    ids = [one.id for one in created]
    assert ids == [f"ICURE|{code}|1 b" for code in ODD_CODES]
    requests.take()
    assert [await either.coding_api.get_coding(coding_id) for coding_id in ids] == created
    assert len(requests.take()) == len(ids)
    assert await either.coding_api.get_codings(ids) == created
    modified = [await save(either, one.evolve(regions=["be"])) for one in created]
    by_ids = CodingFilter().by_ids(ids)
    found = [one async for one in either.coding_api.filter_coding(by_ids)]
    assert sorted(found, key=lambda one: ids.index(one.id)) == modified
    assert set(await either.coding_api.match_coding(by_ids)) == set(ids)
    result = await save_all(either, *(one.evolve(regions=["fr"]) for one in modified))
    assert [one.regions for one in result.saved] == [["fr"]] * len(ids)


async def test_an_unknown_coding(either: MedTechApi) -> None:
    for coding_id in ("X|Y|1", "UCUM|mg/dL|1"):
        with pytest.raises(NotFoundError):
            await either.coding_api.get_coding(coding_id)
        with pytest.raises(NotFoundError, match=re.escape(coding_id)):
            await either.coding_api.get_codings([coding_id])
        terminology, code, version = coding_id.split("|")
        gone = Coding(id=coding_id, rev="1-a", type=terminology, code=code, version=version)
        with pytest.raises(NotFoundError):
            await save(either, gone)


class TestConflicts:
    async def test_others_changed_it(self, either: MedTechApi) -> None:
        ours = await save(either, fever())
        await save(either, ours.evolve(regions=["be"]))
        with pytest.raises(ConflictError):
            await save(either, ours.evolve(regions=["fr"]))

    async def test_another_one_has_these_parts(self, either: MedTechApi) -> None:
        await save(either, fever())
        with pytest.raises(ConflictError, match="in use"):
            await save(either, fever(description={"en": "other"}))

    async def test_the_same_one_again_is_the_stored_one(self, either: MedTechApi) -> None:
        first = await save(either, fever())
        assert await save(either, fever()) == first

    async def test_a_lost_answer(self, proxied: MedTechApi, proxy: Proxy) -> None:
        proxy.lose("POST /code")
        new = fever()
        with pytest.raises(NetworkError):
            await save(proxied, new)
        created = await save(proxied, new)
        assert created.rev[:2] == "1-"
        changed = created.evolve(regions=["be"])
        proxy.lose("PUT /code")
        with pytest.raises(NetworkError):
            await save(proxied, changed)
        assert (await save(proxied, changed)).rev[:2] == "2-"

    @pytest.mark.parametrize(
        "change",
        [{"label": {"en": "other"}}, {"id": "SNOMED|other|2024"}, {"rev": None}, {"code": "x"}],
    )
    async def test_a_hostile_answer_is_no_success(
        self, proxied: MedTechApi, proxy: Proxy, change: dict[str, Any]
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer.update(change)

        proxy.after("POST /code", lie)
        with pytest.raises(InvalidResponseError):
            await save(proxied, fever())


# --- Many -----------------------------------------------------------------------------------------


class TestMany:
    async def test_new_ones_take_two_requests(
        self, either: MedTechApi, requests: RequestLog
    ) -> None:
        result = await save_all(either, *numbered(*range(40)), fever())
        result.raise_for_failures()
        lines = requests.take()
        assert len(lines) == 2
        assert last_parts(lines)[0] == "POST batch"
        assert [one.id for one in result.saved][38:] == ["N|38|1", "N|39|1", fever_id()]
        ids = [one.id for one in result.saved]
        assert await either.coding_api.get_codings(ids) == result.saved
        assert len(requests.take()) == 1

    async def test_changed_ones_take_two_requests(
        self, either: MedTechApi, requests: RequestLog
    ) -> None:
        old = (await save_all(either, *numbered(1, 2, 3))).saved
        requests.take()
        result = await save_all(either, *(one.evolve(regions=["be"]) for one in old))
        result.raise_for_failures()
        assert [one.regions for one in result.saved] == [["be"]] * 3
        lines = requests.take()
        assert (len(lines), last_parts(lines)[0]) == (2, "PUT batch")

    async def test_none(self, api: MedTechApi, requests: RequestLog) -> None:
        assert len(await save_all(api)) == 0
        assert requests.take() == []

    async def test_progress(self, api: MedTechApi) -> None:
        seen: list[BatchProgress] = []

        async def note(progress: BatchProgress) -> None:
            seen.append(progress)

        await api.coding_api.create_or_modify_codings(numbered(*range(251)), progress=note)
        assert seen == [BatchProgress(done=250, total=251), BatchProgress(done=251, total=251)]

    async def test_failures_are_told_for_each(self, either: MedTechApi, sandbox: Sandbox) -> None:
        stale, taken, changed = (await save_all(either, *numbered("stale", "taken", "c"))).saved
        await save(either, stale.evolve(regions=["be"]))
        (twice,) = numbered("twice")
        result = await save_all(
            either,
            *numbered("fine"),
            stale.evolve(regions=["fr"]),
            *numbered("taken", regions=["fr"]),
            Coding(type="N", code="versionless"),
            twice,
            twice,
            Coding(id="N|gone|1", rev="1-x", type="N", code="gone", version="1"),
            Patient(last_name="x"),  # type: ignore[arg-type]
            changed.evolve(regions=["nl"]),
            *numbered("same"),
        )
        assert [type(item.error) for item in result] == [
            type(None),
            ConflictError,
            ConflictError,
            ValidationError,
            type(None),
            ValidationError,
            NotFoundError,
            ValidationError,
            type(None),
            type(None),
        ]
        with pytest.raises(BatchError, match="6 of 10"):
            result.raise_for_failures()
        assert (await stored(sandbox, stale.id))["regions"] == ["be"]
        assert not (await stored(sandbox, taken.id)).get("regions")
        assert (await stored(sandbox, changed.id))["regions"] == ["nl"]

    async def test_the_same_call_again_finds_them_stored(self, either: MedTechApi) -> None:
        first = await save_all(either, *numbered(1, 2))
        again = await save_all(either, *numbered(1, 2, 3))
        again.raise_for_failures()
        assert [one.rev for one in again.saved[:2]] == [one.rev for one in first.saved]

    async def test_a_lost_answer(self, proxied: MedTechApi, proxy: Proxy) -> None:
        proxy.lose("POST /code/batch")
        codings = numbered(1, 2)
        (await save_all(proxied, *codings)).raise_for_failures()
        again = await save_all(proxied, *codings)
        assert [one.rev[:2] for one in again.saved] == ["1-", "1-"]

    @pytest.mark.parametrize("verb", ["create", "modify"])
    async def test_a_backend_that_refuses_all_because_of_one(
        self, proxied: MedTechApi, proxy: Proxy, verb: str
    ) -> None:
        """Backends of iCure do so where a new coding exists, or a changed one does not."""
        if verb == "create":
            await save_all(proxied, *numbered("there"))
            codings = numbered(*range(30), "there", regions=["be"])
        else:
            stored_ones = (await save_all(proxied, *numbered(*range(30)))).saved
            codings = [one.evolve(regions=["be"]) for one in stored_ones]
            codings.append(codings[0].evolve(id="N|gone|1", code="gone"))
        proxy.exchanges.clear()
        method = "POST" if verb == "create" else "PUT"
        refuse(proxy, f"{method} /code/batch")
        result = await save_all(proxied, *codings)
        assert len(result.saved) == 30
        (failed,) = result.failed
        assert type(failed.error) is (ConflictError if verb == "create" else NotFoundError)
        assert len(proxy.exchanges) <= 8

    async def test_a_refusal_of_all_is_told_for_each(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        for line in ("POST /code/batch", "POST /code", "POST /code"):
            refuse(proxy, line)
        result = await save_all(proxied, *numbered(1, 2))
        assert [type(item.error) for item in result] == [BadRequestError] * 2

    @pytest.mark.parametrize(
        "answer",
        [[{"id": "another", "rev": "1-x"}], [{"id": 5, "rev": []}], {"x": 1}, [None], "text"],
    )
    async def test_a_malformed_answer(self, proxied: MedTechApi, proxy: Proxy, answer: Any) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = answer

        proxy.after("POST /code/batch", lie)
        # They are stored, which reading them shows.
        (await save_all(proxied, *numbered(1, 2))).raise_for_failures()

    async def test_what_is_no_list(self, api: MedTechApi) -> None:
        with pytest.raises(ValidationError, match="must be a list"):
            await api.coding_api.create_or_modify_codings("abc")  # type: ignore[arg-type]


def fever_id() -> str:
    return "SNOMED|386661006|2024"


# --- Finding --------------------------------------------------------------------------------------


class TestFind:
    async def test_all_and_by_pages(self, either: MedTechApi, requests: RequestLog) -> None:
        codings = (await save_all(either, *numbered(*range(5)))).saved
        requests.take()
        find = either.coding_api.filter_coding
        wanted = CodingFilter().by_ids([one.id for one in codings])
        assert [one async for one in find(wanted, page_size=2)] == codings
        assert len(requests.take()) == 3
        assert {one.id async for one in find()} >= {one.id for one in codings}
        assert set(await either.coding_api.match_coding()) >= {one.id for one in codings}

    async def test_by_region_language_type_and_label(self, either: MedTechApi) -> None:
        await save_all(either, fever(), *numbered(1, regions=["fr"]))
        match = either.coding_api.match_coding
        by = CodingFilter().by_region_language_type_label
        assert await match(by("be")) == [fever_id()]
        assert await match(by("fr", language="fr", type="SNOMED", label="FIÈV")) == [fever_id()]
        assert await match(by("fr", language="en", type="SNOMED", label="fiev")) == []

    async def test_pages_of_ids_that_a_backend_cuts(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        """It may give fewer than were asked for, and the id of the next one."""
        codings = (await save_all(proxied, *numbered(*range(5)))).saved
        ids = [one.id for one in codings]

        async def cut(exchange: Exchange) -> None:
            rest = exchange.answer["rows"][2:]
            if rest:
                exchange.answer["rows"] = exchange.answer["rows"][:2]
                exchange.answer["nextKeyPair"] = {"startKeyDocId": rest[0]["id"]}

        for _ in range(3):
            proxy.after("POST /code/filter", cut)
        assert await proxied.coding_api.get_codings(ids) == codings

    async def test_a_backend_that_gives_the_same_page_again(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        (coding,) = (await save_all(proxied, *numbered(1))).saved

        async def repeat(exchange: Exchange) -> None:
            exchange.answer["nextKeyPair"] = {"startKeyDocId": coding.id}

        for _ in range(3):
            proxy.after("POST /code/filter", repeat)
        assert await proxied.coding_api.get_codings([coding.id]) == [coding]

    async def test_a_coding_that_nobody_asked_for_is_refused(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        one, other = (await save_all(proxied, *numbered(1, 2))).saved

        async def swap(exchange: Exchange) -> None:
            exchange.answer["rows"][0]["id"] = other.id

        proxy.after("POST /code/filter", swap)
        with pytest.raises(InvalidResponseError):
            await proxied.coding_api.get_codings([one.id])

    async def test_a_filter_of_another_kind_is_refused(self, api: MedTechApi) -> None:
        with pytest.raises(ValidationError, match="coding"):
            await api.coding_api.match_coding(MedicalDeviceFilter())  # type: ignore[arg-type]

    @pytest.mark.parametrize("ids", [["x", "x"], [5], ["a\nb"], {"x": 1}, "text", [None], [""]])
    async def test_hostile_answers_to_a_match(
        self, proxied: MedTechApi, proxy: Proxy, ids: Any
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = ids

        proxy.after("POST /code/match", lie)
        with pytest.raises(InvalidResponseError):
            await proxied.coding_api.match_coding()


# --- Bad input ------------------------------------------------------------------------------------


BAD_IDS: Final = (
    "", "SNOMED", "SNOMED|1", "|1|2", "SNOMED||2", "SNOMED|1| ", "S|1\n|2", None, 5, fever
)  # fmt: skip


async def test_bad_ids(api: MedTechApi, requests: RequestLog) -> None:
    for bad in BAD_IDS:
        for call in (api.coding_api.get_coding, lambda one: api.coding_api.get_codings([one])):
            with pytest.raises(ValidationError, match="coding id"):
                await call(cast("str", bad))
    assert requests.take() == []


async def test_a_coding_is_no_id(api: MedTechApi) -> None:
    with pytest.raises(ValidationError, match="this is a Coding: pass its id"):
        await api.coding_api.get_coding(fever())  # type: ignore[arg-type]


BAD_MEMBERS: Final[Sequence[tuple[dict[str, Any], str]]] = (
    # The reference makes the id GOLD|…|undefined of this (second-world.md §2.6).
    ({"version": None}, "version"),
    ({"version": " "}, "version"),
    ({"type": None}, "type"),
    ({"code": ""}, "code"),
    ({"code": "a|b"}, "code"),
    ({"code": "a\nb"}, "control"),
    ({"code": "x" * 2000}, "characters|another"),
    ({"code": 5}, "code"),
    ({"id": "SNOMED|other|2024"}, "id"),
    ({"id": "386661006"}, "id"),
    ({"regions": "be"}, "regions"),
    ({"description": {"en": 5}}, "description"),
    ({"search_terms": {"en": "hot"}}, "search_terms"),
)


async def test_bad_members(api: MedTechApi, requests: RequestLog) -> None:
    stored_members = {"rev": "1-a", "id": fever_id()}
    for (change, message), members in product(BAD_MEMBERS, ({}, stored_members)):
        coding = fever(**members)
        for name, value in change.items():
            setattr(coding, name, value)
        with pytest.raises(ValidationError, match=message) as caught:
            await save(api, coding)
        assert "386661006" not in str(caught.value)
    assert requests.take() == []
