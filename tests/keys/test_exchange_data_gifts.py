"""Exchange data given to a new key, while others change it, and while programs die."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from icure_async.crypto.exchange_data import EncryptionKey, is_verified, open_exchange_data
from icure_async.crypto.key_ring import KeyRing
from icure_async.errors import ConflictError, InvalidResponseError, ServerError
from icure_async.keys.exchange_data_gifts import ExchangeDataGift, ExchangeDataGifts
from icure_async.models.key_pair import KeyPair, fingerprint_v2
from icure_async.rest.exchange_data import ExchangeDataResource
from icure_async.rest.session import Session
from tests.support.cardinal_world import audit
from tests.support.exchange_backend import (
    Answer,
    ExchangeBackend,
    FakeSession,
    Json,
    Person,
    Question,
    pairs_of,
)
from tests.support.golden_people import CRYPTO

DOCTOR, PATIENT = "hcp-doctor", "patient-bran"
OLD, NEW, MINE = pairs_of("doc1")[0], pairs_of("doc2")[0], pairs_of("pat1")[0]
NEW_KEY = EncryptionKey(NEW.public_key, "sha-256")


class RevisedBackend(ExchangeBackend):
    """It refuses outdated revisions of exchange data."""

    def answer(self, question: Question) -> Answer:
        if str(question) == "PUT /exchangedata":
            stored = self.entities["exchangedata"][question.body["id"]]
            if question.body["rev"] != stored["rev"]:
                return 409, {"message": "stale"}
        return super().answer(question)


@pytest.fixture
async def backend() -> RevisedBackend:
    """A doctor with a new key, to whom a patient has given a record before."""
    backend = RevisedBackend()
    backend.add_owner("hcparty", DOCTOR, OLD)
    backend.add_owner("patient", PATIENT, MINE)
    patient = await Person(backend, PATIENT).with_keys(MINE)
    data = (await patient.directory.to_write_with([DOCTOR]))[DOCTOR]
    assert not isinstance(data, Exception)
    await patient.maps.write("Patient", [data])
    backend.entities["hcparty"][DOCTOR]["publicKeysForOaepWithSha256"].append(NEW.public_key)
    backend.questions.clear()
    return backend


async def give(backend: ExchangeBackend) -> ExchangeDataGift:
    patient = await Person(backend, PATIENT).with_keys(MINE)
    session = cast("Session", FakeSession(backend, PATIENT, "cardinal"))
    gifts = ExchangeDataGifts(
        ExchangeDataResource(session), patient.directory, patient.maps, patient.own
    )
    owner = backend.entities["hcparty"][DOCTOR]
    return await gifts.give(await gifts.concerning(DOCTOR), NEW_KEY, owner)


async def ring_of(*pairs: KeyPair) -> KeyRing:
    ring = KeyRing(CRYPTO)
    for pair in pairs:
        await ring.add(pair)
    return ring


def data_in(backend: ExchangeBackend) -> Json:
    (data,) = backend.entities["exchangedata"].values()
    return data


def check(backend: ExchangeBackend) -> None:
    found = audit(backend.entities, [pair.private_key for pair in (OLD, NEW, MINE)])
    assert (found.problems, found.unverified, found.lagging) == ([], set(), set())
    (entries,) = backend.entities["exchangedatamap"].values()
    assert fingerprint_v2(NEW.public_key) in entries["encryptedExchangeDataIds"]


def failing(route: str, answer: Callable[[], Answer], times: int = 1) -> Callable[..., Answer]:
    """Answer the next requests of a route with something else."""
    left = times

    def intervene(question: Question, go_on: Callable[[], Answer]) -> Answer:
        nonlocal left
        if str(question) == route and left:
            left -= 1
            return answer()
        return go_on()

    return intervene


async def test_a_gift_is_for_the_new_key_and_still_verified_by_its_maker(
    backend: RevisedBackend,
) -> None:
    assert await give(backend) == ExchangeDataGift(given=1)
    secrets = await open_exchange_data(await ring_of(NEW), data_in(backend))
    assert secrets is not None
    assert await is_verified(CRYPTO, await ring_of(MINE), data_in(backend), secrets)
    check(backend)
    backend.questions.clear()
    assert await give(backend) == ExchangeDataGift(present=1, begun=True)
    assert not [asked for asked in backend.asked if asked.startswith("PUT")]


async def test_a_conflict_is_merged_with_what_others_stored(backend: RevisedBackend) -> None:
    def someone_else() -> Answer:
        data_in(backend)["rev"] = "7-b"
        data_in(backend)["unknown"] = "kept"
        return 409, {"message": "stale"}

    backend.intervene = failing("PUT /exchangedata", someone_else)
    assert (await give(backend)).given == 1
    assert data_in(backend)["unknown"] == "kept"
    check(backend)


@pytest.mark.parametrize("member", ["exchangeKey", "accessControlSecret", "sharedSignatureKey"])
async def test_an_answer_with_other_secrets_for_somebody_else_is_not_written_back(
    backend: RevisedBackend, member: str
) -> None:
    """Nobody but they can tell whether a ciphertext is theirs, and it would be lost."""
    before = dict(data_in(backend))
    lies = 1

    def lie(question: Question, go_on: Callable[[], Answer]) -> Answer:
        nonlocal lies
        status, answer = go_on()
        if not (lies and answer and "byDelegatorDelegate" in question.path):
            return status, answer
        lies -= 1
        secret = {**answer[0][member], fingerprint_v2(OLD.public_key): "AAAA" * 16}
        return status, [{**answer[0], member: secret}]

    backend.intervene = lie
    with pytest.raises(InvalidResponseError, match="two things"):
        await give(backend)
    assert not lies
    assert data_in(backend) == before
    assert (await give(backend)).given == 1
    check(backend)


async def test_endless_conflicts_are_told(backend: RevisedBackend) -> None:
    backend.intervene = failing("PUT /exchangedata", lambda: (409, {}), times=100)
    with pytest.raises(ConflictError, match="Give access back again"):
        await give(backend)


@pytest.mark.parametrize(
    "route", ["PUT /exchangedata", "POST /exchangedatamap/batch", "PUT /exchangedatamap/batch"]
)
@pytest.mark.parametrize("is_stored", [False, True], ids=["before", "after"])
async def test_a_gift_that_broke_off_is_finished_by_repeating_it(
    backend: RevisedBackend, route: str, is_stored: bool
) -> None:
    intervention = failing(route, lambda: (500, {}))

    def intervene(question: Question, go_on: Callable[[], Answer]) -> Answer:
        answer = intervention(question, lambda: (0, None))
        if answer[0] == 500 and is_stored:
            go_on()
        return answer if answer[0] else go_on()

    backend.intervene = intervene
    with pytest.raises(ServerError):
        await give(backend)
    backend.intervene = None
    await give(backend)
    check(backend)
