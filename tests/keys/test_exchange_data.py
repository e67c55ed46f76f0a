"""Exchange data: looked up, made once, verified, cached; and backends that lie about it."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import anyio
import pytest

from icure_async.crypto.exchange_data import EncryptionKey, new_exchange_data, with_added_key
from icure_async.entities.exchange_data import UsableExchangeData
from icure_async.errors import (
    ConfigurationError,
    ConflictError,
    CryptoError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ServerError,
)
from icure_async.keys.exchange_data import ACCESS_HEADER
from icure_async.keys.exchange_data_cache import ENTITY_TYPES, ExchangeDataCache
from icure_async.models.key_pair import fingerprint_v2
from icure_async.models.key_question import KeyQuestion
from icure_async.rest.calls import Calls
from icure_async.rest.connection import Connection
from icure_async.storage import MemoryStorage
from tests.support.cardinal_world import CARDINAL, audit, private_keys_of
from tests.support.exchange_backend import (
    DOC,
    OTHER,
    PAT,
    PAT2,
    Answer,
    ExchangeBackend,
    Json,
    Person,
    Question,
    pairs_of,
    peopled_backend,
    person,
    person_at,
)
from tests.support.key_material import forge

LOOKED_UP = f"GET /exchangedata/byDelegatorDelegate/{DOC}/{OTHER}"
STUB = f"GET /dataowner/stub/{OTHER}"
OWN = "GET /dataowner/current"


@pytest.fixture
def backend() -> ExchangeBackend:
    return peopled_backend(DOC, OTHER, PAT, PAT2)


async def data_to(one: Person, delegate_id: str = OTHER) -> UsableExchangeData:
    found = (await one.directory.to_write_with([delegate_id]))[delegate_id]
    assert isinstance(found, UsableExchangeData)
    return found


async def error_to(one: Person, delegate_id: str = OTHER) -> ICureError:
    found = (await one.directory.to_write_with([delegate_id]))[delegate_id]
    assert isinstance(found, ICureError)
    return found


def stored(backend: ExchangeBackend) -> dict[str, Json]:
    return backend.entities["exchangedata"]


# --- Made, and found again ------------------------------------------------------------------------


async def test_exchange_data_is_made_once_and_passes_an_independent_check(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    data = await data_to(doc)
    assert backend.asked == [OWN, LOOKED_UP, STUB, "POST /exchangedata"]
    assert await data_to(doc) is data
    assert len(backend.asked) == 4
    found = audit(backend.entities, private_keys_of("doc1", "doc2"))
    assert (found.problems, found.unverified) == ([], set())
    assert found.counts["delegator signatures"] == found.counts["shared signatures"] == 1
    # The next program looks it up, and asks for nobody's keys.
    backend.questions.clear()
    assert (await data_to(await person(backend))).id == data.id
    assert backend.asked == [OWN, LOOKED_UP]
    assert len(stored(backend)) == 1


async def test_exchange_data_to_oneself_needs_no_stub(backend: ExchangeBackend) -> None:
    data = await data_to(await person(backend), DOC)
    assert data.members == {DOC}
    assert backend.asked == [
        OWN,
        f"GET /exchangedata/byDelegatorDelegate/{DOC}/{DOC}",
        "POST /exchangedata",
    ]


async def test_a_second_device_of_ours_reads_and_writes_with_what_the_first_made(
    backend: ExchangeBackend,
) -> None:
    """All our published keys get it, as the backend is believed without a policy."""
    second = pairs_of("k-doc1")[0]
    backend.entities["hcparty"][DOC]["publicKeysForOaepWithSha256"].append(second.public_key)
    first = await data_to(await person(backend))
    other_device = await Person(backend, DOC).with_keys(second)
    assert (await other_device.directory.by_ids([first.id]))[first.id].secrets == first.secrets
    # It can't tell that the first one is ours, and makes its own to write with.
    assert (await data_to(other_device)).id != first.id


async def test_a_listed_key_with_our_fingerprint_crowds_ours_out_of_nothing(
    backend: ExchangeBackend,
) -> None:
    """The backend lists a key of its own in front of ours, with the same fingerprint."""
    (ours,) = pairs_of("doc1")
    planted = forge(ours.public_key)
    listed = backend.entities["hcparty"][DOC]["publicKeysForOaepWithSha256"]
    listed.insert(0, planted.public_key)
    for delegate_id in (DOC, OTHER):
        data = await data_to(await person(backend), delegate_id)
        # Another program of ours has nothing but the ciphertexts.
        again = await person(backend)
        assert (await again.directory.by_ids([data.id]))[data.id].secrets == data.secrets
        thief = await Person(backend, DOC).with_keys(planted)
        assert await thief.directory.by_ids([data.id]) == {}


async def test_tasks_that_need_the_same_exchange_data_make_one(backend: ExchangeBackend) -> None:
    doc = await person(backend)
    found: list[UsableExchangeData] = []

    async def need() -> None:
        found.append(await data_to(doc))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(need)
    assert len(found) == 5
    assert {data.id for data in found} == set(stored(backend))
    assert len(stored(backend)) == 1


async def test_two_devices_at_once_make_two_of_which_both_are_read_and_one_is_used(
    backend: ExchangeBackend,
) -> None:
    one, two = await person(backend), await person(backend)
    looked_up = 0

    def both_find_nothing(question: Question, answer: Callable[[], Answer]) -> Answer:
        nonlocal looked_up
        looked_up += str(question) == LOOKED_UP
        return (200, []) if str(question) == LOOKED_UP and looked_up <= 2 else answer()

    backend.intervene = both_find_nothing
    first, second = await data_to(one), await data_to(two)
    assert first.id != second.id
    third = await person(backend)
    delegate = await person(backend, OTHER)
    for reader in (third, delegate):
        assert set(await reader.directory.by_ids([first.id, second.id])) == {first.id, second.id}
    assert (await data_to(third)).id == first.id
    assert len(stored(backend)) == 2


async def test_many_delegates_are_looked_up_side_by_side_and_come_in_their_order(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    found = await doc.directory.to_write_with([PAT, DOC, OTHER, PAT])
    assert list(found) == [PAT, DOC, OTHER]
    assert [one.delegate for one in found.values() if isinstance(one, UsableExchangeData)] == [
        PAT,
        DOC,
        OTHER,
    ]


# --- Crash safety ---------------------------------------------------------------------------------


async def test_an_answer_that_is_lost_does_not_make_a_second_one(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)

    def lose(question: Question, answer: Callable[[], Answer]) -> Answer:
        status, body = answer()
        if str(question) == "POST /exchangedata":
            raise NetworkError("The connection broke.")
        return status, body

    backend.intervene = lose
    with pytest.raises(NetworkError):
        await data_to(doc)
    backend.intervene = None
    (made,) = stored(backend)
    for device in (doc, await person(backend)):
        assert (await data_to(device)).id == made
    assert list(stored(backend)) == [made]


async def test_an_attempt_that_nothing_shows_yet_is_repeated_with_the_same_id(
    backend: ExchangeBackend,
) -> None:
    """The index of the backend may lag behind: the id is in use, and what it names is used."""
    doc = await person(backend)
    loses = True

    def lag(question: Question, answer: Callable[[], Answer]) -> Answer:
        nonlocal loses
        if str(question) == LOOKED_UP:
            return 200, []
        status, body = answer()
        if loses and str(question) == "POST /exchangedata":
            loses = False
            raise NetworkError("The connection broke.")
        return status, body

    backend.intervene = lag
    with pytest.raises(NetworkError):
        await data_to(doc)
    data = await data_to(doc)
    assert set(stored(backend)) == {data.id}
    assert data.secrets == (await doc.directory.by_ids([data.id]))[data.id].secrets


async def test_an_id_that_is_in_use_for_something_else_is_not_written_with(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)

    def taken(question: Question, answer: Callable[[], Answer]) -> Answer:
        return (409, {}) if str(question) == "POST /exchangedata" else answer()

    backend.intervene = taken
    with pytest.raises(ConflictError, match="Try again"):
        await data_to(doc)
    backend.intervene = None
    assert (await data_to(doc)).id in stored(backend)


async def test_what_was_made_here_is_known_after_a_crash_even_under_a_policy(
    backend: ExchangeBackend,
) -> None:
    """It is written down before it is sent, so that the policy is not asked about it."""
    storage = MemoryStorage()
    asked: list[KeyQuestion] = []

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question)
        return question.kind == "public_key"

    doc = await person(backend, storage=storage, policy=policy)

    def lose(question: Question, answer: Callable[[], Answer]) -> Answer:
        status, body = answer()
        if str(question) == "POST /exchangedata":
            raise NetworkError("The connection broke.")
        return status, body

    backend.intervene = lose
    with pytest.raises(NetworkError):
        await data_to(doc)
    backend.intervene = None
    (made,) = stored(backend)
    assert (await data_to(await person(backend, storage=storage, policy=policy))).id == made
    assert [question.kind for question in asked] == ["public_key"]


# --- What is written with -------------------------------------------------------------------------


def damage_shared(document: Json) -> Json:
    return document | {"sharedSignature": base64.b64encode(os.urandom(64)).decode()}


def damage_own(document: Json) -> Json:
    (name,) = document["delegatorSignature"]
    signature = base64.b64encode(os.urandom(64)).decode()
    return document | {"delegatorSignature": {name: signature}}


def without_own(document: Json) -> Json:
    return {name: value for name, value in document.items() if name != "delegatorSignature"}


def with_foreign(document: Json) -> Json:
    signature = base64.b64encode(os.urandom(256)).decode()
    return document | {"delegatorSignature": {"9910464b4000125801fc09": signature}}


def deleted(document: Json) -> Json:
    return document | {"deletionDate": 1}


@pytest.mark.parametrize("change", [damage_shared, damage_own, without_own, with_foreign, deleted])
async def test_what_does_not_verify_is_read_with_and_never_written_with(
    backend: ExchangeBackend, change: Callable[[Json], Json]
) -> None:
    first = await data_to(await person(backend))
    stored(backend)[first.id] = change(stored(backend)[first.id])
    doc = await person(backend)
    second = await data_to(doc)
    assert second.id != first.id
    assert (await doc.directory.by_ids([first.id]))[first.id].secrets == first.secrets
    assert (await data_to(await person(backend))).id == second.id


async def test_exchange_data_that_its_delegate_could_never_read_is_not_written_with(
    backend: ExchangeBackend,
) -> None:
    """Today's clients can make some for an invited patient without a key (today.md §4.1)."""
    (other_device,) = pairs_of("k-doc1")
    backend.entities["hcparty"][DOC]["publicKeysForOaepWithSha256"].append(other_device.public_key)
    doc = await person(backend)
    ours = [EncryptionKey(pair.public_key, "sha-256") for pair in (*pairs_of("doc1"), other_device)]
    keyless, _ = await new_exchange_data(
        doc.crypto, doc.key_ring, "keyless", DOC, PAT, ours[:1], ours[1:]
    )
    stored(backend)["keyless"] = keyless
    data = await data_to(doc, PAT)
    assert data.id != "keyless"
    patient = await person(backend, PAT)
    assert set(await patient.directory.by_ids([data.id, "keyless"])) == {data.id}


