"""Secure delegations: made for new entities, found in old ones, and lies about them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from icure_async.crypto.encoding import encode_base64
from icure_async.crypto.exchange_data import EncryptionKey, wrap_for
from icure_async.entities.encrypted_self import encrypt_members
from icure_async.entities.exchange_data import UsableExchangeData
from icure_async.entities.kinds import PATIENT
from icure_async.entities.metadata import Parent, ReadableEntity, Readers
from icure_async.entities.secure_delegations import (
    Contents,
    Parties,
    seal_entries,
    secure_delegation,
    secure_delegations_of,
    security_metadata,
)
from icure_async.errors import CryptoError
from icure_async.models.key_question import KeyQuestion
from tests.support.cardinal_world import Reader, audit, private_keys_of
from tests.support.exchange_backend import (
    DOC,
    OTHER,
    PAT,
    PAT2,
    USERS,
    Answer,
    ExchangeBackend,
    Json,
    Person,
    Question,
    pairs_of,
    peopled_backend,
    person,
)
from tests.support.kinds_of_today import NOTIFICATION_OF_TODAY, PATIENT_OF_TODAY

ALL_KEYS = private_keys_of(*USERS.values())
NOTE = "Winter is coming"


@pytest.fixture
def backend() -> ExchangeBackend:
    return peopled_backend(DOC, OTHER, PAT, PAT2)


def reader(backend: ExchangeBackend, owner_id: str) -> Reader:
    return Reader(backend.entities, *private_keys_of(USERS[owner_id]))


def patient(number: int = 1, **members: Any) -> Json:
    return {"id": f"p{number}", "firstName": "Robb", "note": NOTE, **members}


async def created(
    one: Person,
    *delegates: str,
    documents: Sequence[Json] | None = None,
    kind: Any = PATIENT_OF_TODAY,
    **readers: Any,
) -> list[Json]:
    """Prepare entities and store them, as a repository does."""
    prepared = await one.metadata.prepare(
        kind, documents or [patient()], Readers(delegates, **readers)
    )
    for document in prepared:
        assert not isinstance(document, CryptoError)
        stored = {"rev": "1-a", **document}
        one.backend.entities.setdefault(kind.route, {})[document["id"]] = stored
    stored = one.backend.entities[kind.route]
    return [stored[str(document["id"])] for document in prepared if isinstance(document, dict)]


def shapes(document: Json) -> list[tuple[Any, ...]]:
    """Return whom each delegation names, and whether it has exchange data and a parent."""
    return [
        (
            one.get("delegator"),
            one.get("delegate"),
            "exchangeDataId" in one,
            bool(one.get("parentDelegations")),
            one["permissions"],
        )
        for one in secure_delegations_of(document).values()
    ]


# --- New entities ---------------------------------------------------------------------------------


async def test_a_professionals_entity_has_the_members_of_the_table(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend), OTHER, PAT)
    assert shapes(document) == [
        (DOC, DOC, True, False, "WRITE"),
        (DOC, OTHER, True, True, "WRITE"),
        (DOC, None, False, True, "WRITE"),
    ]
    found = audit(backend.entities, ALL_KEYS)
    assert (found.problems, found.unverified, found.lagging) == ([], set(), set())
    assert found.counts["maps that are needed"] == found.counts["map entries"] == 1
    assert "note" not in document
    for name in (DOC, OTHER, PAT):
        seen = reader(backend, name).read("patient", "p1")
        assert seen is not None
        assert seen["note"] == NOTE
        assert len(reader(backend, name).secret_ids("patient", "p1")) == 1
    assert reader(backend, PAT2).read("patient", "p1") is None


async def test_an_anonymous_owners_entity_names_nobody_who_is_anonymous(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend, PAT), DOC, PAT2)
    assert shapes(document) == [
        (None, None, False, False, "WRITE"),
        (None, DOC, False, True, "WRITE"),
        (None, None, False, True, "WRITE"),
    ]
    assert PAT not in str(document)
    found = audit(backend.entities, ALL_KEYS)
    assert (found.problems, found.unverified, found.lagging) == ([], set(), set())
    for name in (PAT, DOC, PAT2):
        (seen,) = await (await person(backend, name)).read(document)
        assert seen is not None
        assert seen["note"] == NOTE
    (seen,) = await (await person(backend, OTHER)).read(document)
    assert seen is None


async def test_maps_are_written_before_the_entity_and_a_warm_creation_sends_nothing(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    await created(doc, OTHER, PAT)
    assert backend.asked[-1] == "PUT /exchangedatamap/batch"
    backend.questions.clear()
    documents = [patient(number) for number in range(2, 30)]
    await created(doc, OTHER, PAT, documents=documents)
    assert backend.asked == []
    keys = {
        key for one in backend.entities["patient"].values() for key in secure_delegations_of(one)
    }
    assert len(keys) == 3
    # Maps are by the type of entity.
    await created(doc, PAT, documents=[{"id": "t1"}], kind=NOTIFICATION_OF_TODAY)
    assert backend.asked == ["PUT /exchangedatamap/batch"]
    assert audit(backend.entities, ALL_KEYS).problems == []


async def test_each_entity_has_a_key_and_a_secret_id_of_its_own(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    one, two = await created(doc, documents=[patient(1), patient(2)])
    assert await doc.metadata.secret_ids_of(one) != await doc.metadata.secret_ids_of(two)
    contents = [
        await delegations[0].contents(doc.crypto)
        for delegations in await doc.secure.known([one, two])
    ]
    keys = [key for one in contents for key in one.encryption_keys]
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


async def test_those_who_get_the_key_only_read_and_find_nothing_that_belongs_to_it(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    parent = Parent("p-0", ["secret-of-p0"])
    (document,) = await created(doc, OTHER, key_only=[PAT], parent=parent)
    assert document["secretForeignKeys"] == ["secret-of-p0"]
    assert "p-0" not in str({**document, "secretForeignKeys": None})
    seen = {}
    for name in (DOC, OTHER, PAT):
        one = await person(backend, name)
        (delegations,) = await one.secure.all([document])
        contents = [await each.contents(one.crypto) for each in delegations]
        seen[name] = [
            (len(each.encryption_keys), len(each.secret_ids), list(each.owning_entity_ids))
            for each in contents
        ]
        assert (await one.read(document))[0]
    full = (1, 1, ["p-0"])
    key_only: tuple[int, int, list[str]] = (1, 0, [])
    assert seen == {DOC: [full, full, key_only], OTHER: [full], PAT: [key_only]}


async def test_a_child_of_2023_names_its_parent_too(backend: ExchangeBackend) -> None:
    backend.entities["hcparty"][DOC]["publicKey"] = pairs_of("doc1")[0].public_key
    doc = await person(backend)
    document = await doc.legacy.seal_new(
        patient(), ("note",), {DOC: os.urandom(32)}, parent=Parent("p-0", ["secret-of-p0"])
    )
    assert document["secretForeignKeys"] == ["secret-of-p0"]
    assert list(document["cryptedForeignKeys"]) == [DOC]


async def test_key_material_of_another_entity_is_dropped_in_both_flavours(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    (first,) = await created(doc, OTHER)
    copied = {**first, "id": "p2", "note": NOTE, "secretForeignKeys": ["a"], "delegations": {}}
    (second,) = await created(doc, documents=[copied])
    assert shapes(second) == [(DOC, DOC, True, False, "WRITE")]
    assert "secretForeignKeys" not in second
    of_2023 = await doc.legacy.seal_new(copied, ("note",), {DOC: os.urandom(32)})
    assert "securityMetadata" not in of_2023


async def test_a_delegate_who_can_not_be_reached_is_left_out_unless_it_is_required(
    backend: ExchangeBackend,
) -> None:
    backend.add_owner("hcparty", OTHER)
    doc = await person(backend)
    (document,) = await created(doc, OTHER, "nobody", PAT)
    assert shapes(document) == [
        (DOC, DOC, True, False, "WRITE"),
        (DOC, None, False, True, "WRITE"),
    ]
    for name in (OTHER, "nobody"):
        with pytest.raises(CryptoError, match="The patient was not created"):
            await created(doc, name, required=[name])


async def test_a_list_that_is_encrypted_for_another_entity_keeps_only_its_own_from_being_made(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    foreign = encode_base64(await doc.crypto.aes_encrypt(os.urandom(32), b'{"markdown":"a"}'))
    bad = patient(1, notes=[{"encryptedSelf": foreign}])
    prepared = await doc.metadata.prepare(PATIENT_OF_TODAY, [bad, patient(2)], Readers())
    assert isinstance(prepared[0], CryptoError)
    assert isinstance(prepared[1], dict)


# --- What is known of an entity -------------------------------------------------------------------


async def test_delegates_are_those_who_are_named_and_those_who_are_known(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    (document,) = await created(doc, OTHER, PAT)
    assert doc.metadata.delegates_of(document) == {DOC, OTHER, PAT}
    assert (await person(backend, OTHER)).metadata.delegates_of(document) == {DOC, OTHER}
    assert doc.metadata.has_keys(document)
    assert not doc.metadata.has_keys(patient())


async def test_the_secret_ids_of_an_entity_are_those_that_its_readers_share(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend, PAT), DOC)
    found = {
        name: await (await person(backend, name)).metadata.secret_ids_of(document)
        for name in (PAT, DOC, OTHER)
    }
    assert found[PAT] == found[DOC] == list(reader(backend, PAT).secret_ids("patient", "p1"))
    assert found[OTHER] == []


async def test_a_key_that_stands_among_secret_ids_is_never_shown(
    backend: ExchangeBackend,
) -> None:
    """Entries of both have the same form, and a backend can move one to where it is asked for."""
    doc = await person(backend)
    (document,) = await created(doc)
    (delegations,) = await doc.secure.known([document])
    exchange_key = delegations[0].data.secrets.exchange_key
    (secret_id,) = await doc.metadata.secret_ids_of(document)
    key = b"0123456789abcdef"
    odd = [key, key.hex().encode(), b"\xff\xfe", b"a\nb", b"x" * 300, b""]
    changed = encrypted = {**patient(), "securityMetadata": document["securityMetadata"]}
    encrypted = await encrypt_members(doc.crypto, key, changed, ("note",))
    only = next(iter(secure_delegations_of(document).values()))
    lies = {
        **only,
        "secretIds": [*only["secretIds"], *await seal_entries(doc.crypto, exchange_key, odd)],
        "encryptionKeys": await seal_entries(doc.crypto, exchange_key, [key]),
    }
    changed = {**encrypted, "securityMetadata": security_metadata({delegations[0].key: lies})}
    assert await doc.metadata.secret_ids_of(changed) == [secret_id]


async def test_a_delegate_lacks_what_no_delegation_that_can_be_opened_gives_it(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    documents = await created(doc, OTHER, key_only=[PAT], documents=[patient(1), patient(2)])
    found = {name: await doc.metadata.lacking(documents, name) for name in (DOC, OTHER, PAT, PAT2)}
    assert found == {
        DOC: [False] * 2,
        OTHER: [False] * 2,
        PAT: [True] * 2,
        PAT2: [True] * 2,
    }
    stranger = await person(backend, PAT2)
    assert await stranger.metadata.lacking(documents, OTHER) == [True] * 2


# --- Lies -----------------------------------------------------------------------------------------


def delegation_of(document: Json, index: int = 0) -> tuple[str, Json]:
    return list(secure_delegations_of(document).items())[index]


def with_delegations(document: Json, delegations: dict[str, Json]) -> Json:
    return {**document, "securityMetadata": security_metadata(delegations)}


Lie = Callable[[str, Json], dict[str, Json]]


@pytest.mark.parametrize(
    ("lie", "is_read"),
    [
        # The right reading is there another way.
        (lambda _, one: {"f" * 64: one}, True),
        (lambda key, one: {key: {**one, "exchangeDataId": "unknown"}}, True),
        (lambda key, one: {key: {n: v for n, v in one.items() if n != "exchangeDataId"}}, True),
        (lambda key, one: {key: {**one, "delegator": None}}, True),
        (lambda key, one: {key: {**one, "delegate": PAT2, "delegator": PAT2}}, True),
        (lambda key, one: {"0" * 64: {}, key: one, "1" * 64: {"encryptionKeys": ["AAAA"]}}, True),
        # Nothing leads to the key.
        (lambda _, one: {"f" * 64: {**one, "exchangeDataId": "unknown"}}, False),
        (lambda key, one: {key: {**one, "encryptionKeys": []}}, False),
        (lambda key, one: {key: {**one, "encryptionKeys": ["", "%", "AAAA", None, 1]}}, False),
        (lambda key, one: {key: {**one, "encryptionKeys": one["secretIds"]}}, False),
        (lambda key, _: {key: {}}, False),
        (lambda key, _: {key: []}, False),
        (lambda key, one: {key[:-1]: {**one, "exchangeDataId": "../users"}}, False),
    ],
)
async def test_delegations_that_lie_are_read_rightly_or_stay_closed(
    backend: ExchangeBackend, lie: Lie, is_read: bool
) -> None:
    doc = await person(backend)
    (document,) = await created(doc)
    changed = with_delegations(document, lie(*delegation_of(document)))
    (seen,) = await doc.read(changed)
    assert (seen is not None and seen["note"] == NOTE) == is_read


async def test_a_delegation_that_names_the_exchange_data_of_others_stays_closed(
    backend: ExchangeBackend,
) -> None:
    doc, other = await person(backend), await person(backend, OTHER)
    (document,) = await created(doc)
    (theirs,) = await created(other, documents=[patient(2)])
    key, delegation = delegation_of(document)
    stolen = {**delegation, "exchangeDataId": delegation_of(theirs)[1]["exchangeDataId"]}
    fresh = await person(backend)
    assert await fresh.read(with_delegations(document, {"f" * 64: stolen})) == [None]
    # The exchange data of the one is named in the delegation of the other: it opens nothing.
    assert await other.read(with_delegations(document, {key: stolen})) == [None]


async def test_a_map_that_leads_elsewhere_keeps_the_entity_closed(
    backend: ExchangeBackend,
) -> None:
    pat, doc = await person(backend, PAT), await person(backend)
    (document,) = await created(pat, DOC)
    mine = (await doc.directory.to_write_with([DOC]))[DOC]
    assert isinstance(mine, UsableExchangeData)
    (stored,) = backend.entities["exchangedatamap"].values()
    (name,) = stored["encryptedExchangeDataIds"]
    wrapped = await doc.crypto.rsa_encrypt(
        pairs_of("doc1")[0].public_key, mine.id.encode(), oaep="sha-256"
    )
    right = stored["encryptedExchangeDataIds"][name]
    stored["encryptedExchangeDataIds"][name] = base64.b64encode(wrapped).decode()
    assert await doc.read(document) == [None]
    # Once the map is right, it is read without a new start.
    stored["encryptedExchangeDataIds"][name] = right
    (seen,) = await doc.read(document)
    assert seen is not None


async def test_an_anonymous_owner_reads_what_it_was_given_since_it_looked_last(
    backend: ExchangeBackend,
) -> None:
    pat = await person(backend, PAT)
    await pat.directory.access_headers("Patient")
    (document,) = await created(await person(backend), PAT)
    backend.questions.clear()
    (seen,) = await pat.read(document)
    assert seen is not None
    assert backend.asked == [f"GET /exchangedata/byParticipant/{PAT}"]


async def test_exchange_data_with_the_secret_of_another_hides_nothing(
    backend: ExchangeBackend,
) -> None:
    """Each of two people can make more of it with the same secret, and another exchange key."""
    doc = await person(backend)
    (document,) = await created(doc, PAT)
    (data,) = [one for one in backend.entities["exchangedata"].values() if one["delegate"] == PAT]
    (known,) = (await doc.directory.by_ids([data["id"]])).values()
    keys = [EncryptionKey(pair.public_key, "sha-256") for pair in pairs_of(USERS[PAT])]
    doubles = {
        name: {
            **data,
            "id": name,
            "exchangeKey": await wrap_for(doc.crypto, os.urandom(32), keys),
            "accessControlSecret": await wrap_for(
                doc.crypto, known.secrets.access_control_secret, keys
            ),
        }
        for name in ("0", "z")
    }
    backend.entities["exchangedata"] |= doubles
    pat = await person(backend, PAT)
    assert await pat.directory.access_headers("Patient")
    (seen,) = await pat.read(document)
    assert seen is not None
    for data_id in ("z", data["id"], "0"):
        pat.directory._cache.drop(data_id)
    assert pat.directory.known([known.secrets.delegation_key("Patient")]) == {}


async def test_a_stranger_asks_for_nothing_that_is_not_for_it(backend: ExchangeBackend) -> None:
    (document,) = await created(await person(backend), PAT)
    stranger = await person(backend, OTHER)
    await stranger.own.own()
    backend.questions.clear()
    assert await stranger.read(document) == [None]
    assert backend.asked == []


# --- New content ----------------------------------------------------------------------------------


async def key_of(one: Person, document: Json) -> bytes:
    opened = await one.entities.open(document)
    assert opened is not None
    assert opened.key is not None
    return opened.key


async def test_new_content_is_encrypted_with_the_key_that_came_by_exchange_data(
    backend: ExchangeBackend,
) -> None:
    pat, doc = await person(backend, PAT), await person(backend)
    (document,) = await created(pat, DOC)
    key = await key_of(doc, document)
    sealed = await doc.entities.seal_again({**document, "note": "new"}, ("note",), key)
    (seen,) = await pat.read(sealed)
    assert seen is not None
    assert seen["note"] == "new"
    with pytest.raises(CryptoError):
        await doc.metadata.check_key(document, os.urandom(32))


async def test_nothing_new_goes_under_a_key_that_came_with_a_wrong_signature(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    (document,) = await created(doc)
    (data,) = backend.entities["exchangedata"].values()
    data["sharedSignature"] = base64.b64encode(os.urandom(64)).decode()
    fresh = await person(backend)
    key = await key_of(fresh, document)
    with pytest.raises(CryptoError, match="signature is wrong"):
        await fresh.entities.seal_again({**document, "note": "new"}, ("note",), key)


async def test_a_policy_is_asked_about_the_exchange_data_that_a_key_came_by(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend, PAT), DOC)
    answers = [False, True]
    asked: list[KeyQuestion] = []

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question)
        return answers.pop(0)

    doc = await person(backend, policy=policy)
    key = await key_of(doc, document)
    with pytest.raises(CryptoError, match="with_public_key_policy"):
        await doc.metadata.check_key(document, key)
    await doc.metadata.check_key(document, key)
    assert [(one.kind, one.data_owner_id, one.delegate_id) for one in asked] == [
        ("exchange_key", PAT, DOC)
    ] * 2


@pytest.mark.parametrize("has_policy", [True, False])
async def test_a_backend_that_copies_delegations_gets_no_new_content_with_their_key(
    backend: ExchangeBackend, *, has_policy: bool
) -> None:
    """Nothing encrypted can show that the key is another entity's."""

    async def policy(_question: KeyQuestion) -> bool:
        return True

    doc = await person(backend, policy=policy if has_policy else None)
    (theirs,) = await created(doc, OTHER, documents=[patient(2)])
    (mine,) = await created(doc)
    copied = {name: value for name, value in mine.items() if name != "encryptedSelf"}
    copied["securityMetadata"] = theirs["securityMetadata"]
    key = await key_of(doc, copied)
    if not has_policy:
        # Without one, the backend is believed.
        await doc.metadata.check_key(copied, key)
        return
    with pytest.raises(CryptoError, match="proves"):
        await doc.entities.seal_again({**copied, "note": "SECRET"}, ("note",), key)


