"""Sharing in today's flavour: the requests, rejections, races and lies."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from icure_async.entities.metadata import Parent, Readers
from icure_async.entities.secure_delegations import seal_entries, secure_delegations_of
from icure_async.errors import (
    BackendError,
    BadRequestError,
    ConflictError,
    CryptoError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ResponseTooLargeError,
)
from tests.support.cardinal_world import Reader, audit, private_keys_of
from tests.support.exchange_backend import (
    DOC,
    OTHER,
    PAT,
    PAT2,
    THIRD,
    USERS,
    ExchangeBackend,
    Json,
    Person,
    pairs_of,
    peopled_backend,
)
from tests.support.golden import GOLDEN
from tests.support.kinds_of_today import PATIENT_OF_TODAY
from tests.support.sharing_backend import Patients, Sharer

NOTE = "Winter is coming"


@pytest.fixture
def backend() -> ExchangeBackend:
    return peopled_backend(DOC, OTHER, THIRD, PAT, PAT2)


@pytest.fixture
def patients(backend: ExchangeBackend) -> Patients:
    return Patients(backend)


async def sharer(patients: Patients, owner_id: str = DOC, **options: Any) -> Sharer:
    person = Person(patients.backend, owner_id, **options)
    return Sharer(await person.with_keys(*pairs_of(USERS[owner_id])), patients)


async def created(one: Sharer, *delegates: str, count: int = 1, **readers: Any) -> list[str]:
    documents = [{"id": f"p{number}", "note": NOTE} for number in range(1, count + 1)]
    for sealed in await one.person.metadata.prepare(
        PATIENT_OF_TODAY, documents, Readers(delegates, **readers)
    ):
        assert isinstance(sealed, dict)
        one.patients.stored[sealed["id"]] = {"rev": "1-a", **sealed}
    return [document["id"] for document in documents]


def note_of(patients: Patients, owner_id: str, patient_id: str = "p1") -> str | None:
    seen = Reader(patients.backend.entities, *private_keys_of(USERS[owner_id])).read(
        "patient", patient_id
    )
    return None if seen is None else seen["note"]


def secret_ids(patients: Patients, owner_id: str) -> set[str]:
    reader = Reader(patients.backend.entities, *private_keys_of(USERS[owner_id]))
    return reader.secret_ids("patient", "p1")


async def give(one: Sharer, *delegates: str, patient_id: str = "p1") -> Any:
    (shared,) = await one.share(PATIENT_OF_TODAY, patient_id, to=delegates)
    return shared


def shape(share: Json) -> Json:
    """A request without its values."""
    return {
        name: value if name == "requestedPermissions" else type(value).__name__
        for name, value in share.items()
    }


def recorded_shapes(step: str) -> tuple[list[Json], int]:
    """The requests of another client, without their values, and the number of parents."""
    transcript = json.loads((GOLDEN / "cardinal-transcript.json").read_text("utf-8"))
    for part in transcript["parts"]:
        for one in part["steps"]:
            for request in one["requests"]:
                if one["step"] == step and request["path"].endswith("bulkSharedMetadataUpdate"):
                    (entity,) = request["body"]["requestsByEntityId"].values()
                    shapes = [shape(asked["share"]) for asked in entity["requests"].values()]
                    return shapes, len(entity["potentialParentDelegations"])
    raise AssertionError(step)


@pytest.mark.parametrize(
    ("step", "sharer_id", "delegate_id"),
    [
        ("p1-share-doc2", DOC, OTHER),
        ("pat2-share-with-pat2", DOC, PAT),
        ("pat1-shares-with-pat3", PAT, PAT2),
    ],
)
async def test_requests_have_the_members_that_other_clients_send(
    patients: Patients, step: str, sharer_id: str, delegate_id: str
) -> None:
    one = await sharer(patients, sharer_id)
    await created(one, *([DOC] if sharer_id == PAT else []))
    shared = await give(one, delegate_id)
    assert (shared.access, shared.is_stored) == ({delegate_id: "given"}, True)
    assert shared.document == patients.stored["p1"]
    (body,) = patients.sent
    shapes, parents = recorded_shapes(step)
    asked = list(body["p1"]["requests"].values())
    assert [shape(request["share"]) for request in asked] == [
        {**one, "requestedPermissions": "MAX_WRITE"} for one in shapes
    ]
    assert len(body["p1"]["potentialParentDelegations"]) == parents
    assert note_of(patients, delegate_id) == NOTE
    assert secret_ids(patients, delegate_id) == secret_ids(patients, sharer_id) != set()
    assert audit(patients.backend.entities, private_keys_of(*USERS.values())).problems == []


async def test_one_who_has_all_of_our_access_costs_no_request(patients: Patients) -> None:
    one, other = await sharer(patients), await sharer(patients, OTHER)
    await created(one, OTHER)
    for somebody, delegate_id in ((one, OTHER), (other, DOC)):
        shared = await give(somebody, delegate_id)
        assert (shared.access, shared.is_stored) == ({delegate_id: "present"}, False)
    assert not patients.sent
    assert not patients.reads
    await give(other, THIRD)
    assert len(patients.sent) == 1
    await give(other, THIRD, DOC)
    assert len(patients.sent) == 1


async def test_many_patients_and_delegates_are_one_request(patients: Patients) -> None:
    one = await sharer(patients)
    ids = await created(one, OTHER, count=30)
    shared = await one.share(PATIENT_OF_TODAY, *ids, to=[OTHER, THIRD, PAT, "nobody"])
    assert len(patients.sent) == 1
    assert patients.reads == []
    for each in shared:
        error = each.access["nobody"]
        assert isinstance(error, NotFoundError)
        assert dict(each.access) == {
            OTHER: "present", THIRD: "given", PAT: "given", "nobody": error,
        }  # fmt: skip
    assert {note_of(patients, PAT, one) for one in ids} == {NOTE}


async def test_the_owner_of_a_child_is_shared_too(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one, parent=Parent("the-patient", ["s"]))
    assert patients.stored["p1"]["secretForeignKeys"] == ["s"]
    await give(one, OTHER)
    first, second = secure_delegations_of(patients.stored["p1"]).values()
    assert len(first["owningEntityIds"]) == len(second["owningEntityIds"]) == 1
    other = await sharer(patients, OTHER)
    (delegations,) = await other.person.secure.all([patients.stored["p1"]])
    contents = [await delegation.contents(other.person.crypto) for delegation in delegations]
    assert [list(one.owning_entity_ids) for one in contents] == [["the-patient"]]


async def test_one_who_has_the_key_only_gets_the_rest_by_an_update(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one, key_only=[OTHER])
    assert secret_ids(patients, OTHER) == set()
    shared = await give(one, OTHER)
    assert shared.access == {OTHER: "given"}
    (request,) = patients.sent[0]["p1"]["requests"].values()
    assert request["update"].keys() == {"metadataAccessControlHash", "secretIds"}
    assert set(request["update"]["secretIds"].values()) == {"CREATE"}
    assert secret_ids(patients, OTHER) == secret_ids(patients, DOC)
    assert (await give(one, OTHER)).access == {OTHER: "present"}
    assert len(patients.sent) == 1


# --- Rejections and races -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, BadRequestError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (None, BadRequestError),
    ],
)
async def test_a_rejection_is_an_error_that_names_the_code_and_has_the_reason(
    patients: Patients, code: int | None, expected: type[BackendError]
) -> None:
    one = await sharer(patients)
    await created(one)
    patients.reject = lambda _id, _request: {"code": code, "reason": "S3CRET\x1b"}
    error = (await give(one, OTHER)).access[OTHER]
    assert isinstance(error, expected)
    assert f"code {code}" in str(error) or code is None
    assert "S3CRET" not in str(error)
    assert error.server_message is not None
    assert error.server_message.startswith("S3CRET")
    assert len(patients.sent) == 1


async def test_the_others_of_a_patient_are_shared_with_all_the_same(patients: Patients) -> None:
    one = await sharer(patients)
    ids = await created(one, count=2)
    patients.reject = lambda entity_id, request: (
        {"code": 403, "reason": "no"}
        if entity_id == "p1" and request["share"].get("explicitDelegate") == OTHER
        else None
    )
    first, second = await one.share(PATIENT_OF_TODAY, *ids, to=[OTHER, THIRD])
    assert isinstance(first.access[OTHER], PermissionDeniedError)
    assert first.access[THIRD] == "given"
    assert first.document == patients.stored["p1"]
    assert set(second.access.values()) == {"given"}
    assert patients.reads == [["p1"]]


async def test_what_an_earlier_attempt_has_shared_counts_as_there(patients: Patients) -> None:
    """Its answer got lost, and the caller repeats the call with what was read before."""
    one = await sharer(patients)
    await created(one)
    before = copy.deepcopy(patients.stored["p1"])
    await give(one, OTHER)
    (again,) = await one.share_documents(PATIENT_OF_TODAY, [before], to=[OTHER, THIRD])
    assert again.access == {OTHER: "present", THIRD: "given"}
    assert again.document == patients.stored["p1"]


async def test_a_change_in_between_is_read_and_shared_once_more(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)
    attempts: list[str] = []

    def reject(entity_id: str, _request: Json) -> Json | None:
        attempts.append(patients.stored[entity_id]["rev"])
        if len(attempts) > 2:
            return None
        patients.stored[entity_id] = {**patients.stored[entity_id], "rev": f"{len(attempts) + 1}-b"}
        return {"code": 409, "reason": "changed", "shouldRetry": True}

    patients.reject = reject
    shared = await give(one, OTHER)
    assert shared.access == {OTHER: "given"}
    assert attempts == ["1-a", "2-b", "3-b"]
    assert note_of(patients, OTHER) == NOTE


async def test_without_a_change_nothing_is_sent_again(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)
    patients.reject = lambda _id, _request: {"code": 409, "reason": "x", "shouldRetry": True}
    error = (await give(one, OTHER)).access[OTHER]
    assert isinstance(error, ConflictError)
    assert error.retryable
    assert (len(patients.sent), len(patients.reads)) == (1, 1)


async def test_a_patient_that_keeps_changing_is_given_up(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)

    def reject(entity_id: str, _request: Json) -> Json:
        number = len(patients.sent) + 1
        patients.stored[entity_id] = {**patients.stored[entity_id], "rev": f"{number}-b"}
        return {"code": 409, "reason": "changed", "shouldRetry": True}

    patients.reject = reject
    error = (await give(one, OTHER)).access[OTHER]
    assert isinstance(error, ConflictError)
    assert len(patients.sent) == 8


async def test_a_patient_that_is_gone_is_said_to_be_rejected(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)

    def reject(entity_id: str, _request: Json) -> Json:
        del patients.stored[entity_id]
        return {"code": 404, "reason": "gone"}

    patients.reject = reject
    shared = await give(one, OTHER)
    assert isinstance(shared.access[OTHER], NotFoundError)


@pytest.mark.parametrize("end", ["gone", "lie"])
async def test_what_was_read_again_and_not_shared_is_not_stored_by_the_caller(
    patients: Patients, end: str
) -> None:
    """The caller stores what is not the document that it passed."""
    one = await sharer(patients)
    await created(one)
    passed = copy.deepcopy(patients.stored["p1"])

    def reject(entity_id: str, _request: Json) -> Json | None:
        if len(patients.sent) == 1:
            patients.stored[entity_id] = {**patients.stored[entity_id], "rev": "2-b"}
            return {"code": 409, "reason": "changed", "shouldRetry": True}
        if end == "lie":
            patients.lie = _with_entity(encryptedSelf="AAAA")
            return None
        del patients.stored[entity_id]
        return {"code": 404, "reason": "gone"}

    patients.reject = reject
    (shared,) = await one.share_documents(PATIENT_OF_TODAY, [passed], to=[OTHER])
    assert isinstance(shared.access[OTHER], NotFoundError | InvalidResponseError)
    assert shared.is_stored or shared.document is passed


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_an_answer_that_is_too_large_is_looked_up(
    patients: Patients, monkeypatch: pytest.MonkeyPatch, *, is_carried_out: bool
) -> None:
    one = await sharer(patients)
    await created(one)
    update = Patients.update_metadata

    async def lose(self: Patients, requests: Any) -> Any:
        if is_carried_out:
            await update(self, requests)
        raise ResponseTooLargeError("Could not share patient p1: the answer is too large.")

    monkeypatch.setattr(Patients, "update_metadata", lose)
    access = (await give(one, OTHER)).access[OTHER]
    assert access == "given" if is_carried_out else isinstance(access, InvalidResponseError)


# --- Lies -----------------------------------------------------------------------------------------


def _without_new(answer: list[Json]) -> list[Json]:
    delegations = answer[0]["updatedEntity"]["securityMetadata"]["secureDelegations"]
    delegations.popitem()
    return answer


def _without_root(answer: list[Json]) -> list[Json]:
    delegations = answer[0]["updatedEntity"]["securityMetadata"]["secureDelegations"]
    del delegations[next(iter(delegations))]
    return answer


def _with_new(**members: Any) -> Any:
    def lie(answer: list[Json]) -> list[Json]:
        delegations = answer[0]["updatedEntity"]["securityMetadata"]["secureDelegations"]
        *_, key = delegations
        delegations[key] = delegations[key] | members
        return answer

    return lie


def _with_entity(**members: Any) -> Any:
    def lie(answer: list[Json]) -> list[Json]:
        answer[0]["updatedEntity"] |= members
        return answer

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        _without_new,
        _without_root,
        _with_new(delegate=THIRD),
        _with_new(delegator=None),
        _with_new(exchangeDataId="other"),
        _with_new(encryptionKeys=["AAAA"]),
        _with_new(secretIds=[]),
        _with_entity(encryptedSelf="AAAA"),
        _with_entity(securityMetadata=None),
        _with_entity(delegations={"x": [{"owner": "x", "delegatedTo": "x", "key": "00"}]}),
        _with_entity(publicKey="30"),
    ],
)
async def test_an_answer_that_lacks_something_is_refused(patients: Patients, lie: Any) -> None:
    one = await sharer(patients)
    await created(one)
    patients.lie = lie
    shared = await give(one, OTHER)
    assert isinstance(shared.access[OTHER], InvalidResponseError)
    assert not shared.is_stored


@pytest.mark.parametrize(
    "lie",
    [
        lambda _: [],
        lambda answer: [{"entityId": answer[0]["entityId"]}],
    ],
)
async def test_an_answer_that_does_not_say_is_looked_up(patients: Patients, lie: Any) -> None:
    one = await sharer(patients)
    await created(one)
    patients.lie = lie
    shared = await give(one, OTHER)
    assert shared.access == {OTHER: "given"}
    assert shared.document == patients.stored["p1"]
    assert patients.reads == [["p1"]]


@pytest.mark.parametrize(
    "lie",
    [
        lambda _: [5],
        lambda _: [{"entityId": "other"}],
        lambda answer: answer * 2,
        lambda answer: [answer[0] | {"rejectedRequests": {"7": {"code": 1}}}],
        lambda answer: [answer[0] | {"rejectedRequests": ["0"]}],
        lambda answer: [answer[0] | {"rejectedRequests": {"0": "no"}}],
        lambda answer: [answer[0] | {"rejectedRequests": {"0": {"shouldRetry": "yes"}}}],
        lambda answer: [answer[0] | {"updatedEntity": {"id": "other", "rev": "1"}}],
        lambda answer: [answer[0] | {"updatedEntity": []}],
        _with_entity(securityMetadata=[]),
        _with_entity(rev=""),
    ],
)
async def test_an_answer_about_something_else_is_refused(patients: Patients, lie: Any) -> None:
    one = await sharer(patients)
    await created(one)
    patients.lie = lie
    with pytest.raises(InvalidResponseError):
        await give(one, OTHER)


async def test_content_that_others_change_at_the_same_time_is_no_lie(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)
    patients.lie = _with_entity(rev="5-x", encryptedSelf=patients.stored["p1"]["encryptedSelf"])
    assert (await give(one, OTHER)).access == {OTHER: "given"}


# --- What may be passed on ------------------------------------------------------------------------


async def test_secrets_that_were_copied_from_another_patient_are_not_passed_on(
    patients: Patients,
) -> None:
    """Somebody who writes patients puts the entries of one into another, and has that shared."""
    one = await sharer(patients)
    await created(one, count=2)
    first, second = (secure_delegations_of(patients.stored[name]) for name in ("p1", "p2"))
    (key,) = first
    for member in ("encryptionKeys", "secretIds"):
        first[key][member] = [*second[key][member], *first[key][member]]
    first[key]["secretIds"] += second[key]["encryptionKeys"]
    await give(one, OTHER)
    assert note_of(patients, OTHER) == NOTE
    other = await sharer(patients, OTHER)
    (delegations,) = await other.person.secure.known([patients.stored["p1"]])
    await other.person.entities.open_many([patients.stored["p1"]])
    (delegations,) = await other.person.secure.known([patients.stored["p1"]])
    given = [await delegation.contents(other.person.crypto) for delegation in delegations]
    (contents,) = given
    assert len(contents.encryption_keys) == 1
    stolen = await other.person.entities.open_many(
        [{**patients.stored["p2"], "securityMetadata": patients.stored["p1"]["securityMetadata"]}]
    )
    assert stolen == [None]


@pytest.mark.parametrize("spelling", ["{0:s}", "{0:.8}-{0:.4}"])
async def test_a_key_that_stands_among_secret_ids_is_not_passed_on_as_one(
    patients: Patients, spelling: str
) -> None:
    """Those who get it would show it to the backend, as they do with secret ids."""
    one = await sharer(patients)
    await created(one)
    (opened,) = await one.person.entities.open_many([patients.stored["p1"]])
    assert opened is not None
    assert opened.key is not None
    text = spelling.format(opened.key.hex())
    (delegation,) = secure_delegations_of(patients.stored["p1"]).values()
    (open_delegations,) = await one.person.secure.known([patients.stored["p1"]])
    exchange_key = open_delegations[0].data.secrets.exchange_key
    delegation["secretIds"] += await seal_entries(one.person.crypto, exchange_key, [text.encode()])
    await give(one, OTHER)
    given = secret_ids(patients, OTHER)
    assert (opened.key.hex() in given, len(given)) == (False, 1 if text == opened.key.hex() else 2)


async def test_a_key_that_nothing_proves_is_not_passed_on(patients: Patients) -> None:
    one = await sharer(patients)
    await created(one)
    del patients.stored["p1"]["encryptedSelf"]
    error = (await give(one, OTHER)).access[OTHER]
    assert isinstance(error, CryptoError)
    assert "can't be shared" in str(error)
    assert patients.sent == []


async def test_a_stranger_has_nothing_to_share(patients: Patients) -> None:
    await created(await sharer(patients))
    stranger = await sharer(patients, THIRD)
    assert isinstance((await give(stranger, OTHER)).access[OTHER], CryptoError)
    assert patients.sent == []


async def test_a_delegate_without_a_key_is_an_error_of_its_own(
    patients: Patients, backend: ExchangeBackend
) -> None:
    backend.add_owner("hcparty", "keyless")
    one = await sharer(patients)
    await created(one)
    shared = await give(one, "keyless", OTHER)
    assert isinstance(shared.access["keyless"], CryptoError)
    assert shared.access[OTHER] == "given"
    shared = await give(one, "keyless")
    assert isinstance(shared.access["keyless"], CryptoError)
    assert len(patients.sent) == 1