@pytest.mark.parametrize("stage", ["k1-before-loss", "k3-access-given-back"])
async def test_what_clients_of_2025_made_is_read_with_and_never_written_with(stage: str) -> None:
    """Their delegator signatures have another form (today.md §0.10)."""
    backend = ExchangeBackend.at(stage)
    user = "k-doc1" if stage == "k1-before-loss" else "k-doc1-new"
    doc = await person_at(backend, user)
    before = set(stored(backend))
    known = await doc.directory.by_ids(before)
    assert known
    delegate_id = CARDINAL["users"]["k-doc2"]["dataOwnerId"]
    data = await data_to(doc, delegate_id)
    assert data.id not in before


async def test_what_2_14_made_is_written_with() -> None:
    backend = ExchangeBackend.at("1-explicit")
    doc = await person_at(backend, "doc1")
    for name in ("doc1", "doc2"):
        assert (await data_to(doc, CARDINAL["users"][name]["dataOwnerId"])).id in stored(backend)
    assert "POST /exchangedata" not in backend.asked


async def test_a_delegate_without_keys_gets_nothing_and_is_asked_again_next_time(
    backend: ExchangeBackend,
) -> None:
    backend.add_owner("hcparty", OTHER)
    doc = await person(backend)
    error = await error_to(doc)
    assert isinstance(error, CryptoError)
    assert "has no public key" in str(error)
    assert backend.asked == [OWN, LOOKED_UP, STUB]
    backend.add_owner("hcparty", OTHER, *pairs_of("doc2"))
    assert (await data_to(doc)).delegate == OTHER