async def test_an_entity_that_never_had_a_key_gets_its_first_delegations(
    backend: ExchangeBackend,
) -> None:
    doc = await person(backend)
    bare = {"id": "p1", "rev": "1-a", "firstName": "Robb", "note": NOTE, "unknown": 1}
    document = await doc.metadata.add_key(PATIENT_OF_TODAY, bare, [PAT])
    backend.entities["patient"]["p1"] = document
    assert shapes(document) == [
        (DOC, DOC, True, False, "WRITE"),
        (DOC, None, False, True, "WRITE"),
    ]
    assert document["unknown"] == 1
    assert "note" not in document
    seen = reader(backend, PAT).read("patient", "p1")
    assert seen is not None
    assert seen["note"] == NOTE


async def test_those_with_delegations_of_2023_get_the_first_key_too_and_the_secret_id_stays(
    backend: ExchangeBackend,
) -> None:
    backend.entities["hcparty"][DOC]["publicKey"] = pairs_of("doc1")[0].public_key
    doc = await person(backend, flavour="medtech")
    exchange_key = os.urandom(32)
    keyed = await doc.legacy.seal_new(patient(), ("note",), {DOC: exchange_key})
    bare = {
        **{name: value for name, value in keyed.items() if name != "encryptedSelf"},
        "delegations": {**keyed["delegations"], OTHER: []},
        "encryptionKeys": {},
        "note": NOTE,
    }
    today = await person(backend)
    document = await today.metadata.add_key(PATIENT_OF_TODAY, bare, [])
    assert shapes(document)[1][:2] == (DOC, OTHER)
    assert document["delegations"] == bare["delegations"]


