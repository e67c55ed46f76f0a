"""The first metadata of a patient's own record, in today's flavour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import attrs
import pytest

from icure_async.errors import ConflictError, CryptoError, InvalidResponseError
from icure_async.keys.current_user import CurrentUser
from icure_async.keys.own_record import OwnRecord
from icure_async.models.key_pair import KeyPair
from icure_async.rest.entities import EntityResource
from icure_async.rest.session import Session
from tests.support.cardinal_world import Reader, audit
from tests.support.exchange_backend import (
    Answer,
    ExchangeBackend,
    FakeSession,
    Json,
    Person,
    Question,
    pairs_of,
)
from tests.support.kinds_of_today import PATIENT_OF_TODAY

ME = "patient-me"
DOCTOR = "hcp-doctor"
CLEAR: Json = {
    "firstName": "Delta",
    "lastName": "Patient",
    "note": "private",
    "companyName": "private too",
    "addresses": [{"telecoms": [{"telecomNumber": "+32"}]}],
    "insurabilities": [{"insuranceId": "private as well"}],
}


class PatientBackend(ExchangeBackend):
    """It stores patients, too."""

    def answer(self, question: Question) -> Answer:
        if str(question) != "PUT /patient":
            return super().answer(question)
        stored = self.entities["patient"][question.body["id"]]
        if question.body["rev"] != stored["rev"]:
            return 409, {"message": "stale"}
        generation = int(stored["rev"].partition("-")[0]) + 1
        changed = {**question.body, "rev": f"{generation}-a"}
        self.entities["patient"][stored["id"]] = changed
        return 200, changed


@attrs.define
class User:
    """Tells with whom the current user shares."""

    delegates: list[str]

    async def sharing(self, prepare: Callable[[Mapping[str, Any]], Awaitable[Json]]) -> Json:
        return await prepare({"autoDelegations": {"all": self.delegates}})


@pytest.fixture
def mine() -> KeyPair:
    return pairs_of("pat1")[0]


@pytest.fixture
def doctors() -> KeyPair:
    return pairs_of("doc1")[0]


@pytest.fixture
def backend(mine: KeyPair, doctors: KeyPair) -> PatientBackend:
    backend = PatientBackend()
    backend.add_owner("patient", ME, mine, **CLEAR)
    backend.add_owner("hcparty", DOCTOR, doctors)
    return backend


async def opened(backend: PatientBackend, pair: KeyPair, *delegates: str) -> OwnRecord:
    person = await Person(backend, ME).with_keys(pair)
    session = cast("Session", FakeSession(backend, ME, "cardinal"))
    return OwnRecord(
        person.own,
        kind=PATIENT_OF_TODAY,
        patients=EntityResource(session, "patient", "patient"),
        metadata=person.metadata,
        current_user=cast("CurrentUser", User(list(delegates))),
    )


def record(backend: PatientBackend) -> Json:
    return backend.entities["patient"][ME]


async def test_a_record_that_could_not_be_read_is_not_encrypted(
    backend: PatientBackend, mine: KeyPair
) -> None:
    """Encrypted, a malformed member would make all the rest unreadable."""
    record(backend)["patientProfessions"] = " "
    before = dict(record(backend))
    with pytest.raises(InvalidResponseError, match="patientProfessions"):
        await (await opened(backend, mine, DOCTOR)).complete()
    assert record(backend) == before
    del record(backend)["patientProfessions"]
    await (await opened(backend, mine, DOCTOR)).complete()
    assert record(backend)["securityMetadata"]


async def test_the_record_is_encrypted_and_shared_with_the_automatic_delegates_once(
    backend: PatientBackend, mine: KeyPair, doctors: KeyPair
) -> None:
    own_record = await opened(backend, mine, DOCTOR)
    await own_record.complete()
    stored = record(backend)
    assert stored["rev"] == "2-a"
    assert stored["publicKeysForOaepWithSha256"] == [mine.public_key]
    assert stored["firstName"] == "Delta"
    assert stored["addresses"] == CLEAR["addresses"]
    assert "private" not in str(stored)
    delegations = stored["securityMetadata"]["secureDelegations"]
    assert {
        (one.get("delegator"), one.get("delegate"), one["permissions"], "exchangeDataId" in one)
        for one in delegations.values()
    } == {(None, None, "WRITE", False), (None, DOCTOR, "WRITE", False)}
    assert len(delegations) == 2
    for pair in (mine, doctors):
        seen = Reader(backend.entities, pair.private_key).read("patient", ME)
        assert seen is not None
        assert seen["note"] == "private"
        assert seen["companyName"] == "private too"
        assert seen["insurabilities"][0]["insuranceId"] == "private as well"
    assert audit(backend.entities, [mine.private_key, doctors.private_key]).problems == []

    sent = backend.count()
    await own_record.complete()
    await (await opened(backend, mine, DOCTOR)).complete()
    assert backend.count() - sent == {"GET /dataowner/current": 1}


@pytest.mark.parametrize(
    "members",
    [
        {"securityMetadata": {"secureDelegations": {"ab": {"permissions": "WRITE"}}}},
        {"delegations": {DOCTOR: [{"owner": DOCTOR, "delegatedTo": DOCTOR, "key": "ab"}]}},
        {"encryptionKeys": {DOCTOR: []}},
        {"encryptedSelf": "AAAA"},
        {"notes": [{"encryptedSelf": "AAAA"}]},
        {"publicKey": "ab" * 200},
        {"aesExchangeKeys": {"ab" * 200: {}}},
    ],
)
async def test_a_record_of_somebody_else_or_of_2023_stays_as_it_is(
    backend: PatientBackend, mine: KeyPair, members: Json
) -> None:
    record(backend).update(members)
    before = dict(record(backend))
    await (await opened(backend, mine, DOCTOR)).complete()
    assert record(backend) == before
    assert backend.asked == ["GET /dataowner/current"]


async def test_a_delegate_without_keys_is_left_out(backend: PatientBackend, mine: KeyPair) -> None:
    backend.add_owner("hcparty", "keyless")
    await (await opened(backend, mine, "keyless", "nobody")).complete()
    assert len(record(backend)["securityMetadata"]["secureDelegations"]) == 1


async def test_nothing_is_encrypted_without_a_key_pair_in_use(
    backend: PatientBackend, mine: KeyPair, doctors: KeyPair
) -> None:
    own_record = await opened(backend, doctors)
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await own_record.complete()
    assert "PUT /patient" not in backend.asked


async def test_a_conflict_is_merged(backend: PatientBackend, mine: KeyPair) -> None:
    own_record = await opened(backend, mine)

    def overtake(question: Question, answer: Callable[[], Answer]) -> Answer:
        if question.method == "PUT" and question.path == "/patient":
            backend.intervene = None
            record(backend).update(rev="2-b", nickname="by somebody else")
        return answer()

    backend.intervene = overtake
    await own_record.complete()
    assert record(backend)["nickname"] == "by somebody else"
    assert record(backend)["rev"] == "3-a"
    assert "securityMetadata" in record(backend)


async def test_a_conflict_with_somebody_who_made_the_metadata_ends_the_work(
    backend: PatientBackend, mine: KeyPair
) -> None:
    own_record = await opened(backend, mine)
    made = {"secureDelegations": {"ab": {"permissions": "WRITE"}}}

    def overtake(question: Question, answer: Callable[[], Answer]) -> Answer:
        if question.method == "PUT" and question.path == "/patient":
            record(backend).update(rev="2-b", securityMetadata=made)
        return answer()

    backend.intervene = overtake
    await own_record.complete()
    assert record(backend)["securityMetadata"] == made


async def test_a_lost_answer_leaves_nothing_to_do_and_one_exchange_data(
    backend: PatientBackend, mine: KeyPair
) -> None:
    own_record = await opened(backend, mine, DOCTOR)

    def lose(question: Question, answer: Callable[[], Answer]) -> Answer:
        found = answer()
        return (503, {}) if question.method == "PUT" and question.path == "/patient" else found

    backend.intervene = lose
    with pytest.raises(Exception, match="server failed"):
        await own_record.complete()
    backend.intervene = None
    await own_record.complete()
    assert backend.count()["PUT /patient"] == 1
    assert len(backend.entities["exchangedata"]) == 2


async def test_a_start_that_died_before_the_record_was_stored_uses_its_exchange_data_again(
    backend: PatientBackend, mine: KeyPair
) -> None:
    def refuse(question: Question, answer: Callable[[], Answer]) -> Answer:
        return (503, {}) if question.path == "/patient" else answer()

    backend.intervene = refuse
    with pytest.raises(Exception, match="server failed"):
        await (await opened(backend, mine, DOCTOR)).complete()
    backend.intervene = None
    await (await opened(backend, mine, DOCTOR)).complete()
    assert len(backend.entities["exchangedata"]) == 2
    assert "securityMetadata" in record(backend)


async def test_an_answer_with_other_metadata_is_refused(
    backend: PatientBackend, mine: KeyPair
) -> None:
    def other(question: Question, answer: Callable[[], Answer]) -> Answer:
        status, found = answer()
        if question.path == "/patient":
            found = {name: value for name, value in found.items() if name != "securityMetadata"}
        return status, found

    backend.intervene = other
    with pytest.raises(InvalidResponseError, match="not those that were sent"):
        await (await opened(backend, mine)).complete()


async def test_a_record_that_keeps_changing_is_left_for_the_next_start(
    backend: PatientBackend, mine: KeyPair
) -> None:
    def refuse(question: Question, answer: Callable[[], Answer]) -> Answer:
        return (409, {}) if question.path == "/patient" else answer()

    backend.intervene = refuse
    with pytest.raises(ConflictError, match="init_user_crypto"):
        await (await opened(backend, mine)).complete()
