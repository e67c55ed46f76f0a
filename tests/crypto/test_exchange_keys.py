"""Exchange keys on data-owner documents: found in every form, added without losing any."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.crypto.exchange_keys import (
    add_exchange_key,
    delegates_of,
    exchange_keys_in_view,
    exchange_keys_to,
    has_exchange_key,
    public_keys_of,
)
from icure_async.crypto.key_ring import KeyRing
from tests.support.golden import WORLD
from tests.support.golden_people import (
    ARYA,
    CRYPTO,
    HCP,
    NED,
    NED_LOST,
    owner,
    owners_at,
    ring_of,
)

NED_ID = WORLD["users"]["ned"]["dataOwnerId"]
HCP_ID = WORLD["users"]["hcp"]["dataOwnerId"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just(NED.public_key), inner, max_size=3)
    ),
    max_leaves=8,
)


def shape_of(document: dict[str, Any]) -> Any:
    """The key members with each ciphertext replaced by a number: equal ones by the same."""
    numbers: dict[str, int] = {}

    def numbered(value: Any) -> Any:
        if isinstance(value, dict):
            return [(name, numbered(inner)) for name, inner in value.items()]
        if isinstance(value, list):
            return [numbered(inner) for inner in value]
        assert len(value) == 512
        assert value == value.lower()
        return numbers.setdefault(value, len(numbers))

    return numbered({name: document[name] for name in ("aesExchangeKeys", "hcPartyKeys")})


async def test_new_keys_have_the_shape_of_the_reference() -> None:
    theirs = owners_at("1-shared")[NED_ID]
    ours = {
        name: value
        for name, value in theirs.items()
        if name not in ("aesExchangeKeys", "hcPartyKeys")
    }
    for delegate_id, pair in ((NED_ID, NED), (HCP_ID, HCP)):
        wrapped = await KeyRing(CRYPTO).wrap(bytes(32), [NED.public_key, pair.public_key])
        ours = add_exchange_key(
            ours,
            delegate_id,
            owner_key=NED.public_key,
            wrapped=wrapped,
            delegate_public_key=pair.public_key,
        )
    assert shape_of(ours) == shape_of(theirs)
    assert {**ours, "aesExchangeKeys": 0, "hcPartyKeys": 0} == {
        **theirs,
        "aesExchangeKeys": 0,
        "hcPartyKeys": 0,
    }


async def test_the_second_key_of_an_owner_gets_no_legacy_entry() -> None:
    """As for the patient who lost a key: only the entries of ``publicKey`` are in hcPartyKeys."""
    theirs = owners_at("2-key-lost")[NED_ID]
    assert list(theirs["aesExchangeKeys"]) == [NED.public_key, NED_LOST.public_key]
    before = copy.deepcopy(theirs)
    wrapped = {NED_LOST.fingerprint: "aa", NED.fingerprint: "bb", ARYA.fingerprint: "cc"}
    ours = add_exchange_key(
        theirs,
        "somebody",
        owner_key=NED_LOST.public_key,
        wrapped=wrapped,
        delegate_public_key=ARYA.public_key,
    )
    assert ours["hcPartyKeys"] == theirs["hcPartyKeys"]
    assert ours["aesExchangeKeys"][NED_LOST.public_key]["somebody"] == wrapped
    assert theirs == before


@pytest.mark.parametrize(
    "members",
    [
        {"aesExchangeKeys": {NED.public_key: {"h": {NED.fingerprint: "aa"}}}},
        {"aesExchangeKeys": {NED.public_key.upper(): {"h": {NED.fingerprint: "aa"}}}},
        {"aesExchangeKeys": {NED.fingerprint: {"h": {HCP.public_key: "aa"}}}},
        {"aesExchangeKeys": {"other": {"h": {}}, NED.public_key: {"h": {"": "aa"}}}},
    ],
)
def test_a_slot_in_use_is_never_touched(members: dict[str, Any]) -> None:
    document = owner("n", NED) | members
    before = copy.deepcopy(document)
    assert has_exchange_key(document, "h", owner_key=NED.public_key)
    with pytest.raises(ValueError, match="exists"):
        add_exchange_key(
            document,
            "h",
            owner_key=NED.public_key,
            wrapped={NED.fingerprint: "bb"},
            delegate_public_key=None,
        )
    assert document == before


def test_nothing_that_is_there_gets_lost() -> None:
    document = owner(
        "n",
        NED,
        newMember={"kept": [1]},
        aesExchangeKeys={
            ARYA.public_key: {"h": {ARYA.public_key: "11", "": "22"}, "x": "odd", "y": None},
            "garbage": ["kept"],
            NED.public_key: {"z": {NED.public_key: "33", NED.fingerprint: "44"}, "e": {}},
        },
        hcPartyKeys={"h": ["legacy", "kept"], "x": "odd"},
    )
    before = copy.deepcopy(document)
    changed = add_exchange_key(
        document,
        "h",
        owner_key=NED.public_key,
        wrapped={NED.fingerprint: "55", HCP.fingerprint: "66"},
        delegate_public_key=HCP.public_key,
    )
    assert document == before
    assert changed == before | {
        "aesExchangeKeys": {
            # Ids are cut to fingerprints, but not where one ciphertext would win over another.
            ARYA.public_key: {"h": {ARYA.fingerprint: "11", "": "22"}, "x": "odd", "y": None},
            "garbage": ["kept"],
            NED.public_key: {
                "z": {NED.public_key: "33", NED.fingerprint: "44"},
                "e": {},
                "h": {NED.fingerprint: "55", HCP.fingerprint: "66"},
            },
        }
    }


def test_a_level_named_by_its_fingerprint_is_used_on() -> None:
    document = owner("n", NED, aesExchangeKeys={NED.fingerprint: {"x": {"f": "11"}}})
    changed = add_exchange_key(
        document,
        "h",
        owner_key=NED.public_key,
        wrapped={NED.fingerprint: "22"},
        delegate_public_key=None,
    )
    assert changed["aesExchangeKeys"] == {
        NED.fingerprint: {"x": {"f": "11"}, "h": {NED.fingerprint: "22"}}
    }


@pytest.mark.parametrize(
    ("public_key", "delegate_public_key"),
    [(None, HCP.public_key), (NED.public_key, None), (NED.public_key, ARYA.public_key), ("", "")],
)
def test_the_legacy_entry_needs_both_public_keys(
    public_key: str | None, delegate_public_key: str | None
) -> None:
    document = {"id": "n", "publicKey": public_key}
    changed = add_exchange_key(
        document,
        "h",
        owner_key=NED.public_key,
        wrapped={NED.fingerprint: "11", HCP.fingerprint: "22"},
        delegate_public_key=delegate_public_key,
    )
    assert "hcPartyKeys" not in changed
    assert changed["aesExchangeKeys"][NED.public_key]["h"] == {
        NED.fingerprint: "11",
        HCP.fingerprint: "22",
    }


def test_public_keys_come_once_and_the_first_one_first() -> None:
    document = owner(
        "n",
        NED,
        aesExchangeKeys={
            HCP.public_key: {},
            NED.public_key.upper(): {},
            "": {},
            ARYA.public_key: 1,
        },
    )
    assert public_keys_of(document) == [NED.public_key, HCP.public_key, ARYA.public_key]


def test_a_full_public_key_counts_over_its_fingerprint() -> None:
    document: dict[str, Any] = {"aesExchangeKeys": {NED.fingerprint: {}, NED.public_key: {}}}
    assert public_keys_of(document) == [NED.public_key]
    document = {"publicKey": NED.fingerprint} | document
    assert public_keys_of(document) == [NED.public_key]


def test_all_keys_to_a_delegate_are_found_legacy_ones_last() -> None:
    document = owner(
        "n",
        NED,
        aesExchangeKeys={
            NED.public_key: {"h": {NED.fingerprint.upper(): "11", HCP.public_key: "22"}},
            ARYA.public_key: {"other": {"f": "33"}},
            HCP.public_key: {"h": {HCP.fingerprint: "44", "bad": 5, "none": None, "empty": ""}},
        },
        hcPartyKeys={"h": ["55", "66"], "old": ["77", "88"]},
    )
    assert exchange_keys_to(document, "h") == [
        {NED.fingerprint: "11", HCP.fingerprint: "22"},
        {HCP.fingerprint: "44"},
        {"": "66", NED.fingerprint: "55"},
    ]
    assert exchange_keys_to(document, "nobody") == []
    assert delegates_of(document) == ["h", "other", "old"]


@pytest.mark.parametrize(
    "names", [[NED.public_key, NED.fingerprint], [NED.fingerprint, NED.public_key]]
)
def test_the_ciphertext_under_the_fingerprint_counts(names: list[str]) -> None:
    texts = {NED.public_key: "11", NED.fingerprint: "22"}
    document = {"aesExchangeKeys": {"k": {"h": {name: texts[name] for name in names}}}}
    assert exchange_keys_to(document, "h") == [{NED.fingerprint: "22"}]


def test_a_legacy_entry_without_a_public_key_keeps_the_ciphertext_for_the_delegate() -> None:
    for public_key in ("", None, 5):
        document = {"publicKey": public_key, "hcPartyKeys": {"h": ["11", "22"]}}
        assert exchange_keys_to(document, "h") == [{"": "22"}]


def test_the_view_of_the_server_is_read() -> None:
    view = {
        "n": {NED.fingerprint: {HCP.public_key.upper(): "11"}, ARYA.fingerprint: {"": "22"}},
        "odd": {"a": None, "b": {}},
    }
    assert exchange_keys_in_view(view, "n") == [{HCP.fingerprint: "11"}, {"": "22"}]
    assert exchange_keys_in_view(view, "odd") == []
    assert exchange_keys_in_view(view, "nobody") == []


@given(
    keys=json_values, legacy=json_values, public_key=json_values, delegate_public_key=json_values
)
def test_garbage_is_survived_and_kept(
    keys: Any, legacy: Any, public_key: Any, delegate_public_key: Any
) -> None:
    document = {"id": "n", "publicKey": public_key, "aesExchangeKeys": keys, "hcPartyKeys": legacy}
    before = json.dumps(document)
    public_keys_of(document)
    delegates_of(document)
    exchange_keys_to(document, "h")
    exchange_keys_in_view(keys, "h")
    assert not has_exchange_key(document, "new", owner_key=NED.public_key)
    wrapped = {NED.fingerprint: "11"}
    changed = add_exchange_key(
        document,
        "new",
        owner_key=NED.public_key,
        wrapped=wrapped,
        delegate_public_key=delegate_public_key,
    )
    assert json.dumps(document) == before
    assert wrapped in exchange_keys_to(changed, "new")
    if isinstance(keys, dict):
        others = {name: value for name, value in keys.items() if name != NED.public_key}
        assert {name: changed["aesExchangeKeys"][name] for name in others}.keys() == others.keys()
        for name, value in others.items():
            if not isinstance(value, dict):
                assert changed["aesExchangeKeys"][name] == value


async def test_what_is_added_opens_for_both_sides() -> None:
    exchange_key = bytes(range(32))
    wrapped = await KeyRing(CRYPTO).wrap(exchange_key, [NED.public_key, HCP.public_key])
    document = add_exchange_key(
        owner("n", NED),
        "h",
        owner_key=NED.public_key,
        wrapped=wrapped,
        delegate_public_key=HCP.public_key,
    )
    for pair in (NED, HCP):
        ring = await ring_of(pair)
        for found in exchange_keys_to(document, "h"):
            assert await ring.open(found) == exchange_key
    stranger = await ring_of(ARYA)
    assert [await stranger.open(found) for found in exchange_keys_to(document, "h")] == [None, None]