async def test_a_first_key_never_replaces_one(backend: ExchangeBackend) -> None:
    doc = await person(backend)
    (document,) = await created(doc)
    for bad in (
        {**document, "securityMetadata": security_metadata({"f" * 64: {}})},
        document,
    ):
        with pytest.raises(CryptoError, match="delegations without a key"):
            await doc.metadata.add_key(PATIENT_OF_TODAY, bad, [])
    without = {name: value for name, value in document.items() if name != "securityMetadata"}
    with pytest.raises(ValueError, match="has a key"):
        await doc.metadata.add_key(PATIENT_OF_TODAY, without, [])


# --- Two flavours ---------------------------------------------------------------------------------


async def test_an_entity_of_today_is_not_shared_in_the_flavour_of_2023(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend), OTHER)
    doc = await person(backend, flavour="medtech")
    key = await key_of(doc, document)
    entity = ReadableEntity(document, key)
    (shared,) = await doc.metadata.share(PATIENT, [entity], [OTHER, PAT])
    assert shared.document is document
    assert shared.access[OTHER] == "present"
    error = shared.access[PAT]
    assert isinstance(error, CryptoError)
    assert 'with_flavour("cardinal")' in str(error)
    bare = {**document, "securityMetadata": security_metadata({"f" * 64: {}})}
    with pytest.raises(CryptoError, match="with_flavour"):
        await doc.metadata.add_key(PATIENT, bare, [])


