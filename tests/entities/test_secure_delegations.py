"""Secure delegations of today's clients, and ours (today.md §5)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.exchange_data import ExchangeSecrets, open_exchange_data
from icure_async.entities.secure_delegations import (
    Contents,
    Parties,
    contents_of,
    delegations_naming,
    has_secure_delegations,
    looks_whole,
    open_entries,
    parties,
    parties_of,
    roots_of,
    same_delegations,
    seal_entries,
    sealed_contents,
    secure_delegation,
    secure_delegations_of,
    security_metadata,
)
from icure_async.models.key_pair import KeyPair
from tests.support.cardinal_world import (
    CARDINAL,
    STAGES,
    TYPES,
    Reader,
    audit,
    entities_at,
    fields_of,
    private_keys_of,
)
from tests.support.golden_people import CRYPTO, ring_of

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
ROOT, CHILD = "a" * 64, "b" * 64
CONTENTS = Contents(["secret-1"], [bytes(range(16, 48))], ["patient-1"])
STAGE = "3-more-entities"
EXPECTED = [*CARDINAL["expected"], *CARDINAL["expectedEntities"]]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


async def secrets_at(stage: str) -> dict[str, ExchangeSecrets]:
    pairs = [pair for user in CARDINAL["users"].values() for pair in user["keyPairs"]]
    ring = await ring_of(*(KeyPair(pair["publicKey"], pair["privateKey"]) for pair in pairs))
    opened: dict[str, ExchangeSecrets] = {}
    for name, document in entities_at(stage)["exchangedata"].items():
        secrets = await open_exchange_data(ring, document)
        assert secrets is not None
        opened[name] = secrets
    return opened


def entities_with_delegations(stage: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (entity_type, document)
        for kind, entity_type in TYPES.items()
        for document in entities_at(stage)[kind].values()
        if has_secure_delegations(document)
    ]


# --- Golden data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
async def test_every_delegation_of_the_golden_data_is_found_and_opened(stage: str) -> None:
    opened = await secrets_at(stage)
    entities = entities_with_delegations(stage)
    assert entities
    for entity_type, document in entities:
        by_name = {secrets.delegation_key(entity_type): secrets for secrets in opened.values()}
        delegations = secure_delegations_of(document)
        contents = [
            await contents_of(CRYPTO, by_name[name].exchange_key, delegation)
            for name, delegation in delegations.items()
        ]
        # All delegations of an entity give the same secrets.
        assert len({tuple(found.encryption_keys) for found in contents}) == 1
        assert len({tuple(found.secret_ids) for found in contents}) == 1
        assert contents[0].encryption_keys
        assert contents[0].secret_ids
        for name, delegation in delegations.items():
            named = parties_of(delegation)
            if named.exchange_data_id:
                assert opened[named.exchange_data_id] == by_name[name]


@pytest.mark.parametrize("stage", STAGES)
def test_the_golden_data_look_whole_and_have_one_root(stage: str) -> None:
    for _, document in entities_with_delegations(stage):
        assert looks_whole(document)
        assert len(roots_of(document)) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_the_parties_are_those_of_the_table(stage: str) -> None:
    entities = entities_at(stage)
    anonymous = set(entities["patient"])
    for _, document in entities_with_delegations(stage):
        for delegation in secure_delegations_of(document).values():
            found = parties_of(delegation)
            data = [
                data
                for data in entities["exchangedata"].values()
                if parties(data["delegator"], data["delegate"], data["id"], anonymous=anonymous)
                == found
            ]
            assert data


async def test_the_worked_example_gives_its_secrets() -> None:
    """today.md §13."""
    entities = entities_at("1-explicit")
    named = "8ec429e6c97fadd8f4ebc5c1c85d8e647df2a6c16dc73d7656881ce040087a1c"
    (document,) = (
        document for name, document in entities["patient"].items() if name.startswith("9b7c63f9-")
    )
    exchange_key = bytes.fromhex("25b685181315162ca77116a76b182f7acd506106b845ed2eee4861b0a99f0666")
    found = await contents_of(CRYPTO, exchange_key, secure_delegations_of(document)[named])
    assert found.secret_ids == ["1bfdb2ba-cb90-4cf3-ba9c-53dec3e687a0"]
    key = "06c4cbeb5c0eed447e330a001edfa1efaf86f363adc542ef980c7ea83d7baef5"
    assert [key.hex() for key in found.encryption_keys] == [key]
    self = await CRYPTO.aes_decrypt(
        found.encryption_keys[0], decode_base64(document["encryptedSelf"])
    )
    assert self == b'{"created":1795692451791,"modified":1795692451791}'


async def test_owning_entities_of_children_are_opened() -> None:
    opened = await secrets_at(STAGE)
    for entity_type, document in entities_with_delegations(STAGE):
        if entity_type not in ("HealthElement", "Contact"):
            continue
        for secrets in opened.values():
            delegation = secure_delegations_of(document).get(secrets.delegation_key(entity_type))
            if delegation:
                found = await contents_of(CRYPTO, secrets.exchange_key, delegation)
                assert set(found.owning_entity_ids) <= set(entities_at(STAGE)["patient"])
                assert found.owning_entity_ids


@pytest.mark.parametrize("stage", STAGES)
def test_another_reader_reads_what_is_expected(stage: str) -> None:
    expected = [e for e in EXPECTED if e["stage"] == stage]
    readers: dict[str, Reader] = {}
    for expectation in expected:
        user, fields = expectation["reader"], expectation["fields"]
        if user not in readers:
            readers[user] = Reader(entities_at(stage), *private_keys_of(user))
        kind = expectation.get("kind", "patient")
        name = expectation.get("patientId") or expectation["id"]
        found = readers[user].read(kind, name)
        assert (found and fields_of(found, fields or {})) == fields


# --- The table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delegator", "delegate", "found", "in_map"),
    [
        ("doc", "doc", Parties("doc", "doc", "x"), None),
        ("doc", "doc2", Parties("doc", "doc2", "x"), None),
        ("doc", "pat", Parties("doc", None, None), "doc"),
        ("pat", "doc", Parties(None, "doc", None), "doc"),
        ("pat", "pat", Parties(), None),
        ("pat", "pat2", Parties(), None),
    ],
)
def test_an_anonymous_party_is_named_nowhere(
    delegator: str, delegate: str, found: Parties, in_map: str | None
) -> None:
    made = parties(delegator, delegate, "x", anonymous={"pat", "pat2"})
    assert made == found
    assert made.in_map == in_map
    assert parties_of(made.members()) == made


def test_delegations_are_found_by_those_they_name() -> None:
    document = {
        "securityMetadata": security_metadata(
            {
                "1": {"delegator": "a", "delegate": "a", "exchangeDataId": "x"},
                "2": {"delegator": "a"},
                "3": {"delegate": "b"},
                "4": {},
            }
        )
    }
    assert delegations_naming(document, "a") == {
        "1": Parties("a", "a", "x"),
        "2": Parties("a", None, None),
    }
    assert delegations_naming(document, "b") == {"3": Parties(None, "b", None)}
    assert delegations_naming(document, "c") == {}


# --- Writing --------------------------------------------------------------------------------------


async def whole_document() -> dict[str, Any]:
    named = Parties("a", "a", "x")
    root = await secure_delegation(CRYPTO, KEY, CONTENTS, named)
    child = await secure_delegation(
        CRYPTO, KEY, CONTENTS, Parties("a"), parents=[ROOT], permission="READ"
    )
    return {"id": "1", "securityMetadata": security_metadata({ROOT: root, CHILD: child})}


async def test_a_delegation_that_we_write_has_the_members_of_todays_clients() -> None:
    document = await whole_document()
    assert roots_of(document) == [ROOT]
    delegations = secure_delegations_of(document)
    assert set(delegations[ROOT]) == {
        "delegator", "delegate", "exchangeDataId", "secretIds", "encryptionKeys",
        "owningEntityIds", "permissions",
    }  # fmt: skip
    assert delegations[CHILD]["parentDelegations"] == [ROOT]
    assert delegations[CHILD]["permissions"] == "READ"
    for delegation in delegations.values():
        assert await contents_of(CRYPTO, KEY, delegation) == CONTENTS
    assert looks_whole(document)


async def test_an_empty_member_is_left_out() -> None:
    delegation = await secure_delegation(CRYPTO, KEY, Contents(), Parties())
    assert delegation == {"permissions": "WRITE"}
    assert await sealed_contents(CRYPTO, KEY, Contents(["1"])) != {}


async def test_a_root_may_write() -> None:
    with pytest.raises(ValueError, match="root"):
        await secure_delegation(CRYPTO, KEY, CONTENTS, Parties(), permission="READ")


async def test_another_reader_opens_what_we_write() -> None:
    stage, entities = "1-explicit", entities_at("1-explicit")
    name, secrets = next(iter((await secrets_at(stage)).items()))
    data = entities["exchangedata"][name]
    contents = Contents(["s"], [KEY])
    named = Parties(data["delegator"], data["delegate"], name)
    delegation = await secure_delegation(CRYPTO, secrets.exchange_key, contents, named)
    patient = {
        "id": "new",
        "securityMetadata": security_metadata({secrets.delegation_key("Patient"): delegation}),
        "encryptedSelf": encode_base64(await CRYPTO.aes_encrypt(KEY, b"{}")),
    }
    entities["patient"] = {"new": patient}
    found = audit(entities, private_keys_of())
    assert found.problems == []
    assert (found.counts["entries"], found.counts["contents"], found.counts["ids"]) == (2, 1, 1)


def test_a_repr_shows_no_secret() -> None:
    assert repr(CONTENTS) == "Contents()"


# --- Comparing ------------------------------------------------------------------------------------


async def test_the_order_of_parents_and_empty_members_say_nothing() -> None:
    one = await whole_document()
    other = copy.deepcopy(one)
    delegations = other["securityMetadata"]["secureDelegations"]
    delegations[CHILD]["parentDelegations"] = [ROOT, CHILD]
    assert not same_delegations(one, other)
    one["securityMetadata"]["secureDelegations"][CHILD]["parentDelegations"] = [CHILD, ROOT]
    assert same_delegations(one, other)
    del delegations[CHILD]["owningEntityIds"]
    assert not same_delegations(one, other)
    one["securityMetadata"]["secureDelegations"][CHILD]["owningEntityIds"] = []
    assert same_delegations(one, other)
    assert same_delegations({}, {"securityMetadata": {"secureDelegations": {}}})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda them: them.pop(ROOT),
        lambda them: them.clear(),
        lambda them: them[ROOT].pop("exchangeDataId"),
        lambda them: them[ROOT].pop("delegate"),
        lambda them: them[ROOT].pop("permissions"),
        lambda them: them[ROOT].update(permissions="ROOT"),
        lambda them: them[CHILD].update(exchangeDataId="x"),
        lambda them: them[CHILD].pop("encryptionKeys"),
        lambda them: them[CHILD].update(encryptionKeys=[]),
        lambda them: them[CHILD].update(encryptionKeys=["AAAA"]),
        lambda them: them[CHILD].update(secretIds="AAAA"),
        lambda them: them[CHILD].update(secretIds=[7]),
        lambda them: them[CHILD].update(parentDelegations="x"),
        lambda them: them[CHILD].update(parentDelegations=["c" * 64]),
        lambda them: them.update({ROOT: None}),
        lambda them: them.update({"short": dict(them[CHILD])}),
    ],
)
async def test_metadata_that_were_cut_off_are_noticed(spoil: Any) -> None:
    document = await whole_document()
    assert looks_whole(document)
    spoil(document["securityMetadata"]["secureDelegations"])
    assert not looks_whole(document)


# --- Hostile answers ------------------------------------------------------------------------------


@settings(deadline=None)
@given(value=ANY_JSON)
async def test_no_form_of_metadata_is_an_error(value: Any) -> None:
    for metadata in (value, {"secureDelegations": value}, {"secureDelegations": {ROOT: value}}):
        document = {"id": "1", "securityMetadata": metadata}
        for delegation in secure_delegations_of(document).values():
            assert await contents_of(CRYPTO, KEY, delegation) == Contents([], [], [])
        assert delegations_naming(document, "a") == {}
        assert isinstance(roots_of(document), list)
        assert looks_whole(document) == (not metadata)
        assert same_delegations(document, copy.deepcopy(document))


@settings(deadline=None)
@given(entries=ANY_JSON | st.lists(st.binary(max_size=80).map(encode_base64)))
async def test_no_form_of_entries_is_an_error(entries: Any) -> None:
    assert await open_entries(CRYPTO, KEY, entries) == []


async def test_an_entry_without_the_prefix_is_none_of_ours() -> None:
    bare = encode_base64(await CRYPTO.aes_encrypt(KEY, b"no prefix, and long enough"))
    empty = encode_base64(await CRYPTO.aes_encrypt(KEY, b"Cure"))
    other = (await seal_entries(CRYPTO, OTHER_KEY, [b"other"]))[0]
    mine = (await seal_entries(CRYPTO, KEY, [b"mine"]))[0]
    assert await open_entries(CRYPTO, KEY, [bare, empty, other, mine, mine]) == [b"mine"]


async def test_secrets_of_another_form_are_left_out() -> None:
    delegation = {
        "secretIds": await seal_entries(CRYPTO, KEY, [b"\xff\xfe", "é".encode()]),
        "encryptionKeys": await seal_entries(CRYPTO, KEY, [bytes(15), bytes(16), bytes(33)]),
    }
    assert await contents_of(CRYPTO, KEY, delegation) == Contents(["é"], [bytes(16)], [])


@settings(deadline=None)
@given(values=st.lists(st.binary(min_size=1), unique=True, max_size=5))
async def test_every_value_makes_the_round_trip(values: list[bytes]) -> None:
    assert await open_entries(CRYPTO, KEY, await seal_entries(CRYPTO, KEY, values)) == values