async def test_a_delegate_who_does_not_exist_keeps_nobody_else_from_access(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    found = await doc.directory.to_write_with(["nobody", OTHER])
    assert isinstance(found["nobody"], NotFoundError)
    assert isinstance(found[OTHER], UsableExchangeData)


async def test_without_a_key_pair_in_use_nothing_is_sent(backend: ExchangeBackend) -> None:
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await Person(backend, DOC).directory.to_write_with([OTHER])
    assert backend.asked == [OWN]


async def test_a_server_that_fails_is_an_error_and_no_delegate_left_out(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    backend.intervene = lambda question, answer: (
        (500, {}) if question.path.startswith("/exchangedata") else answer()
    )
    with pytest.raises(ServerError):
        await doc.directory.to_write_with([OTHER])


async def test_keys_of_2023_are_encrypted_for_with_their_own_hash(
    backend: ExchangeBackend,
) -> None:
    (pair,) = pairs_of("doc2")
    backend.entities["hcparty"][OTHER] = {"id": OTHER, "rev": "1", "publicKey": pair.public_key}
    await data_to(await person(backend))
    found = audit(backend.entities, private_keys_of("doc1", "doc2"))
    assert found.problems == []
    assert found.counts["hashes"] == 2


# --- A policy -------------------------------------------------------------------------------------


async def test_a_policy_that_says_no_keeps_exchange_data_from_being_made(
    backend: ExchangeBackend,
) -> None:
    asked: list[KeyQuestion] = []

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question)
        return False

    error = await error_to(await person(backend, policy=policy))
    assert "with_public_key_policy" in str(error)
    assert [question.public_key for question in asked] == [pairs_of("doc2")[0].public_key]
    assert stored(backend) == {}


async def test_a_policy_is_asked_about_whole_keys(backend: ExchangeBackend) -> None:
    """Another key with the same 22 digits is easily made."""
    (real,) = pairs_of("doc2")
    forged = forge(real.public_key).public_key
    assert fingerprint_v2(forged) == fingerprint_v2(real.public_key)

    async def policy(question: KeyQuestion) -> bool:
        return question.public_key != forged

    backend.entities["hcparty"][OTHER]["publicKeysForOaepWithSha256"] = [forged]
    doc = await person(backend, policy=policy)
    assert isinstance(await error_to(doc), CryptoError)
    backend.entities["hcparty"][OTHER]["publicKeysForOaepWithSha256"] = [forged, real.public_key]
    doc = await person(backend, policy=policy)
    data = await data_to(doc)
    delegate = await person(backend, OTHER)
    assert data.id in await delegate.directory.by_ids([data.id])


@pytest.mark.parametrize("delegate_id", [DOC, OTHER])
async def test_a_key_that_looks_like_ours_does_not_lock_us_out(
    backend: ExchangeBackend, delegate_id: str
) -> None:
    """The backend lists one with our fingerprints, before ours, and nobody confirms keys."""
    (real,) = pairs_of("doc1")
    forged = forge(real.public_key).public_key
    backend.entities["hcparty"][DOC]["publicKeysForOaepWithSha256"] = [forged, real.public_key]
    data = await data_to(await person(backend), delegate_id)
    again = await person(backend)
    assert data.id in await again.directory.by_ids([data.id])


async def test_a_key_that_looks_like_ours_does_not_take_our_place_in_maps(
    backend: ExchangeBackend,
) -> None:
    (real,) = pairs_of("doc1")
    forged = forge(real.public_key).public_key
    backend.entities["hcparty"][DOC]["publicKeysForOaepWithSha256"] = [forged, real.public_key]
    doc = await person(backend)
    data = await data_to(doc, PAT)
    await doc.maps.write("Patient", [data])
    key = data.secrets.delegation_key("Patient")
    assert key in await (await person(backend)).directory.by_maps([key])


async def test_a_policy_covers_exchange_data_that_another_device_made(
    backend: ExchangeBackend,
) -> None:
    first = await data_to(await person(backend))
    answers = {"exchange_key": False, "public_key": True}
    asked: list[str] = []

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question.kind)
        return answers[question.kind]

    doc = await person(backend, policy=policy)
    assert (await data_to(doc)).id != first.id
    assert asked == ["exchange_key", "public_key"]
    answers["exchange_key"] = True
    assert (await data_to(await person(backend, policy=policy))).id == first.id