async def test_an_entity_with_both_kinds_of_metadata_that_disagree_is_read_rightly(
    backend: ExchangeBackend,
) -> None:
    """Each key that some metadata yields is tried; the one that opens it counts."""
    doc = await person(backend)
    data = (await doc.directory.to_write_with([DOC]))[DOC]
    assert isinstance(data, UsableExchangeData)
    (first,) = await created(doc)
    wrong = await secure_delegation(
        doc.crypto,
        data.secrets.exchange_key,
        Contents(["s"], [os.urandom(32)]),
        Parties(DOC, DOC, data.id),
    )
    key, right = delegation_of(first)
    both = {
        **wrong,
        "encryptionKeys": [*wrong["encryptionKeys"], *right["encryptionKeys"]],
    }
    legacy = {"encryptionKeys": {DOC: [{"owner": DOC, "delegatedTo": DOC, "key": "ab" * 64}]}}
    (seen,) = await doc.read({**with_delegations(first, {key: both}), **legacy})
    assert seen is not None
    assert seen["note"] == NOTE
    assert await doc.read({**with_delegations(first, {key: wrong}), **legacy}) == [None]


async def test_a_backend_of_2023_is_not_asked_about_entities_of_2023(
    backend: ExchangeBackend,
) -> None:
    backend.entities["hcparty"][DOC]["publicKey"] = pairs_of("doc1")[0].public_key
    doc = await person(backend, flavour="medtech")
    keyed = await doc.legacy.seal_new(patient(), ("note",), {DOC: os.urandom(32)})
    await doc.read(keyed)
    assert not any("exchangedata" in path for path in backend.asked)


async def test_a_backend_without_exchange_data_leaves_entities_of_today_closed(
    backend: ExchangeBackend,
) -> None:
    (document,) = await created(await person(backend), OTHER)
    backend.has_v2 = False
    backend.questions.clear()
    doc = await person(backend, flavour="medtech")
    for _ in range(2):
        assert await doc.read(document) == [None]
    assert sum("exchangedata" in path for path in backend.asked) == 1


async def test_requests_for_exchange_data_name_their_version(backend: ExchangeBackend) -> None:
    """Sessions of 2023 speak the first version otherwise."""
    (document,) = await created(await person(backend, PAT), DOC)
    versions: set[int | None] = set()

    def note(question: Question, answer: Callable[[], Answer]) -> Answer:
        if "exchangedata" in question.path:
            versions.add(question.version)
        return answer()

    backend.intervene = note
    assert all(await (await person(backend, flavour="medtech")).read(document))
    assert versions == {2}
