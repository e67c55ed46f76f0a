"""Patients found by filters, page by page, by professionals and by patients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from icure_async import (
    EncryptedPatient,
    Filter,
    MedTechApi,
    NotificationFilter,
    Patient,
    PatientFilter,
    UserFilter,
)
from icure_async.errors import (
    ConfigurationError,
    ConflictError,
    InvalidResponseError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.notifications import People
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, stage

FILTER = "POST /patient/filter"
MATCH = "POST /patient/match"
NOTE = "Winter is coming"


@pytest.fixture
def seed(world: Json) -> Json:
    seed = stage(world)
    add_hcp(seed, "stranger")
    child = add_hcp(seed, "member")
    seed["entities"]["hcparty"][child]["parentId"] = world["users"]["hcp"]["dataOwnerId"]
    return seed


def readable_by(name: str) -> dict[str, str | None]:
    """The notes that a golden person reads, by the ids of the patients."""
    return {
        expected["patientId"]: expected["fields"].get("note")
        for expected in WORLD["expected"]
        if expected["stage"] == "1-shared" and expected["reader"] == name and expected["fields"]
    }


async def found_by(api: MedTechApi, wanted: Any = None, **options: Any) -> list[Any]:
    return [found async for found in api.patient_api.filter_patients(wanted, **options)]


async def some_patients(api: MedTechApi, count: int) -> list[Patient]:
    return [
        await api.patient_api.create_or_modify_patient(
            Patient(first_name=f"Number {number}", last_name="Seven", note=f"{NOTE} {number}")
        )
        for number in range(count)
    ]


SEVEN = PatientFilter().contains_fuzzy("seven")


# --- Finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hcp", "ned", "arya"])
async def test_everybody_lists_the_patients_shared_with_them(opener: Opener, name: str) -> None:
    api = await opener.golden(name)
    mine = {}
    async for patient in api.patient_api.filter_patients():
        mine[patient.id] = patient.note
    assert readable_by(name).items() <= mine.items()
    assert sorted(mine) == sorted(await api.patient_api.match_patients())
    assert await api.patient_api.count_patients() == len(mine)


async def test_a_found_patient_is_the_one_that_is_read(opener: Opener) -> None:
    api = await opener.golden("hcp")
    created = await some_patients(api, 3)
    found = await found_by(api, SEVEN)
    assert sorted(found, key=lambda patient: patient.id) == sorted(
        created, key=lambda patient: patient.id
    )
    assert await found_by(api, SEVEN.build(), page_size=1) == found
    assert await found_by(api, SEVEN & PatientFilter().by_ids([created[1].id])) == [created[1]]


async def test_saving_a_found_patient_keeps_its_note(opener: Opener) -> None:
    """The reference finds patients without their notes, and saving one erases it."""
    api = await opener.golden("hcp")
    await some_patients(api, 1)
    (patient,) = await found_by(api, SEVEN)
    await api.patient_api.create_or_modify_patient(patient.evolve(company_name="North"))
    (changed,) = await found_by(api, SEVEN)
    assert (changed.company_name, changed.note) == ("North", f"{NOTE} 0")


async def test_one_that_no_key_opens_does_not_hide_the_others(
    opener: Opener, people: People
) -> None:
    """The backend lets any professional look; one without a key learns nothing by that."""
    hcp = await opener.golden("hcp")
    created = await some_patients(hcp, 2)
    stranger = await opener.plain("stranger")
    await stranger.init_user_crypto()
    hers = SEVEN.for_data_owner(people.hcp_id)
    found = await found_by(stranger, hers)
    assert {patient.id for patient in found} == {patient.id for patient in created}
    for patient in found:
        assert isinstance(patient, EncryptedPatient)
        assert patient.note is None
        assert patient == await stranger.patient_api.get_patient_and_try_decrypt(patient.id)
    assert await found_by(stranger, SEVEN) == []


async def test_an_organisation_is_asked_for_separately(opener: Opener, people: People) -> None:
    hcp = await opener.golden("hcp")
    of_organisation = {patient.id for patient in await some_patients(hcp, 2)}
    member = await opener.plain("member")
    await member.init_user_crypto()
    own = {patient.id for patient in await some_patients(member, 1)}
    match = member.patient_api.match_patients
    hers = SEVEN.for_data_owner(people.hcp_id)
    assert set(await match(SEVEN)) == own
    assert set(await match(hers)) == of_organisation
    assert set(await match(SEVEN | hers)) == own | of_organisation
    assert await match(SEVEN & hers) == []


async def test_deleted_patients_are_found_by_their_ids_only(opener: Opener) -> None:
    api = await opener.golden("hcp")
    one, two = await some_patients(api, 2)
    await api.patient_api.delete_patient(one.id)
    assert [patient.id for patient in await found_by(api, SEVEN)] == [two.id]
    by_ids = PatientFilter().by_ids([one.id])
    assert [patient.id for patient in await found_by(api, by_ids)] == [one.id]
    assert one.id not in await api.patient_api.match_patients(~SEVEN)


# --- Requests -------------------------------------------------------------------------------------


async def test_a_search_costs_one_request(opener: Opener, requests: RequestLog) -> None:
    """The reference: one for a page, and one for the ids (wire-protocol.md §6.1)."""
    api = await opener.golden("hcp")
    await some_patients(api, 3)
    requests.take()
    assert len(await found_by(api, SEVEN)) == 3
    assert requests.take() == ["POST /rest/v1/patient/filter"]
    assert len(await api.patient_api.match_patients(SEVEN)) == 3
    assert await api.patient_api.count_patients(SEVEN) == 3
    assert requests.take() == ["POST /rest/v1/patient/match"] * 2


async def test_one_page_is_read_ahead_and_no_more(opener: Opener, requests: RequestLog) -> None:
    api = await opener.golden("hcp")
    await some_patients(api, 7)
    requests.take()
    found, lists = 0, 0
    async for _ in api.patient_api.filter_patients(SEVEN, page_size=2):
        found += 1
        # Time for requests that should not be.
        await asyncio.sleep(0.05)
        lists += len(requests.take())
        assert lists == min((found + 1) // 2 + 1, 4)
    assert found == 7


async def test_leaving_early_leaves_nothing(opener: Opener, requests: RequestLog) -> None:
    api = await opener.golden("hcp")
    await some_patients(api, 5)
    patients = api.patient_api.filter_patients(SEVEN, page_size=1)
    async with contextlib.aclosing(patients):
        await anext(patients)
        await anext(patients)
    requests.take()
    async for _ in api.patient_api.filter_patients(SEVEN, page_size=1):
        break
    await asyncio.sleep(0.05)
    assert "icure next page" not in {task.get_name() for task in asyncio.all_tasks()}
    assert len(requests.take()) <= 2


async def test_an_iterator_outlives_its_api_and_then_says_why_it_ends(opener: Opener) -> None:
    api = await opener.golden("hcp")
    await some_patients(api, 3)
    patients = api.patient_api.filter_patients(SEVEN, page_size=1)
    await anext(patients)
    async with asyncio.timeout(5):
        await api.aclose()
    with pytest.raises(ConfigurationError, match="is closed"):
        await anext(patients)


# --- Bad input ------------------------------------------------------------------------------------


BAD_FILTERS: list[tuple[Any, str]] = [
    ("all", "must be a Filter"),
    ({"$type": "PatientByHcPartyFilter"}, "must be a Filter"),
    (PatientFilter, "must be a Filter"),
    (NotificationFilter(), "must be one for patients, and is one for notifications"),
    (~UserFilter(), "must be one for patients, and is one for users"),
    (SEVEN.union([SEVEN]).intersection([SEVEN]), "exclude each other"),
]


@pytest.mark.parametrize(("bad", "problem"), BAD_FILTERS)
async def test_a_bad_filter_is_refused_before_anything_is_sent(
    opener: Opener, requests: RequestLog, bad: Any, problem: str
) -> None:
    api = (await opener.golden("hcp")).patient_api
    requests.take()
    with pytest.raises(ValidationError, match=problem):
        api.filter_patients(bad)
    with pytest.raises(ValidationError, match=problem):
        await api.match_patients(bad)
    with pytest.raises(ValidationError, match=problem):
        await api.count_patients(bad)
    assert requests.take() == []


async def test_bad_page_sizes_are_refused(opener: Opener, requests: RequestLog) -> None:
    api = (await opener.golden("hcp")).patient_api
    requests.take()
    bad: Any
    for bad in (0, -1, True, "2", None):
        with pytest.raises(ValidationError, match="page_size"):
            api.filter_patients(page_size=bad)
    assert requests.take() == []


# --- Hostile pages --------------------------------------------------------------------------------


async def through(opener: Opener, proxy: Proxy, count: int = 4) -> MedTechApi:
    await some_patients(await opener.golden("hcp"), count)
    return await opener.golden("hcp", url=proxy.url)


@pytest.mark.parametrize(
    "rows",
    [
        *(None, "S3CRET", [1], [{"firstName": "S3CRET"}], {"a": {}}, [None]),
        [{"id": "a", "rev": "1-a", "delegations": "S3CRET"}],
        [{"id": "a/b", "rev": "1-a"}],
        [{"id": "a", "rev": "1-a", "note": ["S3CRET"]}],
        [{"id": "a"}],
    ],
)
async def test_a_page_that_is_none_is_refused(opener: Opener, proxy: Proxy, rows: Any) -> None:
    api = await through(opener, proxy, 1)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer["rows"] = rows

    proxy.after(FILTER, spoil)
    with pytest.raises(InvalidResponseError, match="Could not list patients") as caught:
        await found_by(api, SEVEN)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize("pair", [{"startKeyDocId": 7}, "S3CRET", ["a"], {"startKeyDocId": {}}])
async def test_a_next_page_that_is_none_is_refused(opener: Opener, proxy: Proxy, pair: Any) -> None:
    api = await through(opener, proxy, 1)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = pair

    proxy.after(FILTER, spoil)
    with pytest.raises(InvalidResponseError, match="nextKeyPair") as caught:
        await found_by(api, SEVEN)
    assert "S3CRET" not in str(caught.value)


async def test_an_error_of_a_later_page_comes_after_the_patients_before_it(
    opener: Opener, proxy: Proxy
) -> None:
    api = await through(opener, proxy)

    async def pass_on(_: Exchange) -> None: ...

    async def spoil(exchange: Exchange) -> None:
        exchange.answer["rows"] = [7]

    proxy.after(FILTER, pass_on)
    proxy.after(FILTER, spoil)
    patients = api.patient_api.filter_patients(SEVEN, page_size=2)
    for _ in range(2):
        assert (await anext(patients)).note
        await asyncio.sleep(0.05)
    with pytest.raises(InvalidResponseError):
        await anext(patients)


async def test_the_same_patient_twice_comes_once(opener: Opener, proxy: Proxy) -> None:
    api = await through(opener, proxy)

    async def repeat(exchange: Exchange) -> None:
        exchange.answer["rows"] *= 2

    for _ in range(2):
        proxy.after(FILTER, repeat)
    found = [patient.id for patient in await found_by(api, SEVEN, page_size=2)]
    assert len(found) == len(set(found)) == 4


async def test_patients_may_vanish_while_one_looks(
    opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    api = await through(opener, proxy, 6)
    gone: list[str] = []

    async def vanish(exchange: Exchange) -> None:
        gone.append(exchange.answer["nextKeyPair"]["startKeyDocId"])
        other = await opener.golden("hcp")
        await other.patient_api.delete_patient(gone[0])

    proxy.after(FILTER, vanish)
    found = [patient.id for patient in await found_by(api, SEVEN, page_size=2)]
    assert sorted(found) == sorted(await api.patient_api.match_patients(SEVEN))
    assert len(found) == 5


async def test_pages_in_a_circle_are_noticed(opener: Opener, proxy: Proxy) -> None:
    api = await through(opener, proxy, 2)

    async def circle(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = {"startKeyDocId": exchange.answer["rows"][0]["id"]}

    for _ in range(3):
        proxy.after(FILTER, circle)
    with pytest.raises(InvalidResponseError, match="same page twice"):
        await found_by(api, SEVEN)


async def test_a_list_that_never_comes_to_rest_is_given_up(opener: Opener, proxy: Proxy) -> None:
    api = await through(opener, proxy, 2)

    async def more(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = {"startKeyDocId": "gone"}

    async def nothing(exchange: Exchange) -> None:
        exchange.answer = {"rows": []}

    for _ in range(10):
        proxy.after(FILTER, more)
        proxy.after(FILTER, nothing)
    with pytest.raises(ConflictError, match="while it was read"):
        await found_by(api, SEVEN)


@pytest.mark.parametrize("ids", [{"ids": []}, [7], ["a/b"], ["a", "a"], [["S3CRET"]], "S3CRET"])
async def test_ids_that_are_none_are_refused(opener: Opener, proxy: Proxy, ids: Any) -> None:
    api = await through(opener, proxy, 1)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer = ids

    for call in (api.patient_api.match_patients, api.patient_api.count_patients):
        proxy.after(MATCH, spoil)
        with pytest.raises(InvalidResponseError, match="Could not find patients") as caught:
            await call(SEVEN)
        assert "S3CRET" not in str(caught.value)


async def test_the_filter_is_what_is_sent(opener: Opener, proxy: Proxy, people: People) -> None:
    api = await through(opener, proxy, 1)
    wanted: Filter = SEVEN & ~PatientFilter().by_ids(["a"])
    await found_by(api, wanted)
    await api.patient_api.match_patients(wanted)
    assert proxy.sent(FILTER) == [{"$type": "FilterChain", "filter": wanted.to_wire(people.hcp_id)}]
    assert proxy.sent(MATCH) == [wanted.to_wire(people.hcp_id)]