async def test_a_policy_that_writes_while_it_is_asked_is_told_so(
    backend: ExchangeBackend,
) -> None:
    doc: Person

    async def policy(question: KeyQuestion) -> bool:
        await doc.directory.to_write_with([OTHER])
        return True

    doc = await person(backend, policy=policy)
    with pytest.raises(ConfigurationError):
        await doc.directory.to_write_with([OTHER])


async def test_keys_that_came_by_exchange_data_with_a_wrong_signature_protect_nothing_new(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    data = await data_to(doc)
    assert await doc.directory.may_write_with(data)
    for change in (damage_shared, damage_own):
        changed = UsableExchangeData(change(dict(data.document)), data.secrets)
        assert not await doc.directory.may_write_with(changed)
    for change in (without_own, with_foreign):
        changed = UsableExchangeData(change(dict(data.document)), data.secrets)
        assert await doc.directory.may_write_with(changed)
    # The delegate can't verify who has made it, and believes the backend without a policy.
    delegate = await person(backend, OTHER)
    theirs = (await delegate.directory.by_ids([data.id]))[data.id]
    assert await delegate.directory.may_write_with(theirs)

    async def policy(question: KeyQuestion) -> bool:
        return False

    delegate = await person(backend, OTHER, policy=policy)
    theirs = (await delegate.directory.by_ids([data.id]))[data.id]
    assert not await delegate.directory.may_write_with(theirs)


# --- Read with ------------------------------------------------------------------------------------


async def test_exchange_data_is_read_once_and_known_by_all_its_delegation_keys(
    backend: ExchangeBackend,
) -> None:
    data = await data_to(await person(backend))
    other = await person(backend, OTHER)
    assert set(await other.directory.by_ids([data.id, data.id])) == {data.id}
    assert set(await other.directory.by_ids([data.id])) == {data.id}
    assert backend.count()["POST /exchangedata/byIds"] == 1
    keys = [data.secrets.delegation_key(name) for name in ENTITY_TYPES]
    known = other.directory.known(keys)
    assert {key: [one.id for one in found] for key, found in known.items()} == {
        key: [data.id] for key in keys
    }


async def test_many_who_need_the_same_exchange_data_ask_once(backend: ExchangeBackend) -> None:
    data = await data_to(await person(backend))
    other = await person(backend, OTHER)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(other.directory.by_ids, [data.id])
    assert backend.count()["POST /exchangedata/byIds"] == 1


async def test_what_was_closed_is_looked_at_again_when_a_key_was_given(
    backend: ExchangeBackend,
) -> None:
    """A counterpart adds the new key of somebody who has lost the old one (today.md §4.5)."""
    doc = await person(backend)
    data = await data_to(doc)
    (new,) = pairs_of("newdoc")
    other = await Person(backend, OTHER).with_keys(new)
    assert await other.directory.by_ids([data.id]) == {}
    key = EncryptionKey(new.public_key, "sha-256")
    stored(backend)[data.id] = await with_added_key(doc.crypto, data.document, data.secrets, key)
    assert set(await other.directory.by_ids([data.id])) == {data.id}
    # And the one who gave it may go on writing with it.
    assert (await data_to(await person(backend))).id == data.id


async def test_what_one_may_not_read_does_not_keep_the_rest_from_being_read(
    backend: ExchangeBackend,
) -> None:
    """Somebody names another's exchange data among ours, and the backend refuses all of it."""
    data = await data_to(await person(backend))
    other = await person(backend, OTHER)

    def refuse(question: Question, answer: Callable[[], Answer]) -> Answer:
        body = question.body or {}
        return (403, {}) if "another's" in body.get("ids", ()) else answer()

    backend.intervene = refuse
    ids = ["unknown", "another's", data.id, "no id/", ""]
    assert set(await other.directory.by_ids(ids)) == {data.id}


async def test_the_cache_is_bounded_and_forgets_delegation_keys_with_exchange_data(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    made = [await data_to(doc, name) for name in (DOC, OTHER, PAT)]
    keys = [data.secrets.delegation_key("Patient") for data in made]
    cache = ExchangeDataCache(2)
    cache.put(made[0])
    cache.put(made[1])
    assert cache.get(made[0].id) is made[0]
    cache.put(made[2])
    assert [cache.get_by_key(key) for key in keys] == [[made[0]], [], [made[2]]]
    assert len(cache) == 2
    assert len(cache._ids_by_key) == 2 * len(ENTITY_TYPES)
    assert str(cache) == "ExchangeDataCache(2 of 2)"
    cache.clear()
    assert cache.values == []
    assert cache._ids_by_key == {}


async def test_nothing_shows_the_secrets(backend: ExchangeBackend) -> None:
    doc = await person(backend)
    data = await data_to(doc)
    for text in (repr(data), repr(doc.directory), repr(data.secrets)):
        assert data.secrets.exchange_key.hex() not in text
        assert str(data.secrets.exchange_key) not in text
    assert repr(data) == f"UsableExchangeData(id={data.id!r})"


# --- Anonymous data owners ------------------------------------------------------------------------


async def test_an_anonymous_owner_knows_all_of_its_exchange_data_page_by_page(
    backend: ExchangeBackend,
) -> None:
    patient = await person(backend, PAT)
    assert await patient.directory.access_headers("Patient") == {}
    made = [await data_to(await person(backend, DOC), PAT)]
    made += [await data_to(patient, name) for name in (PAT, OTHER, PAT2, DOC)]
    backend.page = 2
    backend.questions.clear()
    patient = await person(backend, PAT)
    headers = await patient.directory.access_headers("Patient")
    listed = f"GET /exchangedata/byParticipant/{PAT}"
    assert backend.asked == [OWN, listed, listed, listed]
    content = base64.b64decode(headers[ACCESS_HEADER])
    keys = {content[start : start + 16] for start in range(0, len(content), 16)}
    assert keys == {data.secrets.access_control_key("Patient") for data in made}
    assert await patient.directory.access_headers("Patient") == headers
    assert await patient.directory.access_headers("Contact") != headers
    # Exchange data to write with is known from there.
    await data_to(patient, OTHER)
    assert backend.asked == [OWN, listed, listed, listed]


async def test_new_exchange_data_is_in_the_header_at_once(backend: ExchangeBackend) -> None:
    patient = await person(backend, PAT)
    first = await patient.directory.access_headers("Patient")
    data = await data_to(patient, DOC)
    headers = await patient.directory.access_headers("Patient")
    assert (first, headers) == (
        {},
        {ACCESS_HEADER: base64.b64encode(data.secrets.access_control_key("Patient")).decode()},
    )


async def test_an_anonymous_owner_finds_what_others_made_since(backend: ExchangeBackend) -> None:
    patient = await person(backend, PAT)
    assert await patient.directory.access_headers("Patient") == {}
    await data_to(await person(backend), PAT)
    await patient.directory.look_again(["a" * 64])
    assert await patient.directory.access_headers("Patient") != {}


async def test_access_that_was_given_since_renews_the_header(backend: ExchangeBackend) -> None:
    patient = await person(backend, PAT)
    before = await patient.directory.access_headers("Patient")
    assert await patient.directory.newer_access_headers("Patient", before) is None
    await data_to(await person(backend), PAT)
    after = await patient.directory.newer_access_headers("Patient", before)
    assert after
    assert after == await patient.directory.access_headers("Patient")
    # Others have none.
    backend.questions.clear()
    for one in (
        await person(backend),
        await person(backend, PAT, flavour="medtech"),
        Person(backend, PAT),
    ):
        assert await one.directory.newer_access_headers("Patient", {}) is None
    assert backend.asked == []


async def test_a_delegation_is_looked_for_once_in_a_call(
    backend: ExchangeBackend, client_session: aiohttp.ClientSession
) -> None:
    patient = await person(backend, PAT)
    calls = Calls("This API", Connection(client_session))
    listed = []
    for _ in range(2):
        with calls.call("read"):
            for keys in (["a" * 64], ["a" * 64], ["a" * 64, "b" * 64], ["b" * 64]):
                await patient.directory.look_again(keys)
                listed.append(backend.count()[f"GET /exchangedata/byParticipant/{PAT}"])
    assert listed == [1, 1, 2, 2, 3, 3, 4, 4]


async def test_what_a_later_key_pair_opens_needs_no_request(backend: ExchangeBackend) -> None:
    await data_to(await person(backend), PAT)
    (unrelated,) = pairs_of("newdoc")
    patient = await Person(backend, PAT).with_keys(unrelated)
    assert await patient.directory.access_headers("Patient") == {}
    asked = len(backend.asked)
    await patient.with_keys(*pairs_of("pat1"))
    assert await patient.directory.access_headers("Patient") != {}
    assert len(backend.asked) == asked


async def test_before_there_is_a_key_pair_nothing_is_listed(backend: ExchangeBackend) -> None:
    assert await Person(backend, PAT).directory.access_headers("Patient") == {}
    assert backend.asked == []


async def test_professionals_and_users_of_2023_send_no_access_control_keys(
    backend: ExchangeBackend,
) -> None:
    await data_to(await person(backend), PAT)
    backend.questions.clear()
    assert await (await person(backend)).directory.access_headers("Patient") == {}
    of_2023 = await person(backend, PAT, flavour="medtech")
    assert await of_2023.directory.access_headers("Patient") == {}
    assert backend.asked == [OWN]


async def test_everybody_but_professionals_is_anonymous_and_asked_for_once(
    backend: ExchangeBackend,
) -> None:
    backend.add_owner("device", "device-1")
    doc = await person(backend)
    for _ in range(2):
        found = [await doc.directory.is_anonymous(name) for name in (DOC, OTHER, PAT, "device-1")]
        assert found == [False, False, True, True]
    assert set(backend.count().values()) == {1}
    with pytest.raises(NotFoundError):
        await doc.directory.is_anonymous("nobody")


async def test_a_document_that_was_just_received_is_taken_note_of(
    backend: ExchangeBackend,
) -> None:
    doc, other = await person(backend), await person(backend, OTHER)
    data = await data_to(doc)
    noticed = await other.directory.notice(data.document)
    assert noticed is not None
    assert set(other.directory.known_by_ids([data.id])) == {data.id}
    stranger = await person(backend, PAT)
    assert await stranger.directory.notice(data.document) is None


# --- The backend of 2023 --------------------------------------------------------------------------


async def test_a_backend_without_exchange_data_is_remembered(backend: ExchangeBackend) -> None:
    backend.has_v2 = False
    patient = await person(backend, PAT, flavour="medtech")
    for _ in range(3):
        assert await patient.directory.by_ids(["some"]) == {}
        assert await patient.directory.by_maps(["a" * 64]) == {}
        await patient.directory.look_again(["a" * 64])
    assert backend.asked == ["POST /exchangedata/byIds", OWN]


async def test_the_same_is_an_error_for_a_user_of_today(backend: ExchangeBackend) -> None:
    backend.has_v2 = False
    doc = await person(backend)
    with pytest.raises(NotFoundError):
        await doc.directory.by_ids(["some"])


# --- Maps -----------------------------------------------------------------------------------------


async def test_maps_lead_to_exchange_data_and_lies_lead_nowhere(
    backend: ExchangeBackend,
) -> None:
    patient, doc = await person(backend, PAT), await person(backend)
    data = await data_to(patient, DOC)
    await patient.maps.write("Patient", [data])
    key = data.secrets.delegation_key("Patient")
    found = await doc.directory.by_maps([key])
    assert {name: one.id for name, one in found.items()} == {key: data.id}
    entry = backend.entities["exchangedatamap"][key]["encryptedExchangeDataIds"]
    (name,) = entry
    (pair,) = pairs_of("doc1")
    for lie in (b"\xff\xfe", b"unknown", b"../users", b"", data.id.encode() + b"\0"):
        wrapped = await doc.crypto.rsa_encrypt(pair.public_key, lie, oaep="sha-256")
        entry[name] = base64.b64encode(wrapped).decode()
        assert await (await person(backend)).directory.by_maps([key]) == {}
    entry[name] = "no base64!"
    assert await (await person(backend)).directory.by_maps([key]) == {}


async def test_maps_are_written_once_for_the_only_one_who_is_named(
    backend: ExchangeBackend,
) -> None:
    patient = await person(backend, PAT)
    made = [await data_to(patient, name) for name in (PAT, DOC, PAT2)]
    for _ in range(2):
        await patient.maps.write("Patient", made)
    assert backend.count()["PUT /exchangedatamap/batch"] == 1
    assert set(backend.entities["exchangedatamap"]) == {made[1].secrets.delegation_key("Patient")}
    (document,) = backend.entities["exchangedatamap"].values()
    assert set(document["encryptedExchangeDataIds"]) == {
        fingerprint_v2(pairs_of("doc1")[0].public_key)
    }
    await patient.maps.write("Contact", made)
    assert backend.count()["PUT /exchangedatamap/batch"] == 2


# --- Answers that are something else --------------------------------------------------------------

Tamper = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("route", "tamper"),
    [
        ("byDelegatorDelegate", lambda rows: [row | {"delegate": OTHER} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"delegator": PAT} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [*rows, *rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"exchangeKey": []} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"exchangeKey": {"a": None}} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"sharedSignature": 1} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"delegatorSignature": ""} for row in rows]),
        ("byDelegatorDelegate", lambda rows: [row | {"id": "../x"} for row in rows]),
        ("byDelegatorDelegate", lambda _: {}),
        ("byDelegatorDelegate", lambda _: ["x"]),
        ("byDelegatorDelegate", lambda _: None),
        ("byIds", lambda rows: [row | {"id": "other"} for row in rows]),
        ("byIds", lambda rows: [*rows, *rows]),
        ("byIds", lambda rows: [row | {"accessControlSecret": None} for row in rows]),
        ("byIds", lambda rows: [row | {"deletionDate": "x"} for row in rows]),
        ("byIds", lambda rows: rows[0]),
        ("byParticipant", lambda page: page["rows"]),
        ("byParticipant", lambda _: {}),
        ("byParticipant", lambda page: {"rows": [r | {"delegate": "x"} for r in page["rows"]]}),
        ("byParticipant", lambda page: {"rows": [*page["rows"], *page["rows"]]}),
        ("byParticipant", lambda page: page | {"nextKeyPair": {"startKey": DOC}}),
        (
            "byParticipant",
            lambda page: page | {"nextKeyPair": {"startKey": DOC, "startKeyDocId": "a"}},
        ),
        (
            "byParticipant",
            lambda page: page | {"nextKeyPair": {"startKey": [PAT], "startKeyDocId": "a"}},
        ),
        (
            "byParticipant",
            lambda page: page | {"nextKeyPair": {"startKey": PAT, "startKeyDocId": "a"}},
        ),
    ],
)
async def test_answers_to_other_questions_are_refused(
    backend: ExchangeBackend, route: str, tamper: Tamper
) -> None:
    data = await data_to(await person(backend), PAT)

    def lie(question: Question, answer: Callable[[], Answer]) -> Answer:
        status, body = answer()
        return status, tamper(body) if route in question.path else body

    backend.intervene = lie
    one = await person(backend, PAT if route == "byParticipant" else DOC)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "byIds": lambda: one.directory.by_ids([data.id]),
        "byParticipant": lambda: one.directory.access_headers("Patient"),
        "byDelegatorDelegate": lambda: one.directory.to_write_with([PAT]),
    }
    with pytest.raises(InvalidResponseError):
        await calls[route]()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"delegate": PAT},
        {"exchangeKey": {"ab": "cd"}},
        {"sharedSignature": "AAAA"},
        {"delegatorSignature": {}},
    ],
)
async def test_exchange_data_that_is_stored_as_something_else_is_not_used(
    backend: ExchangeBackend, change: Json
) -> None:
    doc = await person(backend)

    def lie(question: Question, answer: Callable[[], Answer]) -> Answer:
        status, body = answer()
        return status, body | change if str(question) == "POST /exchangedata" else body

    backend.intervene = lie
    with pytest.raises(InvalidResponseError):
        await doc.directory.to_write_with([OTHER])
    backend.intervene = None
    assert (await data_to(doc)).id in stored(backend)
    assert len(stored(backend)) == 1
